"""Notes from predictions of overlapping segments, by hand: frames of 16 ms, segments of 32 frames."""

import dataclasses

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mt3x.model.trunk import DRUM_KEYS, TrunkConfig
from mt3x.music.instruments import DRUMS
from mt3x.music.notes import validate_notes
from mt3x.transcription.frames.assembly import DRUM_GROUPS, DRUM_SECONDS, NoteAssembler, find_drum_hits
from mt3x.transcription.frames.config import FrameConfig, Thresholds
from mt3x.transcription.frames.network import FramePredictions
from mt3x.transcription.recogniser import Request
from mt3x.transcription.segment import Segment

CONFIG = FrameConfig(
    segment_frames=32,
    lead_frames=4,
    tail_frames=4,
    thresholds=Thresholds(0.5, 0.5, 0.4, 0.5, 0.5, 0.5, 0.5, 0.5),
)
FRAME = 0.016
STRIDE = 24


def segment(number, num_frames=32):
    return Segment(np.zeros(32 * 256, np.float32), num_frames, STRIDE * number - 4)


def predictions(notes=(), active=(), offsets=(), drums=()):
    """What is predicted of a segment; frames count from its start.

    notes: (frame, row, probability, is_note, program, velocity); active: (row, first frame, last frame);
    offsets: (row, frame, probability); drums: (drum frame, key, probability).
    """
    places = np.array([*notes, (0, 0, 0.0, 0.0, 0, 0)], float).T
    sounds, ends, hits = np.zeros((32, 88)), np.zeros((32, 88)), np.zeros((64, len(DRUM_KEYS)))
    for row, first, last in active:
        sounds[first : last + 1, row] = 1
    for row, frame, probability in offsets:
        ends[frame, row] = probability
    for frame, key, probability in drums:
        hits[frame, DRUM_KEYS.index(key)] = probability
    programs = np.zeros((len(places[4]), 128), np.float32)
    programs[np.arange(len(programs)), places[4].astype(int)] = 20
    return FramePredictions(
        onset=places[0].astype(np.float32),
        row=places[1].astype(np.int32),
        probability=places[2],
        is_note=places[3],
        programs=programs,
        velocity=places[5],
        active=sounds,
        offset=ends,
        cents=np.zeros((16, 88)),
        drums=hits,
    )


def collect(*parts, config=CONFIG):
    assembler = NoteAssembler(config)
    for number, part in enumerate(parts):
        assembler.add(segment(number), part)
    return assembler.finish().notes


def rows(notes):
    return [
        (round(float(n["start"]) / FRAME, 3), round(float(n["end"]) / FRAME, 3), int(n["pitch"]))
        for n in notes
    ]


def test_strays_are_folded_once_the_recording_is_known():
    piano = [(frame, row, 0.9, 0.9, 0, 77) for frame in (5.5, 15.5) for row in (20, 30, 40)]
    first = predictions([(10.5, 50, 0.9, 0.9, 11, 70)], drums=[(30, 38, 0.9)])
    first.programs[0, 0] = 19.0  # the vibraphone might as well be the piano that follows
    found = {}
    for name, config, keep_all in (
        ("folded", CONFIG, False),
        ("all", CONFIG, True),
        ("given", dataclasses.replace(CONFIG, instruments=(0, 11, DRUMS)), False),
    ):
        assembler = NoteAssembler(config, Request(keep_all=keep_all))
        assembler.add(segment(0), first)
        assembler.add(segment(1), predictions(piano))
        found[name] = assembler.finish().notes
    programs = {name: notes["program"][~notes["is_drum"]].tolist() for name, notes in found.items()}
    assert programs == {"folded": [0] * 7, "all": [11] + [0] * 6, "given": [11] + [0] * 6}
    assert [int(notes["is_drum"].sum()) for notes in found.values()] == [1, 1, 1]


