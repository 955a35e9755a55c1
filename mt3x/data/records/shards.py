"""One shard of a build: the records of some items, written whole or not at all, and not again if it is there.

A file gets its name when it is whole and on disk; its JSON comes after it and holds

    {"origin": a digest of what the shard is made of, "file", "bytes", "sha256", "ids": of its records,
     "mixes": how many examples each record is, "samples": the length of each, "seconds": of all recordings,
     "left_out": ids of items that cannot be used, "problems": [{"file", "reason"}]}
"""

import dataclasses
import hashlib
import json
import math
from pathlib import Path
from typing import Any

import numpy as np

from mt3x.data.records.array_records import FORMAT, MANIFEST_FILE, open_shard, record_rows
from mt3x.data.records.recordings import (
    SAMPLE_RATE,
    DataError,
    Item,
    Reader,
    Recording,
    Report,
    check_recording,
)
from mt3x.music.files import whole_file, write_whole

_WRITER_OPTIONS = "group_size:1,uncompressed"  # one row at a time can be read; FLAC is compressed already


@dataclasses.dataclass(frozen=True)
class Shard:
    """What a process needs to make one shard.

    Attributes:
      source: the release's folder.
      path: of the file to write.
    """

    reader: Reader
    source: Path
    path: Path
    items: tuple[Item, ...]


def make_shard(shard: Shard) -> dict[str, Any]:
    """Writes a shard and its JSON, unless both are there; returns the JSON's content."""
    json_path = shard.path.with_name(shard.path.name + ".json")
    origin = _origin(shard)
    if (found := _read_finished(shard.path, json_path)) and found["origin"] == origin:
        return found
    content: dict[str, Any] = {"origin": origin, "ids": [], "mixes": [], "samples": [], "seconds": 0.0}
    content |= {"left_out": [], "problems": []}
    with whole_file(shard.path) as unfinished:
        num_rows = _write_records(shard, unfinished, content)
        if (written := open_shard(unfinished).num_records()) != num_rows:
            raise OSError(f"{shard.path}: holds {written} rows, not {num_rows}; is the disk full?")
        content |= {"file": shard.path.name, **_digest(unfinished)}
        (shard.path.parent / MANIFEST_FILE).unlink(missing_ok=True)  # it tells of the shard before this one
    write_whole(json_path, json_bytes(content))
    return content


def _write_records(shard: Shard, path: Path, content: dict[str, Any]) -> int:
    """Writes the records that can be used; `content` is told of each item. Returns the number of rows."""
    writer, num_rows = _open_writer(path), 0
    for item in shard.items:
        result = _read_item(shard.reader, shard.source, item, content["problems"])
        if result is None:
            content["left_out"].append(item.id)
        else:
            recording, rows = result
            num_rows += len(rows)
            for row in rows:
                writer.write(row)
            content["ids"].append(recording.id)
            content["mixes"].append(len(recording.mixes))
            content["samples"].append(len(recording.stems[0].samples))
            content["seconds"] += len(recording.stems[0].samples) / SAMPLE_RATE
    writer.close()
    return num_rows


def _origin(shard: Shard) -> str:
    """A digest of what decides a shard's bytes: the reader and its options, the items, the state of files."""
    states = []
    for file in dict.fromkeys(file for item in shard.items for file in item.files):
        path = shard.source / file
        state = path.stat() if path.exists() else None
        states.append([file, state and state.st_size, state and state.st_mtime_ns])
    items = [[item.id, item.split, *item.files] for item in shard.items]
    data = json.dumps([FORMAT, repr(shard.reader) if _shows_options(shard.reader) else "", items, states])
    return hashlib.sha256(data.encode()).hexdigest()


def _shows_options(reader: Reader) -> bool:
    """Whether `repr` tells a reader's options, and not where in memory it is."""
    return type(reader).__repr__ is not object.__repr__


def _read_finished(path: Path, json_path: Path) -> dict[str, Any] | None:
    """The content of a shard's JSON if the shard is still what it says."""
    try:
        content = json.loads(json_path.read_text(encoding="utf-8"))
        found = _digest(path)
    except (OSError, ValueError):
        return None
    return content if found.items() <= content.items() else None


def _read_item(
    reader: Reader, source: Path, item: Item, problems: list[dict[str, str]]
) -> tuple[Recording, list[bytes]] | None:
    """A recording and its rows; None if it cannot be used, which `problems` then says."""

    def note_problem(file: str, reason: str) -> None:
        problems.append({"file": file, "reason": reason})

    name = next(filter(None, item.files), item.id)
    try:
        recording = check_recording(reader.read(source, item, note_problem), item)
        recording = _lower_to_full_scale(recording, note_problem)
        return recording, record_rows(recording)
    except DataError as error:
        note_problem(name, f"{item.id} is left out: {error}")
    except ImportError:  # no item's fault, and the same for all
        raise
    except Exception as error:  # whatever a broken file does to its reader, the others are still built
        note_problem(name, f"{item.id} is left out: {type(error).__name__}: {error}")
    return None


def _lower_to_full_scale(recording: Recording, report: Report) -> Recording:
    """The recording, all stems lowered alike if one goes beyond -1..1, as resampled and MP3 audio may."""
    peak = max(float(np.abs(stem.samples).max()) for stem in recording.stems)
    if peak <= 1.0:
        return recording
    report(recording.id, f"peaks at {peak:.3f}: lowered by {20 * math.log10(peak):.2f} dB to full scale")
    stems = [
        dataclasses.replace(stem, samples=stem.samples / np.float32(np.nextafter(np.float32(peak), np.inf)))
        for stem in recording.stems
    ]
    return dataclasses.replace(recording, stems=tuple(stems))


def _open_writer(path: Path) -> Any:
    from array_record.python import array_record_module  # pyright: ignore[reportMissingImports, reportAttributeAccessIssue]

    return array_record_module.ArrayRecordWriter(str(path), _WRITER_OPTIONS)


def _digest(path: Path) -> dict[str, Any]:
    with path.open("rb") as file:
        return {"bytes": path.stat().st_size, "sha256": hashlib.file_digest(file, "sha256").hexdigest()}


def json_bytes(content: dict[str, Any]) -> bytes:
    """JSON as it is written for people to read too."""
    return (json.dumps(content, indent=1, ensure_ascii=False) + "\n").encode()
