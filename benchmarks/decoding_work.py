"""What benchmarks/transcribe.py gives to the engine: music, a network without training, stops, and a watch.

    python benchmarks/decoding_work.py RECORDING FOLDER

transcribes a recording with the network in FOLDER, stops forced: what cold start and memory are measured of.
What reaches into the engine stands here, in `watch` and `make_steps`.

The music is drawn and its sound added up here, from one seed. Weights of MT3's `small` sizes follow the rule
of tests/golden/small_params_spec.json. Such a network never ends a segment on its own account, so ends are
forced, in segment s at the s-th of the stored lengths, the end id included: those are the lengths of the
target ids of the first ten minutes of this music (MT3's vocabulary, segments of 2.048 s). The seed is one
whose first eight, thirty and 293 lengths have means near 150 (155, 150, 151).

Forced means: the end id's logit is the least of all, but at the stop, where it exceeds the greatest by
`END_MARGIN`. The margin is as large as a confident network's would come to: after it T5X's beam search, which
goes on until no other end can win, takes about twice the steps of greedy search.
"""

import dataclasses
import json
import sys
import zlib
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import soundfile
from jax.experimental import io_callback
from step_costs import training_flops

from mt3x.checkpoints import CONFIG_FILE, unflatten, write_t5x
from mt3x.data.synthetic.random_music import RandomMusicSettings, draw_random_music
from mt3x.model.config import PRESETS as NETWORKS
from mt3x.model.policies import Choice, Greedy, Policy
from mt3x.tokens.vocabulary import EOS_ID
from mt3x.transcription.frames.config import FrameConfig
from mt3x.transcription.models import resolve_model
from mt3x.transcription.process import settle_process
from mt3x.transcription.tokens.config import PRESETS, TranscriptionConfig
from mt3x.transcription.tokens.engine import CACHE_LENGTHS, Engine
from mt3x.transcription.tokens.parameters import parameter_shapes
from mt3x.transcription.tokens.recogniser import TokenRecogniser
from mt3x.transcription.tokens.slots import STEPS, advance, empty_slots
from mt3x.transcription.transcriber import load

SEED, SAMPLE_RATE, EXCERPT_SECONDS = 3, 16_000, 6.144
MUSIC = RandomMusicSettings(drums_probability=0.3)
LENGTHS = Path(__file__).with_name("segment_lengths.json")
END_MARGIN, FORBIDDEN = 700.0, -1e9
NUM_HARMONICS, HIGHEST_HERTZ = 8, 7600.0
PIECE_SECONDS = 600.0
ELEMENT_BYTES = {"float32": 4, "bfloat16": 2, "int8": 1}


class Model(NamedTuple):
    """A network and how it shall run.

    Attributes:
      name: the folder of a checkpoint, or that of sizes whose weights follow a rule.
      config: its network's dtype is what is computed in.
      params: nested dict of float32 arrays.
      dtype: as `Engine` takes it; "int8" is that of the decoder's weights alone.
    """

    name: str
    config: TranscriptionConfig
    params: dict[str, Any]
    dtype: str

    @property
    def is_forced(self) -> bool:
        """Whether it can't end a segment on its own account."""
        return self.name in NETWORKS


def make_model(name: str, search: str, dtype: str) -> Model:
    """MT3's settings with other sizes, by name, or a trained model that writes tokens, by folder.

    Raises:
      ValueError: there is no such model, or it is a frame recogniser.
    """
    if name not in NETWORKS:
        config, params, _ = resolve_model(name)
        if isinstance(config, FrameConfig):
            raise ValueError(f"{name} is a frame recogniser; give a model that writes tokens")
    else:
        config = dataclasses.replace(PRESETS["mt3"], network=NETWORKS[name])
        params = unflatten(rule_filled(config))
    computed = dtype
    if dtype == "int8":
        computed = "float32" if jax.default_backend() == "cpu" else "bfloat16"
    config = dataclasses.replace(config, network=dataclasses.replace(config.network, dtype=computed))
    config = dataclasses.replace(config, search=search)  # pyright: ignore[reportArgumentType]
    return Model(name, config, params, dtype)


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
    """A checkpoint that `mt3x.load` reads; arrays in folders of their own, as in MT3's released ones."""
    write_t5x(folder, unflatten(arrays), step=0)
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


def weight_bytes(config: TranscriptionConfig, dtype: str) -> float:
    """Those that each step reads: of the decoder, without what projects the encoder's output.

    The matrix before the logits is float32, also where the others are bfloat16.
    """
    one = training_flops(config.network, 0, 1)
    size = ELEMENT_BYTES[dtype]
    return (size * one["decoder"] + (1 if dtype == "int8" else 4) * one["input and logits"]) / 6


def cache_bytes(config: TranscriptionConfig, position: float) -> float:
    """Keys and values that one row reads at a position: of its earlier ids and of the encoder's output."""
    network = config.network
    width = 2 * network.num_decoder_layers * network.num_heads * network.head_dim
    return ELEMENT_BYTES[network.dtype] * width * (position + 1 + config.segment_frames)


def force_ends(logits: jax.Array, position: jax.Array, lengths: jax.Array) -> jax.Array:
    """Logits [B, K, V] with the end id's replaced; position: int32 [] or [B]; lengths: int32 [B]."""
    at_end = (position == lengths - 1)[:, np.newaxis]
    forced = jnp.where(at_end, jnp.max(logits, axis=-1) + END_MARGIN, FORBIDDEN)  # [B, K]
    return logits.at[..., EOS_ID].set(forced)


class Watched(NamedTuple):
    """Hypotheses of `Forced`: lengths and needed steps are int32 [B]."""

    inner: Any
    lengths: jax.Array
    needed: jax.Array