def test_a_sung_note_begins_where_it_is_heard_to_begin():
    config = dataclasses.replace(CONFIG, sung_delay_seconds=FRAME)
    notes = [(8.5, 39, 0.9, 0.9, 53, 77), (16.5, 39, 0.9, 0.9, 53, 77), (8.5, 51, 0.9, 0.9, 40, 77)]
    part = predictions(notes, active=[(39, 8, 22), (51, 8, 15)])
    # A repeated note still ends the one before where its sound begins; a violin is as it was detected.
    assert rows(collect(part, config=config)) == [(4.5, 12.0, 72), (5.5, 12.5, 60), (13.5, 19.0, 60)]


def test_a_note_lasts_while_its_pitch_sounds():
    notes = collect(predictions([(8.5, 39, 0.9, 0.9, 40, 77)], active=[(39, 8, 15)]))
    assert rows(notes) == [(4.5, 12.0, 60)]  # the segment begins four frames before the recording
    assert (notes["program"][0], notes["velocity"][0], bool(notes["is_drum"][0])) == (40, 77, False)


def test_an_offset_peak_ends_a_note_that_sounds_on():
    part = predictions([(8.5, 39, 0.9, 0.9, 0, 80)], active=[(39, 8, 20)], offsets=[(39, 14, 0.7)])
    assert rows(collect(part)) == [(4.5, 10.0, 60)]


def test_an_unlikely_offset_ends_nothing():
    part = predictions([(8.5, 39, 0.9, 0.9, 0, 80)], active=[(39, 8, 20)], offsets=[(39, 14, 0.2)])
    assert rows(collect(part)) == [(4.5, 17.0, 60)]


def test_a_repeated_onset_ends_the_note_before_it():
    part = predictions([(8.5, 39, 0.9, 0.9, 0, 80), (14.5, 39, 0.9, 0.9, 0, 80)], active=[(39, 8, 20)])
    assert rows(collect(part)) == [(4.5, 10.5, 60), (10.5, 17.0, 60)]


def test_two_onsets_within_the_merging_time_are_one():
    part = predictions([(8.5, 39, 0.9, 0.9, 0, 80), (10.5, 39, 0.9, 0.9, 0, 80)], active=[(39, 8, 20)])
    assert rows(collect(part)) == [(4.5, 17.0, 60)]


@pytest.mark.parametrize(("probability", "is_note"), [(0.4, 0.9), (0.9, 0.4)])
def test_a_candidate_below_either_threshold_is_no_note(probability, is_note):
    part = predictions([(8.5, 39, probability, is_note, 0, 80)], active=[(39, 8, 20)])
    assert len(collect(part)) == 0


def test_a_note_goes_on_over_the_edge_of_segments():
    first = predictions([(20.5, 39, 0.9, 0.9, 0, 80)], active=[(39, 20, 31)])
    second = predictions(active=[(39, 0, 9)])
    assert rows(collect(first, second)) == [(16.5, 30.0, 60)]


def test_both_segments_find_an_onset_where_their_parts_meet_and_it_is_one_note():
    first = predictions([(27.9, 39, 0.9, 0.9, 0, 80)], active=[(39, 27, 31)])
    second = predictions([(4.1, 39, 0.9, 0.9, 0, 80)], active=[(39, 4, 11)])
    assert len(collect(first, second)) == 1


def test_what_begins_at_the_recordings_first_sample_is_found():
    notes = collect(predictions([(3.9, 39, 0.9, 0.9, 0, 80)], active=[(39, 4, 10)]))
    assert rows(notes) == [(0.0, 7.0, 60)]


def test_a_silent_segment_ends_what_sounds():
    first = predictions([(20.5, 39, 0.9, 0.9, 0, 80)], active=[(39, 20, 31)])
    assert rows(collect(first, None)) == [(16.5, 24.0, 60)]


def test_a_note_is_given_out_once_it_has_ended():
    assembler = NoteAssembler(CONFIG)
    assembler.add(segment(0), predictions([(8.5, 39, 0.9, 0.9, 0, 80)], active=[(39, 8, 31)]))
    assert len(assembler.take_final()) == 0
    assembler.add(segment(1), predictions(active=[(39, 0, 9)]))
    assert rows(assembler.take_final()) == [(4.5, 30.0, 60)]
    assert len(assembler.finish().notes) == 0


