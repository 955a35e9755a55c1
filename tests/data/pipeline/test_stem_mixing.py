"""Mixes: audio summed to a peak of 1, notes merged, stems drawn by a seed."""

import dataclasses
from pathlib import Path

import numpy as np
import pytest

from mt3x.data.pipeline.stem_mixing import (
    STEM_MIXING,
    MixConfig,
    draw_count,
    draw_stems,
    example_mixing,
    instruments_of,
    merge_notes,
    mix_audio,
)
from mt3x.music.notes import empty_notes, make_notes, trim_overlapping_notes
from mt3x.tokens.decode import decode_segments
from mt3x.tokens.encode import encode_segment
from mt3x.tokens.spec import NoteSpec
from mt3x.tokens.vocabulary import VocabularyConfig, build_codec

GOLDEN = Path(__file__).parents[2] / "golden"
CODEC = build_codec(VocabularyConfig())


@dataclasses.dataclass(frozen=True)
class Notes:
    """A recording whose audio is never asked for."""

    notes: tuple[np.ndarray, ...]
    mixes: tuple[tuple[int, ...], ...]
    num_samples: int = 16000

    def samples(self, stem, start=0, stop=None):
        raise AssertionError("stems are chosen by their notes alone")


def stem(program: int, is_drum: bool = False) -> np.ndarray:
    return make_notes([0.0], [1.0], 60, program=program, is_drum=is_drum)


BAND = Notes((stem(0), stem(25), stem(33), stem(0, is_drum=True)), ((0, 1), (1, 2, 3)))
TRIO = Notes((stem(0), stem(41), stem(0, is_drum=True)), ((0, 1, 2),))


def test_audio_is_mixed_as_mt3_does():
    golden = np.load(GOLDEN / "mixing_audio.npz")
    one, other = golden["inputs"]
    for number, parts in enumerate([[one], [other]]):
        assert np.allclose(mix_audio(parts), golden["mix1"][number], atol=1e-7)
    wanted = golden["mix2_all"]  # singles, and the pair
    assert any(np.allclose(mix_audio([one, other]), row, atol=1e-6) for row in wanted)
    assert not golden["silence"].any() and not mix_audio([np.zeros(512, np.float32)]).any()


def test_two_stems_by_hand():
    audio = mix_audio([np.array([0.5, 0.5, 0.0], np.float32), np.array([0.5, -0.25, -0.5], np.float32)])
    assert audio.tolist() == [1.0, 0.25, -0.5] and audio.dtype == np.float32
    # A violin holds A4 over the segment's start (1 s); a piano plays C4 in it and holds E4 over its end.
    violin = make_notes([0.5], [1.5], 69, program=40)
    piano = make_notes([1.0, 1.25], [1.25, 3.0], [60, 64])
    mixed = merge_notes([violin, piano])
    assert mixed["pitch"].tolist() == [69, 60, 64]
    tokens = encode_segment(mixed, 1.0, 2.0, CODEC, NoteSpec.NOTES_WITH_TIES)
    events = [CODEC.decode_event_index(int(token)) for token in tokens]
    assert [(event.type, event.value) for event in events] == [
        *[("program", 40), ("pitch", 69), ("tie", 0)],  # one tie for both
        *[("program", 0), ("velocity", 1), ("pitch", 60)],
        *[("shift", 25), ("velocity", 0), ("pitch", 60), ("velocity", 1), ("pitch", 64)],
        *[("shift", 50), ("program", 40), ("velocity", 0), ("pitch", 69)],
    ]


def test_a_mix_says_all_notes_of_its_parts_where_they_differ_in_instrument():
    rng = np.random.default_rng(1)
    parts = []
    for program in (0, 40, 73):
        start = np.sort(rng.integers(0, 400, 30)) / 100
        notes = make_notes(
            start, start + rng.integers(2, 80, 30) / 100, rng.integers(50, 60, 30), program=program
        )
        parts.append(trim_overlapping_notes(notes))
    mixed = merge_notes(parts)
    starts = np.arange(0.0, 6.0, 0.5)
    tokens = [encode_segment(mixed, s, s + 0.5, CODEC, NoteSpec.NOTES_WITH_TIES) for s in starts]
    decoded, report = decode_segments(tokens, starts, CODEC, NoteSpec.NOTES_WITH_TIES)
    assert report.invalid_events == report.dropped_events == 0
    assert len(decoded) == len(mixed)
    for name in ("start", "end", "pitch", "program"):
        assert np.allclose(decoded[name], mixed[name], atol=1e-9), name


