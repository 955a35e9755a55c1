"""Times the training pipelines, and says how many cores the `small` network needs to be fed.

    python benchmarks/input_pipeline.py [--recordings 4] [--seconds 240] [--stems 4] [--examples 100]
                                        [--workers N] [--seqio] [--seqio-cached] [--mt3 PATH_TO_MT3_CHECKOUT]

It builds records of random music (tones, 8 notes a second and stem), then draws examples of 256 frames:

- Grain, in this process: CPU time an example, of whole examples, of 1 stem, and mixed and shifted;
- Grain with `--workers N` processes: examples a second of wall time;
- the seqio task (`--seqio`, needs TensorFlow), CPU time of all its threads: an epoch, uncached. It decodes
  and indexes a whole recording, then gives an example for every 16 s of it;
- the same from seqio's offline cache (`--seqio-cached`, needs Beam);
- MT3's own listing and indexing of a recording's notes (`--mt3`, as in benchmarks/tokenization.py; with
  ties), shared among its chunks. MT3's decoding, graph stages and spectrograms are NOT counted.

CPU time is time.process_time, best of 5 runs: on a machine at work with something else it still means
something, wall time does not. The need of the network: 3 times the matrix products of a forward pass, at
`--tflops` reached.
"""

import argparse
import dataclasses
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from step_costs import training_flops
from tokenization import HOP_SAMPLES, TIES, best_seconds, index, time_mt3

from mt3x.data.pipeline.grain_pipeline import PipelineConfig, open_pipeline
from mt3x.data.pipeline.pitch_shift import PitchShiftConfig
from mt3x.data.pipeline.stem_mixing import STEM_MIXING
from mt3x.data.records.array_records import Records
from mt3x.data.records.build import build
from mt3x.data.records.recordings import SAMPLE_RATE, Item, Recording, Report, Stem
from mt3x.model.config import SMALL
from mt3x.music.notes import make_notes, trim_overlapping_notes
from mt3x.music.timegrid import num_frames
from mt3x.tokens.vocabulary import VocabularyConfig, build_codec

CHUNK_FRAMES = 2000
NAME = "benchmark"
SOLO = "midi_folder"
"""Recordings of one stem lie where the registered task of this name finds them."""
TASK = "midi_folder_notes_ties_vb1_train_in_step"


@dataclasses.dataclass(frozen=True)
class RandomMusic:
    """A reader of recordings that are made up: `stems` instruments, each example the sum of all."""

    recordings: int
    seconds: float
    stems: int
    name: str = NAME
    splits: tuple[str, ...] = ("train", "validation")

    def items(self, source: Path, report: Report) -> list[Item]:
        names = [(str(number), "train") for number in range(self.recordings)] + [("last", "validation")]
        return [Item(name, split, ()) for name, split in names]

    def read(self, source: Path, item: Item, report: Report) -> Recording:
        rng = np.random.default_rng(sum(item.id.encode()))
        stems = tuple(self._stem(rng, 8 * number) for number in range(self.stems))
        return Recording(item.id, item.split, stems, (tuple(range(self.stems)),))

    def _stem(self, rng: np.random.Generator, program: int) -> Stem:
        count = int(8 * self.seconds)
        start = rng.uniform(0, self.seconds - 1, count)
        pitch = rng.integers(40, 80, count)
        notes = make_notes(start, start + rng.uniform(0.05, 1, count), pitch, program=program)
        notes = trim_overlapping_notes(notes)
        samples = np.zeros(int(self.seconds * SAMPLE_RATE), np.float32)
        for note in notes:
            place = np.arange(int(note["start"] * SAMPLE_RATE), int(note["end"] * SAMPLE_RATE))
            hertz = 440 * 2 ** ((note["pitch"] - 69) / 12)
            samples[place] += 0.02 * np.sin(2 * np.pi * hertz / SAMPLE_RATE * place)
        return Stem(f"program {program}", samples, notes)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--recordings", type=int, default=4)
    parser.add_argument("--seconds", type=float, default=240.0)
    parser.add_argument("--stems", type=int, default=4)
    parser.add_argument("--examples", type=int, default=100)
    parser.add_argument("--workers", type=int, default=0)
    parser.add_argument("--seqio", action="store_true")
    parser.add_argument("--seqio-cached", action="store_true")
    parser.add_argument("--mt3", help="folder that holds MT3's `mt3` package")
    parser.add_argument("--tflops", type=float, default=150.0, help="that the accelerator reaches (an H100)")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        music = RandomMusic(arguments.recordings, arguments.seconds, arguments.stems)
        build(music, folder, Path(folder) / NAME)
        solo = dataclasses.replace(music, stems=1, name=SOLO)
        build(solo, folder, Path(folder) / SOLO)
        print(
            f"{music.recordings} recordings of {music.seconds:g} s, {music.stems} stems; ms of CPU an example"
        )
        costs = time_grain(folder, arguments.examples)
        if arguments.workers:
            time_workers(folder, arguments.examples, arguments.workers)
        if arguments.seqio:
            show("seqio task, one epoch, uncached", time_seqio(folder))
        if arguments.seqio_cached:
            cached = "seqio task, one epoch, from its cache"
            costs[cached] = time_seqio(folder, str(Path(folder) / "cache"))
            show(cached, costs[cached])
    if arguments.mt3:
        compare_with_mt3(arguments.mt3, music)
    show_need(costs, arguments.tflops)


