import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mt3x.music.instruments import Granularity
from mt3x.music.notes import empty_notes, make_notes, trim_overlapping_notes
from mt3x.music.timegrid import floor_to_steps, segment_start_seconds
from mt3x.tokens.codec import Event
from mt3x.tokens.encode import encode_segment, encode_segments
from mt3x.tokens.spec import NoteSpec
from mt3x.tokens.vocabulary import VocabularyConfig, build_codec

CODEC = build_codec(VocabularyConfig())
TIES = NoteSpec.NOTES_WITH_TIES
# 60 on piano from 0.5 to 3 s, 64 on violin from 1 to 1.5 s, a kick at 2.5 s.
NOTES = make_notes([0.5, 1.0, 2.5], [3.0, 1.5, 2.6], [60, 64, 36], 90, [0, 40, 0], [False, False, True])


def indexes(*events):
    return [CODEC.encode_event(Event(event_type, value)) for event_type, value in events]


def golden_segments(golden, notes_from_rows, codec_and_spec):
    data = golden("tokenization.json")
    for key, segments in data["segments"].items():
        sequence, config, _, granularity = key.split(".")
        notes = notes_from_rows(data["sequences"][sequence]["ns_after_sustain"]["notes"])
        first_frames = np.cumsum([0, *(segment["num_frames"] for segment in segments[:-1])])
        starts = segment_start_seconds(first_frames, 128, 16000, 100)
        yield key, notes, starts, segments, codec_and_spec(config), Granularity(granularity)


@pytest.mark.parametrize(("stage", "keep_redundant"), [("rle", True), ("final", False)])
def test_targets_equal_the_originals(golden, notes_from_rows, codec_and_spec, stage, keep_redundant):
    compared = 0
    for key, notes, starts, segments, (codec, spec), granularity in golden_segments(
        golden, notes_from_rows, codec_and_spec
    ):
        targets = encode_segments(
            notes, starts, codec, spec, granularity, mt3_compatible=True, keep_redundant=keep_redundant
        )
        for target, segment in zip(targets, segments, strict=True):
            assert target.dtype == np.int32
            assert target.tolist() == segment[stage], key
            compared += 1
    assert compared == 105


def test_default_differs_from_the_original_only_after_the_last_event(golden, notes_from_rows, codec_and_spec):
    differing = set()
    for key, notes, starts, segments, (codec, spec), granularity in golden_segments(
        golden, notes_from_rows, codec_and_spec
    ):
        targets = encode_segments(notes, starts, codec, spec, granularity)
        for start, target, segment in zip(starts, targets, segments, strict=True):
            if target.tolist() != segment["final"]:
                differing.add(key)
                last_event = max(notes["end"].max(), notes["start"].max())
                assert start > last_event - 0.005
                # A note that never lasts (start == end) is never released, as in MT3: it alone stays held.
                assert target[-1] == codec.encode_event(Event("tie", 0))
    assert differing and all("ties" in key for key in differing)


def test_a_segment_told_by_hand():
    first, second = encode_segments(NOTES, [0.0, 2.0], CODEC, TIES)
    assert first.tolist() == indexes(
        ("tie", 0),
        ("shift", 50), ("program", 0), ("velocity", 1), ("pitch", 60),
        ("shift", 100), ("program", 40), ("pitch", 64),
        ("shift", 150), ("velocity", 0), ("pitch", 64),
    )  # fmt: skip
    assert second.tolist() == indexes(
        ("program", 0), ("pitch", 60), ("tie", 0),
        ("shift", 50), ("velocity", 1), ("drum", 36),
        ("shift", 100), ("velocity", 0), ("pitch", 60),
    )  # fmt: skip


def test_without_ties_a_segment_opens_with_its_events():
    assert encode_segments(NOTES, [0.0, 2.0], CODEC, NoteSpec.NOTES)[1].tolist() == indexes(
        ("shift", 50), ("velocity", 1), ("drum", 36),
        ("shift", 100), ("program", 0), ("velocity", 0), ("pitch", 60),
    )  # fmt: skip


def test_onsets_alone_are_pitches_drums_included():
    assert encode_segment(NOTES, 0.0, 9.0, CODEC, NoteSpec.ONSETS).tolist() == indexes(
        ("shift", 50), ("pitch", 60), ("shift", 100), ("pitch", 64), ("shift", 250), ("pitch", 36)
    )


def test_granularity_maps_or_drops_programs_but_keeps_drums():
    full, classes, flat = (
        encode_segment(NOTES, 0.8, 2.6, CODEC, TIES, granularity)
        for granularity in (Granularity.FULL, Granularity.MIDI_CLASS, Granularity.FLAT)
    )
    assert full.tolist() == classes.tolist()
    viola = NOTES.copy()
    viola["program"][1] = 41
    assert encode_segment(viola, 0.8, 2.6, CODEC, TIES, Granularity.MIDI_CLASS).tolist() == classes.tolist()
    first, last = CODEC.event_type_range("program")
    assert flat.tolist() == [index for index in full.tolist() if not first <= index <= last]
    assert CODEC.encode_event(Event("drum", 36)) in flat


