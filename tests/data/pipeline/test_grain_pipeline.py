"""The pipeline without TensorFlow: always the same batches, whoever makes them, as a training step wants."""

import dataclasses
import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from mt3x.audio.logmel import SpectrogramConfig
from mt3x.data.pipeline.augmentation import make_prepare
from mt3x.data.pipeline.cut import Cut, SegmentSizes
from mt3x.data.pipeline.grain_pipeline import (
    PipelineConfig,
    SegmentMaker,
    mixing_shares,
    notes_to_write,
    open_pipeline,
    put_together,
)
from mt3x.data.pipeline.pitch_shift import PitchShiftConfig
from mt3x.data.pipeline.stem_mixing import STEM_MIXING, example_mixing
from mt3x.data.records.array_records import Records
from mt3x.data.records.build import build
from mt3x.data.records.recordings import SAMPLE_RATE, Item, Recording, Stem
from mt3x.model.config import TransformerConfig
from mt3x.music.instruments import Granularity
from mt3x.music.notes import make_notes, trim_overlapping_notes
from mt3x.tokens.decode import decode_segments
from mt3x.tokens.vocabulary import build_codec, vocabulary_from_codec
from mt3x.training.config import TrainConfig
from mt3x.training.loop import Feed, train
from mt3x.transcription.tokens.config import TranscriptionConfig

CONFIG = PipelineConfig(
    batch_size=2,
    seed=7,
    sizes=SegmentSizes(segment_frames=32, hop_samples=256),
    target_lengths=(16, 32, 128),
    max_notes=48,
)
SECONDS = 32 * 256 / SAMPLE_RATE


class Releases:
    """A reader that needs no files: duos of two examples each, and solos."""

    splits = ("train", "validation", "test")

    def __init__(self, name, count, stems):
        self.name, self.count, self.stems = name, count, stems

    def items(self, source, report):
        return [Item(f"{self.name} {number}", "train", ()) for number in range(self.count)]

    def read(self, source, item, report):
        rng = np.random.default_rng(int(item.id.split()[-1]))
        stems = tuple(stem(rng, program, 1.2 + rng.random()) for program in range(40, 40 + self.stems))
        length = min(len(stem.samples) for stem in stems)
        stems = tuple(
            dataclasses.replace(
                stem, samples=stem.samples[:length], notes=within(stem.notes, length / SAMPLE_RATE)
            )
            for stem in stems
        )
        return Recording(item.id, item.split, stems, (tuple(range(self.stems)), (0,))[: self.stems])


def within(notes, seconds):
    return notes[notes["end"] <= seconds]


def stem(rng, program, seconds):
    start = np.sort(rng.uniform(0, seconds - 0.2, 10))
    notes = make_notes(start, start + rng.uniform(0.05, 0.2, 10), rng.integers(50, 60, 10), program=program)
    samples = rng.uniform(-0.4, 0.4, int(seconds * SAMPLE_RATE)).astype(np.float32)
    return Stem(f"program {program}", samples, trim_overlapping_notes(notes))


@pytest.fixture(scope="module")
def duos(tmp_path_factory):
    folder = tmp_path_factory.mktemp("duos")
    build(Releases("duo", 3, 2), folder, folder)
    return Records(folder, "train")


@pytest.fixture(scope="module")
def solos(tmp_path_factory):
    folder = tmp_path_factory.mktemp("solos")
    build(Releases("solo", 2, 1), folder, folder)
    return Records(folder, "train")


def take(sources, config, count):
    batches = iter(open_pipeline(sources, config))
    taken = [next(batches) for _ in range(count)]
    batches.close()
    return taken


def replace(**settings):
    return dataclasses.replace(CONFIG, **settings)


def assert_same(batch, other):
    assert set(batch) == set(other)
    for name in batch:
        assert np.array_equal(batch[name], other[name]), name


def is_same(batch, other):
    return batch["samples"].shape == other["samples"].shape and np.array_equal(
        batch["samples"], other["samples"]
    )


@pytest.fixture(scope="module")
def expected(duos):
    return take([duos], CONFIG, 9)


def test_batches_are_as_the_training_step_takes_them(expected):
    for batch in expected:
        assert batch["samples"].shape == (2, 32 * 256) and batch["samples"].dtype == np.float32
        assert batch["num_frames"].shape == (2,) and batch["num_frames"].dtype == np.int32
        assert batch["targets"].dtype == np.int32 and batch["targets"].shape[1] in CONFIG.target_lengths
        for name, kind in (
            ("start", np.float32),
            ("pitch", np.int32),
            ("program", np.int32),
            ("is_drum", bool),
        ):
            assert batch[f"note_{name}"].shape == (2, 48) and batch[f"note_{name}"].dtype == kind
        assert batch["skipped"].tolist() == [0, 0]
    assert {int(frames) for batch in expected for frames in batch["num_frames"]} > {32}  # short ones, too


