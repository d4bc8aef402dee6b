"""Answers as columns."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Union

from ._answers import Failure, Song

# Fields of a row, in the order of the columns of `--csv`.
FIELDS = [
    "path",
    "genre",
    "confidence",
    "state",
    "frames",
    "seconds",
    "short",
    "music",
    "reason",
    "notes",
    "error",
    "model",
    "options",
]
FAMILY_FIELDS = ["family", "genre_path"]


def fields(families: bool) -> list[str]:
    """The columns before those of the labels."""
    return FIELDS + FAMILY_FIELDS if families else FIELDS


def score_column(label: str) -> str:
    """The column of a label: its name, unless a field is called that."""
    return f"{label} score" if label in FIELDS or label in FAMILY_FIELDS else label


def record(row: dict[str, Any], labels: list[str], families: bool) -> dict[str, Any]:
    """One row of JSON as values of columns."""
    values = {name: row.get(name) for name in fields(families)}
    values["notes"] = "; ".join(row.get("notes") or []) or None
    scores = row.get("scores") or {}
    values.update((score_column(label), scores.get(label)) for label in labels)
    return values


def columns(
    answers: Iterable[Union[Song, Failure]], labels: list[str], families: bool
) -> dict[str, list[Any]]:
    """All answers, column by column."""
    table: dict[str, list[Any]] = {
        name: [] for name in [*fields(families), *map(score_column, labels)]
    }
    for answer in answers:
        for name, value in record(answer.to_dict(), labels, families).items():
            table[name].append(value)
    return table
