"""A library of recordings on many machines: an Apache Beam pipeline that is safe to kill and start again.

In the output folder, names as in `Recording.outputs`:

    one/track.mid                    the outputs of a recording
    .done/one/track.mid.json         its mark: that it is done, of what, and its line of results
    recordings.jsonl                 what the run was asked for, one line a recording
    results-00000-of-00016.jsonl     the lines of results, which recording is where depends on its path alone
    failed-00000-of-00001.jsonl      the dead letters: recordings that could not be transcribed, and why

The mark is written last, so a recording that has one is complete. Started again, a worker that finds the mark
of the same recording (path, size, time of change), outputs, model options and wish for beats, whose outputs
are still there, takes the line of results from it; everything else is transcribed. A worker decodes
recordings together and marks each at once when it is through: what a kill costs are those it had begun.
Results and dead letters are removed at the start and written when all recordings are through: where all of
them are, the run is complete. Dead letters leave no mark; they are tried again.

Each file is written under a temporary name (`.*.tmp`) and renamed. Errors of files and disks (`OSError`) may
pass, and are tried again after a pause; a recording that can't be read (`AudioError`) is a dead letter at
once. Other errors are faults of the program or the machine: the runner handles them, or the run stops.

Paths are local or of any scheme that Beam's file systems know (`gs://`); all workers must see them.
"""

import dataclasses
import json
import shutil
import tempfile
import threading
import time
import zlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import apache_beam as beam  # pyright: ignore[reportMissingImports]
from apache_beam.io.filesystem import CompressionTypes  # pyright: ignore[reportMissingImports]
from apache_beam.io.filesystems import FileSystems  # pyright: ignore[reportMissingImports]
from apache_beam.metrics import Metrics  # pyright: ignore[reportMissingImports]
from apache_beam.options import pipeline_options  # pyright: ignore[reportMissingImports]
from apache_beam.utils.shared import Shared  # pyright: ignore[reportMissingImports]

from mt3x.audio.errors import AudioError
from mt3x.bridges.beam_files import delete, read_file, write_file

if TYPE_CHECKING:
    from mt3x.transcription.result import Transcription

RECORDINGS_AT_ONCE = 16
"""Recordings that a worker decodes together: an accelerator is busy where they last half a minute."""

NUM_SHARDS = 16
"""Files that the results are divided among."""

RECORDINGS = "recordings.jsonl"
RESULTS = tuple(f"results-{shard:05d}-of-{NUM_SHARDS:05d}.jsonl" for shard in range(NUM_SHARDS))
FAILED = "failed-00000-of-00001.jsonl"

LOCAL_RUNNER = "FnApiRunner"
"""What Beam's DirectRunner runs in the end, without the program that that one downloads first."""

_PAUSE_SECONDS = 2.0  # before the second attempt, twice that before the third, ...
_PORTABLE_RUNNERS = ("Flink", "Spark", "Portable")


@dataclasses.dataclass(frozen=True)
class Recording:
    """A recording of the library, or something that was asked for and is none.

    Attributes:
      path: absolute, or with a scheme.
      outputs: names of its files, relative to the output folder; their suffixes are the formats.
      error: why there is no recording at that path; it is a dead letter then.
    """

    path: str
    outputs: tuple[str, ...] = ()
    error: str | None = None


@dataclasses.dataclass(frozen=True)
class Settings:
    """How the recordings are transcribed.

    Attributes:
      output: the folder, absolute or with a scheme.
      model: arguments for `mt3x.load`, values that JSON knows; part of each mark.
      attempts: how often a recording is tried while its errors may pass.
      beats: give .mid the tempos and time signatures that are found; part of each mark.
    """

    output: str
    model: Mapping[str, Any]
    attempts: int = 3
    beats: bool = False

    def place(self, *names: str) -> str:
        """The path of something in the output folder."""
        return FileSystems.join(self.output, *names)


def transcribe_corpus(
    recordings: Iterable[Recording], settings: Settings, options: "pipeline_options.PipelineOptions"
) -> list[dict[str, Any]]:
    """Transcribes a library, or what an earlier run left of it, and waits for the end.

    Args:
      recordings: each path once, and no two with the same outputs.
      options: see `runner_options`.

    Returns:
      The dead letters: path, error and attempts of each.

    Raises:
      ValueError: the model can't be used. Where workers are not this process, it is the runner's error.
      OSError: the output folder can't be written.
      KeyboardInterrupt: as RuntimeError, by Ctrl-C.
      RuntimeError: the run ended without being complete; started again it goes on. Runners raise errors of
        their own, too.
    """
    pipeline = beam.Pipeline(options=options)
    shared = Shared()
    # Held until the run ends, and what a local worker, which is a thread of this process, gets from `shared`.
    model = shared.acquire(lambda: _Model(settings.model)) if _works_here(options) else None
    for name in (*RESULTS, FAILED):
        delete(settings.place(name))
    lines = "".join(f"{json.dumps(dataclasses.asdict(recording))}\n" for recording in recordings)
    write_file(settings.place(RECORDINGS), lines.encode())
    _build(pipeline, settings, shared)
    try:
        state = pipeline.run().wait_until_finish()
    except RuntimeError as error:
        # Ctrl-C in the middle of a recording, as the local runner reports it.
        if "KeyboardInterrupt" in str(error):
            raise KeyboardInterrupt from error
        raise
    del model
    if not FileSystems.exists(settings.place(FAILED)):
        raise RuntimeError(f"the run ended as {state} and wrote no {FAILED}; start it again to go on")
    return [json.loads(line) for line in read_file(settings.place(FAILED)).splitlines()]


