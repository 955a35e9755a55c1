"""Sampled instruments: single notes of real instruments and drum kits, played at any pitch and length.

A library is packed once, by `synthesis.sampled.packing`. Each recording's onset lies `ONSET_SECONDS` after
its start.

Times are in seconds from the start of the rendered audio; audio is float32, mono.
"""

import functools
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from mt3x.synthesis.inflection import Inflections
from mt3x.synthesis.voices.part import check_request

ONSET_SECONDS = 0.003

FULL_SCALE = 32767
"""Peak of every recording, as it is stored."""

_FARTHEST_SEMITONES = 4
"""A recording is played this far from its pitch, no further: its formants move with it."""

LOUDNESS_EXPONENT = 1.7
"""Loudness of a velocity, as its power; a soundfont's is 2, and recorded layers hold the rest."""

_RELEASE_NEPERS = 6.9  # a release time is how long a note takes to fall by 60 dB
_SAMPLES_FILE, _INDEX_FILE = "samples.npy", "index.npz"

RECORDING_DTYPE = np.dtype(
    [
        ("first", np.int64),
        ("count", np.int64),
        ("instrument", np.int32),
        ("program", np.int16),
        ("is_drum", bool),
        ("pitch", np.int16),
        ("exact_pitch", np.float32),
        ("velocity", np.int16),
        ("articulation", np.int16),
        ("gain", np.float32),
    ]
)
"""One recording: its samples, what it is, the velocity that its loudness stands for, and its gain."""


@dataclass(frozen=True)
class SampleLibrary:
    """Recordings of many instruments.

    Attributes:
      samples: int16 [S], all recordings one after the other, each at full scale.
      recordings: `RECORDING_DTYPE` [R].
      instruments: names by `recordings["instrument"]`; articulations: by `recordings["articulation"]`.
      sample_rate: Hz.
    """

    samples: np.ndarray
    recordings: np.ndarray
    instruments: tuple[str, ...]
    articulations: tuple[str, ...]
    sample_rate: int

    def without(self, names: Iterable[str]) -> "SampleLibrary":
        """The library without some instruments, which stay unheard.

        Raises:
          ValueError: it has no such instrument.
        """
        names = tuple(names)
        if unknown := sorted(set(names) - set(self.instruments)):
            raise ValueError(
                f"there is no instrument {unknown[0]!r}; there are {', '.join(self.instruments)}"
            )
        gone = [self.instruments.index(name) for name in names]
        kept = self.recordings[~np.isin(self.recordings["instrument"], gone)]
        return SampleLibrary(self.samples, kept, self.instruments, self.articulations, self.sample_rate)

    def instruments_of(self, programs: Sequence[int]) -> list[int]:
        """Numbers of the instruments that have recordings of one of these programs."""
        is_one = np.isin(self.recordings["program"], programs) & ~self.recordings["is_drum"]
        return np.unique(self.recordings["instrument"][is_one]).tolist()

    @functools.cached_property
    def kits(self) -> list[int]:
        """Numbers of the instruments that are drum kits."""
        return np.unique(self.recordings["instrument"][self.recordings["is_drum"]]).tolist()


def save_samples(library: SampleLibrary, folder: str | Path) -> None:
    """Writes a library into a folder, for `load_samples`."""
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    (folder / _INDEX_FILE).unlink(missing_ok=True)  # a folder without it is unfinished
    np.save(folder / _SAMPLES_FILE, library.samples)
    np.savez(
        folder / _INDEX_FILE,
        recordings=library.recordings,
        instruments=np.array(library.instruments),
        articulations=np.array(library.articulations),
        sample_rate=library.sample_rate,
    )


def load_samples(folder: str | Path) -> SampleLibrary:
    """Reads what `save_samples` wrote; the samples stay on disk until they are used.

    Raises:
      ValueError: the folder holds no packed library, or an unfinished one.
    """
    folder = Path(folder)
    if not (folder / _INDEX_FILE).is_file() or not (folder / _SAMPLES_FILE).is_file():
        raise ValueError(
            f"{folder} holds no finished sample library; mt3x prepare note-bank --samples writes one"
        )
    samples = np.load(folder / _SAMPLES_FILE, mmap_mode="r")
    with np.load(folder / _INDEX_FILE) as index:
        return SampleLibrary(
            samples,
            index["recordings"],
            tuple(index["instruments"].tolist()),
            tuple(index["articulations"].tolist()),
            int(index["sample_rate"]),
        )