def test_a_hit_lies_between_drum_frames():
    part = predictions(drums=[(20, 38, 0.8), (21, 38, 0.4)])
    (hit,) = collect(part)
    assert hit["is_drum"] and hit["pitch"] == 38
    expected = (20.5 * 0.8 + 21.5 * 0.4) / 1.2
    assert float(hit["start"]) == pytest.approx((expected / 2 - 4) * FRAME, abs=1e-6)
    assert float(hit["end"] - hit["start"]) == pytest.approx(DRUM_SECONDS)


def test_keys_that_sound_alike_add_up_to_one_hit_of_the_likeliest():
    part = predictions(drums=[(20, 36, 0.35), (20, 35, 0.3)])
    assert [int(n["pitch"]) for n in collect(part)] == [36]


def test_a_flam_of_32_ms_is_two_hits_and_one_of_16_ms_is_one():
    def count(distance):
        return len(collect(predictions(drums=[(20, 38, 0.9), (20 + distance, 38, 0.8)])))

    assert (count(4), count(2)) == (2, 1)


def test_each_kind_of_drum_has_its_own_threshold():
    thresholds = Thresholds(kick=0.3, snare=0.6)
    drums = np.zeros((64, len(DRUM_KEYS)))
    drums[10, DRUM_KEYS.index(36)] = drums[20, DRUM_KEYS.index(38)] = 0.5
    assert [key for _, _, key in find_drum_hits(drums, thresholds)] == [36]


def test_every_key_is_in_one_group():
    assert sorted(key for _, keys in DRUM_GROUPS for key in keys) == list(DRUM_KEYS)


def test_known_instruments_leave_out_the_others():
    part = predictions([(8.5, 39, 0.9, 0.9, 40, 77)], active=[(39, 8, 15)], drums=[(20, 38, 0.9)])
    only_piano = collect(part, config=dataclasses.replace(CONFIG, instruments=(0,)))
    assert only_piano["program"].tolist() == [0] and not only_piano["is_drum"].any()
    only_drums = collect(part, config=dataclasses.replace(CONFIG, instruments=(DRUMS,)))
    assert only_drums["is_drum"].tolist() == [True]


@given(st.integers(0, 2**32 - 1))
def test_whatever_is_predicted_the_notes_are_sound(seed):
    rng = np.random.default_rng(seed)
    parts = []
    for _ in range(3):
        part = predictions()
        parts.append(
            part._replace(
                onset=rng.uniform(0, 32, 20).astype(np.float32),
                row=rng.integers(0, 88, 20),
                probability=rng.random(20),
                is_note=rng.random(20),
                programs=rng.normal(0, 3, (20, 128)),
                velocity=rng.uniform(0, 127, 20),
                active=rng.random((32, 88)),
                offset=rng.random((32, 88)),
                drums=rng.random((64, len(DRUM_KEYS))) ** 4,
            )
        )
    notes = collect(*parts)
    validate_notes(notes)
    assert (notes["start"] >= 0).all() and (notes["end"] > notes["start"]).all()
    for pitch in np.unique(notes["pitch"][~notes["is_drum"]]):
        mine = notes[~notes["is_drum"] & (notes["pitch"] == pitch)]
        assert (mine["start"][1:] >= mine["end"][:-1] - 1e-9).all()


def bends_of(*parts):
    """Notes and bends of segments whose cents are the trunk frame's number in the recording."""
    assembler = NoteAssembler(CONFIG, Request(bends=True))
    for number, part in enumerate(parts):
        frames = np.arange(16) + (STRIDE * number - 4) / 2
        assembler.add(segment(number), part._replace(cents=np.broadcast_to(frames[:, None], (16, 88))))
    found = assembler.finish()
    return found.notes, found.bends


def test_a_bend_follows_the_note_across_segments():
    first = predictions([(12.0, 39, 0.9, 0.9, 40, 80)], active=[(39, 12, 31)])
    second = predictions(active=[(39, 0, 10)])
    notes, bends = bends_of(first, second)
    assert rows(notes) == [(8.0, 31.0, 60)]
    # Trunk frames 4 to 14 have their middles at frames 9, 11, ... 29; a line stays a line.
    np.testing.assert_allclose(bends[0][:, 0], (2 * np.arange(4, 15) + 1) * FRAME, rtol=1e-6)
    np.testing.assert_allclose(bends[0][1:-1, 1], np.arange(5, 14), rtol=1e-6)
    assert bends[0].dtype == np.float32


