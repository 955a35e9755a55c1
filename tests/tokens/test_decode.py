import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mt3x.music.notes import empty_notes, make_notes, sort_notes, trim_overlapping_notes, validate_notes
from mt3x.music.timegrid import segment_start_seconds
from mt3x.tokens.codec import Event
from mt3x.tokens.decode import SegmentDecoder, decode_segments, merge_restrikes
from mt3x.tokens.encode import encode_segments
from mt3x.tokens.report import DecodeReport
from mt3x.tokens.spec import NoteSpec
from mt3x.tokens.vocabulary import DECODED_EOS_ID, DECODED_INVALID_ID, VocabularyConfig, build_codec

CODEC = build_codec(VocabularyConfig(num_velocity_bins=127))
TIES = NoteSpec.NOTES_WITH_TIES


def indexes(*events):
    return [CODEC.encode_event(Event(event_type, value)) for event_type, value in events]


def golden_case(case, codec_and_spec, notes_from_rows):
    codec, spec = codec_and_spec(case["codec"] + ("_ties" if case["ties"] else "_noties"))
    spec = NoteSpec.ONSETS if case["onsets_only"] else spec
    # Some golden streams hold end tokens inside, which count as invalid there; in the original's pipeline and
    # here, none reaches decoding, because tokens are cut at the first.
    segments = [np.array(prediction["est_tokens"], int) for prediction in case["predictions"]]
    segments = [np.where(tokens == DECODED_EOS_ID, DECODED_INVALID_ID, tokens) for tokens in segments]
    starts = [prediction["start_time"] for prediction in case["predictions"]]
    result = case["result"]
    report = DecodeReport(result["est_invalid_events"], result["est_dropped_events"])
    notes = notes_from_rows(result["est_ns"]["notes"])
    order = np.lexsort([notes[name] for name in ("velocity", "end", "pitch", "program", "is_drum", "start")])
    return (segments, starts, codec, spec), notes[order], report


def test_all_streams_decode_as_the_originals_to_the_bit(golden, codec_and_spec, notes_from_rows):
    cases = golden("decoding.json")["cases"]
    assert len(cases) == 154
    for case in cases:
        arguments, want, want_report = golden_case(case, codec_and_spec, notes_from_rows)
        notes, report = decode_segments(*arguments, mt3_compatible=True)
        assert report == want_report, case["label"]
        assert np.array_equal(sort_by_all(notes), want), case["label"]


def test_default_decodes_as_the_original_up_to_float32(golden, codec_and_spec, notes_from_rows):
    differing = []
    for case in golden("decoding.json")["cases"]:
        arguments, want, want_report = golden_case(case, codec_and_spec, notes_from_rows)
        notes, report = decode_segments(*arguments)
        if report != want_report:
            differing.append(case["label"])
            continue
        notes = sort_by_all(notes)
        for name in ("pitch", "velocity", "program", "is_drum"):
            assert np.array_equal(notes[name], want[name]), case["label"]
        for name in ("start", "end"):
            # float32 near 12 s is exact to 1e-6.
            np.testing.assert_allclose(notes[name], want[name], rtol=0, atol=1e-6)
    # The original takes a next start of 0.0 for no limit.
    assert differing == ["hand.second_segment_start_zero"]


def sort_by_all(notes):
    return notes[np.lexsort([notes[n] for n in ("velocity", "end", "pitch", "program", "is_drum", "start")])]


def test_a_stream_told_by_hand():
    first = indexes(
        ("tie", 0),
        ("shift", 50), ("program", 40), ("velocity", 80), ("pitch", 60),
        ("shift", 60), ("drum", 36),
    )  # fmt: skip
    second = indexes(
        ("program", 40), ("pitch", 60), ("tie", 0), ("shift", 10), ("velocity", 0), ("pitch", 60)
    )
    notes, report = decode_segments([first, second], [0.0, 2.04], CODEC, TIES)
    want = make_notes([0.5, 0.6], [2.14, 0.61], [60, 36], 80, [40, 0], [False, True])
    np.testing.assert_allclose(notes["end"], want["end"], rtol=0, atol=1e-12)
    notes["end"] = want["end"]
    assert np.array_equal(notes, want)
    assert report == DecodeReport(0, 0)


