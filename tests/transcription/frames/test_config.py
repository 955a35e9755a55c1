"""What is stored beside the weights of a frame recogniser: there and back, and what is refused."""

import json

import pytest

from mt3x.audio.logfrequency import SpectraConfig
from mt3x.model.trunk import TrunkConfig
from mt3x.music.instruments import DRUMS
from mt3x.transcription.frames.config import FrameConfig, Thresholds, is_frame_config
from mt3x.transcription.tokens.config import TranscriptionConfig


def test_json_comes_back_equal():
    config = FrameConfig(
        spectra=SpectraConfig(hop_samples=128, rows=90, log_floor=1e-4),
        network=TrunkConfig(channels=8, drum_channels=(4, 5)),
        thresholds=Thresholds(onset=0.3, cymbal=0.7),
        segment_frames=64,
        num_candidates=12,
        instruments=(0, 40, DRUMS),
    )
    assert FrameConfig.from_json(config.to_json()) == config != FrameConfig()
    assert FrameConfig.from_json(FrameConfig().to_json()) == FrameConfig()


def test_absent_fields_keep_their_defaults():
    text = json.dumps({"kind": "frames", "network": {"channels": 8}, "num_candidates": 5})
    assert FrameConfig.from_json(text) == FrameConfig(network=TrunkConfig(channels=8), num_candidates=5)
    assert FrameConfig.from_json(text).network.pedal_width == 0  # weights that were written before the head


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('{"kind": "frames", "colour": 1}', "model/config.json: .*unexpected keyword argument 'colour'"),
        ('{"kind": "frames", "network": {"depth": 1}}', "model/config.json: .*argument 'depth'"),
        ('{"kind": "frames", "spectra": {"rows": 1}}', "model/config.json: rows is 1"),
        ('{"kind": "frames", "spectra": 1}', "model/config.json: "),
        ("{}", "model/config.json: kind is None; a frame recogniser's is 'frames'"),
        ('{"kind": "words"}', "model/config.json: kind is 'words'; a frame recogniser's is 'frames'"),
        ("[1]", "model/config.json: "),
        ("{", "model/config.json: "),
    ],
)
def test_what_is_no_such_configuration_is_refused_with_its_source(text, message):
    with pytest.raises(ValueError, match=message):
        FrameConfig.from_json(text, "model/config.json")


def test_the_kind_tells_frame_recognisers_from_models_that_write_tokens():
    assert is_frame_config(FrameConfig().to_json())
    assert not is_frame_config(TranscriptionConfig().to_json())
    assert not any(is_frame_config(text) for text in ("", "[]", '"frames"', '{"kind": "other"}'))


def test_instruments_say_which_programs_and_whether_drums_may_play():
    assert FrameConfig().programs == tuple(range(128)) and FrameConfig().has_drums
    assert FrameConfig(instruments=(40, 0)).programs == (40, 0)
    assert not FrameConfig(instruments=(40, 0)).has_drums
    only_drums = FrameConfig(instruments=(DRUMS,))
    assert only_drums.programs == () and only_drums.has_drums


def test_a_segment_has_frames_samples_and_seconds_that_fit():
    config = FrameConfig()
    assert config.segment_samples == 128 * 256 and config.segment_seconds == 2.048


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"segment_frames": 14}, "segment_frames is 14; it must be even, at least 16"),
        ({"segment_frames": 33}, "segment_frames is 33; it must be even, at least 16"),
        ({"lead_frames": -1}, "lead_frames is -1, tail_frames 16; they must be at least 0"),
        ({"tail_frames": -2}, "lead_frames is 12, tail_frames -2; they must be at least 0"),
        ({"segment_frames": 28}, "are 28 together; they must be fewer than segment_frames, 28"),
        ({"num_candidates": 0}, "num_candidates is 0; it must be from 1 to"),
        ({"merge_seconds": -0.1}, "merge_seconds is -0.1; it must be at least 0"),
        ({"merge_seconds": float("nan")}, "merge_seconds is nan; it must be at least 0"),
        ({"instruments": (129,)}, "instruments has 129; it may hold 0 to 127, and 128 for drums"),
        ({"instruments": (-1,)}, "instruments has -1; it may hold 0 to 127"),
    ],
)
def test_impossible_values_are_refused(change, message):
    with pytest.raises(ValueError, match=message):
        FrameConfig(**change)


@pytest.mark.parametrize("name", ["onset", "note", "active", "offset", "kick", "snare", "cymbal", "drum"])
@pytest.mark.parametrize("value", [0.0, 1.0, float("nan")])
def test_a_threshold_that_is_no_probability_is_refused(name, value):
    with pytest.raises(ValueError, match=f"thresholds.{name} is {value}; it must lie between 0 and 1"):
        Thresholds(**{name: value})
