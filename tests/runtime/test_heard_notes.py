"""Notes from what is heard in overlapping segments, by hand: frames of 16 ms, segments of 24 frames."""

import dataclasses

import numpy as np
import pytest

from mt3x.audio.logmel import SpectrogramConfig
from mt3x.model.config import TransformerConfig
from mt3x.music.instruments import DRUMS
from mt3x.runtime.frames.instrument_prior import InstrumentPrior
from mt3x.runtime.heard_notes import DRUM_SECONDS, HeardNotes, edge_frames
from mt3x.runtime.hearing import Heard
from mt3x.runtime.presets import TranscriptionConfig
from mt3x.runtime.segment import Segment

CONFIG = TranscriptionConfig(
    spectrogram=SpectrogramConfig(hop_width=256),
    network=TransformerConfig(),
    segment_frames=24,
    search="frames",
    note_head_width=16,
)
FRAME = 0.016
STRIDE = 19


def segment(number, num_frames=24, is_silent=False):
    return Segment(np.zeros(24 * 256, np.float32), num_frames, STRIDE * number, is_silent)


def heard(notes=(), active=(), drums=()):
    """What is heard in a segment; frames count from its start.

    notes: (frame, pitch, probability, program, velocity); active: (pitch, first frame, last frame); drums:
    (frame, pitch, probability).
    """
    places = np.array([*notes, (0, 0, 0.0, 0, 0)], float).T
    hits = np.array([*drums, (0, 0, 0.0)], float).T
    roll = np.zeros((24, 128), np.float32)
    for pitch, first, last in active:
        roll[first : last + 1, pitch] = 1
    programs = np.zeros((len(places[3]), 128), np.float32)
    programs[np.arange(len(programs)), places[3].astype(int)] = 20
    onset, drum_onset = (frames.astype(np.float32) * np.float32(FRAME) for frames in (places[0], hits[0]))
    pitch, drum_pitch = (x.astype(np.int32) for x in (places[1], hits[1]))
    return Heard(onset, pitch, places[2], programs, places[4], roll, drum_onset, drum_pitch, hits[2])  # pyright: ignore


def rows(notes):
    names = ("start", "end", "pitch", "velocity", "program", "is_drum")
    return [
        tuple(
            pytest.approx(float(note[name]), abs=1e-5) if name in ("start", "end") else int(note[name])
            for name in names
        )
        for note in notes
    ]


def collect(*parts):
    collector = HeardNotes(CONFIG)
    for number, part in enumerate(parts):
        collector.add(segment(number, is_silent=part is None), part)
    return collector.notes()[0]


def test_a_segment_leaves_two_and_three_frames_to_its_neighbours():
    assert edge_frames(24) == (2, 3)
    assert sum(edge_frames(CONFIG.segment_frames)) == CONFIG.segment_frames - STRIDE


def test_a_note_begins_at_its_onset_and_ends_where_its_pitch_falls_silent():
    notes = collect(heard([(4, 60, 0.9, 40, 77)], [(60, 4, 9)]))
    assert rows(notes) == rows(np.array([(4 * FRAME, 9.5 * FRAME, 60, 77, 40, False)], notes.dtype))


def test_unlikely_places_are_no_notes():
    assert len(collect(heard([(4, 60, 0.3, 40, 77)], [(60, 4, 9)], [(5, 36, 0.6)]))) == 0


def test_a_note_that_is_struck_again_ends_there():
    notes = collect(heard([(4, 60, 0.9, 0, 80), (12, 60, 0.9, 0, 90)], [(60, 4, 20)]))
    assert rows(notes[["start", "end", "pitch", "velocity", "program", "is_drum"]]) == [
        (pytest.approx(4 * FRAME), pytest.approx(12 * FRAME), 60, 80, 0, 0),
        (pytest.approx(12 * FRAME), pytest.approx(20.5 * FRAME), 60, 90, 0, 0),
    ]


def test_a_note_sounds_on_through_segments_and_ends_in_the_third():
    notes = collect(
        heard([(10, 60, 0.9, 0, 80)], [(60, 10, 23)]), heard([], [(60, 0, 23)]), heard([], [(60, 0, 7)])
    )
    assert notes["start"].tolist() == pytest.approx([10 * FRAME])
    assert notes["end"].tolist() == pytest.approx([(2 * STRIDE + 7.5) * FRAME])


def test_each_segment_decides_between_its_edges_only():
    late = heard([(22, 60, 0.9, 0, 80)], [(60, 22, 23)])  # in the tail: the next segment's to decide
    assert len(collect(late, heard())) == 0
    assert collect(late)["start"].tolist() == pytest.approx([22 * FRAME])  # there is no next one
    early = heard([(0, 62, 0.9, 0, 80)], [(62, 0, 4)])  # in the lead: the segment before did not hear it
    assert len(collect(heard(), early)) == 0
    assert len(collect(early)) == 1  # there is no segment before


