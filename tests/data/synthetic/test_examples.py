"""Examples that are drawn: their targets say what is heard."""

import numpy as np
import pytest

from mt3x.data.synthetic.examples import ExampleConfig, ExampleMaker, notes_as_written
from mt3x.data.synthetic.scores import PIECE_NOTE_DTYPE, Piece
from mt3x.music.instruments import Granularity
from mt3x.music.notes import make_notes
from mt3x.music.timegrid import seconds_to_steps
from mt3x.tokens.decode import decode_segments
from mt3x.tokens.encode import encode_segment
from mt3x.tokens.vocabulary import build_codec, vocabulary_from_codec

VIOLIN, VIOLA, PIANO = 40, 41, 0
CONFIG = ExampleConfig(segment_seconds=1.0, lead_seconds=0.3)


def quartet() -> Piece:
    """Four strings that often meet on one pitch."""
    rows = [(i / 2, 0.5, 60 + (7 * i + part * (i % 3)) % 12, part) for i in range(200) for part in range(4)]
    notes = np.sort(np.array(rows, PIECE_NOTE_DTYPE), order=["onset_quarters", "part", "pitch"])
    parts = ("Violin 1", "Violin 2", "Viola", "Violoncello")
    bars, tempos = np.arange(0, 100, 4, np.float32), np.array([[0, 90]], np.float32)
    return Piece("quartet", "Quartet", "", parts, notes, bars, tempos)


class Anything:
    """A source that has every sound, and says what it was asked to play."""

    def sounding(self, notes):
        return np.ones(len(notes), bool)

    def sound(self, rng, notes, seconds):
        return {"seconds": np.float32(seconds), "draw": rng.random(), "pitches": notes["pitch"]}


class EvenPitches(Anything):
    def sounding(self, notes):
        return notes["pitch"] % 2 == 0


def draw_many(config=CONFIG, count=60, progress=1.0, source=Anything):
    maker = ExampleMaker(config, [quartet()], [source()])
    return [maker.draw(np.random.default_rng((7, number)), progress) for number in range(count)]


@pytest.fixture(scope="module")
def examples():
    return draw_many()


def columns(notes, *names):
    return list(zip(*(notes[name].tolist() for name in names), strict=True))


def test_a_unison_of_one_class_is_written_as_one_note_and_other_notes_stay():
    notes = make_notes(
        [0.50, 0.53, 0.50, 1.00, 1.02],
        [0.90, 0.80, 0.80, 1.10, 1.12],
        [60, 60, 60, 38, 38],
        program=[VIOLIN, VIOLA, PIANO, 0, 0],
        is_drum=[False, False, False, True, True],
    )
    written = notes_as_written(notes, Granularity.MIDI_CLASS, 100)
    assert columns(written, "start", "end", "pitch", "program", "is_drum") == [
        (0.50, 0.80, 60, PIANO, False),
        (0.50, 0.90, 60, VIOLIN, False),
        (1.00, 1.02, 38, 0, True),
        (1.02, 1.12, 38, 0, True),
    ]


def test_a_later_strike_by_the_same_class_ends_the_note():
    notes = make_notes([0.5, 0.7], [1.0, 0.9], 60, program=[VIOLIN, VIOLA])
    written = notes_as_written(notes, Granularity.MIDI_CLASS, 100)
    assert columns(written, "start", "end", "program") == [(0.5, 0.7, VIOLIN), (0.7, 0.9, VIOLIN)]


def test_what_happens_within_one_step_is_written_at_one_time():
    notes = make_notes([0.101, 0.5041, 0.5044, 0.703], [0.5043, 0.9, 0.5094, 0.704], [60, 62, 64, 65])
    written = notes_as_written(notes, Granularity.FULL, 100)
    assert columns(written, "start", "end", "pitch") == [
        (0.10, 0.50, 60),
        (0.50, 0.90, 62),
        (0.50, 0.51, 64),
        (0.70, 0.71, 65),
    ]


def test_instruments_written_in_full_keep_their_own_notes():
    notes = make_notes([0.5, 0.5], [1.0, 0.9], 60, program=[VIOLIN, VIOLA])
    assert len(notes_as_written(notes, Granularity.FULL, 100)) == 2
    assert np.array_equal(notes_as_written(notes, Granularity.FLAT, 100)["end"], [1.0])