def test_tied_note_survives_segment_edge_and_untied_note_ends_there():
    first = indexes(("tie", 0), ("program", 0), ("velocity", 64), ("pitch", 60), ("pitch", 62))
    notes, report = decode_segments([first, indexes(("pitch", 60), ("tie", 0))], [0.0, 2.0], CODEC, TIES)
    assert notes["pitch"].tolist() == [60, 62]
    assert notes["end"].tolist() == [2.0, 2.0]  # 60 is ended by the end of the music, 62 by the tie
    assert report.invalid_events == 0
    longer = [first, indexes(("pitch", 60), ("tie", 0), ("shift", 100), ("drum", 36))]
    assert decode_segments(longer, [0.0, 2.0], CODEC, TIES)[0]["end"].tolist() == [3.0, 2.0, 3.01]


def test_all_after_the_end_token_is_ignored():
    tokens = [*indexes(("velocity", 9), ("drum", 36)), DECODED_EOS_ID, *indexes(("drum", 38)), 99999]
    notes, report = decode_segments([tokens], [0.0], CODEC, NoteSpec.NOTES)
    assert notes["pitch"].tolist() == [36]
    assert report == DecodeReport(0, 0)


def test_events_at_the_next_start_are_dropped_where_the_original_goes_by_float32():
    starts = segment_start_seconds([0, 256, 512], 128, 16000, 100)
    assert starts.tolist() == [0.0, 2.04, 4.09]
    kept = {}
    for mt3_compatible in (False, True):
        notes_at_edges = []
        for start, step in ((starts[1], 204), (starts[2], 409)):
            tokens = indexes(("shift", step), ("velocity", 9), ("drum", 36))
            starts_here = [0.0, start if step != 409 else np.float64(np.float32(4.0900002))]
            notes, _ = decode_segments(
                [tokens, []], starts_here, CODEC, NoteSpec.NOTES, mt3_compatible=mt3_compatible
            )
            notes_at_edges.append(len(notes))
        kept[mt3_compatible] = notes_at_edges
    assert kept == {False: [0, 0], True: [0, 1]}


def test_notes_return_to_their_time_where_the_original_is_a_step_early():
    first_frames = np.arange(600) * 256
    exact = segment_start_seconds(first_frames, 128, 16000, 100)
    early = segment_start_seconds(first_frames, 128, 16000, 100, mt3_compatible=True)
    onsets = exact + 0.5
    targets = encode_segments(make_notes(onsets, onsets + 0.01, 60), exact, CODEC, NoteSpec.ONSETS)
    notes, _ = decode_segments(targets, exact, CODEC, NoteSpec.ONSETS)
    np.testing.assert_allclose(notes["start"], onsets, rtol=0, atol=1e-9)
    notes, _ = decode_segments(targets, early, CODEC, NoteSpec.ONSETS, mt3_compatible=True)
    assert (onsets - notes["start"] > 0.009).sum() == 24


def clean_round_trip(notes, codec, spec, frames, mt3_compatible=False):
    count = int(notes["end"].max(initial=0.0) * 125) // frames + 3  # some silent segments after the last note
    starts = segment_start_seconds(np.arange(count) * frames, 128, 16000, 100)
    targets = encode_segments(notes, starts, codec, spec, mt3_compatible=mt3_compatible)
    return decode_segments(targets, starts, codec, spec, mt3_compatible=mt3_compatible)


@pytest.mark.parametrize("config", ["vel1_ties", "vel127_noties"])
@pytest.mark.parametrize("frames", [64, 256, 512])
def test_clean_round_trips_of_the_golden_sequences_have_nothing_invalid(
    golden, notes_from_rows, codec_and_spec, config, frames
):
    codec, spec = codec_and_spec(config)
    for sequence in golden("tokenization.json")["sequences"].values():
        notes = notes_from_rows(sequence["trimmed"]["notes"])
        decoded, report = clean_round_trip(notes, codec, spec, frames)
        assert report == DecodeReport(0, 0)
        assert len(decoded) == len(notes)


def test_stale_ties_of_the_original_come_back_as_invalid_events(golden, notes_from_rows, codec_and_spec):
    codec, spec = codec_and_spec("vel1_ties")
    notes = notes_from_rows(golden("tokenization.json")["sequences"]["trailing_silence"]["trimmed"]["notes"])
    assert clean_round_trip(notes, codec, spec, 64, mt3_compatible=True)[1].invalid_events > 0