def runner_options(words: Sequence[str]) -> "pipeline_options.PipelineOptions":
    """Beam's options from words of a command line, given to its file systems, too.

    Without a runner, or with DirectRunner, it is `LOCAL_RUNNER`.

    Raises:
      ValueError: an option that Beam does not know; those of Flink and Spark only their servers know.
    """
    options = pipeline_options.PipelineOptions(list(words))
    standard = options.view_as(pipeline_options.StandardOptions)
    if standard.runner in (None, "DirectRunner"):
        standard.runner = LOCAL_RUNNER
    if not standard.runner.startswith(_PORTABLE_RUNNERS):
        known = options.get_all_options()
        unknown = [name for name in options.get_all_options(retain_unknown_options=True) if name not in known]
        if unknown:
            raise ValueError(f"neither mt3x nor Apache Beam knows an option --{unknown[0]}")
    FileSystems.set_options(options)
    return options


def _works_here(options: "pipeline_options.PipelineOptions") -> bool:
    is_local = options.view_as(pipeline_options.StandardOptions).runner == LOCAL_RUNNER
    mode = options.view_as(pipeline_options.DirectOptions).direct_running_mode
    return is_local and mode != "multi_processing"


def _build(pipeline: "beam.Pipeline", settings: Settings, shared: Shared) -> None:
    lines = (
        pipeline
        | "plan" >> beam.Create([settings.place(RECORDINGS)])
        | "recordings" >> beam.FlatMap(lambda plan: read_file(plan).decode().splitlines())
        | "spread" >> beam.Reshuffle()
        | "together" >> beam.BatchElements(RECORDINGS_AT_ONCE, RECORDINGS_AT_ONCE)
        | "transcribe" >> beam.ParDo(_Transcribe(settings, shared)).with_outputs("failed", main="done")
    )
    _write_shards("results", lines.done, [settings.place(name) for name in RESULTS])
    _write_shards("failed", lines.failed, [settings.place(FAILED)])


def _write_shards(label: str, lines: "beam.PCollection", paths: Sequence[str]) -> None:
    """Divides lines among files by the recordings' paths, sorted in each; files without lines are written."""

    def divide(line: str) -> tuple[int, str]:
        return zlib.crc32(json.loads(line)["path"].encode(errors="surrogateescape")) % len(paths), line

    def write(shard: tuple[int, Iterable[str]]) -> None:
        number, lines = shard
        write_file(paths[number], "".join(f"{line}\n" for line in sorted(filter(None, lines))).encode())

    every = lines.pipeline | f"{label}: each shard" >> beam.Create([(i, "") for i in range(len(paths))])
    divided = lines | f"{label}: divide" >> beam.Map(divide)
    _ = (
        (divided, every)
        | f"{label}: all" >> beam.Flatten()
        | f"{label}: by shard" >> beam.GroupByKey()
        | f"{label}: write" >> beam.Map(write)
    )


_Result = dict[str, Any] | Exception
"""What the line of results holds, or why there is none."""


class _Model:
    """The one transcriber of a worker process; one thread uses it at a time."""

    def __init__(self, options: Mapping[str, Any]):
        from mt3x.transcription import transcriber
        from mt3x.transcription.devices import default_num_workers
        from mt3x.transcription.process import settle_process

        settle_process()
        self.transcriber = transcriber.load(**options)
        self.num_readers = default_num_workers()
        self.lock = threading.Lock()


