"""Settings of either kind, from JSON and with a user's options."""

import pytest

from mt3x.transcription.config import config_from_json
from mt3x.transcription.frames.config import FrameConfig
from mt3x.transcription.tokens.config import TranscriptionConfig


@pytest.mark.parametrize("config", [FrameConfig(merge_seconds=0.1), TranscriptionConfig(search="grammar")])
def test_settings_of_either_kind_come_back_from_json(config):
    assert config_from_json(config.to_json()) == config


def test_what_is_no_settings_is_refused_with_its_source():
    with pytest.raises(ValueError, match="^model/config.json: "):
        config_from_json("{", "model/config.json")


def test_options_that_are_not_given_change_nothing():
    assert FrameConfig().with_options("mine") == FrameConfig()
    assert TranscriptionConfig().with_options("mine") == TranscriptionConfig()


def test_options_replace_what_each_kind_calls_so():
    frames = FrameConfig().with_options("mine", merge_restrikes_seconds=0.2, instruments=(40,))
    assert frames == FrameConfig(merge_seconds=0.2, instruments=(40,))
    tokens = TranscriptionConfig().with_options("mine", "beam", 0.2, (40,))
    assert tokens == TranscriptionConfig(search="beam", merge_restrikes_seconds=0.2, instruments=(40,))


def test_a_search_is_refused_where_no_tokens_are_written():
    with pytest.raises(ValueError, match="search is 'beam', but mine writes no tokens to search among"):
        FrameConfig().with_options("mine", "beam")
