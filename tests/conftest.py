"""Settings for every test: JAX on the CPU, strict in dtype and rank promotion; and small networks to run."""

import os
import shutil
import tempfile

os.environ.setdefault("JAX_PLATFORMS", "cpu")
# Commands keep what they compile in the user's cache folder: for tests one of their own, which those that
# start commands share.
os.environ["XDG_CACHE_HOME"] = tempfile.mkdtemp(prefix="mt3x-caches-")

import jax
import numpy as np
import pytest

from mt3x.audio.logmel import SpectrogramConfig
from mt3x.checkpoints import CONFIG_FILE, unflatten, write_t5x
from mt3x.model.config import TransformerConfig
from mt3x.model.trunk import TrunkConfig
from mt3x.tokens.codec import Event
from mt3x.tokens.vocabulary import EOS_ID, NUM_SPECIAL_IDS, build_codec
from mt3x.transcription.frames.config import FrameConfig
from mt3x.transcription.tokens.config import TranscriptionConfig
from mt3x.transcription.tokens.parameters import parameter_shapes

jax.config.update("jax_numpy_dtype_promotion", "strict")
jax.config.update("jax_numpy_rank_promotion", "raise")


def pytest_unconfigure():
    shutil.rmtree(os.environ["XDG_CACHE_HOME"], ignore_errors=True)


@pytest.fixture(scope="session")
def small_model():
    """(config, params) of a small network that writes tokens of every kind, by chance."""
    config = TranscriptionConfig(
        spectrogram=SpectrogramConfig(hop_width=256, log_floor=1e-5, input_offset=3.0, input_scale=1 / 3),
        network=TransformerConfig(
            emb_dim=32, num_heads=2, head_dim=16, mlp_dim=32, num_encoder_layers=1, num_decoder_layers=1
        ),
        segment_frames=32,
        max_target_length=16,
    )
    random = np.random.default_rng(3)
    params = unflatten(
        {
            name: np.ones(shape, np.float32)
            if name.endswith("scale")
            else (random.standard_normal(shape) / shape[0] ** 0.5).astype(np.float32)
            for name, shape in parameter_shapes(config.network).items()
        }
    )
    # A sentence of eleven places: the token before tells the place, the sound chooses one of its tokens.
    codec = build_codec(config.vocabulary)
    sentence = [("start", [0]), ("tie", [0]), ("shift", [0, 2, 4]), ("pitch", [60, 62, 64, 65])]
    sentence += [("shift", [8, 10, 12]), ("program", [24, 40]), ("pitch", [70, 72, 74, 76])]
    sentence += [
        ("shift", [20, 24, 28]),
        ("drum", [36, 38, 42]),
        ("shift", [32, 36, 40]),
        ("pitch", [50, 52]),
    ]
    places = [
        [NUM_SPECIAL_IDS + codec.encode_event(Event(kind, value)) for value in values if kind != "start"]
        or [0]
        for kind, values in sentence
    ]
    known = sorted(token for place in places for token in place)
    codes = np.linalg.qr(random.standard_normal((32, 32)))[0][: len(known)]  # [tokens, D], orthonormal
    decoder = params["decoder"]
    decoder["token_embedder"]["embedding"][known] = 20.0 * codes
    decoder["layers_0"]["encoder_decoder_attention"]["out"]["kernel"] *= 3.0
    kernel = decoder["logits_dense"]["kernel"]
    kernel[:, np.setdiff1d(np.arange(len(kernel.T)), [*known, EOS_ID])] = 0.0
    for before, after in zip(places, [*places[1:], [EOS_ID]], strict=True):
        kernel[:, after] += codes[np.searchsorted(known, before)].sum(axis=0)[:, np.newaxis]
    kernel[:, EOS_ID] += 0.5 * codes[np.searchsorted(known, places[8])].sum(axis=0)
    return config, params


@pytest.fixture(scope="session")
def small_model_folder(small_model, tmp_path_factory):
    """The small network as a checkpoint: a T5X file with everything inside, and config.json."""
    config, params = small_model
    folder = tmp_path_factory.mktemp("model") / "small"
    write_t5x(folder, params, step=1, inline=True)
    (folder / CONFIG_FILE).write_text(config.to_json())
    return folder


@pytest.fixture(scope="session")
def tiny_config() -> FrameConfig:
    """A frame recogniser so small that it compiles in seconds."""
    network = TrunkConfig(
        channels=4,
        num_blocks=1,
        patch_channels=4,
        recurrent_channels=3,
        roll_width=8,
        note_width=8,
        drum_channels=(2, 3),
        drum_width=4,
    )
    return FrameConfig(network=network, segment_frames=16, lead_frames=2, tail_frames=2, num_candidates=6)


@pytest.fixture(scope="session")
def guessing_params(tiny_config):
    """Weights of `tiny_config` that take much for notes and drum hits: fresh ones would take nothing."""
    from mt3x.training.config import TrainConfig
    from mt3x.training.initialization import starting_shapes

    random = np.random.default_rng(0)
    shapes = starting_shapes(tiny_config, TrainConfig())["network"]
    return jax.tree.map(lambda x: random.normal(0, 0.5, x.shape).astype(np.float32), shapes)


def note_columns(*segments, places=4):
    """A batch's note columns from (start, end, pitch, velocity, program, is_drum) rows of each segment."""
    padding = (0.0, 0.0, -1, 0, 0, False)
    rows = [[*notes, *[padding] * (places - len(notes))] for notes in segments]
    names = ("start", "end", "pitch", "velocity", "program", "is_drum")
    types = (np.float32, np.float32, np.int32, np.int32, np.int32, bool)
    return {
        f"note_{name}": np.array([[row[index] for row in notes] for notes in rows], kind)
        for index, (name, kind) in enumerate(zip(names, types, strict=True))
    }


@pytest.fixture(scope="session")
def make_note_columns():
    return note_columns


@pytest.fixture(scope="session")
def tiny_batch(tiny_config):
    """Two segments of 0.256 s: a tone with a drum hit in noise, and a tone."""
    seconds = np.arange(tiny_config.segment_samples) / tiny_config.sample_rate
    random = np.random.default_rng(0)
    samples = [
        0.2 * np.sin(2 * np.pi * hz * seconds) * (seconds >= start) for hz, start in ((440, 0.1), (660, 0.05))
    ]
    hit = 0.3 * random.standard_normal(len(seconds)) * ((seconds >= 0.15) & (seconds < 0.17))
    return {
        "samples": np.stack([samples[0] + hit, samples[1]]).astype(np.float32),
        "num_frames": np.full(2, tiny_config.segment_frames, np.int32),
        **note_columns(
            [(0.1, 0.3, 69, 100, 0, False), (0.15, 0.2, 38, 90, 0, True)],
            [(0.05, 0.3, 76, 60, 73, False)],
        ),
    }