def test_targets_decode_to_the_notes_of_the_segment(examples):
    codec = build_codec(CONFIG.vocabulary)
    vocabulary = vocabulary_from_codec(codec)
    assert sum(len(example.notes) for example in examples) > 300
    for example in examples:
        assert example.targets[-1] == 1 and (example.targets[:-1] > 2).all()
        written = notes_as_written(example.notes, CONFIG.granularity, codec.steps_per_second)
        lead_in = encode_segment(written, 0.0, CONFIG.lead_seconds, codec, CONFIG.spec, CONFIG.granularity)
        segment = vocabulary.decode(example.targets)
        notes, report = decode_segments([lead_in, segment], [0.0, CONFIG.lead_seconds], codec, CONFIG.spec)
        assert (report.invalid_events, report.dropped_events) == (0, 0)
        written = written[seconds_to_steps(written["start"], 100) < 130]
        heard, meant = ends_by_note(notes), ends_by_note(written)
        assert set(heard) == set(meant)
        # Drum hits have no ends, nor has what sounds on past the segment.
        assert all(heard[note] == end for note, end in meant.items() if end < 130 and not note[-1])


def ends_by_note(notes):
    """{(start, pitch, program, is_drum): end}, in steps; the shortest note has one."""
    start, end = (seconds_to_steps(notes[name], 100) for name in ("start", "end"))
    rows = zip(
        start.tolist(), *(notes[name].tolist() for name in ("pitch", "program", "is_drum")), strict=True
    )
    return dict(zip(rows, np.maximum(end, start + 1).tolist(), strict=True))


def test_a_number_and_a_seed_give_one_example_whoever_draws_it(examples):
    again = ExampleMaker(CONFIG, [quartet()], [Anything()]).draw(np.random.default_rng((7, 41)), 1.0)
    assert np.array_equal(again.targets, examples[41].targets)
    assert np.array_equal(again.notes, examples[41].notes)
    assert again.sound["draw"] == examples[41].sound["draw"]
    assert not np.array_equal(again.targets, examples[40].targets)


def test_a_source_plays_lead_in_and_segment(examples):
    assert all(example.sound["seconds"] == pytest.approx(1.3) for example in examples)
    assert all(np.array_equal(example.sound["pitches"], example.notes["pitch"]) for example in examples)


def test_notes_that_do_not_sound_are_neither_played_nor_written():
    codec = build_codec(CONFIG.vocabulary)
    first_pitch, last_pitch = codec.event_type_range("pitch")
    first_drum, last_drum = codec.event_type_range("drum")
    for example in draw_many(source=EvenPitches, count=20):
        assert (example.notes["pitch"] % 2 == 0).all()
        indexes = example.targets - 3
        pitches = indexes[(indexes >= first_pitch) & (indexes <= last_pitch)] - first_pitch
        drums = indexes[(indexes >= first_drum) & (indexes <= last_drum)] - first_drum
        assert (pitches % 2 == 0).all() and (drums % 2 == 0).all()


def test_music_is_easy_at_the_start_of_a_run():
    for example in draw_many(ExampleConfig(score_share=0.5, random_share=0.5), progress=0.0, count=30):
        assert not example.notes["is_drum"].any()
        assert len(np.unique(example.notes["program"])) <= 1


def test_music_grows_to_many_parts_and_drums(examples):
    assert max(len(np.unique(example.notes["program"])) for example in examples) >= 3
    assert any(example.notes["is_drum"].any() for example in examples)


def test_the_rest_of_the_shares_is_drums_alone():
    for example in draw_many(ExampleConfig(score_share=0.0, random_share=0.0), count=10):
        assert example.notes["is_drum"].all()


def test_examples_that_are_too_long_are_drawn_again():
    config = ExampleConfig(max_tokens=40, max_notes=10)
    for example in draw_many(config, count=5):
        assert len(example.targets) <= 40 and len(example.notes) <= 10


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"segment_seconds": 0.0}, "segment_seconds is 0.0; it must be positive"),
        ({"easy_until": 0.0}, "easy_until is 0.0; it must be positive"),
        ({"max_tokens": 0}, "max_tokens is 0; it must be positive"),
        ({"lead_seconds": -0.1}, "lead_seconds is -0.1; it must be at least 0"),
        ({"detune_cents": -1.0}, "detune_cents is -1.0; it must be at least 0"),
        ({"score_share": 0.8}, "score_share 0.8, random_share 0.3, .* the shares together at most 1"),
        ({"random_share": -0.1}, "random_share -0.1"),
        ({"drums_probability": 1.1}, "drums_probability 1.1"),
    ],
)
def test_settings_that_cannot_be_are_refused(settings, message):
    with pytest.raises(ValueError, match=message):
        ExampleConfig(**settings)