def test_one_beginning_on_either_side_of_a_border_is_one_note():
    before, after = (
        heard([(20.8, 60, 0.9, 0, 80)], [(60, 20, 23)]),
        heard([(2.1, 60, 0.9, 0, 80)], [(60, 2, 9)]),
    )
    assert len(collect(before, after)) == 1
    # Each hears it in the other's part: it is not lost.
    before, after = (
        heard([(21.1, 60, 0.9, 0, 80)], [(60, 21, 23)]),
        heard([(1.9, 60, 0.9, 0, 80)], [(60, 2, 9)]),
    )
    notes = collect(before, after)
    assert notes["start"].tolist() == pytest.approx([(STRIDE + 1.9) * FRAME])


def test_drum_hits_have_a_length_of_their_own_and_no_program():
    notes = collect(heard([], [], [(3, 36, 0.9), (9, 38, 0.9), (10, 38, 0.95)]))
    assert notes["is_drum"].all() and notes["pitch"].tolist() == [36, 38]  # the third is the second again
    assert (notes["end"] - notes["start"]).tolist() == pytest.approx([DRUM_SECONDS] * 2)
    assert notes["velocity"].tolist() == [100, 100] and not notes["program"].any()


def test_silence_ends_what_sounds():
    notes = collect(heard([(10, 60, 0.9, 0, 80)], [(60, 10, 23)]), None)
    assert notes["end"].tolist() == pytest.approx([21 * FRAME])


def test_notes_are_given_out_once_when_they_have_ended():
    collector = HeardNotes(CONFIG)
    collector.add(segment(0), heard([(4, 60, 0.9, 0, 80), (6, 64, 0.9, 0, 80)], [(60, 4, 9), (64, 6, 23)]))
    assert collector.take_final()["pitch"].tolist() == [60]
    assert len(collector.take_final()) == 0
    collector.add(segment(1), heard())
    assert collector.take_final()["pitch"].tolist() == [64]
    notes, report = collector.notes()
    assert len(notes) == 0 and (report.invalid_events, report.dropped_events) == (0, 0)


def test_velocities_stay_within_midi():
    notes = collect(heard([(4, 60, 0.9, 0, 0.2), (4, 62, 0.9, 0, 127.4)], [(60, 4, 9), (62, 4, 9)]))
    assert notes["velocity"].tolist() == [1, 127]


def test_nothing_makes_no_notes():
    assert len(HeardNotes(CONFIG).notes()[0]) == 0


def logits(**by_program):
    """Logits [128] of programs p0, p73, ...; 0 for all others."""
    row = np.zeros(128, np.float32)
    for name, value in by_program.items():
        row[int(name[1:])] = value
    return row


def one(prior, logits):
    """The program chosen for a note alone in its segment."""
    return int(prior.choose(logits[None])[0])


def test_a_flute_that_sounds_like_a_piccolo_once_stays_a_flute():
    players = InstrumentPrior()
    assert [one(players, logits(p73=9)) for _ in range(10)] == [73] * 10
    assert one(players, logits(p73=9, p72=9.5)) == 73
    assert one(players, logits(p72=20)) == 72


def test_without_a_past_the_likeliest_program_of_the_likeliest_class_plays():
    one_high = logits(p0=5.0)
    many_middling = one_high + np.where(np.arange(128) // 8 == 9, 4.0, 0.0).astype(np.float32)
    assert one(InstrumentPrior(), one_high) == 0
    assert one(InstrumentPrior(), many_middling + logits(p79=5)) == 79  # eight times e^4 is more than e^5


def test_a_piano_that_might_be_a_bright_one_is_a_piano():
    assert one(InstrumentPrior(), logits(p0=5, p1=6)) == 0
    assert one(InstrumentPrior(), logits(p0=5, p1=9)) == 1


def test_what_came_in_late_is_as_likely_as_what_plays_for_long():
    players = InstrumentPrior()
    for _ in range(200):
        one(players, logits(p0=20))
    for _ in range(8):
        one(players, logits(p40=20))
    assert one(players, logits(p0=9, p40=9.1)) == 40


def test_programs_that_do_not_play_are_not_chosen():
    assert one(InstrumentPrior([40, 73]), logits(p0=20, p73=3)) == 73
    assert one(InstrumentPrior([41]), logits(p0=20)) == 41


def test_what_is_known_to_play_needs_no_past():
    known = InstrumentPrior([40, 41])
    assert [one(known, logits(p40=9)) for _ in range(8)] == [40] * 8
    assert one(known, logits(p40=9, p41=9.5)) == 41


def test_only_instruments_that_play_are_written():
    part = heard(notes=[(2, 60, 0.9, 0, 64)], active=[(60, 3, 9)], drums=[(4, 38, 0.9)])

    def played(*instruments):
        collector = HeardNotes(dataclasses.replace(CONFIG, instruments=instruments))
        collector.add(segment(0), part)
        return [(int(n["program"]), bool(n["is_drum"])) for n in collector.notes()[0]]

    assert played() == played(0, DRUMS) == [(0, False), (0, True)]
    assert played(40) == [(40, False)]
    assert played(DRUMS) == [(0, True)]
