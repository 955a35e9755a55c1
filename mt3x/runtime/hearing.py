"""Notes heard in the encoder's frames: possible ones from rolls, and a head that judges each.

Not part of MT3, whose decoder writes notes as tokens: a small network hears far better than it writes. Models
whose configuration asks for no note head leave everything to the tokens.

Two steps. A linear reading of each frame (`model.frame_head`) gives rolls of where notes begin and sound;
their peaks, down to unlikely ones, are places where a note may begin. The note head (`model.note_head`) looks
at each place: is it a note, which instrument plays it, how hard. An instrument is a program of the likeliest
of General MIDI's sixteen classes of eight. Drums are peaks of a roll of their own.

B segments, F frames, M mel columns, D width of the encoder, Q places, P notes of a batch's examples.
"""

import functools
from collections.abc import Mapping
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from mt3x.audio.logmel import SpectrogramConfig, log_mel
from mt3x.audio.overtones import MOMENTS, PATCH_SHAPE, overtone_patches
from mt3x.model.frame_head import NUM_PITCHES, FrameHead
from mt3x.model.note_head import NUM_PROGRAMS, Judgement, NoteHead
from mt3x.model.transformer import Transformer
from mt3x.music.instruments import PROGRAMS_PER_CLASS
from mt3x.runtime.presets import TranscriptionConfig

NOTE_HEAD = "note_head"
"""Its place among the parameters, beside `encoder` and `decoder`: `rolls` and `judge`."""

MAX_PLACES = 80
"""Places of a segment that are looked at, the likeliest."""

LEAST_LOGIT = -3.5
"""Of an onset in the roll, for a place to be looked at: a chance of 3 %."""

_REACH_FRAMES = 2
"""An onset is a peak among so many frames before and after it."""

_TOLERANCE_SECONDS = 0.05
"""While it learns, a place is a note if one begins so near."""

_TOKENS_SAY_NATS = 0.5
"""So much the class that tokens say counts for: where the head hardly prefers another, it stays."""

_ENCODED_AT = (0, 4)
"""Frames from the onset whose encoding is looked at."""


class Places(NamedTuple):
    """Where notes may begin: `onset` float32 [B, Q], seconds from the segment's start; `pitch` int32 [B, Q];
    `logit` float32 [B, Q], the roll's; -inf for an empty row.
    """

    onset: jax.Array
    pitch: jax.Array
    logit: jax.Array

    @property
    def is_place(self) -> jax.Array:
        """bool [B, Q]: which rows are not empty."""
        return self.logit > -jnp.inf


def fresh_head(emb_dim: int, width: int, key: jax.Array | None = None) -> Any:
    """Fresh parameters of both parts, the rolls' for an encoder of width `emb_dim`."""
    key = jax.random.key(0) if key is None else key
    encoded = jnp.zeros((1, 1, emb_dim))
    numbers = jnp.zeros((1, 1), jnp.int32)
    evidence = jnp.zeros((1, 1, 2 * len(MOMENTS) + len(_ENCODED_AT) * emb_dim))
    seen = jnp.zeros((1, 1, *PATCH_SHAPE)), evidence, numbers.astype(jnp.float32), numbers, numbers > 0
    return {
        "rolls": _ROLLS.init(key, encoded)["params"],
        "judge": NoteHead(width).init(key, *seen)["params"],
    }


_ROLLS = FrameHead(num_classes=0)


def read_rolls(params: Any, encoded: jax.Array) -> dict[str, jax.Array]:
    """Logits float32 [B, F, 128] of `onset`, `active` and `drum`, of encoded frames [B, F, D]."""
    return _ROLLS.apply({"params": params["rolls"]}, encoded)  # pyright: ignore[reportReturnType]


def find_places(onset_logits: jax.Array, num_frames: jax.Array, frames_per_second: float) -> Places:
    """The likeliest peaks along time of a roll [B, F, 128], to a fraction of a frame.

    Args:
      num_frames: int [B], how many frames count.
    """
    is_peak = _peaks(onset_logits, num_frames)
    score = jnp.where(is_peak & (onset_logits > LEAST_LOGIT), onset_logits, -jnp.inf)
    best, cell = jax.lax.top_k(score.reshape(len(score), -1), MAX_PLACES)  # [B, Q]
    frame, pitch = cell // NUM_PITCHES, cell % NUM_PITCHES
    onset = peak_moments(onset_logits, frame, pitch) / frames_per_second
    return Places(onset, pitch.astype(jnp.int32), best)


