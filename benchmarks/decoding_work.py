"""What benchmarks/transcribe.py gives to the engine: music, a network without training, stops, and a watch.

    python benchmarks/decoding_work.py RECORDING FOLDER

transcribes a recording with the network in FOLDER, stops forced: what cold start and memory are measured of.

The music is drawn and its sound added up here, from one seed. Weights of MT3's `small` sizes follow the rule
of tests/golden/small_params_spec.json. Such a network never ends a segment on its own account, so ends are
forced, in segment s at the s-th of the stored lengths, the end id included: those are the lengths of the
target ids of the first ten minutes of this music (MT3's vocabulary, segments of 2.048 s). The seed is one
whose first eight, thirty and 293 lengths have means near 150 (155, 150, 151).

Forced means: the end id's logit is the least of all, but at the stop, where it exceeds the greatest by
`END_MARGIN`. The margin is as large as a confident network's would come to: after it T5X's beam search, which
goes on until no other end can win, takes about twice the steps of greedy search.
"""

import functools
import json
import sys
import zlib
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import soundfile
from jax.experimental import io_callback
from step_costs import training_flops

from mt3x.data.random_music import RandomMusicSettings, draw_random_music
from mt3x.model.search import Policy
from mt3x.runtime.checkpoints import CONFIG_FILE, unflatten, write_t5x
from mt3x.runtime.engine import Segment
from mt3x.runtime.models import parameter_shapes
from mt3x.runtime.presets import TranscriptionConfig
from mt3x.runtime.transcriber import Transcriber, load
from mt3x.tokens.vocabulary import EOS_ID

SEED, SAMPLE_RATE, EXCERPT_SECONDS = 3, 16_000, 6.144
MUSIC = RandomMusicSettings(drums_probability=0.3)
LENGTHS = Path(__file__).with_name("segment_lengths.json")
END_MARGIN, FORBIDDEN = 700.0, -1e9
NUM_HARMONICS, HIGHEST_HERTZ = 8, 7600.0
PIECE_SECONDS = 600.0
ELEMENT_BYTES = {"float32": 4, "bfloat16": 2, "int8": 1}
CACHE_BYTES = {**ELEMENT_BYTES, "int8": 2}
"""In int8 only weights are so: keys and values as in bfloat16."""


def draw_music(seconds: float) -> np.ndarray:
    """Excerpts of random music one after the other, sorted notes; the first seconds of longer music."""
    excerpts = []
    for number in range(int(np.ceil(seconds / EXCERPT_SECONDS))):
        notes = draw_random_music(np.random.default_rng((SEED, number)), EXCERPT_SECONDS, MUSIC)
        for name in ("start", "end"):
            notes[name] = np.minimum(notes[name], EXCERPT_SECONDS) + number * EXCERPT_SECONDS
        excerpts.append(notes)
    notes = np.concatenate(excerpts)
    return notes[notes["start"] < seconds]


def render(notes: np.ndarray, seconds: float) -> np.ndarray:
    """Notes as sums of sines, drums as bursts of noise: float32 [N] at `SAMPLE_RATE`, peak 0.5."""
    samples = np.zeros(round(seconds * SAMPLE_RATE), np.float32)
    rng = np.random.default_rng(SEED)
    for note in notes:
        begin, end = (round(float(note[name]) * SAMPLE_RATE) for name in ("start", "end"))
        sound = _hit(note, rng) if note["is_drum"] else _tone(note, end - begin)
        sound = sound[: len(samples) - begin]
        samples[begin : begin + len(sound)] += sound
    return samples * np.float32(0.5 / max(float(np.abs(samples).max()), 1e-9))


