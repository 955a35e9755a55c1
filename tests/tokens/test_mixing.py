import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mt3x.music.notes import make_notes, sort_notes, trim_overlapping_notes
from mt3x.tokens.codec import Event
from mt3x.tokens.decode import decode_segments
from mt3x.tokens.encode import encode_segments
from mt3x.tokens.mixing import mix_targets
from mt3x.tokens.report import DecodeReport
from mt3x.tokens.spec import NoteSpec
from mt3x.tokens.vocabulary import VocabularyConfig, build_codec

CODEC = build_codec(VocabularyConfig(num_velocity_bins=127))
TIES = NoteSpec.NOTES_WITH_TIES
STARTS = [0.0, 1.28, 2.56]


def indexes(*events):
    return [CODEC.encode_event(Event(event_type, value)) for event_type, value in events]


def test_mixes_equal_the_originals(golden, codec_and_spec):
    data = golden("mixing.json")
    for case in data["cases"]:
        codec, _ = codec_and_spec(case["cfg"])
        merged = mix_targets(case["tracks"], codec, mt3_compatible=True, keep_redundant=True)
        assert merged.tolist() == case["merged"]
        assert mix_targets(case["tracks"], codec, mt3_compatible=True).tolist() == case["final"]
    for case in data["hand"]:
        mixed = mix_targets(case["tracks"], CODEC, mt3_compatible=True, keep_redundant=True)
        assert mixed.tolist() == case["merged"]


def test_default_differs_from_the_original_only_in_ties_and_at_the_very_start(golden, codec_and_spec):
    same = 0
    for case in golden("mixing.json")["cases"]:
        codec, _ = codec_and_spec(case["cfg"])
        mixed = mix_targets(case["tracks"], codec).tolist()
        same += mixed == case["final"]
        if mixed != case["final"]:
            tie = codec.event_type_range("tie")[0]
            events_at_zero = [track for track in case["tracks"] if track[0] > codec.max_shift_steps]
            assert case["final"].count(tie) > 1 or len(events_at_zero) > 1
        assert len(case["tracks"]) > 1 or mixed == case["final"]
    assert same == 9


def test_one_tie_closes_the_held_notes_of_all_tracks():
    piano = indexes(
        ("program", 0), ("pitch", 60), ("pitch", 64), ("tie", 0), ("shift", 9), ("velocity", 0), ("pitch", 60)
    )
    other = indexes(("program", 0), ("pitch", 64), ("program", 40), ("pitch", 50), ("tie", 0))
    drums = indexes(("tie", 0), ("shift", 9), ("velocity", 80), ("drum", 36))
    assert mix_targets([other, piano, drums], CODEC).tolist() == indexes(
        ("program", 0), ("pitch", 60), ("pitch", 64), ("program", 40), ("pitch", 50), ("tie", 0),
        ("shift", 9), ("program", 0), ("velocity", 0), ("pitch", 60), ("velocity", 80), ("drum", 36),
    )  # fmt: skip
    kept = mix_targets([other, piano, drums], CODEC, mt3_compatible=True).tolist()
    assert kept.count(CODEC.event_type_range("tie")[0]) == 3


def test_waits_beyond_the_longest_shift_stay_whole():
    long = [1000, 50, 1061]
    other = [900, 1062, 1000, 1063]
    assert mix_targets([long, other], CODEC).tolist() == [900, 1062, 1000, 1063, 1000, 50, 1061]
    assert mix_targets([[1000, 1000, 300, 1061], [1000, 1000, 300, 1062]], CODEC).tolist() == [
        1000, 1000, 300, 1061, 1062
    ]  # fmt: skip


def test_the_earlier_track_comes_first_at_every_step():
    assert mix_targets([[1061, 10, 1062], [1064, 10, 1065]], CODEC).tolist() == [1061, 1064, 10, 1062, 1065]


def test_padding_and_empty_tracks_say_nothing():
    assert mix_targets([[0, 0, 0], [], [5, 1065, 0]], CODEC).tolist() == [5, 1065]
    assert mix_targets([[0, 0]], CODEC).tolist() == []
    assert mix_targets([], CODEC).tolist() == []
    assert mix_targets([], CODEC, mt3_compatible=True).tolist() == []


@pytest.mark.parametrize("mt3_compatible", [False, True])
def test_token_outside_the_codec_is_refused(mt3_compatible):
    with pytest.raises(ValueError, match="index 1514 does not exist; indexes are 0..1513"):
        mix_targets([[5, 1061], [5, 1514]], CODEC, mt3_compatible)


@given(st.data())
def test_a_mix_of_one_is_itself(random_notes, data):
    notes = trim_overlapping_notes(data.draw(random_notes()))
    for target in encode_segments(notes, STARTS, CODEC, TIES):
        assert mix_targets([target], CODEC).tolist() == target.tolist()


@given(st.data())
def test_a_mix_of_targets_decodes_to_the_notes_of_all_tracks(random_notes, data):
    keep_redundant = data.draw(st.booleans())
    tracks = []
    for program in (0, 40):
        notes = data.draw(random_notes(on_grid=True, programs=(program,), min_steps=1))
        tracks.append(trim_overlapping_notes(notes[~notes["is_drum"]]))
    drums = make_notes([0.0, 1.28, 1.5], [0.01, 1.29, 1.51], 36, is_drum=True)
    tracks.append(drums)
    targets = [encode_segments(t, STARTS, CODEC, TIES, keep_redundant=keep_redundant) for t in tracks]
    mixes = [mix_targets(segment, CODEC) for segment in zip(*targets, strict=True)]
    decoded, report = decode_segments(mixes, STARTS, CODEC, TIES)
    want = sort_notes(np.concatenate(tracks))
    assert report == DecodeReport(0, 0)
    assert np.array_equal(decoded[["pitch", "velocity", "program"]], want[["pitch", "velocity", "program"]])
    np.testing.assert_allclose(decoded["end"], want["end"], rtol=0, atol=1e-9)