def _peaks(logits: jax.Array, num_frames: jax.Array) -> jax.Array:
    """bool [B, F, 128]: cells that none within reach exceeds, the first of equal ones."""
    frame = jnp.arange(logits.shape[1])[jnp.newaxis, :, jnp.newaxis]
    is_inside = frame < num_frames[:, jnp.newaxis, jnp.newaxis]
    logits = jnp.where(is_inside, logits, -jnp.inf)
    is_peak = logits > -jnp.inf
    for shift in range(1, _REACH_FRAMES + 1):
        before = jnp.pad(logits, ((0, 0), (shift, 0), (0, 0)), constant_values=-jnp.inf)[:, :-shift]
        after = jnp.pad(logits, ((0, 0), (0, shift), (0, 0)), constant_values=-jnp.inf)[:, shift:]
        is_peak &= (logits > before) & (logits >= after)
    return is_peak


def peak_moments(logits: jax.Array, frame: jax.Array, pitch: jax.Array) -> jax.Array:
    """Where peaks lie, float32 [B, Q] frames: the mean of three frames, weighted by their probability."""
    segment = jnp.arange(len(logits))[:, jnp.newaxis, jnp.newaxis]
    around = jnp.arange(-1, 2)[jnp.newaxis, jnp.newaxis]
    at = jnp.clip(frame[..., jnp.newaxis] + around, 0, logits.shape[1] - 1)  # [B, Q, 3]
    weight = jax.nn.sigmoid(logits[segment, at, pitch[..., jnp.newaxis]])
    return jnp.sum(weight * at.astype(jnp.float32), axis=-1) / jnp.sum(weight, axis=-1)


def judge(
    params: Any,
    config: TranscriptionConfig,
    frames: jax.Array,
    encoded: jax.Array,
    rolls: Mapping[str, jax.Array],
    num_frames: jax.Array,
    places: Places,
) -> Judgement:
    """What the note head thinks of places.

    Args:
      params: both parts' of the head.
      frames: log-mel [B, F, M]; encoded: [B, F, D]; rolls: of `read_rolls`; num_frames: int [B].
    """
    onset, pitch, _ = places
    patches = overtone_patches(frames, num_frames, onset, pitch, config.spectrogram)
    evidence = _evidence(config.spectrogram, encoded, rolls, onset, pitch)
    return NoteHead(config.note_head_width).apply(  # pyright: ignore[reportReturnType]
        {"params": params["judge"]}, patches, evidence, onset, pitch, places.is_place
    )


def _evidence(
    config: SpectrogramConfig,
    encoded: jax.Array,
    rolls: Mapping[str, jax.Array],
    onset: jax.Array,
    pitch: jax.Array,
) -> jax.Array:
    """float32 [B, Q, E]: the rolls around each place, and the encoded frames where it begins."""
    segment = jnp.arange(len(encoded))[:, jnp.newaxis, jnp.newaxis]
    last = encoded.shape[1] - 1
    moments = (onset[..., jnp.newaxis] + jnp.asarray(MOMENTS)[jnp.newaxis, jnp.newaxis]).astype(jnp.float32)
    at = jnp.clip(jnp.floor(moments * config.frames_per_second + 1e-4).astype(jnp.int32), 0, last)
    parts = [
        jnp.clip(rolls[name][segment, at, pitch[..., jnp.newaxis]], -8.0, 8.0) / 4
        for name in ("onset", "active")
    ]
    first = jnp.floor(onset * config.frames_per_second).astype(jnp.int32)[..., jnp.newaxis]
    at = jnp.clip(first + jnp.array(_ENCODED_AT)[jnp.newaxis, jnp.newaxis], 0, last)
    parts.append(encoded.astype(jnp.float32)[segment, at].reshape(*onset.shape, -1))
    return jnp.concatenate(parts, axis=-1)