def test_merging_nothing_gives_nothing():
    assert len(merge_notes([])) == 0
    assert len(merge_notes([empty_notes(), empty_notes()])) == 0


def test_counts_are_drawn_by_their_weights():
    rng = np.random.default_rng(0)
    counts = [draw_count(rng, example_mixing(4)) for _ in range(4000)]
    assert all(abs(counts.count(count) / 4000 - 0.25) < 0.03 for count in (1, 2, 3, 4))
    assert {draw_count(rng, MixConfig(count_weights=(0.0, 0.0, 1.0))) for _ in range(20)} == {3}
    assert draw_count(rng, MixConfig()) == 1


def test_examples_are_mixed_whole_by_default():
    rng = np.random.default_rng(0)
    assert draw_stems(rng, [(BAND, 1), (TRIO, 0), (BAND, 0)], example_mixing(3)) == [
        (1, 2, 3),
        (0, 1, 2),
        (0, 1),
    ]


def test_stems_are_left_out_but_never_all():
    rng = np.random.default_rng(0)
    few = MixConfig(stem_probability=0.3)
    drawn = [draw_stems(rng, [(BAND, 0)], few)[0] for _ in range(2000)]
    assert min(len(stems) for stems in drawn) == 1
    # 0.3 each, and one of four where none was kept: 0.3 + 0.7 ** 4 / 4
    for number in range(4):
        share = sum(number in stems for stems in drawn) / 2000
        assert abs(share - 0.36) < 0.04
    assert draw_stems(rng, [(BAND, 0)], MixConfig(stem_probability=0.0))[0] in [(0,), (1,), (2,), (3,)]


def test_further_recordings_bring_new_instruments_only():
    config = MixConfig(has_distinct_instruments=True)
    rng = np.random.default_rng(0)
    assert draw_stems(rng, [(BAND, 1), (TRIO, 0)], config) == [(1, 2, 3), (0, 1)]  # no second drums
    assert draw_stems(rng, [(BAND, 0), (TRIO, 0)], config) == [(0, 1), (1, 2)]  # no second piano
    assert draw_stems(rng, [(TRIO, 0), (TRIO, 0)], config) == [(0, 1, 2), ()]


def test_no_more_stems_are_summed_than_allowed():
    rng = np.random.default_rng(0)
    assert draw_stems(rng, [(BAND, 1), (TRIO, 0), (BAND, 1)], MixConfig(max_stems=4)) == [(1, 2, 3), (0,), ()]


def test_the_same_seed_draws_the_same_stems():
    def draw(seed):
        rng = np.random.default_rng(seed)
        return [draw_stems(rng, [(BAND, 0), (TRIO, 0)], STEM_MIXING) for _ in range(20)]

    assert draw(4) == draw(4)
    assert draw(4) != draw(5)


def test_instruments_are_programs_and_drums():
    assert instruments_of(np.concatenate([stem(25), stem(0, is_drum=True), stem(25)])) == {25, 128}
    assert instruments_of(empty_notes()) == set()


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"count_weights": ()}, r"count_weights are \(\); give one at least 0 for each count"),
        ({"count_weights": (1.0, -1.0)}, "give one at least 0 for each count"),
        ({"count_weights": (0.0,)}, "give one at least 0 for each count"),
        ({"stem_probability": 1.1}, r"stem_probability is 1.1; it must be within 0\.\.1"),
        ({"max_stems": 0}, "max_stems is 0; it must be at least 1"),
        ({"gain_db": (0.0, -6.0)}, r"gain_db is \(0.0, -6.0\); give the lower end first"),
    ],
)
def test_mixes_that_cannot_be_are_refused(settings, message):
    with pytest.raises(ValueError, match=message):
        MixConfig(**settings)


def test_mixing_of_no_examples_is_refused():
    with pytest.raises(ValueError, match="max_examples is 0; it must be at least 1"):
        example_mixing(0)
