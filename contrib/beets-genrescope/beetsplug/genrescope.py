"""Genres for beets, as genrescope hears them."""

from __future__ import annotations

import os
from collections.abc import Iterable
from typing import Any, Optional

import genrescope
from beets import ui
from beets.library import Item, Library
from beets.plugins import BeetsPlugin

# Several genres since 2.5, one text before.
SEVERAL = "genres" in Item._fields


def genres_of(item: Item) -> list[str]:
    """The genres that a song has."""
    if SEVERAL:
        return list(item.genres or [])
    return [item.genre] if item.genre else []


class GenrescopePlugin(BeetsPlugin):
    """`beet genrescope`, and a stage of imports."""

    def __init__(self) -> None:
        super().__init__()
        self.config.add(
            {"auto": False, "force": False, "min_confidence": 0.0, "model": "default", "words": {}}
        )
        if self.config["auto"].get(bool):
            self.import_stages = [self.imported]

    def commands(self) -> list[ui.Subcommand]:
        command = ui.Subcommand("genrescope", help="hear the genre of songs that have none")
        command.parser.add_option(
            "-p", "--pretend", action="store_true", help="show what would change, and change nothing"
        )
        command.parser.add_option(
            "-f", "--force", action="store_true", help="also songs that have a genre"
        )
        command.parser.add_option(
            "-w", "--write", action="store_true", default=None, help="write to the files"
        )
        command.parser.add_option(
            "-W", "--nowrite", action="store_false", dest="write", help="do not write to the files"
        )
        command.func = self.run
        return [command]

    def run(self, lib: Library, options: Any, arguments: list[str]) -> None:
        force = options.force or self.config["force"].get(bool)
        write = ui.should_write(options.write)
        self.hear(lib.items(arguments), bool(force), write, bool(options.pretend))

    def imported(self, _session: Any, task: Any) -> None:
        self.hear(task.imported_items(), self.config["force"].get(bool), ui.should_write(), False)

    def hear(self, items: Iterable[Item], force: bool, write: bool, pretend: bool) -> None:
        """Hears the songs among `items` that are to have a genre, side by side."""
        wanted = [item for item in items if force or not genres_of(item)]
        name: str = self.config["model"].as_str()
        model = genrescope.Model(name)
        paths = [os.fsdecode(item.path) for item in wanted]
        for item, answer in zip(wanted, model.classify_each(paths)):
            if isinstance(answer, genrescope.Failure):
                self._log.warning("{}", answer.error)
                continue
            word = self.word(answer)
            told = word or f"none ({answer.state.replace('_', ' ')})"
            old = ", ".join(genres_of(item)) or "none"
            ui.print_(f"{item}: {old} -> {told} ({100 * answer.confidence:.0f} %)")
            if pretend:
                continue
            item["genrescope_genre"] = answer.genre or ""
            item["genrescope_state"] = answer.state
            item["genrescope_confidence"] = round(answer.confidence, 4)
            if word and SEVERAL:
                item.genres = [word]
            elif word:
                item.genre = word
            if word and write:
                item.try_write()
            item.store()

    def word(self, song: genrescope.Song) -> Optional[str]:
        """What to write for a song; None for nothing."""
        if song.genre is None or song.confidence < self.config["min_confidence"].get(float):
            return None
        words: dict[str, str] = self.config["words"].get(dict)
        return words.get(song.genre, genrescope.tag_word(song.genre)) or None