def _hit(note: np.void, rng: np.random.Generator) -> np.ndarray:
    times = np.arange(SAMPLE_RATE // 5) / SAMPLE_RATE
    decay = np.exp(-times * (10 + note["pitch"] / 2))
    return (note["velocity"] / 127 * decay * rng.normal(0, 0.5, len(times))).astype(np.float32)


def _tone(note: np.void, length: int) -> np.ndarray:
    """Every program has harmonics of its own; the first six families of General MIDI decay."""
    timbre = np.random.default_rng((SEED, int(note["program"]))).uniform(0.2, 1, NUM_HARMONICS)
    hertz = 440 * 2 ** ((int(note["pitch"]) - 69) / 12) * np.arange(1, NUM_HARMONICS + 1)
    hertz = hertz[hertz < HIGHEST_HERTZ]
    times = (np.arange(length + SAMPLE_RATE // 20) / SAMPLE_RATE).astype(np.float32)
    waves = np.sin(2 * np.pi * hertz[:, np.newaxis].astype(np.float32) * times)  # [harmonics, N]
    sound = (timbre[: len(hertz)] / np.arange(1, len(hertz) + 1)).astype(np.float32) @ waves
    fade = np.clip((times[-1] - times) / 0.05, 0, 1) * np.clip(times / 0.005, 0, 1)
    decay = np.exp(-2 * times) if note["program"] < 48 else 1.0
    return note["velocity"] / 127 * sound * fade * decay


def rule_filled(config: TranscriptionConfig) -> dict[str, np.ndarray]:
    """Weights of a network by flat name, float32, as the rule of small_params_spec.json fills them."""
    arrays = {}
    for name, shape in parameter_shapes(config.network).items():
        noise = np.random.RandomState(zlib.crc32(name.encode())).randn(*shape)
        if name.endswith("scale"):
            noise = 1 + 0.1 * noise
        elif not name.endswith("embedding"):
            noise /= np.sqrt(shape[0]) * (np.sqrt(64) if "/query/" in name else 1)
        arrays[name] = noise.astype(np.float32)
    return arrays


def write_model(folder: Path, config: TranscriptionConfig, arrays: dict[str, np.ndarray]) -> None:
    """A checkpoint that `mt3x.load` reads."""
    write_t5x(folder, unflatten(arrays), step=0, inline=True)
    (folder / CONFIG_FILE).write_text(config.to_json())


def stored_lengths(count: int) -> np.ndarray:
    """Ids of each of so many segments, the end included: int32 [count]; after the last the first again."""
    return np.resize(np.array(json.loads(LENGTHS.read_text()), np.int32), count)


def write_recording(path: Path, seconds: float) -> None:
    """Music of the same ten minutes over and over."""
    piece = min(seconds, PIECE_SECONDS)
    samples = render(draw_music(piece), piece)
    with soundfile.SoundFile(path, "w", SAMPLE_RATE, 1) as file:
        for _ in range(round(seconds / piece)):
            file.write(samples)


def encoder_flops(config: TranscriptionConfig) -> float:
    """Of one segment, with the decoder's keys and values of it; forward, without the front end."""
    return sum(training_flops(config.network, config.segment_frames, 0).values()) / 3


def decoder_flops(config: TranscriptionConfig, count: int) -> float:
    """Of one segment's first so many steps."""
    flops = sum(training_flops(config.network, config.segment_frames, count).values()) / 3
    return flops - encoder_flops(config)


def weight_bytes(config: TranscriptionConfig) -> float:
    """Those that each step reads: of the decoder, without what projects the encoder's output."""
    one = training_flops(config.network, 0, 1)
    return ELEMENT_BYTES[config.network.dtype] * (one["decoder"] + one["input and logits"]) / 6


def cache_bytes(config: TranscriptionConfig, position: float) -> float:
    """Keys and values that one row reads at a position: of its earlier ids and of the encoder's output."""
    network = config.network
    width = 2 * network.num_decoder_layers * network.num_heads * network.head_dim
    return CACHE_BYTES[network.dtype] * width * (position + 1 + config.segment_frames)


def force_ends(logits: jax.Array, position: jax.Array, lengths: jax.Array) -> jax.Array:
    """Logits [B, K, V] with the end id's replaced; position: int32 [] or [B]; lengths: int32 [B]."""
    at_end = (position == lengths - 1)[:, np.newaxis]
    forced = jnp.where(at_end, jnp.max(logits, axis=-1) + END_MARGIN, FORBIDDEN)  # [B, K]
    return logits.at[..., EOS_ID].set(forced)


class Run(NamedTuple):
    """One search: rows that the decoder worked on at each step, its steps, and those each segment needed."""

    num_rows: int
    num_steps: int
    needed: np.ndarray


class _Watched(NamedTuple):
    inner: Any
    lengths: jax.Array
    num_steps: jax.Array
    needed: jax.Array


class Watch:
    """A policy that another one works in: it counts steps, and forces ends if told so.

    Attributes:
      runs: what has been counted, in order; read it after `jax.effects_barrier()`.
      num_ids: of all segments in `runs`, ends included.
      lengths: of the rows that the next search gets, int32 [rows], or None; later rows are as the last.
      num_segments: how many of its rows are no padding.
    """

    is_random = False

    def __init__(self, policy: Policy):
        self._policy = policy
        self.num_beams = policy.num_beams
        self.runs: list[Run] = []
        self.num_ids = 0
        self.lengths: np.ndarray | None = None
        self.num_segments = 0

    def clear(self) -> None:
        """Forgets what has been counted."""
        self.runs.clear()
        self.num_ids = 0

    def start(self, batch_size: int, max_length: int) -> _Watched:
        lengths = jnp.zeros(batch_size, jnp.int32)
        if self.lengths is not None:
            told = functools.partial(self._next_lengths, batch_size)
            lengths = io_callback(told, jax.ShapeDtypeStruct((batch_size,), jnp.int32))
        zeros = jnp.zeros(batch_size, jnp.int32)
        return _Watched(self._policy.start(batch_size, max_length), lengths, jnp.int32(0), zeros)

    def extend(self, hypotheses: _Watched, logits: jax.Array, position: jax.Array, key: jax.Array) -> Any:
        inner, lengths, num_steps, needed = hypotheses
        if self.lengths is not None:
            logits = force_ends(logits, position, lengths)
        needed += ~self._policy.is_done(inner)
        choice = self._policy.extend(inner, logits, position, key)
        return choice._replace(hypotheses=_Watched(choice.hypotheses, lengths, num_steps + 1, needed))

    def is_done(self, hypotheses: _Watched) -> jax.Array:
        return self._policy.is_done(hypotheses.inner)

    def result(self, hypotheses: _Watched) -> tuple[jax.Array, jax.Array]:
        jax.debug.callback(self._count, hypotheses.num_steps, hypotheses.needed)
        return self._policy.result(hypotheses.inner)

    def _next_lengths(self, batch_size: int) -> np.ndarray:
        assert self.lengths is not None
        missing = batch_size - len(self.lengths)
        return np.pad(self.lengths, (0, missing), mode="edge").astype(np.int32)

    def _count(self, num_steps: np.ndarray, needed: np.ndarray) -> None:
        rows = np.array(needed)
        self.runs.append(Run(len(rows), int(num_steps), rows[: self.num_segments or None]))


def watch(transcriber: Transcriber, lengths: np.ndarray | None) -> Watch:
    """Counts what the transcriber's engine does, and ends segment s at lengths[s], if given.

    This is the only place that reaches into the engine.
    """
    engine = transcriber._engine
    observer = Watch(engine._policy)
    search, frames = engine._search, transcriber.config.segment_frames
    observer.lengths = None if lengths is None else np.zeros(1, np.int32)

    def watched_search(segments: list[Segment]) -> np.ndarray:
        observer.num_segments = len(segments)
        if lengths is not None:
            observer.lengths = np.array([lengths[segment.first_frame // frames] for segment in segments])
        ids = search(segments)
        observer.num_ids += int(np.count_nonzero(np.cumsum(ids == EOS_ID, axis=1) - (ids == EOS_ID) == 0))
        return ids

    engine._policy = observer
    engine._search = watched_search
    return observer


def main() -> None:
    recording, folder = sys.argv[1:]
    transcriber = load(folder)
    watch(transcriber, stored_lengths(10_000))
    transcriber.transcribe(recording)


if __name__ == "__main__":
    main()
