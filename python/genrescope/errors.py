"""What can go wrong, in the words of the command line."""

from __future__ import annotations


class GenrescopeError(Exception):
    """Whatever genrescope raises."""


class FileError(GenrescopeError, OSError):
    """A file that cannot be heard: no audio, damaged, encrypted, in a format without a decoder."""


class MissingFileError(FileError, FileNotFoundError):
    """There is no such file."""


class UnreadableFileError(FileError, PermissionError):
    """A file that may not be read."""


class FolderError(FileError, IsADirectoryError):
    """A folder where one file is wanted."""


class ModelError(GenrescopeError, ValueError):
    """A model file that cannot be read, or is none."""


class SettingError(GenrescopeError, ValueError):
    """An argument that is out of its range, or an array that is no sound."""


class GenrescopeWarning(UserWarning):
    """Something that was left out while the rest went on."""