class _Transcribe(beam.DoFn):
    """Some lines of `RECORDINGS` become lines of results or, tagged `failed`, dead letters."""

    def __init__(self, settings: Settings, shared: Shared):
        self._settings = settings
        self._shared = shared
        self._counters = {name: Metrics.counter("mt3x", name) for name in ("transcribed", "found", "failed")}

    def process(self, lines: Sequence[str]) -> Iterator[Any]:
        waiting = []
        for recording in (Recording(**json.loads(line)) for line in lines):
            if recording.error is None:
                waiting.append(recording)
            else:
                yield self._dead_letter(recording, recording.error, 0)
        for attempt in range(1, self._settings.attempts + 1):
            again = []
            for recording, result in self._results(waiting):
                if not isinstance(result, Exception):
                    yield json.dumps(result)
                elif attempt == self._settings.attempts or not _may_pass(result):
                    yield self._dead_letter(recording, str(result), attempt)
                else:
                    again.append(recording)
            if not again:
                return
            waiting = again
            time.sleep(_PAUSE_SECONDS * attempt)

    def _results(self, recordings: Sequence[Recording]) -> Iterator[tuple[Recording, _Result]]:
        """Each recording with its result or error, in any order, as soon as it is known."""
        todo = []
        for recording in recordings:
            try:
                result = self._find(recording)
            except OSError as error:
                result = error
            if result is None:
                todo.append(recording)
            else:
                yield recording, result
        if todo:
            yield from self._transcribe(todo)

    def _find(self, recording: Recording) -> dict[str, Any] | None:
        """The result of a recording that is done."""
        if not FileSystems.exists(self._mark(recording)):
            return None
        try:
            mark = json.loads(read_file(self._mark(recording)))
        except ValueError:  # what a loss of power may leave of a file
            return None
        outputs_are_there = all(FileSystems.exists(self._settings.place(name)) for name in recording.outputs)
        if mark["of"] != self._of(recording) or not outputs_are_there:
            return None
        self._counters["found"].inc()
        return mark["result"]

    def _transcribe(self, recordings: Sequence[Recording]) -> Iterator[tuple[Recording, _Result]]:
        """Decodes recordings together; writes what belongs to one as soon as it is through."""
        model = self._shared.acquire(lambda: _Model(self._settings.model))
        with model.lock, tempfile.TemporaryDirectory() as folder:
            begun = []
            for number, recording in enumerate(recordings):
                try:
                    of = self._of(recording)  # asked before: a recording that changes meanwhile is not done
                    begun.append((recording, of, _fetch(recording.path, Path(folder, str(number)))))
                except OSError as error:
                    yield recording, error
            paths = [path for _, _, path in begun]
            found = model.transcriber.transcribe_all(paths, model.num_readers)
            for (recording, of, path), transcription in zip(begun, found, strict=True):
                if isinstance(transcription, AudioError):
                    result = _naming(recording, transcription, path)
                else:
                    try:
                        result = self._write(recording, of, transcription, folder)
                    except OSError as error:
                        result = error
                yield recording, result

    def _write(
        self, recording: Recording, of: dict[str, Any], transcription: "Transcription", folder: str
    ) -> dict[str, Any]:
        """Writes the outputs and then the mark; the result."""
        for name in recording.outputs:
            file = Path(folder, "notes").with_suffix(Path(name).suffix)
            saved = transcription.save(file, beats=self._settings.beats and file.suffix == ".mid")
            write_file(self._settings.place(name), saved.read_bytes())
        result = _result(recording, transcription)
        write_file(self._mark(recording), json.dumps({"of": of, "result": result}).encode())
        self._counters["transcribed"].inc()
        return result

    def _mark(self, recording: Recording) -> str:
        return self._settings.place(".done", f"{recording.outputs[0]}.json")

    def _of(self, recording: Recording) -> dict[str, Any]:
        """What a mark is valid for, as JSON gives it back."""
        try:
            file = FileSystems.get_filesystem(recording.path).metadata(recording.path)
            state = [file.size_in_bytes, file.last_updated_in_seconds]
        except OSError:  # transcribing it will tell why
            state = None
        outputs = list(recording.outputs)
        of = {
            "path": recording.path,
            "state": state,
            "outputs": outputs,
            "model": dict(self._settings.model),
        }
        # Only where they are found: marks that know of no beats stay valid.
        return of | {"beats": True} if self._settings.beats else of

    def _dead_letter(self, recording: Recording, error: str, attempts: int) -> "beam.pvalue.TaggedOutput":
        self._counters["failed"].inc()
        letter = {"path": recording.path, "error": error, "attempts": attempts}
        return beam.pvalue.TaggedOutput("failed", json.dumps(letter))


def _fetch(path: str, folder: Path) -> str:
    """A path by which the recording is a local file: of a copy in a new folder, if it is none."""
    if FileSystems.get_scheme(path) is None:
        return path
    folder.mkdir()
    copy = folder / FileSystems.split(path)[1]
    with (
        FileSystems.open(path, compression_type=CompressionTypes.UNCOMPRESSED) as source,
        copy.open("wb") as target,
    ):
        shutil.copyfileobj(source, target)
    return str(copy)


def _naming(recording: Recording, error: AudioError, path: str) -> AudioError:
    """The error with the recording's own path in the place of its copy's."""
    return error if path == recording.path else AudioError(str(error).replace(path, recording.path))


def _may_pass(error: Exception) -> bool:
    """Whether trying again may help: not where the audio itself is at fault."""
    if isinstance(error, OSError):
        return True
    cause = error.__cause__
    return isinstance(cause, OSError) and not isinstance(cause, (FileNotFoundError, PermissionError))


def _result(recording: Recording, transcription: "Transcription") -> dict[str, Any]:
    return {
        "path": recording.path,
        "outputs": list(recording.outputs),
        "duration_seconds": round(transcription.duration_seconds, 6),
        "notes": len(transcription.notes),
        "instruments": list(transcription.instruments),
        "report": dataclasses.asdict(transcription.report),
        "notices": list(transcription.notices),
        "model": transcription.model,
    }
