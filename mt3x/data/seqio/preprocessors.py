"""The steps of seqio tasks: TensorFlow around the same `tokens/` and `audio/` that everything else uses.

Conventions: F frames of `hop_width` samples; E events; T tokens. Tokens are codec indexes (int32) until
seqio's `tokenize_and_append_eos` makes ids of them. Up to extraction an example holds

    inputs                                   float32 [F, hop]: samples, frame by frame
    targets                                  int32 [E]: events of `tokens.stages.IndexedEvents`
    input_event_start_indices, input_event_end_indices, input_state_event_indices   int32 [F]
    state_events                             int32

Randomness is seqio's: `get_dataset(seed=...)` gives the same examples again.

Source: MT3 `preprocessors.py`, `mixing.py`, `run_length_encoding.py`; T5 `preprocessors.py` (`split_tokens`,
`select_random_chunk`). Deviations: segments carry only their own events, where MT3 copies the recording's
into each; the random order of mixes follows seqio's seed, where MT3 has none.

Unlike the other files of this room, this one, `evaluation.py` and `tasks.py` beside it import TensorFlow at
their top: only tasks import them.
"""

from collections.abc import Callable, Mapping
from typing import Any

import jax
import numpy as np
import seqio  # pyright: ignore[reportMissingImports]
import tensorflow as tf  # pyright: ignore[reportMissingImports]

from mt3x.audio.logmel import SpectrogramConfig, log_mel
from mt3x.audio.segments import split_segments
from mt3x.music.instruments import Granularity
from mt3x.music.notes import NOTE_DTYPE, trim_overlapping_notes
from mt3x.tokens import stages
from mt3x.tokens.codec import Codec
from mt3x.tokens.mixing import mix_targets
from mt3x.tokens.spec import NoteSpec

Features = Mapping[str, Any]
Lengths = Mapping[str, int] | None

_INDEXES = ("input_event_start_indices", "input_event_end_indices", "input_state_event_indices")
_INDEXED_EVENTS = ("targets", "input_event_start_indices", "input_event_end_indices", "state_events",
                   "input_state_event_indices")  # fmt: skip
"""Names in examples of the fields of `IndexedEvents`, in their order."""


def tokenize_transcription_example(
    dataset: tf.data.Dataset,
    spectrogram_config: SpectrogramConfig,
    codec: Codec,
    spec: NoteSpec,
    trims_overlaps: bool = True,
    mt3_compatible: bool = False,
) -> tf.data.Dataset:
    """Samples and notes of recordings to frames and indexed events.

    Args:
      dataset: as sources' `read_examples` yields it.
      trims_overlaps: end notes at the next onset of the same pitch and program, since tokens cannot say
        otherwise.
    """

    def tokenize(samples: np.ndarray, note_bytes: bytes) -> tuple[np.ndarray, ...]:
        notes = np.frombuffer(note_bytes, NOTE_DTYPE)
        frames = frame_samples(samples, spectrogram_config)
        indexed = stages.index_events(
            trim_overlapping_notes(notes) if trims_overlaps else notes,
            len(frames),
            spectrogram_config.hop_width,
            spectrogram_config.sample_rate,
            codec,
            spec,
            mt3_compatible,
        )
        return frames, *(getattr(indexed, name) for name in indexed.__dataclass_fields__)

    def tokenize_tf(ex: Features) -> dict[str, tf.Tensor]:
        dtypes = [tf.float32] + [tf.int32] * len(_INDEXED_EVENTS)
        frames, *indexed = tf.numpy_function(tokenize, [ex["samples"], ex["notes"]], dtypes)
        frames.set_shape([None, spectrogram_config.hop_width])
        for column in indexed:
            column.set_shape([None])
        return {"inputs": frames, **dict(zip(_INDEXED_EVENTS, indexed, strict=True))}

    return dataset.map(tokenize_tf, num_parallel_calls=tf.data.AUTOTUNE)


def split_frames(dataset: tf.data.Dataset, max_frames: int, codec: Codec, spec: NoteSpec) -> tf.data.Dataset:
    """Recordings to segments of at most `max_frames` frames, each with its own events."""
    tie_index = _tie_index(codec, spec)

    def crop(first: np.int64, last: np.int64, *columns: np.ndarray) -> tuple[np.ndarray, ...]:
        return _crop_events(columns, int(first), int(last), tie_index)

    def split(ex: Features) -> tf.data.Dataset:
        num_frames = tf.shape(ex["inputs"], tf.int64)[0]
        starts = tf.data.Dataset.range(0, num_frames, max_frames)

        def segment(start: tf.Tensor) -> dict[str, tf.Tensor]:
            stop = tf.minimum(start + max_frames, num_frames)
            columns = [ex[name] for name in _INDEXED_EVENTS]
            cropped = tf.numpy_function(crop, [start, stop - 1, *columns], [tf.int32] * len(columns))
            for column in cropped:
                column.set_shape([None])
            return {"inputs": ex["inputs"][start:stop], **dict(zip(_INDEXED_EVENTS, cropped, strict=True))}

        return starts.map(segment)

    return dataset.flat_map(split)


