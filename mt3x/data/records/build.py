"""A release becomes a folder of records: in many processes, again and again until it is done.

The folder holds, for data set NAME:

    NAME-SPLIT.array_record-00000-of-00004         a shard: the records of some items
    NAME-SPLIT.array_record-00000-of-00004.json    what is in it, and what it was made of
    manifest.json                                  the whole, see `build`; written last
    dataset_info.json, features.json               the same for `tfds.builder_from_directory(folder)`

Items are dealt to shards in their order, as many shards whatever the number of workers, so that the files are
the same byte for byte. A file gets its name when it is whole and on disk; its JSON comes after it. A build
that was killed makes only those shards that have no JSON, whose bytes have changed, or whose source files
have (by size or time of change). Of two builds into one folder the second ends at once, and the first goes
on.
"""

import contextlib
import math
import multiprocessing
import multiprocessing.connection
import os
import re
import sqlite3
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path
from typing import Any

from mt3x.data.records.array_records import FORMAT, MANIFEST_FILE, count_rows, read_manifest, record_features
from mt3x.data.records.recordings import (
    DataError,
    Item,
    Reader,
    Report,
)
from mt3x.data.records.shards import Shard, json_bytes, make_shard
from mt3x.music.checks import check_at_least
from mt3x.music.files import is_unfinished, write_whole

ITEMS_PER_SHARD = 8
MOST_SHARDS = 512
"""Of a split; with more than 4096 items, shards grow instead."""

Progress = Callable[[float, float], None]
"""(seconds of audio done, an estimate of all seconds)."""

_LOCK_FILE = ".build.lock"


def build(
    reader: Reader,
    source: str | Path,
    output: str | Path,
    workers: int = 1,
    report: Report = lambda file, reason: None,
    progress: Progress = lambda done, total: None,
) -> dict[str, Any]:
    """Reads all items of a release and writes them as records; goes on with a build that was killed.

    Items that cannot be used are reported and left out.

    Returns:
      The manifest: {"format": 3, "name": "guitarset", "splits": {"train": {"records": recordings,
      "examples": mixes of recordings, "seconds": of all recordings, "shards": [{"file", "bytes", "sha256",
      "ids": of its records, "mixes": how many examples each record is, "samples": how long it is}],
      "left_out": ids of items that could not be used}}, "problems": [{"file", "reason"}]}.

    Raises:
      DataError: `source` is not the release's folder; `output` holds another data set or is being built by
        another process; or no item at all can be used.
      ValueError: workers is below 1.
      RuntimeError: a worker process ended, for want of memory perhaps.
    """
    check_at_least(1, workers=workers)
    source, output = Path(source), Path(output)
    problems: list[dict[str, str]] = []

    def note_problem(file: str, reason: str) -> None:
        problems.append({"file": file, "reason": reason})
        report(file, reason)

    items = reader.items(source, note_problem)
    _check_items(reader, items)
    output.mkdir(parents=True, exist_ok=True)
    with _lock(output):
        _check_output(output, reader.name)
        splits = _deal(reader, source, output, items)
        shards = [shard for shards in splits.values() for shard in shards]
        _remove_leftovers(output, reader.name, shards)
        contents = _make_all(shards, workers, report, progress)
        problems += [problem for shard in shards for problem in contents[shard.path]["problems"]]
        manifest = {
            "format": FORMAT,
            "name": reader.name,
            "splits": {split: _sum_up([contents[s.path] for s in made]) for split, made in splits.items()},
            "problems": problems,
        }
        if not any(split["records"] for split in manifest["splits"].values()):
            first = problems[0]
            raise DataError(
                f"{source}: none of {len(items)} items of {reader.name} can be used; the first problem is "
                f"{first['file']}: {first['reason']}"
            )
        _write_tfds_metadata(output, manifest)
        write_whole(output / MANIFEST_FILE, json_bytes(manifest))
    return manifest


def _check_items(reader: Reader, items: Sequence[Item]) -> None:
    ids = {item.id for item in items}
    if not items:
        raise DataError(f"{reader.name}: the folder holds no item that can be used")
    if len(ids) < len(items):
        raise DataError(f"{reader.name}: {len(items) - len(ids)} of {len(items)} ids come more than once")
    if unknown := {item.split for item in items} - set(reader.splits):
        raise DataError(f"{reader.name}: has items of unknown splits {', '.join(sorted(unknown))}")


@contextlib.contextmanager
def _lock(output: Path) -> Iterator[None]:
    """Keeps other builds out of the folder until this process leaves it, or ends, however it does.

    The lock is that of an empty SQLite file: the standard library's only one for all systems.
    """
    with contextlib.ExitStack() as stack:
        try:
            database = sqlite3.connect(output / _LOCK_FILE, timeout=0)
            stack.enter_context(contextlib.closing(database))
            database.execute("BEGIN EXCLUSIVE")
        except sqlite3.Error as error:
            if "locked" in str(error):
                raise DataError(f"{output}: another process is building here; wait for it") from error
            raise OSError(f"{output / _LOCK_FILE}: cannot be locked ({error}); delete it") from error
        yield


