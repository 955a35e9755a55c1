"""Which old token's weights a new token takes, by hand."""

import dataclasses

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mt3x.checkpoints import unflatten
from mt3x.model.config import TransformerConfig
from mt3x.music.instruments import Granularity
from mt3x.tokens.vocabulary import VocabularyConfig, build_codec, num_embeddings, vocabulary_from_codec
from mt3x.training.vocabulary_mapping import FRESH, old_ids, with_vocabulary
from mt3x.transcription.tokens.config import TranscriptionConfig
from mt3x.transcription.tokens.parameters import parameter_shapes
from mt3x.transcription.transcriber import Transcriber


def config_of(*vocabulary, granularity=Granularity.FULL):
    """A configuration with a vocabulary of (steps a second, seconds, velocity bins)."""
    vocabulary = VocabularyConfig(*vocabulary)
    rows = num_embeddings(vocabulary_from_codec(build_codec(vocabulary)))
    network = TransformerConfig(vocab_size=rows)
    return TranscriptionConfig(vocabulary=vocabulary, network=network, granularity=granularity)


# Ids of (2, 2, 1): special 0..2, shifts 3..7, pitches 8..135, velocities 136 and 137, the tie 138, programs
# 139..266, drums 267..394, of no meaning 395..511.
OLD = config_of(2, 2, 1)


def test_events_of_another_vocabulary_take_the_ids_of_those_that_mean_the_same():
    # Shifts 3..11, pitches 12..139, velocities 140..142, the tie 143, programs 144..271, drums 272..399.
    ids = old_ids(OLD, config_of(4, 2, 2))
    assert ids[:3].tolist() == [0, 1, 2]
    # 0, 0.25, ... 2 s in steps of 0.5 s; halves go to the even step.
    assert ids[3:12].tolist() == [3, 3, 4, 5, 5, 5, 6, 7, 7]
    assert ids[12 + 60] == 8 + 60
    assert ids[140:143].tolist() == [136, 137, 137]
    assert ids[143] == 138
    assert ids[144 + 25] == 139 + 25
    assert ids[272 + 36] == 267 + 36
    assert ids[400:].tolist() == list(range(395, 395 + 112))
    assert ids.shape == (512,) and ids.dtype == np.int32


def test_shifts_longer_than_the_old_ones_have_no_old_id():
    # 18 shifts more, of which those of 0 to 2 s were there; 640 rows, of which 227 mean nothing.
    ids = old_ids(OLD, config_of(2, 11, 1))
    assert ids[3:26].tolist() == [3, 4, 5, 6, 7] + [FRESH] * 18
    assert ids[26:154].tolist() == list(range(8, 136))
    # There were only 117 of no meaning: the last serves again.
    assert ids[413:].tolist() == [*range(395, 512), *[511] * 110]


def test_one_velocity_bin_takes_the_weights_of_a_middle_velocity():
    old, new = config_of(2, 2, 127), config_of(2, 2, 1)
    assert old_ids(old, new)[136:138].tolist() == [136 + 0, 136 + 64]
    # The other way all bins, whatever they hold, were the one.
    assert old_ids(new, old)[136:264].tolist() == [136, *[137] * 127]


def test_programs_that_no_token_stood_for_take_the_ids_of_their_class():
    by_class = dataclasses.replace(OLD, granularity=Granularity.MIDI_CLASS)
    assert old_ids(by_class, OLD)[139:].tolist()[:18] == [*[139] * 8, *[147] * 8, 155, 155]
    assert old_ids(OLD, by_class)[139:267].tolist() == list(range(139, 267))


@given(st.integers(1, 200), st.integers(1, 12), st.integers(1, 127), st.sampled_from(Granularity))
def test_the_same_vocabulary_changes_nothing(steps, seconds, bins, granularity):
    config = config_of(steps, seconds, bins, granularity=granularity)
    assert (old_ids(config, config) == np.arange(config.network.vocab_size)).all()


@given(st.integers(1, 100), st.integers(1, 5), st.integers(1, 63), st.integers(1, 2))
def test_a_finer_vocabulary_and_back_changes_nothing(steps, seconds, bins, factor):
    coarse, fine = config_of(steps, seconds, bins), config_of(steps * factor, seconds + 1, bins * factor)
    there, back = old_ids(coarse, fine), old_ids(fine, coarse)
    events = slice(3, 3 + build_codec(coarse.vocabulary).num_classes)
    assert (there[back[events]] == np.arange(len(back))[events]).all()


@pytest.mark.parametrize("has_logits_layer", [True, False])
def test_rows_and_columns_follow_the_ids_and_nothing_else_does(has_logits_layer):
    embedding = np.array([[0.0, 1.0], [2.0, 3.0], [4.0, 5.0]])
    decoder = {"token_embedder": {"embedding": embedding}, "norm": {"scale": np.ones(2)}}
    fresh_decoder = {"token_embedder": {"embedding": np.full((4, 2), 9.0)}, "norm": {"scale": np.zeros(2)}}
    if has_logits_layer:
        decoder["logits_dense"] = {"kernel": embedding.T * 10}
        fresh_decoder["logits_dense"] = {"kernel": np.full((2, 4), 8.0)}
    ids = np.array([0, 2, FRESH, 2])
    found = with_vocabulary({"decoder": decoder}, {"decoder": fresh_decoder}, ids)["decoder"]
    assert found["token_embedder"]["embedding"].tolist() == [[0, 1], [4, 5], [9, 9], [4, 5]]
    assert found["norm"]["scale"].tolist() == [1, 1]
    assert ("logits_dense" in found) == has_logits_layer
    if has_logits_layer:
        assert found["logits_dense"]["kernel"].tolist() == [[0, 40, 8, 40], [10, 50, 8, 50]]
    assert decoder["token_embedder"]["embedding"] is embedding and embedding[1, 0] == 2


def test_a_network_writes_the_same_notes_in_another_vocabulary_before_any_training(small_model):
    config, params = small_model
    other = config_of(100, 12, 127)
    other = dataclasses.replace(
        config,
        vocabulary=other.vocabulary,
        network=dataclasses.replace(config.network, vocab_size=other.network.vocab_size),
    )
    silent = unflatten({name: np.zeros(shape) for name, shape in parameter_shapes(other.network).items()})
    mapped = with_vocabulary(params, silent, old_ids(config, other))
    hertz = np.repeat(np.exp(np.random.default_rng(1).uniform(4, 8, 10)), 3200)
    samples = (0.3 * np.sin(2 * np.pi * np.cumsum(hertz) / 16_000)).astype(np.float32)
    notes, found = (
        Transcriber(*model, batch_size=4).transcribe(samples, 16_000).notes
        for model in ((config, params), (other, mapped))
    )
    assert len(notes) > 5
    for field in ("start", "end", "pitch", "program", "is_drum"):
        np.testing.assert_array_equal(found[field], notes[field])