def _crop_events(
    columns: tuple[np.ndarray, ...], first: int, last: int, tie_index: int | None
) -> tuple[np.ndarray, ...]:
    """The fields of `IndexedEvents` for frames `first` to `last`, both included, indices counted anew."""
    events, starts, ends, states, state_starts = columns
    frames = slice(first, last + 1)
    first_state, last_state = state_starts[first], state_starts[last]
    ties = np.flatnonzero(states[last_state:] == tie_index)
    end_state = last_state + ties[0] + 1 if len(ties) else len(states)
    return (
        events[starts[first] : ends[last]],
        starts[frames] - starts[first],
        ends[frames] - starts[first],
        states[first_state:end_state],
        state_starts[frames] - first_state,
    )


def select_random_chunk(dataset: tf.data.Dataset, sequence_length: Lengths) -> tf.data.Dataset:
    """A run of at most `sequence_length["inputs"]` frames of each segment; all frames if that is not given.

    As in T5 with `uniform_random_start`, the run may begin before the segment or end after it, and is then
    shorter: each frame is as likely as any other.
    """
    if sequence_length is None:
        return dataset
    length = sequence_length["inputs"]

    def select(ex: Features, seed: tf.Tensor) -> dict[str, tf.Tensor]:
        num_frames = tf.shape(ex["inputs"])[0]
        start = tf.random.stateless_uniform([], seed, 1 - length, num_frames, tf.int32)
        frames = slice(tf.maximum(start, 0), tf.minimum(start + length, num_frames))
        return {**ex, **{name: ex[name][frames] for name in ("inputs", *_INDEXES)}}

    select_from_each: Any = seqio.map_over_dataset(select, num_seeds=1)
    return select_from_each(dataset)


def extract_target_sequence_with_indices(
    dataset: tf.data.Dataset, codec: Codec, spec: NoteSpec
) -> tf.data.Dataset:
    """Segments to {inputs, targets}: held notes and a tie if the spec has ties, then the segment's events."""
    tie_index = _tie_index(codec, spec)

    def extract(*columns: np.ndarray) -> np.ndarray:
        indexed = stages.IndexedEvents(*columns)
        return stages.extract_segment(indexed, 0, len(indexed.event_start_indices) - 1, tie_index)

    def extract_tf(ex: Features) -> dict[str, tf.Tensor]:
        targets = tf.numpy_function(extract, [ex[name] for name in _INDEXED_EVENTS], tf.int32)
        targets.set_shape([None])
        return {"inputs": ex["inputs"], "targets": targets}

    return dataset.map(extract_tf, num_parallel_calls=tf.data.AUTOTUNE)


def map_midi_programs(dataset: tf.data.Dataset, codec: Codec, granularity: Granularity) -> tf.data.Dataset:
    """Programs of `targets` as coarse as wanted."""
    return _map_targets(dataset, lambda tokens: stages.map_program_tokens(tokens, codec, granularity))


def run_length_encode_shifts(dataset: tf.data.Dataset, codec: Codec) -> tf.data.Dataset:
    """One-step shifts of `targets` counted from the segment's start."""
    return _map_targets(dataset, lambda tokens: stages.run_length_encode_shifts(tokens, codec))


def remove_redundant_state_changes(dataset: tf.data.Dataset, codec: Codec) -> tf.data.Dataset:
    """Programs and velocities of `targets` said only where they change."""
    return _map_targets(dataset, lambda tokens: stages.remove_redundant_state_changes(tokens, codec))


def _map_targets(dataset: tf.data.Dataset, function: Callable[[np.ndarray], np.ndarray]) -> tf.data.Dataset:
    def map_tf(ex: Features) -> dict[str, tf.Tensor]:
        targets = tf.numpy_function(function, [ex["targets"]], tf.int32)
        targets.set_shape([None])
        return {**ex, "targets": targets}

    return dataset.map(map_tf, num_parallel_calls=tf.data.AUTOTUNE)