@given(st.data())
def test_decoding_undoes_encoding(random_notes, data):
    notes = trim_overlapping_notes(data.draw(random_notes(on_grid=True, min_steps=1)))
    notes["end"][notes["is_drum"]] = notes["start"][notes["is_drum"]] + 0.01
    notes["program"][notes["is_drum"]] = 0
    notes = trim_overlapping_notes(notes)
    spec = data.draw(st.sampled_from([NoteSpec.NOTES, TIES]))
    decoded, report = clean_round_trip(notes, CODEC, spec, data.draw(st.sampled_from([32, 100, 256])))
    assert report == DecodeReport(0, 0)
    for name in ("pitch", "velocity", "program", "is_drum"):
        assert np.array_equal(decoded[name], notes[name])
    for name in ("start", "end"):
        np.testing.assert_allclose(decoded[name], notes[name], rtol=0, atol=1e-9)


@given(st.data())
def test_off_the_grid_times_return_within_half_a_step_and_nothing_is_invalid(random_notes, data):
    notes = trim_overlapping_notes(data.draw(random_notes(programs=(0,))))
    decoded, report = clean_round_trip(notes, CODEC, TIES, data.draw(st.sampled_from([32, 100, 256])))
    assert report == DecodeReport(0, 0)
    np.testing.assert_allclose(np.sort(decoded["start"]), np.sort(notes["start"]), rtol=0, atol=0.005 + 1e-9)


@given(
    st.lists(st.lists(st.integers(-3, 1600) | st.integers(-(2**31), 2**31 - 1), max_size=40), max_size=4),
    st.sampled_from(NoteSpec),
    st.booleans(),
    st.data(),
)
def test_no_stream_makes_decoding_raise(segments, spec, mt3_compatible, data):
    start = st.floats(0, 1e4) | st.sampled_from([0.0, 2.04])
    starts = data.draw(st.lists(start, min_size=len(segments), max_size=len(segments)))
    notes, report = decode_segments(segments, starts, CODEC, spec, mt3_compatible=mt3_compatible)
    validate_notes(notes)
    tokens = sum(len(segment) for segment in segments)
    assert 0 <= report.invalid_events + report.dropped_events <= tokens
    assert np.array_equal(notes, sort_notes(notes))


@given(
    st.lists(st.sampled_from([0, 3, 50, 1000, 1061, 1062, 1129, 1200, 1257, 1258, 1300, 1422]), max_size=60)
)
def test_likely_tokens_in_any_order_make_sound_notes(tokens):
    for mt3_compatible in (False, True):
        notes, _ = decode_segments(
            [tokens, tokens[::-1]], [0.0, 2.04], CODEC, TIES, mt3_compatible=mt3_compatible
        )
        validate_notes(notes)
        assert (notes["end"] - notes["start"] > 0.0099).all()


def test_nothing_decodes_to_no_notes():
    for segments, starts in (([], []), ([[]], [0.0])):
        notes, report = decode_segments(segments, starts, CODEC, TIES)
        assert notes.dtype == empty_notes().dtype and len(notes) == 0
        assert report == DecodeReport(0, 0)


def test_starts_must_match_the_segments_and_be_finite():
    with pytest.raises(ValueError, match="2 segments need as many start times"):
        decode_segments([[], []], [0.0], CODEC, TIES)
    with pytest.raises(ValueError, match="start_seconds must be finite, got nan"):
        decode_segments([[]], [float("nan")], CODEC, TIES)


def test_decoder_ends_a_note_that_was_taken_while_it_sounded():
    decoder = SegmentDecoder(CODEC, TIES)
    decoder.feed(indexes(("tie", 0), ("velocity", 64), ("pitch", 60)), 0.0, 2.0)
    (note,) = decoder.take_notes()
    assert note.end is None and decoder.known_until_seconds == 2.0
    decoder.feed(indexes(("pitch", 60), ("tie", 0), ("shift", 50), ("velocity", 0), ("pitch", 60)), 2.0, 4.0)
    assert note.end == 2.5 and decoder.take_notes() == []