def test_targets_say_the_notes_of_the_columns(expected):
    codec = build_codec(CONFIG.vocabulary)
    checked = 0
    for batch in expected:
        for i, targets in enumerate(batch["targets"]):
            indexes = vocabulary_from_codec(codec).decode(targets)
            decoded, _ = decode_segments([indexes], [0.0], codec, CONFIG.spec)
            columns = {name: batch[f"note_{name}"][i] for name in ("start", "pitch", "program")}
            begins = (columns["pitch"] >= 0) & (np.rint(columns["start"] * 100) >= 0)
            begins &= np.rint(columns["start"] * 100) < round(SECONDS * 100)
            assert np.array_equal(np.sort(decoded["pitch"]), np.sort(columns["pitch"][begins]))
            order = np.lexsort(
                (columns["pitch"][begins], columns["program"][begins], columns["start"][begins])
            )
            assert np.allclose(decoded["start"], columns["start"][begins][order], atol=0.0051)
            checked += len(decoded)
    assert checked > 50


def test_samples_are_those_of_the_recording(duos, expected):
    mixes = [example.samples for example in duos]
    for batch in expected:
        for samples, frames in zip(batch["samples"], batch["num_frames"], strict=True):
            heard = samples[: min(256 * (frames - 1), 2000)]
            if not len(heard):
                continue
            places = [np.flatnonzero(np.isclose(mix, heard[0])) for mix in mixes]
            found = [
                int(start)
                for mix, starts in zip(mixes, places, strict=True)
                for start in starts
                if len(mix) >= start + len(heard) and np.allclose(mix[start : start + len(heard)], heard)
            ]
            assert found and all(start % 160 == 0 for start in found)


@pytest.mark.parametrize("workers", [0, pytest.param(2, marks=pytest.mark.slow)])
def test_any_number_of_workers_makes_the_same_batches_and_goes_on_from_any(duos, expected, workers):
    config = replace(workers=workers)
    batches = iter(open_pipeline([duos], config))
    for wanted in expected[:3]:
        assert_same(next(batches), wanted)
    state = json.loads(json.dumps(batches.get_state()))
    batches.close()
    resumed = iter(open_pipeline([duos], config))
    resumed.set_state(state)
    for wanted in expected[3:6]:
        assert_same(next(resumed), wanted)
    resumed.close()


def test_other_seeds_and_epochs_give_other_batches(duos, expected):
    other = take([duos], replace(seed=8), 3)
    assert not any(is_same(batch, wanted) for batch, wanted in zip(other, expected, strict=False))
    first, second = expected[:3], expected[3:6]  # six examples are an epoch
    assert not any(is_same(batch, again) for batch in first for again in second)


def test_hosts_share_the_examples_of_one(duos, expected):
    hosts = [take([duos], replace(shard_index=host, shard_count=2), 4) for host in range(2)]
    whole = np.concatenate([batch["samples"] for batch in expected[:8]])
    for host, batches in enumerate(hosts):
        assert np.array_equal(np.concatenate([batch["samples"] for batch in batches]), whole[host::2])


class Watched:
    """Records that remember which examples were asked for."""

    def __init__(self, records):
        self._records, self.lengths, self.seen = records, records.lengths, []

    def __len__(self):
        return len(self._records)

    def stored(self, index):
        self.seen.append(index)
        return self._records.stored(index)


def test_an_epoch_holds_every_example_once(duos):
    watched = Watched(duos)
    take([watched], CONFIG, 6)
    assert sorted(watched.seen[:6]) == sorted(watched.seen[6:]) == list(range(6))