@dataclasses.dataclass(frozen=True)
class Forced:
    """A policy that another one works in: it counts the steps which that one's rule needs, and forces ends.

    Attributes:
      policy: the other one.
      has_forced_ends: False only counts. With it a row of length 0 never ends.
      next_lengths: asked for the lengths int32 [B] at each start; without it they are 0 at first.
    """

    policy: Policy
    has_forced_ends: bool
    next_lengths: Callable[[], np.ndarray] | None = None

    @property
    def num_beams(self) -> int:
        return self.policy.num_beams

    def start(self, batch_size: int, max_length: int) -> Watched:
        zeros = lengths = jnp.zeros(batch_size, jnp.int32)
        if self.next_lengths is not None:
            lengths = io_callback(self.next_lengths, jax.ShapeDtypeStruct((batch_size,), jnp.int32))
        return Watched(self.policy.start(batch_size, max_length), lengths, zeros)

    def extend(self, hypotheses: Watched, logits: jax.Array, position: jax.Array) -> Choice:
        inner, lengths, needed = hypotheses
        needed += (~self.policy.is_done(inner)).astype(jnp.int32)
        if self.has_forced_ends:
            logits = force_ends(logits, position, lengths)
        choice = self.policy.extend(inner, logits, position)
        return choice._replace(hypotheses=Watched(choice.hypotheses, lengths, needed))

    def is_done(self, hypotheses: Watched) -> jax.Array:
        return self.policy.is_done(hypotheses.inner)

    def result(self, hypotheses: Watched) -> tuple[jax.Array, jax.Array]:
        return self.policy.result(hypotheses.inner)


class Watch:
    """What an engine has done since `clear`.

    Attributes:
      needed: steps that each segment's own rule asked for, in the order in which they were done. A search
        with one beam goes on after a segment's end, until no other end can win.
      num_ids: of all segments, ends included.
    """

    def __init__(self, engine: Engine):
        self._engine = engine
        self.clear()

    def clear(self) -> None:
        """Forgets what has been counted."""
        self.needed: list[int] = []
        self.num_ids = 0
        self._engine.num_steps = self._engine.num_row_steps = 0

    def counts(self) -> dict[str, float]:
        """Steps, and by id what slots took part in and what the segments' own rules asked for.

        A step is one of one batch group: those of all groups are added up. It counts as a row step for every
        slot of its group, free or taken.
        """
        return {
            "segments": len(self.needed),
            "ids_per_segment": self.num_ids / len(self.needed),
            "steps": self._engine.num_steps,
            "steps_per_id": self._engine.num_steps / self.num_ids,
            "row_steps_per_id": self._engine.num_row_steps / self.num_ids,
            "needed_per_id": sum(self.needed) / self.num_ids,
        }


def watch(engine: Engine, lengths: np.ndarray | None = None) -> Watch:
    """Counts what an engine does, and ends segment s of a recording at lengths[s], if given."""
    watched, make_groups = Watch(engine), engine._groups
    frames = engine._config.segment_frames
    policy = Forced(engine._search.policy, lengths is not None)
    engine._search = engine._search._replace(policy=policy)

    def groups(count: int) -> list[Any]:
        made = make_groups(count)
        for group in made:
            follow(group)
        return made

    def follow(group: Any) -> None:
        fill, collect = group.fill, group.collect

        def fill_and_tell(encoded: Sequence[Any]) -> None:
            fill(encoded)
            if lengths is not None and encoded:
                stops = np.zeros(group._size, np.int32)
                for slot, task in group.tasks.items():
                    stops[slot] = lengths[task.segment.first_frame // frames]
                told = group._slots.hypotheses._replace(lengths=jax.device_put(stops, engine._split))
                group._slots = group._slots._replace(hypotheses=told)

        def count_and_collect(is_done: np.ndarray, ids: np.ndarray | None) -> None:
            if ids is not None:
                watched.needed += np.asarray(group._slots.hypotheses.needed)[is_done].tolist()
                is_end = ids[is_done] == EOS_ID
                watched.num_ids += int((np.cumsum(is_end, axis=1) == is_end).sum())  # no end before them
            collect(is_done, ids)

        group.fill, group.collect = fill_and_tell, count_and_collect

    engine._groups = groups
    return watched


def make_steps(engine: Engine, count: int) -> Callable[[], None]:
    """So many steps of greedy search when called: `batch_size` slots, all taken, none of which ends.

    They are the engine's own: calls of `advance`, `STEPS` steps each, which wait for what is done as a group
    does; with the first of its cache lengths, which is read whole at any position. The encoder's output is
    noise. Count is a multiple of `STEPS` below that length.
    """
    search = engine._search._replace(policy=Forced(Greedy(), True))
    slots = empty_slots(search, engine.batch_size, min(CACHE_LENGTHS[0], engine._config.max_target_length))
    noise = jax.jit(lambda x: jax.random.normal(jax.random.key(0), x.shape, x.dtype), donate_argnums=0)
    slots = slots._replace(memory=jax.tree.map(noise, slots.memory))
    start, is_active = np.zeros(engine.batch_size, np.int32), np.ones(engine.batch_size, bool)

    def steps() -> None:
        nonlocal slots
        slots = slots._replace(positions=jax.device_put(start, engine._split))
        for _ in range(count // STEPS):
            slots, is_done, num_steps = advance(search, engine._weights, slots, is_active)
            assert not np.asarray(is_done).any() and int(num_steps[0]) == STEPS

    return steps


def main() -> None:
    recording, folder = sys.argv[1:]
    settle_process()
    transcriber = load(folder)
    assert isinstance(transcriber._recogniser, TokenRecogniser)
    watch(transcriber._recogniser.engine, stored_lengths(10_000))
    transcriber.transcribe(recording)


if __name__ == "__main__":
    main()