@pytest.mark.parametrize("follows", [False, True])
def test_decoder_keeps_what_lies_past_the_next_start_until_it_is_sure_of_it(follows):
    tokens = indexes(
        ("velocity", 9), ("shift", 100), ("drum", 36), ("shift", 200), ("drum", 38), ("drum", 40)
    )
    decoder = SegmentDecoder(CODEC, NoteSpec.NOTES)
    decoder.feed(tokens, 0.0, 2.0)
    assert [note.pitch for note in decoder.take_notes()] == [36]
    assert decoder.report == DecodeReport(0, 0)
    if follows:
        decoder.feed([], 2.0, 4.0)
    decoder.finish()
    assert [note.pitch for note in decoder.take_notes()] == ([] if follows else [38, 40])
    assert decoder.report == DecodeReport(0, 3 if follows else 0)


def test_onsets_past_the_next_start_may_go_back_so_the_decoder_knows_less_then():
    decoder = SegmentDecoder(CODEC, NoteSpec.ONSETS)
    decoder.feed([], 0.0, 2.0)
    assert decoder.known_until_seconds == 2.0
    decoder.feed(indexes(("shift", 250), ("pitch", 60), ("shift", 5), ("pitch", 62)), 2.0, 4.0)
    assert decoder.known_until_seconds == 2.0
    decoder.finish()
    assert [note.start for note in decoder.take_notes()] == [4.5, 2.05]


@given(st.data(), st.sampled_from(NoteSpec), st.booleans())
def test_notes_begin_where_the_decoder_does_not_know_them_yet(data, spec, mt3_compatible):
    likely = [("tie", 0), ("velocity", 0), ("velocity", 9), ("pitch", 60), ("pitch", 61), ("drum", 36)]
    likely += [("shift", step) for step in (1, 50, 203, 204, 205, 300)]
    token = st.sampled_from(indexes(*likely))
    decoder = SegmentDecoder(CODEC, spec, mt3_compatible)
    starts = segment_start_seconds(np.arange(6) * 256, 128, 16000, 100, mt3_compatible).tolist()
    for start, next_start in itertools.pairwise(starts):
        known_until = decoder.known_until_seconds
        decoder.feed(data.draw(st.lists(token, max_size=20)), start, next_start)
        assert all(note.start >= known_until for note in decoder.take_notes())
    known_until = decoder.known_until_seconds
    decoder.finish()
    assert all(note.start >= known_until and note.end is not None for note in decoder.take_notes())


def test_decoder_refuses_segments_that_go_back():
    decoder = SegmentDecoder(CODEC, TIES)
    decoder.feed([], 2.0, 4.0)
    with pytest.raises(
        ValueError, match=r"starts at 3.0 s, but those before it reach to 4.0 s; feed segments"
    ):
        decoder.feed([], 3.0, 5.0)
    with pytest.raises(ValueError, match="start_seconds must be finite, got inf"):
        decoder.feed([], 4.0, float("inf"))
    decoder.finish()
    with pytest.raises(ValueError, match="none after the last"):
        decoder.feed([], 9.0)


def test_restrikes_merge_into_the_kept_note():
    notes = make_notes([0.0, 0.05, 0.12, 0.5], [0.04, 0.3, 0.4, 0.6], 60, [50, 90, 70, 60])
    merged = merge_restrikes(notes)
    assert merged["start"].tolist() == [0.0, 0.12, 0.5]  # 0.12 is 0.12 after the kept onset at 0.0
    assert merged["end"].tolist() == [0.3, 0.4, 0.6]
    assert merged["velocity"].tolist() == [50, 70, 60]
    assert np.array_equal(merge_restrikes(notes, 0.0), notes)
    assert len(merge_restrikes(empty_notes())) == 0


def test_only_the_same_pitch_program_and_kind_is_a_restrike():
    notes = make_notes(np.arange(4) * 0.01, 1.0, [60, 61, 60, 60], 90, [0, 0, 1, 0], [0, 0, 0, 1])
    assert np.array_equal(merge_restrikes(notes), notes)


def test_negative_gap_is_refused():
    with pytest.raises(ValueError, match="max_gap_seconds is -1"):
        merge_restrikes(empty_notes(), -1)