def test_bends_are_in_the_order_of_their_notes():
    part = predictions(
        [(10.0, 39, 0.9, 0.9, 40, 80), (6.0, 50, 0.9, 0.9, 40, 80)],
        active=[(39, 10, 13), (50, 6, 25)],
        drums=[(30, 38, 0.9)],
    )
    notes, bends = bends_of(part)
    assert notes["pitch"].tolist() == [71, 60, 38]
    assert len(bends) == 3
    for note, bend in zip(notes, bends, strict=True):
        assert (len(bend) == 0) == note["is_drum"]
        assert ((bend[:, 0] >= note["start"]) & (bend[:, 0] < note["end"])).all()


def test_notes_are_the_same_with_bends_and_without():
    part = predictions([(8.5, 39, 0.9, 0.9, 40, 77)], active=[(39, 8, 15)], drums=[(30, 36, 0.9)])
    np.testing.assert_array_equal(bends_of(part, part)[0], collect(part, part))


def test_what_no_note_needs_any_more_is_forgotten():
    assembler = NoteAssembler(CONFIG, Request(bends=True))
    for number in range(50):
        assembler.add(segment(number), predictions([(8.5, 39, 0.9, 0.9, 40, 77)], active=[(39, 8, 15)]))
    assert len(assembler._cents) <= 2


WITH_PEDAL = dataclasses.replace(CONFIG, network=TrunkConfig(pedal_width=8))
PIANO_NOTE = (8.5, 39, 0.9, 0.9, 0, 77)


def pedal_of(*pedals, notes=(PIANO_NOTE,), config=WITH_PEDAL, is_asked_for=True):
    """The pedal of segments with the same notes and these probabilities [16]; None for a silent segment."""
    assembler = NoteAssembler(config, Request(pedal=is_asked_for))
    part = predictions(notes, active=[(39, 8, 15)])
    for number, pedal in enumerate(pedals):
        assembler.add(segment(number), None if pedal is None else part._replace(pedal=pedal))
    return assembler.finish().pedal


def pedal_frames(*pedals):
    """As `pedal_of`, in frames."""
    pedal = pedal_of(*pedals)
    assert pedal is not None
    return pedal / FRAME


def down(first, last):
    """Probabilities of 16 trunk frames: the pedal is down from `first` to `last`."""
    return np.where((np.arange(16) >= first) & (np.arange(16) <= last), 0.9, 0.1)


def test_the_pedal_is_followed_across_segments_by_what_each_decides_on():
    # Segments share trunk frames: those from 14 on of the first are 2 and on of the second.
    first, second = down(5, 15), down(0, 6)
    second[0] = 0.0  # the first segment decides there
    pedal = pedal_frames(first, second)
    # Trunk frame 5 begins 6 frames into the recording; 7 of the second segment begin at 20 + 14.
    assert pedal.dtype == np.float64
    np.testing.assert_allclose(pedal, [(6, 34)])


def test_a_pedal_that_is_never_lifted_ends_with_the_recording_and_silence_lifts_it():
    np.testing.assert_allclose(pedal_frames(down(5, 15)), [(6, 28)])
    np.testing.assert_allclose(pedal_frames(down(5, 15), None), [(6, 24)])
    np.testing.assert_allclose(pedal_frames(None, down(0, 15)), [(24, 52)])


def test_without_a_piano_a_head_or_a_wish_there_is_no_pedal():
    assert pedal_of(down(5, 15), notes=[(8.5, 39, 0.9, 0.9, 40, 77)]) is None
    assert pedal_of(down(5, 15), is_asked_for=False) is None
    assert pedal_of(down(5, 15), config=CONFIG) is None
    assert pedal_of(down(9, 8)).shape == (0, 2)  # a piano without a pedal