def test_an_epoch_holds_long_examples_more_often(duos):
    watched = Watched(duos)
    pieces = [-(-(int(length) // 256 + 1) // 16) for length in duos.lengths]
    assert len(set(pieces)) > 1
    sizes = dataclasses.replace(CONFIG.sizes, piece_frames=16)
    take([watched], replace(sizes=sizes, batch_size=1), sum(pieces))
    assert sorted(watched.seen) == np.repeat(range(6), pieces).tolist()


def test_sources_are_drawn_by_their_shares(duos, solos):
    config = replace(temperature=1.0, batch_size=8)
    batches = take([duos, solos], config, 10)
    programs = [
        set(row[pitch >= 0])
        for b in batches
        for row, pitch in zip(b["note_program"], b["note_pitch"], strict=True)
    ]
    assert sum(41 in row for row in programs) > 10  # only duos have a second instrument
    assert np.allclose(mixing_shares([6, 2], 1.0), [0.75, 0.25])
    assert np.allclose(mixing_shares([16, 81], 4.0), [0.4, 0.6])


def test_examples_that_are_too_long_are_skipped_and_counted(duos):
    for config in (replace(target_lengths=(24,)), replace(max_notes=3)):
        batches = take([duos], config, 4)
        assert sum(int(batch["skipped"].sum()) for batch in batches) > 0
        for batch in batches:
            assert ((batch["targets"] == 1).sum(axis=1) == 1).all()  # whole, with their end


def test_where_all_are_too_long_the_limit_is_named(duos):
    with pytest.raises(
        ValueError, match="1000 examples in a row had more than 1 ids or 48 notes; raise the last"
    ):
        SegmentMaker([Silent()], replace(target_lengths=(1,)))((0, 0), np.random.default_rng(0))


@dataclasses.dataclass(frozen=True)
class Silent:
    """Half a second of nothing, as a source and as its one recording."""

    num_samples = 8000
    lengths = np.array([8000])
    notes = (make_notes([], [], []),)
    mixes = ((0,),)

    def __len__(self):
        return 1

    def stored(self, index):
        return self, 0

    def samples(self, stem, start=0, stop=None):
        return np.zeros(self.num_samples, np.float32)[start:stop]


def test_silence_is_an_example_too():
    config = replace(mix=example_mixing(2))
    example = SegmentMaker([Silent()], config)((0, 0), np.random.default_rng(0))
    assert not example["samples"].any() and (example["note_pitch"] == -1).all()
    assert (example["targets"] > 0).sum() == 2  # a tie, and the end


@pytest.mark.parametrize("mix", [example_mixing(3), STEM_MIXING])
def test_mixed_and_shifted_examples_depend_on_the_seed_alone(duos, solos, mix):
    config = replace(mix=mix, pitch_shift=PitchShiftConfig(), max_notes=128, target_lengths=(512,))
    batches = take([duos, solos], config, 6)
    for batch, again in zip(batches, take([duos, solos], config, 6), strict=True):
        assert_same(batch, again)
        assert np.allclose(np.abs(batch["samples"]).max(axis=1), 1.0)
        # One tie each, as notes are merged before they are written.
        tie = 3 + build_codec(CONFIG.vocabulary).event_type_range("tie")[0]
        assert ((batch["targets"] == tie).sum(axis=1) == 1).all()
    plain = take([duos, solos], replace(), 6)
    notes = [np.mean([(batch["note_pitch"] >= 0).sum() for batch in some]) for some in (batches, plain)]
    if mix.stem_probability == 1.0:
        assert notes[0] > notes[1]


def test_parts_are_heard_from_one_start_by_hand():
    def part(level, start, pitch, frames, is_last):
        notes = make_notes([start - 0.1], [start + 0.3], pitch)
        return Cut(np.full(4, level, np.float32), frames, notes, start, start + 0.5, is_last)

    mixed = put_together([part(0.2, 1.0, 60, 3, True), part(0.4, 2.5, 64, 4, False)], np.array([1.0, 0.5]))
    assert mixed.samples.tolist() == [1.0] * 4
    assert np.allclose(mixed.notes["start"], 0.9) and np.allclose(mixed.notes["end"], 1.3)
    assert sorted(mixed.notes["pitch"].tolist()) == [60, 64]
    assert mixed[3:] == (1.0, 1.5, False) and mixed.num_frames == 4


def test_what_a_recording_plays_before_its_segment_ends_no_note_of_another():
    def part(start, end, notes):
        return Cut(np.ones(4, np.float32), 50, notes, start, end, False)

    held = part(2.0, 2.5, make_notes([1.0], [2.2], 60))
    # Its C4 is over before its segment begins, and it holds an E4 to beyond the end of a shorter segment.
    other = part(8.0, 8.25, make_notes([7.5, 8.1], [7.75, 9.0], [60, 64]))
    for cuts in ([held, other], [other, held]):
        mixed = put_together(cuts, np.ones(2))
        seconds = mixed.notes["start"] - mixed.start_seconds, mixed.notes["end"] - mixed.start_seconds
        assert mixed.notes["pitch"].tolist() == [60, 64]
        assert np.allclose(seconds, [[-1.0, 0.1], [0.2, 0.25]])
        assert np.isclose(mixed.end_seconds - mixed.start_seconds, 0.5)


@pytest.mark.parametrize("granularity", [Granularity.FULL, Granularity.MIDI_CLASS])
@pytest.mark.parametrize("is_one_recording", [True, False])
def test_two_stems_of_one_instrument_never_overlap_at_a_pitch(granularity, is_one_recording):
    """Both strike C4, the second 0.2 s after the first, while it sounds."""
    programs = (0, 0) if granularity is Granularity.FULL else (0, 1)
    notes = [
        make_notes([start], [end], 60, program=program)
        for start, end, program in zip((0.1, 0.3), (0.4, 0.45), programs, strict=True)
    ]
    silence = np.zeros(len(notes), np.float32)
    if is_one_recording:
        segment = Cut(silence, 32, np.concatenate(notes), 0.0, SECONDS, True)
    else:
        segment = put_together([Cut(silence, 32, one, 0.0, SECONDS, True) for one in notes], np.ones(2))
    config = replace(granularity=granularity)
    codec = build_codec(config.vocabulary)
    ids = SegmentMaker([Silent()], config).target_ids(segment)
    decoded, report = decode_segments([vocabulary_from_codec(codec).decode(ids)], [0.0], codec, config.spec)
    assert report.invalid_events == report.dropped_events == 0
    assert decoded["start"].tolist() == [0.1, 0.3] and decoded["end"].tolist() == [0.3, 0.45]


def test_unisons_are_written_once_where_instruments_are_told_by_class():
    violins = make_notes([0.0, 0.01], [1.0, 1.2], 60, program=[40, 41])
    assert len(notes_to_write(violins, Granularity.FULL, 100)) == 2
    (note,) = notes_to_write(violins, Granularity.MIDI_CLASS, 100)
    assert (note["start"], note["end"], note["program"]) == (0.0, 1.2, 40)
    piano = make_notes([0.0, 0.5], [0.8, 1.0], 60)
    assert notes_to_write(piano, Granularity.FULL, 100)["end"].tolist() == [0.5, 1.0]


@pytest.mark.slow
def test_a_hundred_batches_train_the_network(duos, solos, tmp_path):
    transcription = TranscriptionConfig(
        spectrogram=SpectrogramConfig(hop_width=256, num_mel_bins=64, log_floor=1e-5),
        network=TransformerConfig(
            emb_dim=32, num_heads=1, mlp_dim=32, num_encoder_layers=1, num_decoder_layers=1, input_depth=64
        ),
        segment_frames=32,
        max_target_length=128,
    )
    config = replace(mix=STEM_MIXING, pitch_shift=PitchShiftConfig(), target_lengths=(128,))
    settings = TrainConfig(total_steps=100, log_every=10, checkpoint_seconds=1e9, has_alignment_prior=False)
    lines = []
    batches = iter(open_pipeline([duos, solos], config))
    feed = Feed(batches, make_prepare(config.sizes.segment_samples, SAMPLE_RATE))
    state = train(transcription, settings, feed, tmp_path, report=lines.append)
    assert int(state.step) == 100 and len(lines) == 10
    assert lines[-1]["loss"] < lines[0]["loss"]


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"batch_size": 0}, "batch_size is 0; it must be at least 1"),
        ({"max_notes": 0}, "max_notes is 0; it must be at least 1"),
        ({"workers": -1}, "workers is -1; it must be at least 0"),
        ({"shard_count": 0}, "shard_count is 0; it must be at least 1"),
        ({"temperature": 0.0}, "temperature is 0.0; it must be positive"),
        ({"target_lengths": ()}, r"target_lengths are \(\); give at least one, rising"),
        ({"target_lengths": (8, 8)}, r"target_lengths are \(8, 8\); give at least one, rising"),
        ({"shard_index": 2, "shard_count": 2}, r"shard_index is 2; with 2 hosts it must be within 0\.\.1"),
    ],
)
def test_settings_that_cannot_be_are_refused(settings, message):
    with pytest.raises(ValueError, match=message):
        replace(**settings)


def test_a_pipeline_without_examples_is_refused():
    for sizes in ([], [3, 0]):
        with pytest.raises(ValueError, match="give at least one source, each with some"):
            mixing_shares(sizes, 1.0)
    with pytest.raises(ValueError, match="give at least one source"):
        open_pipeline([], CONFIG)


RUN_WITH_A_WORKER = """
import multiprocessing, os, time
from mt3x.data.pipeline.grain_pipeline import _end_with_the_run

def work():
    _end_with_the_run(0, 1)
    print(os.getpid(), flush=True)
    time.sleep(600)

if __name__ == "__main__":
    multiprocessing.get_context("spawn").Process(target=work).start()
    time.sleep(600)
"""


def test_workers_of_a_killed_run_end(tmp_path):
    (tmp_path / "run.py").write_text(RUN_WITH_A_WORKER)
    run = subprocess.Popen([sys.executable, tmp_path / "run.py"], stdout=subprocess.PIPE, text=True)
    assert run.stdout is not None
    worker = Path("/proc") / run.stdout.readline().strip() / "stat"
    assert worker.exists()
    run.kill()
    run.communicate(timeout=60)  # to the end of the pipe, which the worker holds, too
    assert not worker.exists() or worker.read_text().split()[2] == "Z"
