"""Training batches from built data sets, without TensorFlow: random segments of recordings, in Grain.

Example number n of a seed depends on (seed, n) alone, whichever worker or host makes it: any number of
workers gives the same batches, and S hosts get every S-th example of what one host would get. Grain shuffles
(each epoch anew), deals out to hosts and workers, batches, and tells and takes back its position; that one
depends on the number of workers, so a run goes on with as many as it began with.

Against MT3's seqio tasks: an epoch holds as many segments of each recording, one of every 2000 frames (16 s),
drawn by the same rule; and from the same frames of a recording come the same samples and target tokens (where
no instruments merge: see `notes_to_write`). Which frames a seed gives, and in which order, cannot be the
same, as the libraries' random numbers differ.
"""

import dataclasses
import multiprocessing
import os
import threading
from collections.abc import Sequence
from typing import Any

import numpy as np

from mt3x.data.pipeline.cut import Cut, SegmentSizes, count_pieces, cut, draw_segment, is_heard
from mt3x.data.pipeline.pitch_shift import PitchShiftConfig, draw_semitones
from mt3x.data.pipeline.stem_mixing import MixConfig, draw_count, draw_stems, merge_notes, mix_audio
from mt3x.data.records.array_records import Records, StoredRecording
from mt3x.data.synthetic.examples import notes_as_written
from mt3x.music.checks import check_at_least, check_positive
from mt3x.music.instruments import Granularity
from mt3x.music.notes import trim_overlapping_notes
from mt3x.tokens.encode import encode_segments
from mt3x.tokens.spec import NoteSpec
from mt3x.tokens.vocabulary import EOS_ID, PAD_ID, VocabularyConfig, build_codec, vocabulary_from_codec

Place = tuple[int, int]
"""A piece of an example: the number of its source, and its own among all pieces in there."""

_MOST_SKIPPED = 1000
_NOTE_PADDING = {"start": 0.0, "end": 0.0, "pitch": -1, "velocity": 0, "program": 0, "is_drum": False}


@dataclasses.dataclass(frozen=True)
class PipelineConfig:
    """What batches hold, and who makes them.

    Attributes:
      sizes: of segments.
      target_lengths: what targets are padded to, rising. Examples with more ids than the last, the end
        included, or more than `max_notes` notes are skipped, and another is drawn in their place.
      temperature: of the sources' shares: each is drawn as often as its number of examples to the power of
        1 / temperature; MT3's mixtures have 10 / 3.
      mix: which recordings and stems are heard together; None leaves examples as they are stored.
      pitch_shift: None for none.
      workers: processes; 0 makes batches in this one.
      shard_index, shard_count: of hosts.

    Raises:
      ValueError: a size below 1, target lengths that do not rise, or a shard that does not exist.
    """

    batch_size: int = 16
    seed: int = 0
    sizes: SegmentSizes = SegmentSizes()
    target_lengths: tuple[int, ...] = (256, 512, 1024)
    max_notes: int = 512
    vocabulary: VocabularyConfig = VocabularyConfig()
    spec: NoteSpec = NoteSpec.NOTES_WITH_TIES
    granularity: Granularity = Granularity.FULL
    temperature: float = 10 / 3
    mix: MixConfig | None = None
    pitch_shift: PitchShiftConfig | None = None
    workers: int = 0
    shard_index: int = 0
    shard_count: int = 1

    def __post_init__(self) -> None:
        check_at_least(1, batch_size=self.batch_size, max_notes=self.max_notes, shard_count=self.shard_count)
        check_at_least(0, workers=self.workers)
        check_positive(temperature=self.temperature)
        lengths = tuple(self.target_lengths)
        if not lengths or list(lengths) != sorted(set(lengths)) or lengths[0] < 1:
            raise ValueError(f"target_lengths are {lengths}; give at least one, rising from at least 1")
        if not 0 <= self.shard_index < self.shard_count:
            raise ValueError(
                f"shard_index is {self.shard_index}; with {self.shard_count} hosts it must be within "
                f"0..{self.shard_count - 1}"
            )