def note_loss(
    params: Any,
    config: TranscriptionConfig,
    frames: jax.Array,
    encoded: jax.Array,
    batch: Mapping[str, jax.Array],
) -> tuple[jax.Array, dict[str, jax.Array]]:
    """What the judgement of a batch's places costs, nats; and measurements: float32 [].

    The sum of three means: of `is_note` over places, of `programs` and `velocity` over places that are notes.
    Measured are `note_loss`, the first of the three; `note_f1`, of places by whether they are notes;
    `class_accuracy` and `program_accuracy`.

    Args:
      params: the network's, with the head's.
      frames: log-mel [B, F, M]; encoded: [B, F, D].
      batch: holds `num_frames` and the note columns (see `runtime.step`).
    """
    head = params[NOTE_HEAD]
    rolls: Any = jax.lax.stop_gradient(read_rolls(head, encoded))
    fps = config.spectrogram.frames_per_second
    places = find_places(rolls["onset"], batch["num_frames"], fps)
    is_note, note = _true_notes(places, batch, fps)
    program, velocity = (
        jnp.take_along_axis(batch[name], note, axis=1) for name in ("note_program", "note_velocity")
    )
    judged = judge(head, config, frames, encoded, rolls, batch["num_frames"], places)
    counts = places.is_place.astype(jnp.float32)
    true = (is_note & places.is_place).astype(jnp.float32)
    log_probs = jax.nn.log_softmax(judged.programs)
    program_costs = -jnp.take_along_axis(log_probs, program[..., jnp.newaxis], axis=-1)[..., 0]
    note_cost = _mean(_cross_entropy(judged.is_note, true), counts)
    velocity_costs = _cross_entropy(judged.velocity, velocity.astype(jnp.float32) / 127)
    said = counts * (judged.is_note > 0).astype(jnp.float32)
    chosen = choose_programs(judged.programs)
    is_class = chosen // PROGRAMS_PER_CLASS == program // PROGRAMS_PER_CLASS
    measured = {
        "note_loss": note_cost,
        "note_f1": 2 * jnp.sum(said * true) / jnp.maximum(jnp.sum(said) + jnp.sum(true), 1.0),
        "class_accuracy": _mean(is_class.astype(jnp.float32), true),
        "program_accuracy": _mean((chosen == program).astype(jnp.float32), true),
    }
    return note_cost + _mean(program_costs, true) + _mean(velocity_costs, true), measured


def class_logits(programs: jax.Array) -> jax.Array:
    """Logits of the classes, [..., 16], from those of programs, [..., 128]."""
    return jax.nn.logsumexp(programs.reshape(*programs.shape[:-1], -1, PROGRAMS_PER_CLASS), axis=-1)


def choose_programs(logits: jax.Array) -> jax.Array:
    """The likeliest program of the likeliest class, int32 [...], from logits [..., 128]."""
    best_class = jnp.argmax(class_logits(logits), axis=-1)[..., jnp.newaxis]
    classes = jnp.arange(logits.shape[-1]).reshape((1,) * (logits.ndim - 1) + (-1,)) // PROGRAMS_PER_CLASS
    is_of_class = classes == best_class
    return jnp.argmax(jnp.where(is_of_class, logits, -jnp.inf), axis=-1).astype(jnp.int32)


def _cross_entropy(logits: jax.Array, probability: jax.Array) -> jax.Array:
    """Nats, of a yes that has this probability."""
    return -probability * jax.nn.log_sigmoid(logits) - (1 - probability) * jax.nn.log_sigmoid(-logits)


def _mean(values: jax.Array, counts: jax.Array) -> jax.Array:
    return jnp.sum(values * counts) / jnp.maximum(jnp.sum(counts), 1.0)


def _true_notes(places: Places, batch: Mapping[str, jax.Array], fps: float) -> tuple[jax.Array, jax.Array]:
    """Which places are the nearest to a true note within the tolerance, and that note: bool, int32 [B, Q]."""
    seconds = batch["num_frames"][:, jnp.newaxis].astype(jnp.float32) / fps
    begins = (batch["note_start"] >= -_TOLERANCE_SECONDS) & (batch["note_start"] < seconds)
    begins &= ~batch["note_is_drum"] & (batch["note_pitch"] >= 0)
    is_same = places.pitch[:, :, jnp.newaxis] == batch["note_pitch"][:, jnp.newaxis]  # [B, Q, P]
    is_same &= places.is_place[:, :, jnp.newaxis] & begins[:, jnp.newaxis]
    distance = jnp.abs(places.onset[:, :, jnp.newaxis] - batch["note_start"][:, jnp.newaxis])
    distance = jnp.where(is_same & (distance <= _TOLERANCE_SECONDS), distance, jnp.inf)
    nearest = jnp.argmin(distance, axis=1, keepdims=True)  # [B, 1, P]
    is_nearest = jnp.arange(distance.shape[1])[jnp.newaxis, :, jnp.newaxis] == nearest
    distance = jnp.where(is_nearest, distance, jnp.inf)
    return jnp.min(distance, axis=2) < jnp.inf, jnp.argmin(distance, axis=2)


class Heard(NamedTuple):
    """What is heard in segments, in JAX arrays or NumPy's: probabilities, not decisions.

    Attributes:
      onset: float32 [B, Q], seconds from the segment's start; pitch: int32 [B, Q].
      probability: float32 [B, Q], of a note that begins there; 0 for an empty row.
      programs: float32 [B, Q, 128], logits; velocity: float32 [B, Q], 0 to 127.
      active: float32 [B, F, 128], of a pitched note that sounds.
      drum_onset, drum_pitch, drum_probability: [B, Q], the same of drum hits.
    """

    onset: Any
    pitch: Any
    probability: Any
    programs: Any
    velocity: Any
    active: Any
    drum_onset: Any
    drum_pitch: Any
    drum_probability: Any