def test_offsets_come_before_onsets_at_the_same_time():
    notes = make_notes([0.0, 1.0, 1.0], [1.0, 2.0, 2.0], [60, 60, 59])
    body = encode_segment(notes, 0.5, 1.5, CODEC, NoteSpec.NOTES)
    assert body.tolist() == indexes(
        ("shift", 50), ("program", 0), ("velocity", 0), ("pitch", 60),
        ("velocity", 1), ("pitch", 59), ("pitch", 60),
    )  # fmt: skip


def test_shifts_longer_than_the_longest_are_told_in_parts():
    notes = make_notes(23.0, 24.0, 60)
    assert encode_segments(notes, [0.0], CODEC, NoteSpec.ONSETS)[0].tolist() == [1000, 1000, 300, 1061]
    at_the_limit = encode_segments(make_notes(20.0, 24.0, 60), [0.0], CODEC, NoteSpec.ONSETS)[0]
    assert at_the_limit.tolist() == [1000, 1000, 1061]


def test_finished_notes_are_not_held_where_the_original_holds_them():
    notes = make_notes(0.2, 1.0, 60)
    held = indexes(("program", 0), ("pitch", 60), ("tie", 0))
    assert encode_segments(notes, [0, 2, 4], CODEC, TIES, mt3_compatible=True)[1:][1].tolist() == held
    assert [segment.tolist() for segment in encode_segments(notes, [0, 2, 4], CODEC, TIES)[1:]] == [
        indexes(("tie", 0))
    ] * 2


def test_silence_is_a_tie_where_the_original_fails(golden):
    assert "empty.vel1_ties.256.full" in golden("tokenization.json")["errors"]
    targets = encode_segments(empty_notes(), [0.0, 2.04], CODEC, TIES)
    assert [target.tolist() for target in targets] == [indexes(("tie", 0))] * 2
    with pytest.raises(ValueError, match="MT3 cannot write ties for a recording of 0 notes"):
        encode_segments(empty_notes(), [0.0, 2.04], CODEC, TIES, mt3_compatible=True)


def test_no_segments_give_no_targets():
    assert encode_segments(NOTES, [], CODEC, TIES) == []


@pytest.mark.parametrize("starts", [[2.0, 0.0], [[0.0, 2.0]]])
def test_starts_that_do_not_rise_are_refused(starts):
    with pytest.raises(ValueError, match="start_seconds must be 1-D and rising"):
        encode_segments(NOTES, starts, CODEC, TIES)


def test_starts_off_the_grid_count_from_the_step_below():
    notes = make_notes(2.1, 2.2, 60)
    assert encode_segment(notes, 2.048, 4.096, CODEC, NoteSpec.ONSETS).tolist() == [6, 1061]
    assert encode_segment(notes, 0.0, 2.1, CODEC, NoteSpec.ONSETS).tolist() == []
    assert encode_segment(notes, 2.1, 2.11, CODEC, NoteSpec.ONSETS).tolist() == [1061]


def test_steps_are_floored_without_accidents():
    steps = np.arange(60_000)
    assert np.array_equal(floor_to_steps(steps / 100, 100), steps)
    assert np.array_equal(floor_to_steps((steps[:9000] / 100).astype(np.float32), 100), steps[:9000])
    frames = np.arange(0, 60_000, 128)
    exact = frames * 256 * 100 // 16000
    assert np.array_equal(floor_to_steps(frames * 256 / 16000, 100), exact)


@given(st.data())
def test_one_segment_equals_the_same_segment_of_the_whole(random_notes, data):
    notes = data.draw(random_notes())
    spec = data.draw(st.sampled_from(NoteSpec))
    granularity = data.draw(st.sampled_from(Granularity))
    num_frames = data.draw(st.sampled_from([64, 128, 256]))
    edges = segment_start_seconds(np.arange(6) * num_frames, 256, 16000, 100)
    whole = encode_segments(notes, edges, CODEC, spec, granularity)
    for i in range(5):
        one = encode_segment(notes, edges[i], edges[i + 1], CODEC, spec, granularity)
        assert one.tolist() == whole[i].tolist()


@given(st.data())
def test_trimmed_notes_are_left_as_they_were(random_notes, data):
    notes = trim_overlapping_notes(data.draw(random_notes()))
    before = notes.copy()
    encode_segments(notes, [0.0, 1.28], CODEC, TIES, Granularity.MIDI_CLASS)
    assert np.array_equal(notes, before)