def open_pipeline(sources: Sequence[Records], config: PipelineConfig) -> Any:
    """An endless `grain.IterDataset` of batches; its iterators are what `training.loop` takes.

    A batch is as `training.step` describes it, with `samples` float32 [B, L + N], for the `make_prepare` of
    `augmentation`, and `skipped` int32 [B], how many examples were too long before each one. Close an
    iterator to end its workers.

    Raises:
      ValueError: no sources, or one without examples.
    """
    from absl import flags
    from grain import MapDataset, MultiprocessingOptions, ReadOptions  # pyright: ignore[reportMissingImports]

    maker = SegmentMaker(sources, config)
    places = [
        MapDataset.range(count).seed(config.seed).map(_PlaceIn(number)).shuffle().repeat()
        for number, count in enumerate(maker.piece_counts)
    ]
    dataset = places[0] if len(places) == 1 else MapDataset.mix(places, maker.shares.tolist())
    dataset = dataset.seed(config.seed).random_map(maker)
    dataset = dataset[config.shard_index :: config.shard_count]
    dataset = dataset.batch(config.batch_size, drop_remainder=True)  # else Grain cannot count batches of 1
    dataset = dataset.map(_TargetTrimmer(config.target_lengths))
    if config.workers and not flags.FLAGS.is_parsed():
        flags.FLAGS.mark_as_parsed()  # Grain asks for a flag, which only absl's own programs parse
    # Readers and decoders hold the interpreter lock: threads would only take turns.
    batches = dataset.to_iter_dataset(ReadOptions(num_threads=0, prefetch_buffer_size=0))
    options = MultiprocessingOptions(config.workers, per_worker_buffer_size=2)
    return batches.mp_prefetch(options, worker_init_fn=_end_with_the_run)


def _end_with_the_run(worker: int, num_workers: int) -> None:
    """Ends this worker process when the run's is gone; killed, that could not tell it to."""
    run = multiprocessing.parent_process()
    assert run is not None

    def watch() -> None:
        run.join()
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()


def mixing_shares(sizes: Sequence[int], temperature: float) -> np.ndarray:
    """How often each source is drawn from, given how many examples it has: float64 [S], sum 1.

    Raises:
      ValueError: no sources, or one without examples.
    """
    if not len(sizes) or min(sizes) < 1:
        raise ValueError(f"sources have {list(sizes)} examples; give at least one source, each with some")
    rates = np.asarray(sizes, np.float64) ** (1 / temperature)
    return rates / rates.sum()


def notes_to_write(notes: np.ndarray, granularity: Granularity, steps_per_second: int) -> np.ndarray:
    """Notes as tokens can say them.

    Where a coarse granularity merges instruments, unisons become one note (`notes_as_written`); MT3 writes
    them twice. At full granularity only overlaps are trimmed, and tokens are MT3's.
    """
    if granularity is Granularity.FULL:
        return trim_overlapping_notes(notes)
    return notes_as_written(notes, granularity, steps_per_second)


class SegmentMaker:
    """Makes one example, unbatched, of a place and random numbers.

    Attributes:
      shares: float64 [S], how often each source is drawn from.
      piece_counts: of each source: how many places it has.
    """

    def __init__(self, sources: Sequence[Records], config: PipelineConfig):
        self._sources, self._config = tuple(sources), config
        self.shares = mixing_shares([len(source) for source in sources], config.temperature)
        # For each source, the number of the first piece after each example.
        self._next_pieces = [np.cumsum(count_pieces(source.lengths, config.sizes)) for source in sources]
        self.piece_counts = [int(following[-1]) for following in self._next_pieces]
        self._codec = build_codec(config.vocabulary)
        self._vocabulary = vocabulary_from_codec(self._codec)

    def __call__(self, place: Place, rng: np.random.Generator) -> dict[str, Any]:
        """An example for `open_pipeline`: that at `place`, or a random one if that is too long.

        Raises:
          ValueError: a thousand in a row were too long.
        """
        config = self._config
        for skipped in range(_MOST_SKIPPED):
            segment = self._draw_segment(place, rng)
            ids = self.target_ids(segment)
            notes = segment.notes[is_heard(segment.notes, segment.start_seconds, segment.end_seconds)]
            if len(ids) <= config.target_lengths[-1] and len(notes) <= config.max_notes:
                return {
                    "samples": segment.samples,
                    "num_frames": np.int32(segment.num_frames),
                    "targets": _padded(ids, config.target_lengths[-1], PAD_ID),
                    **_note_columns(notes, segment.start_seconds, config.max_notes),
                    "skipped": np.int32(skipped),
                }
            place = self._draw_place(rng)
        raise ValueError(
            f"{_MOST_SKIPPED} examples in a row had more than {config.target_lengths[-1]} ids or "
            f"{config.max_notes} notes; raise the last of target_lengths, or max_notes"
        )

    def target_ids(self, segment: Cut) -> np.ndarray:
        """What the network should write for a segment, the end included: int32 [T]."""
        config = self._config
        (indexes,) = encode_segments(
            notes_to_write(segment.notes, config.granularity, self._codec.steps_per_second),
            [segment.start_seconds],
            self._codec,
            config.spec,
            config.granularity,
            None if segment.is_last else segment.end_seconds,
        )
        return np.append(self._vocabulary.encode(indexes), np.int32(EOS_ID))

    def _draw_segment(self, place: Place, rng: np.random.Generator) -> Cut:
        mix = self._config.mix
        if mix is None:
            stored, number, piece = self._stored(place)
            return self._draw_cut(stored, stored.mixes[number], piece, rng)
        places = [place, *(self._draw_place(rng) for _ in range(draw_count(rng, mix) - 1))]
        found = [self._stored(place) for place in places]
        chosen = draw_stems(rng, [(stored, number) for stored, number, _ in found], mix)
        cuts = [
            self._draw_cut(stored, stems, piece, rng)
            for (stored, _, piece), stems in zip(found, chosen, strict=True)
            if stems
        ]
        gains = 10 ** (rng.uniform(*mix.gain_db, len(cuts)) / 20)
        return put_together(cuts, gains)

    def _draw_cut(
        self, stored: StoredRecording, stems: tuple[int, ...], piece: int, rng: np.random.Generator
    ) -> Cut:
        config = self._config
        start, frames = draw_segment(rng, stored.num_samples, piece, config.sizes)
        semitones = 0
        if config.pitch_shift is not None:
            notes = np.concatenate([stored.notes[stem] for stem in stems])
            semitones = draw_semitones(rng, notes, config.pitch_shift)
        return cut(stored, stems, start, config.sizes, config.granularity, semitones, frames)

    def _draw_place(self, rng: np.random.Generator) -> Place:
        source = int(rng.choice(len(self._sources), p=self.shares))
        return source, int(rng.integers(self.piece_counts[source]))

    def _stored(self, place: Place) -> tuple[StoredRecording, int, int]:
        """The recording of a place, the number of its mix, and that of the piece."""
        source, number = place
        following = self._next_pieces[source]
        example = int(following.searchsorted(number, side="right"))
        first = int(following[example - 1]) if example else 0
        return *self._sources[source].stored(example), number - first