def mix_transcription_examples(
    dataset: tf.data.Dataset,
    codec: Codec,
    max_examples_per_mix: int | None = None,
    shuffle_buffer_size: int = seqio.SHUFFLE_BUFFER_SIZE,
    mt3_compatible: bool = False,
) -> tf.data.Dataset:
    """Up to `max_examples_per_mix` examples heard at once, as loud as can be; None leaves all as they are.

    Mixes of every size occur equally often. For each size the dataset is read once, so that an epoch yields
    about log(max) times as many mixes as it has examples.

    Args:
      dataset: {inputs, targets}, shifts counted from the segment's start.
    """
    if max_examples_per_mix is None:
        return dataset
    sizes = range(1, max_examples_per_mix + 1)
    seed = _next_seed()
    seeds = [None if seed is None else seed + size for size in (0, *sizes)]
    buffer_size = max(shuffle_buffer_size // max_examples_per_mix, 1)
    groups = [dataset.shuffle(buffer_size, seed=seeds[size]).padded_batch(size) for size in sizes]
    grouped = tf.data.Dataset.sample_from_datasets(groups, seed=seeds[0])

    def mix_tokens(tracks: np.ndarray) -> np.ndarray:
        return mix_targets(list(tracks), codec, mt3_compatible, keep_redundant=True)

    def mix(ex: Features) -> dict[str, tf.Tensor]:
        samples = tf.reduce_sum(ex["inputs"], axis=0)
        loudest = tf.reduce_max(tf.abs(samples))
        targets = tf.numpy_function(mix_tokens, [ex["targets"]], tf.int32)
        targets.set_shape([None])
        return {**ex, "inputs": tf.math.divide_no_nan(samples, loudest), "targets": targets}

    return grouped.map(mix, num_parallel_calls=tf.data.AUTOTUNE)


def _next_seed() -> int | None:
    """The seed that seqio would give the next step. It has no public name for steps that shuffle."""
    return getattr(seqio.utils, "_NEXT_MAP_SEED", None)


def compute_spectrograms(
    dataset: tf.data.Dataset, sequence_length: Lengths, spectrogram_config: SpectrogramConfig
) -> tf.data.Dataset:
    """`inputs` from samples to log-mel, float32 [F, M], on the CPU, by the front end of `audio.logmel`."""

    def spectrogram(frames: np.ndarray) -> np.ndarray:
        # Padded, so that few lengths are compiled.
        length = _padded_length(len(frames), sequence_length)
        samples = np.zeros((1, length * spectrogram_config.hop_width), np.float32)
        samples[0, : frames.size] = frames.ravel()
        with jax.default_device(jax.local_devices(backend="cpu")[0]):
            mels = log_mel(samples, np.array([len(frames)], np.int32), spectrogram_config)
        return np.asarray(mels)[0, : len(frames)]

    def spectrogram_tf(ex: Features) -> dict[str, tf.Tensor]:
        mels = tf.numpy_function(spectrogram, [ex["inputs"]], tf.float32)
        mels.set_shape([None, spectrogram_config.num_mel_bins])
        return {**ex, "inputs": mels}

    return dataset.map(spectrogram_tf, num_parallel_calls=tf.data.AUTOTUNE)


def _padded_length(num_frames: int, sequence_length: Lengths) -> int:
    """Frames up to the sequence length, or else up to a power of two."""
    length = (sequence_length or {}).get("inputs") or 0
    return max(length, num_frames) if length else 1 << (num_frames - 1).bit_length()


def keep_samples(dataset: tf.data.Dataset, sequence_length: Lengths, hop_width: int) -> tf.data.Dataset:
    """For the front end inside the training step: `inputs` become `samples` and `num_frames`.

    Yields:
      samples float32 [N], zeros up to `sequence_length["inputs"]` frames; num_frames int32 [], those that
      count.
    """

    def keep(ex: Features) -> dict[str, tf.Tensor]:
        rest = dict(ex)
        frames = rest.pop("inputs")
        num_frames = tf.shape(frames)[0]
        missing = tf.maximum((sequence_length or {}).get("inputs", 0) - num_frames, 0)
        samples = tf.concat([tf.reshape(frames, [-1]), tf.zeros([missing * hop_width])], axis=0)
        return {**rest, "samples": samples, "num_frames": num_frames}

    return dataset.map(keep, num_parallel_calls=tf.data.AUTOTUNE)


def handle_too_long(
    dataset: tf.data.Dataset,
    output_features: Mapping[str, Any],
    sequence_length: Lengths,
    skip: bool = False,
) -> tf.data.Dataset:
    """Leaves out examples longer than `sequence_length`, end token included, or fails on the first."""
    limits = {
        name: length - output_features[name].add_eos
        for name, length in (sequence_length or {}).items()
        if name in output_features
    }
    if not limits:
        return dataset

    def check(ex: Features) -> Features:
        for name, limit in limits.items():
            message = f"{name} is longer than {limit}; give a greater sequence_length, or skip_too_long=True"
            tf.debugging.assert_less_equal(tf.shape(ex[name])[0], limit, message)
        return ex

    if skip:
        return dataset.filter(
            lambda ex: tf.reduce_all([tf.shape(ex[name])[0] <= limit for name, limit in limits.items()])
        )
    return dataset.map(check, num_parallel_calls=tf.data.AUTOTUNE)


def frame_samples(samples: np.ndarray, spectrogram_config: SpectrogramConfig) -> np.ndarray:
    """float32 [F, hop] of float32 [N]."""
    return split_segments(samples, segment_frames=1, hop_samples=spectrogram_config.hop_width).samples


def _tie_index(codec: Codec, spec: NoteSpec) -> int | None:
    return codec.event_type_range("tie")[0] if spec.has_ties else None
