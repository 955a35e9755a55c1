import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mt3x.music.instruments import Granularity
from mt3x.music.notes import empty_notes
from mt3x.music.timegrid import segment_start_seconds
from mt3x.tokens.encode import encode_segments
from mt3x.tokens.spec import NoteSpec
from mt3x.tokens.stages import (
    IndexedEvents,
    extract_segment,
    index_events,
    map_program_tokens,
    remove_redundant_state_changes,
    run_length_encode_shifts,
)
from mt3x.tokens.vocabulary import EOS_ID, VocabularyConfig, build_codec, vocabulary_from_codec

CODEC = build_codec(VocabularyConfig())
TIE = CODEC.event_type_range("tie")[0]
FIELDS = IndexedEvents.__dataclass_fields__


def test_indexed_events_equal_the_originals(golden, notes_from_rows, codec_and_spec, request):
    arrays = np.load(request.path.parents[1] / "golden" / "tokenization.npz")
    sequences = golden("tokenization.json")["sequences"]
    keys = sorted({key.rsplit(".", 1)[0] for key in arrays})
    assert len(keys) == 14
    for key in keys:
        name, config = key.split(".")
        notes = notes_from_rows(sequences[name]["ns_after_sustain"]["notes"])
        indexed = index_events(
            notes, sequences[name]["num_frames"], 128, 16000, *codec_and_spec(config), mt3_compatible=True
        )
        for field in FIELDS:
            got, want = getattr(indexed, field), arrays[f"{key}.{field}"]
            assert got.dtype == want.dtype and np.array_equal(got, want), (key, field)


def test_every_stage_of_every_segment_equals_the_originals(golden, notes_from_rows, codec_and_spec):
    data = golden("tokenization.json")
    for key, segments in data["segments"].items():
        name, config, _, granularity = key.split(".")
        codec, spec = codec_and_spec(config)
        sequence = data["sequences"][name]
        notes = notes_from_rows(sequence["ns_after_sustain"]["notes"])
        indexed = index_events(notes, sequence["num_frames"], 128, 16000, codec, spec, mt3_compatible=True)
        tie = codec.event_type_range("tie")[0] if spec.has_ties else None
        first = 0
        for segment in segments:
            last = first + segment["num_frames"] - 1
            extracted = extract_segment(indexed, first, last, tie)
            encoded = run_length_encode_shifts(
                map_program_tokens(extracted, codec, Granularity(granularity)), codec
            )
            final = remove_redundant_state_changes(encoded, codec)
            ids = [*vocabulary_from_codec(codec).encode(final), EOS_ID]
            for stage, got in (
                ("extracted", extracted),
                ("rle", encoded),
                ("final", final),
                ("encoded", ids),
            ):
                assert list(got) == segment[stage], (key, first, stage)
            first = last + 1


@given(st.data(), st.booleans())
def test_stages_and_whole_encoding_agree(random_notes, data, mt3_compatible):
    notes = data.draw(random_notes())
    spec = data.draw(st.sampled_from(NoteSpec))
    granularity = data.draw(st.sampled_from(Granularity))
    if mt3_compatible and not len(notes):
        spec = NoteSpec.NOTES
    first_frames = np.array([0, 100, 164, 420])
    indexed = index_events(notes, 500, 256, 16000, CODEC, spec, mt3_compatible)
    tie = TIE if spec.has_ties else None
    starts = segment_start_seconds(first_frames, 256, 16000, 100)
    whole = encode_segments(notes, starts, CODEC, spec, granularity, mt3_compatible=mt3_compatible)
    for first, last, want in zip(first_frames, [99, 163, 419, 499], whole, strict=True):
        got = map_program_tokens(extract_segment(indexed, first, last, tie), CODEC, granularity)
        got = remove_redundant_state_changes(run_length_encode_shifts(got, CODEC), CODEC)
        assert got.tolist() == want.tolist()


def test_a_recording_without_notes_has_shifts_and_by_default_one_tie():
    indexed = index_events(empty_notes(), 10, 128, 16000, CODEC, NoteSpec.NOTES_WITH_TIES)
    assert indexed.events.tolist() == [1] * 8
    assert extract_segment(indexed, 5, 9, TIE).tolist() == [TIE, 1, 1, 1, 1]
    stale = index_events(empty_notes(), 10, 128, 16000, CODEC, NoteSpec.NOTES_WITH_TIES, mt3_compatible=True)
    with pytest.raises(ValueError, match="these events hold no ties"):
        extract_segment(stale, 5, 9, TIE)


def test_long_waits_are_counted_in_parts():
    assert run_length_encode_shifts(np.array([1] * 2300 + [1061]), CODEC).tolist() == [1000, 1000, 300, 1061]
    assert run_length_encode_shifts(np.array([1, 1]), CODEC).tolist() == []


def test_only_the_types_asked_for_lose_their_repeats():
    program, velocity = (CODEC.event_type_range(name)[0] for name in ("program", "velocity"))
    tokens = np.array(
        [program, velocity, 1061, program, velocity, 1062, program + 1, program, velocity + 1, 1063]
    )
    assert remove_redundant_state_changes(tokens, CODEC).tolist() == [
        program, velocity, 1061, 1062, program + 1, program, velocity + 1, 1063
    ]  # fmt: skip
    only_program = remove_redundant_state_changes(tokens, CODEC, ["program"])
    assert only_program.tolist().count(velocity) == 2


def test_a_recording_without_frames_is_refused():
    with pytest.raises(ValueError, match="num_frames is 0"):
        index_events(empty_notes(), 0, 128, 16000, CODEC, NoteSpec.NOTES)
