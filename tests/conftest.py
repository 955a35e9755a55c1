"""Settings for every test: JAX on the CPU, strict in dtype and rank promotion; and small networks to run.

What JAX compiles is kept for the next run, below the user's cache folder; `--fresh-cache` starts without.
"""

import hashlib
import os
import platform
import shutil
import tempfile
from pathlib import Path

os.environ.setdefault("JAX_PLATFORMS", "cpu")

import jax
import numpy as np
import pytest
from hypothesis import settings

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

# Of properties, a run tries few examples, other ones each time; `--hypothesis-profile=thorough` tries many.
settings.register_profile("few", max_examples=30, deadline=None)
settings.register_profile("thorough", max_examples=1000, deadline=None)
settings.load_profile("few")

TEMPORARY = pytest.StashKey[str]()
MAX_KEPT_BYTES = 1 << 30
"""Above it, what earlier runs compiled is thrown away."""


def pytest_addoption(parser):
    parser.addoption("--fresh-cache", action="store_true", help="use nothing that earlier runs compiled")


def pytest_configure(config):
    """Gives this process, and all that it starts, the folders for what is kept."""
    if hasattr(config, "workerinput"):  # a worker of pytest-xdist has the environment of its parent
        return
    kept, config.stash[TEMPORARY] = compilations_folder(), tempfile.mkdtemp(prefix="mt3x-caches-")
    os.environ["XDG_CACHE_HOME"] = config.stash[TEMPORARY]
    if config.getoption("--fresh-cache"):
        kept = Path(config.stash[TEMPORARY], "compiled")
    elif kept.exists() and sum(file.stat().st_size for file in os.scandir(kept)) > MAX_KEPT_BYTES:
        shutil.rmtree(kept)
    for name, value in (
        ("compilation_cache_dir", str(kept)),
        ("persistent_cache_min_compile_time_secs", 0.0),
    ):
        os.environ[f"JAX_{name.upper()}"] = str(value)
        jax.config.update(f"jax_{name}", value)


def pytest_unconfigure(config):
    if TEMPORARY in config.stash:
        shutil.rmtree(config.stash[TEMPORARY], ignore_errors=True)


def compilations_folder() -> Path:
    """One for each version of JAX and each kind of processor: compiled programs may hold its instructions."""
    caches = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    processor = platform.machine() + platform.processor()
    if (cpuinfo := Path("/proc/cpuinfo")).exists():
        lines = cpuinfo.read_text(encoding="utf-8").splitlines()
        processor += "".join(
            sorted({line for line in lines if line.startswith(("model", "flags", "Features"))})
        )
    name = f"jax{jax.__version__}-{hashlib.sha256(processor.encode()).hexdigest()[:12]}"
    return caches / "mt3x-tests" / name


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