def hear(config: TranscriptionConfig, params: Any, samples: jax.Array, num_frames: jax.Array) -> Heard:
    """What is heard in segments.

    Args:
      params: the network's, with the note head's; the decoder's are not needed.
      samples: float32 [B, N]; num_frames: int [B], how many of their frames count.
    """
    frames, encoded, rolls = _listen(config, params, samples, num_frames)
    fps = config.spectrogram.frames_per_second
    places = find_places(rolls["onset"], num_frames, fps)
    judged = judge(params[NOTE_HEAD], config, frames, encoded, rolls, num_frames, places)
    drums = find_places(rolls["drum"], num_frames, fps)
    return Heard(
        onset=places.onset,
        pitch=places.pitch,
        probability=jnp.where(places.is_place, jax.nn.sigmoid(judged.is_note), 0.0),
        programs=judged.programs,
        velocity=127 * jax.nn.sigmoid(judged.velocity),
        active=jax.nn.sigmoid(rolls["active"]),
        drum_onset=drums.onset,
        drum_pitch=drums.pitch,
        drum_probability=jax.nn.sigmoid(drums.logit),
    )


def _listen(
    config: TranscriptionConfig, params: Any, samples: jax.Array, num_frames: jax.Array
) -> tuple[jax.Array, jax.Array, dict[str, jax.Array]]:
    """Log-mel [B, F, M], encoded frames [B, F, D] and rolls."""
    frames = log_mel(samples, num_frames, config.spectrogram)
    encoder = {"params": {"encoder": params["encoder"]}}
    encoded: Any = Transformer(config.network).apply(encoder, frames, method=Transformer.encode)
    return frames, encoded, read_rolls(params[NOTE_HEAD], encoded)


def name_instruments(
    params: Any, config: TranscriptionConfig, samples: np.ndarray, num_frames: int, notes: np.ndarray
) -> np.ndarray:
    """Programs of a segment's notes that were written as tokens: int32 [N].

    A note keeps its program where that is of the class that the head hears, or of one that the head takes for
    almost as likely, and takes the likeliest of the heard class elsewhere; drums keep theirs. Only programs
    that may play (`config.programs`) are heard.

    Args:
      params: the network's, with the note head's; the decoder's are not needed.
      samples: float32 [segment_samples]; num_frames: how many frames of them count.
      notes: those that begin in the segment, `NOTE_DTYPE` [N], with `start` in seconds from its start.
    """
    programs = notes["program"].astype(np.int32)
    pitched = np.flatnonzero(~notes["is_drum"])
    for first in range(0, len(pitched), MAX_PLACES):
        some = pitched[first : first + MAX_PLACES]
        padding = (0, MAX_PLACES - len(some))
        said = programs[some] // PROGRAMS_PER_CLASS
        columns = (
            np.pad(notes["start"][some].astype(np.float32), padding),
            np.pad(notes["pitch"][some].astype(np.int32), padding),
            np.pad(np.zeros(len(some), np.float32), padding, constant_values=-np.inf),
        )
        places = Places(*(jnp.asarray(column)[jnp.newaxis] for column in columns))
        counted = np.array([num_frames], np.int32)
        logits = np.array(_program_logits(config, params, samples[np.newaxis], counted, places))
        logits[..., ~np.isin(np.arange(NUM_PROGRAMS), config.programs)] = -np.inf
        by_class = logits[0, : len(some)].reshape(len(some), -1, PROGRAMS_PER_CLASS)
        scores = np.logaddexp.reduce(by_class, axis=2)
        scores[np.arange(len(some)), said] += _TOKENS_SAY_NATS
        heard = np.argmax(scores, axis=1)
        likeliest = np.argmax(by_class[np.arange(len(some)), heard], axis=1)
        is_other = heard != said
        programs[some[is_other]] = (heard * PROGRAMS_PER_CLASS + likeliest)[is_other]
    return programs


@functools.partial(jax.jit, static_argnums=0)
def _program_logits(
    config: TranscriptionConfig, params: Any, samples: jax.Array, num_frames: jax.Array, places: Places
) -> jax.Array:
    frames, encoded, rolls = _listen(config, params, samples, num_frames)
    return judge(params[NOTE_HEAD], config, frames, encoded, rolls, num_frames, places).programs
