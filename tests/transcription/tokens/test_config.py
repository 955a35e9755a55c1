"""What is stored beside weights: there and back, and what cannot be."""

import dataclasses
import json

import pytest

from mt3x.audio.logmel import SpectrogramConfig
from mt3x.model.config import SMALL, TransformerConfig
from mt3x.music.instruments import Granularity
from mt3x.tokens.spec import NoteSpec
from mt3x.tokens.vocabulary import VocabularyConfig
from mt3x.transcription.tokens.config import PRESETS, TranscriptionConfig, transcription_config

UNUSUAL = TranscriptionConfig(
    spectrogram=SpectrogramConfig(hop_width=256, log_floor=1e-5, input_offset=3.0, input_scale=1 / 3),
    vocabulary=VocabularyConfig(num_velocity_bins=127),
    spec=NoteSpec.NOTES,
    granularity=Granularity.MIDI_CLASS,
    network=TransformerConfig(vocab_size=1664, emb_dim=160, dropout_rate=0.0, mlp_activations=("relu",)),
    segment_frames=125,
    max_target_length=256,
    search="beam",
    beam_size=4,
    merge_restrikes_seconds=0.1,
    instruments=(0, 128),
)


@pytest.mark.parametrize("config", [UNUSUAL, *PRESETS.values()], ids=["unusual", *PRESETS])
def test_a_configuration_comes_back_from_json_as_it_was(config):
    assert TranscriptionConfig.from_json(config.to_json()) == config


def test_json_names_choices_by_their_words():
    stored = json.loads(UNUSUAL.to_json())
    assert (stored["spec"], stored["granularity"], stored["search"]) == ("notes", "midi_class", "beam")


def test_absent_fields_keep_their_defaults():
    assert TranscriptionConfig.from_json("{}") == TranscriptionConfig()
    config = TranscriptionConfig.from_json('{"spectrogram": {"hop_width": 256}}')
    assert config.spectrogram == SpectrogramConfig(hop_width=256)


def test_presets_are_those_of_the_released_models():
    mt3, ismir2021 = PRESETS["mt3"], PRESETS["ismir2021"]
    assert (mt3.segment_frames, mt3.network.vocab_size, mt3.spec) == (256, 1536, NoteSpec.NOTES_WITH_TIES)
    assert (ismir2021.segment_frames, ismir2021.network.vocab_size, ismir2021.spec) == (
        512,
        1664,
        NoteSpec.NOTES,
    )
    assert ismir2021.vocabulary.num_velocity_bins == 127
    assert mt3.spectrogram == ismir2021.spectrogram == SpectrogramConfig()
    assert mt3.search == ismir2021.search == "beam"


def test_a_segment_has_its_length_in_samples_and_seconds():
    assert (UNUSUAL.segment_samples, UNUSUAL.segment_seconds) == (32000, 2.0)
    assert PRESETS["mt3"].segment_seconds == 2.048


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"segment_frames": 0}, "segment_frames is 0; it must be at least 1"),
        ({"max_target_length": -1}, "max_target_length is -1; it must be at least 1"),
        ({"beam_size": 0}, "beam_size is 0; it must be at least 1"),
        ({"merge_restrikes_seconds": -1.0}, "merge_restrikes_seconds is -1.0; it must be 0 or more, and 0"),
        ({"merge_restrikes_seconds": float("nan")}, "merge_restrikes_seconds is nan; it must be 0 or more"),
        ({"instruments": (0, 129)}, "instruments has 129; it may hold 0 to 127, and 128 for drums"),
        ({"search": "best"}, "search is 'best'; choose one of greedy, grammar, beam"),
        (
            {"network": dataclasses.replace(SMALL, vocab_size=1664)},
            "the network has 1664 token embeddings, but its vocabulary needs 1536; set",
        ),
    ],
)
def test_a_configuration_that_cannot_work_is_refused(changes, message):
    with pytest.raises(ValueError, match=message):
        TranscriptionConfig(**changes)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", "here: Expecting property name"),
        ("3", "here: expected an object with the fields of TranscriptionConfig, got 3"),
        ('{"spectrogram": 5}', "here: expected an object with the fields of SpectrogramConfig, got 5"),
        ('{"hop": 5}', "here: TranscriptionConfig has no field 'hop'; its fields are spectrogram, "),
        ('{"network": {"depth": 5}}', "here: TransformerConfig has no field 'depth'; its fields are vocab"),
        ('{"spec": "chords"}', "here: 'chords' is not a valid NoteSpec"),
        ('{"segment_frames": "many"}', "here: .*'>=' not supported"),
        ('{"segment_frames": 0}', "here: segment_frames is 0"),
    ],
)
def test_json_that_is_no_configuration_is_refused_with_its_source(text, message):
    with pytest.raises(ValueError, match=message):
        TranscriptionConfig.from_json(text, "here")


def test_settings_of_gin_files_decide_on_beams():
    lengths = {"inputs": 256, "targets": 1024}
    config = transcription_config(
        SMALL, SpectrogramConfig(), lengths, 1, "full", False, True, search="beam", beam_size=4
    )
    assert config == TranscriptionConfig(search="beam", beam_size=4)