def _check_output(output: Path, name: str) -> None:
    if (output / MANIFEST_FILE).exists() and (found := read_manifest(output)["name"]) != name:
        raise DataError(f"{output}: holds the data set {found}; give {name} a folder of its own")
    shards = (path.name for path in output.glob("*.array_record-*"))
    others = {shard.split("-")[0] for shard in shards} - {name}
    if others:
        raise DataError(
            f"{output}: holds shards of {', '.join(sorted(others))}; give {name} a folder of its own"
        )


def _deal(reader: Reader, source: Path, output: Path, items: Sequence[Item]) -> dict[str, list[Shard]]:
    """The shards of each split that has items, in the reader's order of splits."""
    splits = {}
    for split in reader.splits:
        mine = [item for item in items if item.split == split]
        count = min(math.ceil(len(mine) / ITEMS_PER_SHARD), MOST_SHARDS)
        bounds = [len(mine) * shard // max(count, 1) for shard in range(count + 1)]
        names = [f"{reader.name}-{split}.array_record-{shard:05}-of-{count:05}" for shard in range(count)]
        if count:
            splits[split] = [
                Shard(reader, source, output / name, tuple(mine[first:end]))
                for name, first, end in zip(names, bounds, bounds[1:], strict=False)
            ]
    return splits


def _remove_leftovers(output: Path, name: str, shards: Sequence[Shard]) -> None:
    """Deletes what killed builds left half-written, and shards of an earlier build with other items."""
    wanted = {shard.path.name for shard in shards}
    shard_name = re.compile(rf"{re.escape(name)}-\w+\.array_record-\d{{5}}-of-\d{{5}}")
    for path in list(output.iterdir()):
        is_stale = shard_name.fullmatch(path.name.removesuffix(".json")) is not None
        if is_unfinished(path) or (is_stale and path.name.removesuffix(".json") not in wanted):
            path.unlink()


def _make_all(
    shards: Sequence[Shard], workers: int, report: Report, progress: Progress
) -> dict[Path, dict[str, Any]]:
    """What each shard holds, by its path."""
    contents: dict[Path, dict[str, Any]] = {}
    num_items = sum(len(shard.items) for shard in shards)
    done_items, done_seconds = 0, 0.0
    for shard, content in _results(shards, workers):
        contents[shard.path] = content
        done_items += len(shard.items)
        done_seconds += content["seconds"]
        for problem in content["problems"]:
            report(problem["file"], problem["reason"])
        progress(done_seconds, done_seconds * num_items / done_items)
    return contents


def _results(shards: Sequence[Shard], workers: int) -> Iterator[tuple[Shard, dict[str, Any]]]:
    """Shards and what they hold, as they come to be."""
    if workers == 1:
        yield from ((shard, make_shard(shard)) for shard in shards)
        return
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(workers, context, initializer=_end_with_parent) as pool:
        try:
            tasks = {pool.submit(make_shard, shard): shard for shard in shards}
            yield from ((tasks[task], task.result()) for task in as_completed(tasks))
        except BrokenProcessPool as error:
            raise RuntimeError(
                "a worker process ended before its work, perhaps for want of memory; start the same command "
                "again, with fewer workers: it goes on where it was"
            ) from error
        finally:
            pool.shutdown(cancel_futures=True)


def _end_with_parent() -> None:
    """Makes this worker end at once when the process that started it is gone, even if that was killed."""
    parent = multiprocessing.parent_process()
    assert parent is not None

    def wait() -> None:
        multiprocessing.connection.wait([parent.sentinel])
        os._exit(1)

    threading.Thread(target=wait, daemon=True).start()


def _sum_up(contents: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """What the manifest says of a split."""
    keys = "file", "bytes", "sha256", "ids", "mixes", "samples"
    return {
        "records": sum(len(content["ids"]) for content in contents),
        "examples": sum(sum(content["mixes"]) for content in contents),
        "seconds": round(sum(content["seconds"] for content in contents), 3),
        "shards": [{key: content[key] for key in keys} for content in contents],
        "left_out": [name for content in contents for name in content["left_out"]],
    }


def _write_tfds_metadata(folder: Path, manifest: dict[str, Any]) -> None:
    """dataset_info.json and features.json, by which TFDS opens the folder; without splits that are empty."""
    import tensorflow_datasets as tfds  # pyright: ignore[reportMissingImports]

    template = tfds.core.ShardedFileTemplate(
        data_dir=folder,  # pyright: ignore[reportArgumentType]
        dataset_name=manifest["name"],
        filetype_suffix="array_record",
    )
    splits = [
        tfds.core.SplitInfo(
            name=name,
            shard_lengths=[sum(map(count_rows, shard["samples"])) for shard in split["shards"]],
            num_bytes=sum(shard["bytes"] for shard in split["shards"]),
            filename_template=template,
        )
        for name, split in manifest["splits"].items()
        if split["records"]
    ]
    tfds.folder_dataset.write_metadata(
        data_dir=folder,
        features=record_features(),
        split_infos=splits,
        filename_template=template,
        version="1.0.0",
        check_data=False,  # it would ask for a tf.data.Dataset, which ArrayRecord files do not give
    )
