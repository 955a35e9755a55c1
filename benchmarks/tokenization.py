"""Times tokenization on a long, dense piece, beside MT3's own functions where a checkout of MT3 is given.

    python benchmarks/tokenization.py [--mt3 PATH_TO_MT3_CHECKOUT] [--notes 20000] [--minutes 10]

CPU time of this process (time.process_time), best of 7 runs; of MT3 best of 3, or its only run with ties.
MT3's part is turning a NoteSequence into indexed events (`encode_and_index_events` and the listing of notes
before it): plain Python, for which tensorflow, seqio and t5 are replaced by stubs if absent (note_seq must be
installed). Its later stages (cutting, run lengths, redundancy) run as TensorFlow graphs and are NOT counted;
`encode_segments` does them too.

Measured on one shared core, NumPy 2.4, 20,000 notes in 10 minutes: without ties MT3 takes 0.41 s, 34 times as
long as `encode_segments` and 22 times as long as `index_events`, which returns the same arrays; with ties
33 s, 1700 and 480 times as long.
"""

import argparse
import importlib
import sys
import time
import types
from collections.abc import Callable
from typing import Any
from unittest import mock

import numpy as np

from mt3x.music.instruments import Granularity
from mt3x.music.notes import make_notes, trim_overlapping_notes
from mt3x.music.timegrid import segment_start_seconds
from mt3x.tokens.decode import decode_segments
from mt3x.tokens.encode import encode_segment, encode_segments
from mt3x.tokens.spec import NoteSpec
from mt3x.tokens.stages import IndexedEvents, index_events
from mt3x.tokens.vocabulary import VocabularyConfig, build_codec

HOP_SAMPLES, SAMPLE_RATE, SEGMENT_FRAMES = 128, 16000, 256
TIES, NO_TIES = NoteSpec.NOTES_WITH_TIES, NoteSpec.NOTES


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--mt3", help="folder that holds MT3's `mt3` package")
    parser.add_argument("--notes", type=int, default=20_000)
    parser.add_argument("--minutes", type=float, default=10.0)
    arguments = parser.parse_args()
    notes = random_piece(arguments.notes, 60 * arguments.minutes)
    num_frames = int(60 * arguments.minutes * SAMPLE_RATE) // HOP_SAMPLES + 1
    first_frames = np.arange(0, num_frames, SEGMENT_FRAMES)
    starts = segment_start_seconds(first_frames, HOP_SAMPLES, SAMPLE_RATE, 100)
    codec = build_codec(VocabularyConfig())
    print(f"{len(notes)} notes in {arguments.minutes:g} minutes, {len(starts)} segments; CPU seconds")

    for spec in (NO_TIES, TIES):
        whole = best_seconds(lambda spec=spec: encode_segments(notes, starts, codec, spec))
        indexed = best_seconds(lambda spec=spec: index(notes, num_frames, codec, spec))
        print(f"{spec.value:12} encode_segments {whole:8.4f}   index_events {indexed:8.4f}")
        if arguments.mt3:
            runs = [
                time_mt3(arguments.mt3, notes, num_frames, spec) for _ in range(1 if spec.has_ties else 3)
            ]
            original, seconds = min(runs, key=lambda run: run[1])
            assert_equal(original, index(notes, num_frames, codec, spec))
            print(
                f"{'':12} MT3 {seconds:.2f}: {seconds / whole:.0f} times as long as encode_segments, "
                f"{seconds / indexed:.0f} times as long as index_events (equal arrays)"
            )

    targets = encode_segments(notes, starts, codec, TIES)
    print(f"decode_segments {best_seconds(lambda: decode_segments(targets, starts, codec, TIES)):.4f}")
    excerpt = random_piece(30, 2.048)
    one = best_seconds(
        lambda: [
            encode_segment(excerpt, 0.5, 2.548, codec, TIES, Granularity.MIDI_CLASS) for _ in range(100)
        ],
        30,
    )
    print(f"encode_segment, {len(excerpt)} notes: {10 * one:.3f} ms")


def random_piece(num_notes: int, seconds: float) -> np.ndarray:
    """Notes of 16 instruments, a tenth of them drum hits, that no longer overlap."""
    rng = np.random.default_rng(0)
    start = rng.uniform(0, seconds, num_notes)
    notes = make_notes(
        start,
        start + 0.02 + rng.exponential(0.4, num_notes),
        rng.integers(30, 100, num_notes),
        rng.integers(1, 128, num_notes),
        8 * rng.integers(0, 16, num_notes),
        rng.random(num_notes) < 0.1,
    )
    return trim_overlapping_notes(notes)


def index(notes: np.ndarray, num_frames: int, codec: Any, spec: NoteSpec) -> IndexedEvents:
    return index_events(notes, num_frames, HOP_SAMPLES, SAMPLE_RATE, codec, spec, mt3_compatible=True)


def best_seconds(work: Callable[[], object], runs: int = 7) -> float:
    """CPU seconds of the fastest of several runs."""
    seconds = []
    for _ in range(runs):
        begin = time.process_time()
        work()
        seconds.append(time.process_time() - begin)
    return min(seconds)


def time_mt3(path: str, notes: np.ndarray, num_frames: int, spec: NoteSpec) -> tuple[tuple, float]:
    """What MT3's functions return for the notes, and the CPU seconds that they took."""
    note_sequences, run_length_encoding, vocabularies = import_mt3(path)
    note_seq = importlib.import_module("note_seq")
    sequence = note_seq.NoteSequence()
    for start, end, pitch, velocity, program, is_drum in notes.tolist():
        sequence.notes.add(
            start_time=start, end_time=end, pitch=pitch, velocity=velocity, program=program, is_drum=is_drum
        )
    codec = vocabularies.build_codec(vocabularies.VocabularyConfig(num_velocity_bins=1))
    frame_times = np.arange(num_frames) / (SAMPLE_RATE / HOP_SAMPLES)
    begin = time.process_time()
    times, values = note_sequences.note_sequence_to_onsets_and_offsets_and_programs(sequence)
    arrays = run_length_encoding.encode_and_index_events(
        state=note_sequences.NoteEncodingState() if spec.has_ties else None,
        event_times=times,
        event_values=values,
        encode_event_fn=note_sequences.note_event_data_to_events,
        codec=codec,
        frame_times=frame_times,
        encoding_state_to_events_fn=note_sequences.note_encoding_state_to_events if spec.has_ties else None,
    )
    return arrays, time.process_time() - begin


def import_mt3(path: str) -> tuple[Any, Any, Any]:
    """Three modules of MT3, without its package's own imports (datasets, tasks, TensorFlow)."""
    if "mt3" not in sys.modules:
        for name in ("tensorflow", "seqio", "t5", "t5.data"):
            try:
                importlib.import_module(name)
            except ImportError:
                sys.modules[name] = mock.MagicMock(name=name)
        seqio = sys.modules["seqio"]
        if isinstance(seqio, mock.MagicMock):
            seqio.Vocabulary = object
            seqio.map_over_dataset = lambda function: function
        package = types.ModuleType("mt3")
        package.__path__ = [f"{path}/mt3"]
        sys.modules["mt3"] = package
    names = ("note_sequences", "run_length_encoding", "vocabularies")
    return tuple(importlib.import_module(f"mt3.{name}") for name in names)  # type: ignore[return-value]


def assert_equal(original: tuple, ours: IndexedEvents) -> None:
    names = ("events", "event_start_indices", "event_end_indices", "state_events", "state_event_indices")
    for name, want in zip(names, original, strict=True):
        assert np.array_equal(getattr(ours, name), want), name


if __name__ == "__main__":
    main()
