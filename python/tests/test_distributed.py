from __future__ import annotations

import os
import pickle
import shutil
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from conftest import BROKEN, SONGS

import genrescope

pa = pytest.importorskip("pyarrow")
from genrescope import arrow, distributed  # noqa: E402


@pytest.fixture(scope="module")
def whole(library: Path) -> list[dict[str, Any]]:
    files = genrescope.find_audio_files(library)
    return rows(arrow.table(genrescope.classify_many(files)))


def rows(table: Any) -> list[dict[str, Any]]:
    return sorted(table.to_pylist(), key=lambda row: row["path"])


def test_batches_of_every_kind(library: Path, whole: list[dict[str, Any]]) -> None:
    pandas = pytest.importorskip("pandas")
    files = genrescope.find_audio_files(library)
    classifier = pickle.loads(pickle.dumps(distributed.Classifier(jobs=2)))
    assert rows(classifier(files)) == whole
    assert rows(classifier(pa.table({"path": files}))) == whole
    assert rows(classifier({"path": np.array(files, dtype=object)})) == whole
    frame = classifier(pandas.DataFrame({"path": files}))
    assert list(frame["path"]) == files and frame["error"].notna().sum() == 2
    data = [Path(path).read_bytes() for path in files]
    assert rows(classifier({"path": files, "bytes": np.array(data, dtype=object)})) == whole
    named = distributed.Classifier(path="key", data="content")
    assert rows(named(pa.table({"key": files, "content": data}))) == whole


def test_a_wrong_setting_is_told_before_anything_runs() -> None:
    with pytest.raises(genrescope.SettingError, match="hop = 0"):
        distributed.Classifier(hop=0.0)
    with pytest.raises(genrescope.ModelError):
        distributed.Classifier(model="/gone.safetensors")


@pytest.fixture
def bucket(library: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[list[str], dict[str, Any]]]:
    """The library in an object store; its URLs, and how to get there."""
    server = pytest.importorskip("moto.server")
    pytest.importorskip("s3fs")
    boto3 = pytest.importorskip("boto3")
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "test")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    running = server.ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    running.start()
    host, port = running.get_host_and_port()
    endpoint = f"http://{host}:{port}"
    monkeypatch.setenv("AWS_ENDPOINT_URL", endpoint)
    client = boto3.client("s3", endpoint_url=endpoint)
    client.create_bucket(Bucket="music")
    for name in SONGS + BROKEN:
        client.upload_file(str(library / name), "music", name)
    urls = [f"s3://music/{name}" for name in sorted(SONGS + BROKEN)]
    yield urls, {"client_kwargs": {"endpoint_url": endpoint}}
    running.stop()


def without_paths(found: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [{**row, "path": Path(row["path"]).name, "error": row["error"] is not None} for row in found]


def test_objects_of_a_store(bucket: Any, whole: list[dict[str, Any]]) -> None:
    urls, storage = bucket
    classifier = distributed.Classifier(storage_options=storage)
    found = rows(classifier([*urls, "s3://music/gone.mp3", "s3://nowhere/x.mp3"]))
    assert without_paths(found[:7]) == without_paths(whole)
    assert found[4]["error"] == f"{urls[4]}: the file is empty (0 bytes)"
    assert found[7]["error"] == "s3://music/gone.mp3: there is no such file"
    assert found[8]["error"].startswith("s3://nowhere/x.mp3: ")


@pytest.fixture(scope="module")
def on_two_workers() -> Iterator[Any]:
    ray = pytest.importorskip("ray")
    os.environ["RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO"] = "0"
    ray.init(num_cpus=2, include_dashboard=False, log_to_driver=False, configure_logging=False)
    yield ray
    ray.shutdown()


def copies(library: Path, folder: Path, n: int) -> list[str]:
    """A library of many songs, with poison among them."""
    files = []
    for index in range(n):
        name = BROKEN[1] if index % 10 == 3 else SONGS[2]
        files.append(str(folder / f"{index:03} {name}"))
        shutil.copy(library / name, files[-1])
    return files


def test_ray_loses_nothing_and_does_nothing_twice(
    library: Path, tmp_path: Path, on_two_workers: Any
) -> None:
    files = copies(library, tmp_path, 60)
    marks = tmp_path / "marks"
    marks.mkdir()

    class DiesTwice(distributed.Classifier):
        def __call__(self, batch: Any) -> Any:
            table = super().__call__(batch)
            for number in (20, 41):
                mark = marks / str(number)
                if files[number] in batch.column("path").to_pylist() and not mark.exists():
                    mark.touch()
                    os.kill(os.getpid(), signal.SIGKILL)
            return table

    dataset = distributed.on_ray(files, workers=2, batch_size=4, classifier=DiesTwice())
    output = tmp_path / "answers"
    dataset.write_parquet(str(output))
    assert len(list(marks.iterdir())) == 2
    merged = arrow.merge(sorted(output.glob("*.parquet")), tmp_path / "all.parquet", expected=files)
    assert (merged.answered, len(merged.failed), merged.repeated, merged.missing) == (54, 6, 0, [])


def test_ray_reads_the_bytes_of_a_store(bucket: Any, whole: list[dict[str, Any]], on_two_workers: Any) -> None:
    from pyarrow.fs import S3FileSystem

    urls, storage = bucket
    endpoint = storage["client_kwargs"]["endpoint_url"]
    store = S3FileSystem(endpoint_override=endpoint, access_key="test", secret_key="test", region="us-east-1")
    files = on_two_workers.data.read_binary_files(urls, include_paths=True, filesystem=store)
    found = distributed.on_ray(files, batch_size=2).take_all()
    found.sort(key=lambda row: row["path"])
    assert without_paths(found) == without_paths(whole)


def test_dask_gives_the_same(library: Path, whole: list[dict[str, Any]]) -> None:
    pytest.importorskip("dask.dataframe")
    files = genrescope.find_audio_files(library)
    frame = distributed.on_dask(files, batch_size=2)
    assert frame.npartitions == 4
    found = frame.compute(scheduler="threads")
    assert list(found["path"]) == files
    assert list(found["genre"].fillna("")) == [row["genre"] or "" for row in whole]
    assert found["rock"].notna().sum() == 5
    assert set(found["error"].dropna()) == {row["error"] for row in whole if row["error"]}


def test_a_lost_worker_of_dask_loses_nothing(library: Path, tmp_path: Path) -> None:
    dask = pytest.importorskip("distributed")
    files = copies(library, tmp_path, 24)
    mark = tmp_path / "mark"

    class DiesOnce(distributed.Classifier):
        def __call__(self, batch: Any) -> Any:
            if files[9] in list(batch) and not mark.exists():
                mark.touch()
                os.kill(os.getpid(), signal.SIGKILL)
            return super().__call__(batch)

    with dask.LocalCluster(
        n_workers=2, threads_per_worker=1, processes=True, dashboard_address=None
    ) as cluster, dask.Client(cluster):
        found = distributed.on_dask(files, batch_size=4, classifier=DiesOnce()).compute()
    assert mark.exists()
    assert list(found["path"]) == files
    assert found["error"].notna().sum() == sum(BROKEN[1] in file for file in files)
