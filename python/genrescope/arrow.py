"""Answers as Arrow tables and Parquet files, and the results of many machines as one.

Needs pyarrow (`pip install genrescope[arrow]`).
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any, Optional

import pyarrow as pa
import pyarrow.parquet as pq

from ._columns import FAMILY_FIELDS, FIELDS, record, score_column
from ._model import Model, Path, load
from .errors import FileError, SettingError

_TYPES = {
    "frames": pa.int32(),
    "confidence": pa.float64(),
    "seconds": pa.float64(),
    "music": pa.float64(),
    "short": pa.bool_(),
    "genre_path": pa.list_(pa.string()),
}

# Rows that are held before they are written.
_BATCH = 10_000


def schema(model: Optional[Model] = None) -> pa.Schema:
    """The columns of `Model.classify_many`, with their types, which do not depend on what was heard."""
    model = model or load()
    return _schema(model.labels, bool(model.families))


def _schema(labels: list[str], families: bool) -> pa.Schema:
    names = FIELDS + FAMILY_FIELDS if families else FIELDS
    fields = [(name, _TYPES.get(name, pa.string())) for name in names]
    return pa.schema(fields + [(score_column(label), pa.float64()) for label in labels])


def table(columns: dict[str, list[Any]], model: Optional[Model] = None) -> pa.Table:
    """The columns of `Model.classify_many` as a table of `schema`."""
    return pa.table(columns, schema=schema(model))


@dataclass
class Merged:
    """What `merge` has found."""

    answered: int = 0
    """Files with an answer: rows that were written."""
    failed: dict[str, str] = field(default_factory=dict)
    """Files that could not be heard, and why: they are rows, too."""
    repeated: int = 0
    """Further rows of the same files, which were left out."""
    torn: list[str] = field(default_factory=list)
    """Results whose last line was cut off, as of a killed run: what it was about counts as missing."""
    missing: list[str] = field(default_factory=list)
    """Of `expected`, files without any row."""


def merge(results: Iterable[Path], output: Path, *, expected: Optional[Iterable[Path]] = None) -> Merged:
    """Makes one Parquet file of what `genrescope classify --json` or `--output x.jsonl` wrote on many machines,
    or of Parquet files as this function writes them.

    Every file has one row in the end: its answer if there is one anywhere, else its last error.

    Args:
        results: Files of JSON Lines, or Parquet.
        output: The Parquet file to write, which must not be there yet.
        expected: All files that should have been heard (`find_audio_files`); those without a row are told as
            `Merged.missing`.

    Raises:
        SettingError: results of different models or options, or that are none.
        FileError: a file cannot be read or written.
    """
    output = os.fspath(output)
    if os.path.exists(output):
        raise FileError(f"'{output}' is there already; give another name, or remove it")
    merged, seen, made_by = Merged(), set[str](), None
    writer, rows = None, list[dict[str, Any]]()
    labels: list[str] = []
    families = False
    partial = output + ".part"

    def flush() -> None:
        nonlocal writer, rows
        if writer is None:
            writer = pq.ParquetWriter(partial, _schema(labels, families), compression="zstd")
        if rows:
            records = [record(row, labels, families) for row in rows]
            writer.write_table(pa.Table.from_pylist(records, schema=_schema(labels, families)))
            rows = []

    try:
        for result in [os.fspath(result) for result in results]:
            for row in _rows(result, merged):
                path = row["path"]
                if row["type"] == "error":
                    merged.failed[path] = row["error"]
                    continue
                by = (row["model"], row["options"])
                if made_by is None:
                    made_by, labels = by, list(row["scores"])
                    families = "family" in row
                elif by != made_by:
                    raise SettingError(
                        f"'{result}' holds answers of another model or with other options ({' '.join(by)}) than "
                        f"those before ({' '.join(made_by)}); merge what belongs together"
                    )
                if path in seen:
                    merged.repeated += 1
                    continue
                seen.add(path)
                rows.append(row)
                if len(rows) >= _BATCH:
                    flush()
        for path in seen & merged.failed.keys():
            del merged.failed[path]
        rows.extend({"path": path, "error": error} for path, error in sorted(merged.failed.items()))
        if not labels:
            model = load()
            labels, families = model.labels, bool(model.families)
        flush()
        assert writer is not None
        writer.close()
        os.rename(partial, output)
    except BaseException:
        if writer is not None:
            writer.close()
        if os.path.exists(partial):
            os.remove(partial)
        raise
    merged.answered = len(seen)
    if expected is not None:
        merged.missing = [
            path
            for path in [os.fspath(path) for path in expected]
            if path not in seen and path not in merged.failed
        ]
    return merged


def _rows(result: str, merged: Merged) -> Iterator[dict[str, Any]]:
    """Rows as messages."""
    try:
        with open(result, "rb") as file:
            if file.read(4) == b"PAR1":
                yield from _parquet_rows(result)
                return
            file.seek(0)
            for number, line in enumerate(file, 1):
                try:
                    row = json.loads(line)
                    if row["type"] not in ("song", "error") or not isinstance(row["path"], str):
                        raise ValueError
                except (ValueError, KeyError, TypeError):
                    if line.endswith(b"\n"):
                        raise SettingError(
                            f"line {number} of '{result}' is no answer of classify --json"
                        ) from None
                    merged.torn.append(result)
                    return
                yield row
    except OSError as error:
        raise FileError(f"'{result}': cannot be read: {error.strerror or error}") from error


def _parquet_rows(result: str) -> Iterator[dict[str, Any]]:
    file = pq.ParquetFile(result)
    names = file.schema_arrow.names
    if names[: len(FIELDS)] != FIELDS:
        raise SettingError(f"'{result}' has other columns than answers of genrescope")
    families = names[len(FIELDS) :][: len(FAMILY_FIELDS)] == FAMILY_FIELDS
    first = len(FIELDS) + (len(FAMILY_FIELDS) if families else 0)
    suffix = " score"
    for batch in file.iter_batches(_BATCH):
        for values in batch.to_pylist():
            if values["state"] is None:
                yield {"type": "error", "path": values["path"], "error": values["error"]}
                continue
            row: dict[str, Any] = {name: values[name] for name in names[:first]}
            row["notes"] = [row["notes"]] if row["notes"] else []
            row["type"] = "song"
            row["scores"] = {
                name[: -len(suffix)] if name.endswith(suffix) else name: values[name]
                for name in names[first:]
            }
            yield row
