"""A library on many machines: an adapter for engines that exist, such as Ray and Dask.

`Classifier` is what an engine calls on each batch of paths, URLs or bytes; `on_ray` and `on_dask` are the few lines
around it. Scheduling, retries and storage are the engine's. docs/cluster.md has examples, and what they cost.

A batch is computed from its files alone, so an engine may try it again after a machine was lost, and keeps one
result of it. A file that cannot be heard is a row with an `error`.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Optional, Union

import pyarrow as pa

from . import arrow
from ._answers import Failure, Song
from ._columns import columns
from ._model import Many, Model, Path, load

if TYPE_CHECKING:
    import dask.dataframe
    import pandas as pd
    import ray.data

    Batch = Union[pa.Table, pd.DataFrame, Mapping[str, Any], Sequence[str]]


class Classifier:
    """Says the genre of every file of a batch.

    A batch has a column of paths, and may have one of the bytes of whole files, which are heard instead. Paths with
    `://` in them are read through fsspec: s3, gs, hdfs, http and whatever it has a filesystem for.

    It is small, and pickled as its arguments: the model is loaded once in each process.

    Args:
        model: "wide", or a model file that is at this path on every machine; None: the default model.
        path: Column of paths.
        data: Column of bytes, if the batch has it.
        jobs: Files at a time in this process: as many as the engine gives it processors.
        storage_options: For fsspec: keys, endpoints.
        settings: As for `Model.classify`.
    """

    def __init__(
        self,
        model: Optional[str] = None,
        *,
        path: str = "path",
        data: str = "bytes",
        jobs: int = 1,
        storage_options: Optional[dict[str, Any]] = None,
        **settings: Any,
    ) -> None:
        self.model, self.path, self.data, self.jobs = model, path, data, jobs
        self.storage_options, self.settings = storage_options or {}, settings
        # What is wrong is told here, not by a hundred workers.
        load(model)._listening(**settings)

    def __call__(self, batch: Batch) -> Any:
        """The answers for a batch: a pandas frame for one, else a table of Arrow, with a row for each row."""
        if isinstance(batch, pa.Table):
            paths = batch.column(self.path).to_pylist()
            data = batch.column(self.data).to_pylist() if self.data in batch.column_names else None
        elif isinstance(batch, (list, tuple)):
            paths, data = batch, None
        else:
            paths = batch[self.path]  # type: ignore[call-overload]
            data = batch[self.data] if self.data in batch else None  # type: ignore[call-overload]
        model = load(self.model)
        named = [os.fspath(path) for path in paths]
        answers = self._answers(model, named, data)
        table = arrow.table(columns(answers, model.labels, bool(model.families)), model)
        return table.to_pandas() if hasattr(batch, "iloc") else table

    def _answers(
        self, model: Model, paths: list[str], data: Optional[Iterable[bytes]]
    ) -> Iterator[Union[Song, Failure]]:
        sources: list[Many] = []
        lost: dict[int, Failure] = {}
        for index, path in enumerate(paths):
            if "://" not in path:
                sources.append(path)
                continue
            sources.append((path, b""))
            if data is None:
                try:
                    sources[index] = (path, self._fetch(path))
                except FileNotFoundError:
                    lost[index] = Failure._because(path, f"{path}: there is no such file")
                except Exception as error:  # Each filesystem has its own.
                    lost[index] = Failure._because(path, f"{path}: cannot be read: {error}")
        if data is not None:
            sources = [(path, bytes(content)) for path, content in zip(paths, data)]
        answers = model.classify_each(sources, jobs=self.jobs, **self.settings)
        for index, answer in enumerate(answers):
            yield lost.get(index, answer)

    def _fetch(self, url: str) -> bytes:
        import fsspec

        with fsspec.open(url, "rb", **self.storage_options) as file:
            content: bytes = file.read()
        return content


def remaining(paths: Iterable[Path], results: Iterable[Path]) -> list[str]:
    """Those of `paths` that have no answer yet in `results` (JSON Lines or Parquet): what a second run is for. Files
    that failed are tried again."""
    known = arrow.Merged()
    answered = {
        row["path"]
        for result in results
        for row in arrow._rows(os.fspath(result), known)
        if row["type"] == "song"
    }
    return [path for path in [os.fspath(path) for path in paths] if path not in answered]


def on_ray(
    paths: Union[Iterable[Path], ray.data.Dataset],
    *,
    workers: Optional[int] = None,
    batch_size: int = 16,
    classifier: Optional[Classifier] = None,
    **arguments: Any,
) -> ray.data.Dataset:
    """The answers for many files as a dataset of Ray, which is computed when it is asked for (`write_parquet`,
    `take_all`).

    Args:
        paths: Paths or URLs, or a dataset with a column of them, such as that of
            `ray.data.read_binary_files(..., include_paths=True)`, whose bytes are heard.
        workers: Batches at a time; None: as many as the cluster has processors.
        batch_size: Files in a batch: what is computed again when a worker is lost.
        classifier: What is called on batches, such as a `Classifier` that does more.
        arguments: Otherwise, for `Classifier`.
    """
    import ray.data

    if not isinstance(paths, ray.data.Dataset):
        items = [{"path": os.fspath(path)} for path in paths]
        blocks = max(1, -(-len(items) // batch_size))
        paths = ray.data.from_items(items, override_num_blocks=blocks)
    hears = classifier or Classifier(**arguments)

    def classify(batch: pa.Table) -> pa.Table:
        return hears(batch)

    return paths.map_batches(
        classify,
        batch_size=batch_size,
        batch_format="pyarrow",
        num_cpus=hears.jobs,
        concurrency=workers,
    )


def on_dask(
    paths: Iterable[Path],
    *,
    batch_size: int = 16,
    classifier: Optional[Classifier] = None,
    **arguments: Any,
) -> dask.dataframe.DataFrame:
    """The answers for many files as a frame of Dask, which is computed when it is asked for (`to_parquet`,
    `compute`).

    Args:
        paths: Paths or URLs.
        batch_size: Files in a partition: what is computed again when a worker is lost.
        classifier: What is called on partitions, such as a `Classifier` that does more.
        arguments: Otherwise, for `Classifier`.
    """
    import dask.dataframe as dd

    hears = classifier or Classifier(**arguments)
    named = [os.fspath(path) for path in paths]
    batches = [named[start : start + batch_size] for start in range(0, len(named), batch_size)]
    empty = arrow.schema(load(hears.model)).empty_table().to_pandas()
    frame: dask.dataframe.DataFrame = dd.from_map(  # type: ignore[no-untyped-call, unused-ignore]
        _frame, batches, classifier=hears, meta=empty
    )
    return frame


def _frame(batch: list[str], classifier: Classifier) -> pd.DataFrame:
    frame: pd.DataFrame = classifier(batch).to_pandas()
    return frame
