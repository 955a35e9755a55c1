import numpy as np
import pytest

from mt3x.tokens.vocabulary import (
    DECODED_EOS_ID,
    DECODED_INVALID_ID,
    VocabularyConfig,
    bin_to_velocity,
    build_codec,
    num_embeddings,
    num_velocity_bins_from_codec,
    trim_eos,
    velocity_to_bin,
    vocabulary_from_codec,
)


@pytest.mark.parametrize(("name", "num_bins"), [("vel1", 1), ("vel127", 127)])
def test_sizes_ranges_and_velocity_tables_equal_the_originals(golden, name, num_bins):
    want = golden("tokenization.json")["configs"][name]
    codec = build_codec(VocabularyConfig(num_velocity_bins=num_bins))
    vocabulary = vocabulary_from_codec(codec)
    assert codec.num_classes == want["num_classes"]
    assert codec.max_shift_steps == want["max_shift_steps"]
    assert codec.steps_per_second == want["steps_per_second"]
    assert num_velocity_bins_from_codec(codec) == num_bins
    for event_type, first_and_last in want["ranges"].items():
        assert codec.event_type_range(event_type) == tuple(first_and_last)
    assert vocabulary.vocab_size == want["vocab_size"]
    assert num_embeddings(vocabulary) == want["num_embeddings"]
    assert velocity_to_bin(np.arange(128), num_bins).tolist() == want["velocity_to_bin"]
    assert bin_to_velocity(np.arange(num_bins + 1), num_bins).tolist() == want["bin_to_velocity"]


@pytest.mark.parametrize("name", ["vel1", "vel127"])
def test_decoded_ids_equal_the_originals(golden, codec_and_spec, name):
    want = golden("decoding.json")["vocab_decode"][name]
    vocabulary = vocabulary_from_codec(codec_and_spec(name)[0])
    decoded = vocabulary.decode(want["ids"])
    assert decoded.tolist() == want["decode_tf"]
    assert trim_eos(decoded).tolist() == want["trim"]
    assert vocabulary.decode(want["ids2"]).tolist() == want["decode_tf2"]


def test_every_index_survives_encoding_and_decoding():
    vocabulary = vocabulary_from_codec(build_codec(VocabularyConfig()))
    indexes = np.arange(vocabulary.num_indexes)
    assert np.array_equal(vocabulary.decode(vocabulary.encode(indexes)), indexes)


def test_batches_end_row_by_row():
    vocabulary = vocabulary_from_codec(build_codec(VocabularyConfig()))
    decoded = vocabulary.decode([[3, 1, 4], [0, 5, 2_000_000]])
    assert decoded.tolist() == [
        [0, DECODED_EOS_ID, DECODED_EOS_ID],
        [DECODED_INVALID_ID, 2, DECODED_INVALID_ID],
    ]


def test_tokens_without_an_end_are_kept_whole():
    assert trim_eos([5, DECODED_INVALID_ID, 7]).tolist() == [5, DECODED_INVALID_ID, 7]


@pytest.mark.parametrize("index", [-1, 1388])
def test_index_outside_the_codec_is_refused(index):
    with pytest.raises(ValueError, match=f"index {index} does not exist; indexes are 0..1387"):
        vocabulary_from_codec(build_codec(VocabularyConfig())).encode([0, index])


@pytest.mark.parametrize(
    "fields", [{"steps_per_second": 0}, {"max_shift_seconds": 0}, {"num_velocity_bins": 0}]
)
def test_sizes_must_be_positive(fields):
    with pytest.raises(ValueError, match=f"{next(iter(fields))} is 0"):
        VocabularyConfig(**fields)


def test_more_bins_than_velocities_are_refused():
    with pytest.raises(ValueError, match="must be within 1..127"):
        VocabularyConfig(num_velocity_bins=128)


def test_abbreviation_names_what_differs_from_the_original_default():
    assert VocabularyConfig(num_velocity_bins=127).abbrev_str == ""
    assert VocabularyConfig(steps_per_second=50, max_shift_seconds=5).abbrev_str == "ss50ms5vb1"