def show(what: str, seconds: float) -> None:
    print(f"{what:40} {1000 * seconds:8.2f} ms {1 / seconds:8.0f} examples a second and core")


def time_grain(folder: str, examples: int) -> dict[str, float]:
    """CPU seconds an example of this process, by name of the setting."""
    plain = PipelineConfig(batch_size=4)
    mixed = dataclasses.replace(plain, mix=STEM_MIXING, pitch_shift=PitchShiftConfig())
    costs = {}
    for what, name, config in (
        ("Grain, recordings of 1 stem", SOLO, plain),
        ("Grain, all stems", NAME, plain),
        ("Grain, stems mixed and shifted", NAME, mixed),
    ):
        batches = iter(open_pipeline([Records(Path(folder) / name, "train")], config))
        next(batches)  # opens files, imports
        costs[what] = cpu_seconds(lambda batches=batches: next(batches), examples // 4) / 4
        show(what, costs[what])
    return costs


def cpu_seconds(work: Callable[[], object], times: int) -> float:
    """CPU seconds of one of many calls, in the best of 5 runs: a busy machine slows others down."""
    seconds = []
    for _ in range(5):
        begin = time.process_time()
        for _ in range(times):
            work()
        seconds.append((time.process_time() - begin) / times)
    return min(seconds)


def time_workers(folder: str, examples: int, workers: int) -> None:
    config = PipelineConfig(batch_size=4, workers=workers)
    batches = iter(open_pipeline([Records(Path(folder) / SOLO, "train")], config))
    for _ in range(4 * workers):  # started, and what they made while others started is used up
        next(batches)
    begin = time.perf_counter()
    for _ in range(examples // 4):
        next(batches)
    rate = 4 * (examples // 4) / (time.perf_counter() - begin)
    batches.close()
    print(f"Grain, 1 stem, {workers} workers: {rate:.0f} examples a second, {rate / workers:.0f} each")


def time_seqio(folder: str, cache: str | None = None) -> float:
    """CPU seconds an example, samples and targets, as the in-step front end takes them.

    With a folder for it, seqio's own command caches the task first, which is not timed.
    """
    os.environ["MT3X_DATA_DIR"] = folder
    import seqio  # pyright: ignore[reportMissingImports]
    from mt3x.tasks import registered  # noqa: F401  (registers)

    if cache is not None:
        words = ["--module_import=mt3x.tasks.registered", f"--tasks={TASK}", f"--output_cache_dir={cache}"]
        words += ["--min_shards=1", "--pipeline_options=--runner=DirectRunner"]
        command = Path(sys.executable).with_name("seqio_cache_tasks")
        subprocess.run([command, *words], check=True, capture_output=True)
        seqio.set_global_cache_dirs([cache])
    task = seqio.get_mixture_or_task(TASK)
    lengths = {"inputs": 256, "targets": 1024}

    def epoch() -> int:
        dataset = task.get_dataset(lengths, "train", use_cached=cache is not None, num_epochs=1)
        return sum(1 for _ in dataset.as_numpy_iterator())

    examples = epoch()
    return cpu_seconds(epoch, 1) / examples


def compare_with_mt3(path: str, music: RandomMusic) -> None:
    """Tokenization alone, of recordings of one stem: MT3's loops, and this project's."""
    notes = dataclasses.replace(music, stems=1).read(Path(), Item("0", "train", ()), print).stems[0].notes
    frames = num_frames(int(music.seconds * SAMPLE_RATE), HOP_SAMPLES)
    chunks = -(-frames // CHUNK_FRAMES)
    codec: Any = build_codec(VocabularyConfig())
    _, original = time_mt3(path, notes, frames, TIES)
    ours = best_seconds(lambda: index(notes, frames, codec, TIES))
    show("MT3, tokenization only", original / chunks)
    show("this project's, the same arrays", ours / chunks)


def show_need(costs: dict[str, float], tflops: float) -> None:
    for tokens in (256, 1024):
        flops = sum(training_flops(SMALL, 256, tokens).values())
        rate = tflops * 1e12 / flops
        print(
            f"small, 256 frames, {tokens} ids: {flops / 1e9:.0f} GFLOP an example, "
            f"{rate:.0f} examples a second at {tflops:g} TFLOP/s"
        )
        for what, seconds in costs.items():
            print(f"    {what:36} {rate * seconds:6.1f} cores")


if __name__ == "__main__":
    main()