class SamplePlayer:
    """One instrument of a library, or one drum kit, ready to play notes."""

    def __init__(
        self,
        library: SampleLibrary,
        recordings: np.ndarray,
        release_seconds: float,
        formant_semitones: int = 0,
    ):
        """Takes those recordings of the library that may be played; give drums a long release.

        formant_semitones: pitched notes are played by recordings so many semitones lower, at their pitch.
        """
        self._library, self._recordings = library, recordings
        self._release_seconds = release_seconds
        self._formant_semitones = formant_semitones

    def sounding(self, notes: np.ndarray) -> np.ndarray:
        """bool [N]: the notes for which there is a recording near enough."""
        if not len(self._recordings):
            return np.zeros(len(notes), bool)
        farthest = np.where(notes["is_drum"], 0, _FARTHEST_SEMITONES)
        return self._distance(notes).min(axis=1) <= farthest

    def lasts(self, notes: np.ndarray) -> np.ndarray:
        """float64 [N]: the notes' ends, no later than the longest recording of the nearest pitch sounds."""
        if not len(notes):
            return notes["end"].copy()
        distance = self._distance(notes)
        is_near = distance == distance.min(axis=1, keepdims=True)
        semitones = notes["pitch"][:, None] - self._recordings["exact_pitch"].astype(np.float64)
        semitones = np.where(notes["is_drum"][:, None], 0.0, semitones)
        seconds = self._recordings["count"] / self._library.sample_rate - ONSET_SECONDS
        longest = np.where(is_near, seconds * 2 ** (-semitones / 12), 0.0).max(axis=1)
        return np.minimum(notes["end"], notes["start"] + longest)

    def _distance(self, notes: np.ndarray) -> np.ndarray:
        """int64 [N, R]: semitones between the recordings that notes ask for and those that there are."""
        wanted = notes["pitch"] - np.where(notes["is_drum"], 0, self._formant_semitones)
        return np.abs(wanted[:, None] - self._recordings["pitch"][None, :].astype(np.int64))

    def render(
        self, rng: np.random.Generator, notes: np.ndarray, inflections: Inflections, seconds: float
    ) -> np.ndarray:
        """float32 [round(seconds * sample_rate)]; all of the notes must be `sounding`.

        Notes may begin before 0 and end after the audio: what lies outside is cut off.

        Raises:
          ValueError: a length that is negative or not finite, or inflections of another number of notes.
        """
        rate = self._library.sample_rate
        audio = np.zeros(check_request(notes, inflections, seconds, rate), np.float32)
        lead = round(ONSET_SECONDS * rate)
        distance = self._distance(notes)
        for index, note in enumerate(notes):
            recording = self._choose(rng, note, distance[index])
            begin = round(float(note["start"]) * rate) - lead
            held = float(note["end"] - note["start"])
            length = lead + round((held + self._release_seconds) * rate)
            sound = self._play(recording, note, inflections, index, min(length, len(audio) - begin))
            since_end = (np.arange(len(sound)) - lead) / rate - held
            sound *= np.exp(-_RELEASE_NEPERS * np.maximum(since_end, 0) / self._release_seconds).astype(
                np.float32
            )
            gain = (float(note["velocity"]) / max(float(recording["velocity"]), 1.0)) ** LOUDNESS_EXPONENT
            sound *= np.float32(recording["gain"] * np.clip(gain, 0.1, 4.0) / FULL_SCALE)
            heard = sound[max(-begin, 0) :]
            first = max(begin, 0)
            audio[first : first + len(heard)] += heard
        return audio

    def _choose(self, rng: np.random.Generator, note: np.void, distance: np.ndarray) -> np.void:
        """A recording of the nearest pitch and, among those, of a velocity that is nearly the nearest.

        distance: int64 [R], of the recordings.
        """
        near = self._recordings[distance == distance.min()]
        velocity = np.abs(near["velocity"] - int(note["velocity"])) + rng.uniform(0, 12, len(near))
        return near[int(np.argmin(velocity))]

    def _play(
        self, recording: np.void, note: np.void, inflections: Inflections, index: int, length: int
    ) -> np.ndarray:
        """float32 [at most length]: the recording at the note's pitch, as its inflection bends it."""
        first, count = int(recording["first"]), int(recording["count"])
        rate = self._library.sample_rate
        lead = round(ONSET_SECONDS * rate)
        if length <= 0:
            return np.zeros(0, np.float32)
        since_onset = (np.arange(length, dtype=np.float32) - lead) / rate
        if note["is_drum"]:
            semitones = inflections.cents[index] / 100
        else:
            cents = inflections.cents_at(index, since_onset)
            semitones = float(note["pitch"]) - float(recording["exact_pitch"]) + cents / 100
        steps = np.broadcast_to(2 ** (semitones / 12), since_onset.shape)
        # At any pitch the onset stays where it is: sample `lead` is the recording's sample `lead`.
        place = np.cumsum(steps, dtype=np.float64) + (lead - (lead + 1) * float(steps[0]))
        place = np.maximum(place[: int(np.searchsorted(place, count - 2))], 0)
        whole = place.astype(np.int64)
        part = (place - whole).astype(np.float32)
        source = np.asarray(self._library.samples[first : first + count], np.float32)
        left = source[whole]
        return left + (source[whole + 1] - left) * part