def put_together(cuts: Sequence[Cut], gains: np.ndarray) -> Cut:
    """One segment in which all are heard, in the time of the first; `gains` float [len(cuts)].

    Of several recordings only those notes stay that are heard: what one played before its segment says
    nothing about another's held notes.
    """
    if len(cuts) == 1:
        (alone,) = cuts
        return alone._replace(samples=mix_audio([np.float32(gains[0]) * alone.samples]))
    start_seconds = cuts[0].start_seconds
    return Cut(
        mix_audio([np.float32(gain) * part.samples for gain, part in zip(gains, cuts, strict=True)]),
        max(part.num_frames for part in cuts),
        merge_notes([_heard_notes(part, start_seconds) for part in cuts]),
        start_seconds,
        start_seconds + max(part.end_seconds - part.start_seconds for part in cuts),
        all(part.is_last for part in cuts),
    )


def _heard_notes(part: Cut, start_seconds: float) -> np.ndarray:
    """The notes of a segment that starts at another time, none longer than it is."""
    notes = trim_overlapping_notes(part.notes)
    notes = notes[is_heard(notes, part.start_seconds, part.end_seconds)]
    notes["end"] = np.minimum(notes["end"], part.end_seconds)
    for name in ("start", "end"):
        notes[name] += start_seconds - part.start_seconds
    return notes


def _note_columns(notes: np.ndarray, start_seconds: float, length: int) -> dict[str, np.ndarray]:
    """Notes as `training.step` takes them, in seconds from the segment's start."""
    columns: dict[str, np.ndarray] = {name: notes[name] for name in _NOTE_PADDING}
    for name in ("start", "end"):
        columns[name] = (columns[name] - start_seconds).astype(np.float32)
    return {f"note_{name}": _padded(columns[name], length, value) for name, value in _NOTE_PADDING.items()}


def _padded(values: np.ndarray, length: int, padding: Any) -> np.ndarray:
    padded = np.full(length, padding, values.dtype)
    padded[: len(values)] = values
    return padded


@dataclasses.dataclass(frozen=True)
class _PlaceIn:
    source: int

    def __call__(self, index: int) -> Place:
        return self.source, int(index)


@dataclasses.dataclass(frozen=True)
class _TargetTrimmer:
    """Cuts a batch's targets to the smallest length that holds them all."""

    lengths: tuple[int, ...]

    def __call__(self, batch: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
        longest = int((batch["targets"] != PAD_ID).sum(axis=1).max())
        length = next(length for length in self.lengths if length >= longest)
        return {**batch, "targets": batch["targets"][:, :length]}
