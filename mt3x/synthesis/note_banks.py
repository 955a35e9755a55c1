"""Note banks: every note of a soundfont rendered once, so that audio can be added up instead of rendered.

A note bank holds one held note per (program or drums, pitch, velocity layer). `arrange` looks up the notes of
a segment; `mt3x.synthesis.composition.compose` shifts each row to its onset, lets it go at its end, scales
and adds.

What differs from rendering with `Synthesizer`: nothing sounds longer than a row; a velocity between the
layers is the nearest layer, made louder or softer; a release is an exponential decay, its time measured on
the soundfont; notes don't influence each other (no cut-off hi-hats). Onsets are exact, not on FluidSynth's
grid.

P is the number of note places in a segment, K the number of rows, L their length in samples, V the number of
velocity layers.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, fields
from functools import partial
from multiprocessing import get_context
from pathlib import Path
from typing import NamedTuple

import numpy as np

from mt3x.music.checks import check_at_least
from mt3x.music.notes import make_notes, validate_notes
from mt3x.synthesis.soundfonts import Synthesizer

DRUM_ROW = 128
"""The place of drums in the first dimension of `NoteBank.lookup`, after the 128 programs."""

DRUM_PITCHES = range(27, 88)
"""The percussion keys that General MIDI soundfonts have (GM itself: 35 to 81)."""

_SILENT_PEAK = 1e-4  # rows that never reach it are left out: the soundfont has no sample there
_FADE_SECONDS = 0.02  # at the end of each row, so that a note that outlasts it doesn't end in a click
_RELEASE_DECIBELS = 60.0  # a release time is how long a let-go note takes to fall by this
_RELEASE_LIMITS = (0.02, 10.0)  # seconds; the upper one also stands for notes that ring on by themselves
_HELD_SECONDS = (0.5, 0.1)  # releases are measured on notes held so long,
_LISTENED_SECONDS, _FRAME_SECONDS = 0.8, 0.01  # for so long after their end, in frames of so long
_FULL_SCALE = 32767
_SAMPLES_FILE, _INDEX_FILE = "samples.npy", "index.npz"


@dataclass(frozen=True)
class NoteBank:
    """One soundfont's notes.

    Attributes:
      samples: int16 [K, L], mono; each row uses the full scale.
      scales: float32 [K], what one step of `samples` is worth in `Synthesizer`'s audio.
      release_seconds: float32 [K], time to fall by 60 dB after the note's end.
      lookup: int32 [129, 128, V], (program or DRUM_ROW, pitch, layer) -> row, -1 where there is no sound.
      velocities: int32 [V], ascending: the velocity at which each layer was rendered.
      sample_rate: in Hz.
      soundfont: name or path that it was rendered from.
    """

    samples: np.ndarray
    scales: np.ndarray
    release_seconds: np.ndarray
    lookup: np.ndarray
    velocities: np.ndarray
    sample_rate: int
    soundfont: str

    def layers(self, velocity: np.ndarray) -> np.ndarray:
        """The nearest velocity layer of each velocity: int64 [N]; halfway, the softer one."""
        distance = np.abs(np.asarray(velocity)[:, None] - self.velocities[None, :])
        return np.argmin(distance, axis=1)

    def rows(self, notes: np.ndarray) -> np.ndarray:
        """Each note's row: int32 [N], -1 where there is no such sound (don't ask a network to hear it)."""
        program = np.where(notes["is_drum"], DRUM_ROW, notes["program"])
        return self.lookup[program, notes["pitch"], self.layers(notes["velocity"])]


class Arrangement(NamedTuple):
    """The notes of a segment in the order of `compose`'s arguments; fields [P], or [B, P] once stacked.

    Attributes:
      note_rows: int32.
      onsets: float32, seconds from the segment's start; negative for a note that sounds on from before.
      durations: float32, seconds.
      gains: float32; 0 in unused places.
      release_seconds: float32.
    """

    note_rows: np.ndarray
    onsets: np.ndarray
    durations: np.ndarray
    gains: np.ndarray
    release_seconds: np.ndarray


def arrange(
    bank: NoteBank, notes: np.ndarray, start_seconds: float, seconds: float, max_notes: int
) -> Arrangement:
    """The notes that are heard in a segment, as `compose` takes them.

    Trim overlapping notes first: here two notes of one pitch sound both. FluidSynth's loudness grows with the
    square of the velocity, and so does the gain between the layers.

    Args:
      notes: `NOTE_DTYPE` [N] of a whole piece; those without a row are left out.
      start_seconds, seconds: the segment's start in the piece and its length.
      max_notes: P.

    Raises:
      ValueError: unsound notes, or more than max_notes of them are heard.
    """
    rows = bank.rows(validate_notes(notes))
    onsets = notes["start"] - start_seconds
    durations = notes["end"] - notes["start"]
    release_seconds = bank.release_seconds[rows]  # whatever it is for row -1: those go with the next line
    row_seconds = bank.samples.shape[1] / bank.sample_rate
    sounding_seconds = np.minimum(durations + release_seconds, row_seconds)
    heard = np.flatnonzero((rows >= 0) & (onsets < seconds) & (onsets + sounding_seconds > 0))
    if len(heard) > max_notes:
        raise ValueError(
            f"{len(heard)} notes are heard in the segment at {start_seconds} s; max_notes is {max_notes}"
        )
    layer_velocity = bank.velocities[bank.layers(notes["velocity"])]
    gains = bank.scales[rows] * (notes["velocity"] / layer_velocity) ** 2

    def place(values: np.ndarray, dtype: type, unused: float) -> np.ndarray:
        placed = np.full(max_notes, unused, dtype)
        placed[: len(heard)] = values[heard]
        return placed

    return Arrangement(
        place(rows, np.int32, 0),
        place(onsets, np.float32, 0.0),
        place(durations, np.float32, 0.0),
        place(gains, np.float32, 0.0),
        place(release_seconds, np.float32, 1.0),
    )


# ---- building, with FluidSynth ----


class _Rows(NamedTuple):
    """What one program (or the drums) adds to a bank: R rows."""

    pitches: np.ndarray  # int64 [R]
    layers: np.ndarray  # int64 [R]
    samples: np.ndarray  # int16 [R, L]
    scales: np.ndarray  # float32 [R]
    release_seconds: np.ndarray  # float32 [R]


@dataclass(frozen=True)
class _Plan:
    pitches: tuple[int, ...]
    drum_pitches: tuple[int, ...]
    velocities: tuple[int, ...]
    seconds: float


def build_note_bank(
    soundfont: str | Path,
    programs: Iterable[int] = range(128),
    pitches: Iterable[int] = range(21, 109),
    velocities: Sequence[int] = (40, 80, 115),
    seconds: float = 3.0,
    workers: int = 1,
    drum_pitches: Iterable[int] = DRUM_PITCHES,
    sample_rate: int = 16000,
) -> NoteBank:
    """Renders every (program, pitch, velocity) and (drum key, velocity) once.

    With workers > 1 the programs are shared among processes, and a script that calls this needs the usual
    `if __name__ == "__main__":`.

    Raises:
      ValueError: no velocities, one out of 1..127 or not ascending; seconds or workers below 1; programs,
        pitches or the sample rate out of range; no sound at all.
      SynthesisError: FluidSynth or the soundfont is missing.
    """
    plan = _Plan(tuple(sorted(set(pitches))), tuple(sorted(set(drum_pitches))), tuple(velocities), seconds)
    if not velocities or list(velocities) != sorted({v for v in velocities if 1 <= v <= 127}):
        raise ValueError(f"velocities are {list(velocities)}; give at least one, ascending, within 1..127")
    if seconds < 1:
        raise ValueError(f"seconds is {seconds}; it must be at least 1, or releases cannot be measured")
    check_at_least(1, workers=workers)
    programs = sorted(set(programs))
    for name, values in (
        ("programs", programs),
        ("pitches", plan.pitches),
        ("drum_pitches", plan.drum_pitches),
    ):
        if outside := [value for value in values if not 0 <= value <= 127]:
            raise ValueError(f"{name} hold {outside[0]}; they must be within 0..127")
    parts = [*programs, *([DRUM_ROW] if plan.drum_pitches else [])]
    num_pitches = [len(plan.drum_pitches if part == DRUM_ROW else plan.pitches) for part in parts]
    samples = np.zeros((sum(num_pitches) * len(velocities), round(seconds * sample_rate)), np.int16)
    scales, release_seconds = np.zeros((2, len(samples)), np.float32)
    lookup = np.full((DRUM_ROW + 1, 128, len(velocities)), -1, np.int32)
    end = 0
    for part, rows in zip(
        parts, _render_parts(str(soundfont), sample_rate, parts, plan, workers), strict=True
    ):
        new = slice(end, end + len(rows.samples))
        samples[new], scales[new], release_seconds[new] = rows.samples, rows.scales, rows.release_seconds
        lookup[part, rows.pitches, rows.layers] = np.arange(new.start, new.stop)
        end = new.stop
    if not end:
        raise ValueError(f"{soundfont} has no sound for any of the {len(samples)} notes that were asked for")
    return NoteBank(
        samples[:end],
        scales[:end],
        release_seconds[:end],
        lookup,
        np.asarray(velocities, np.int32),
        sample_rate,
        str(soundfont),
    )


def _render_parts(
    soundfont: str, sample_rate: int, parts: Sequence[int], plan: _Plan, workers: int
) -> Iterator[_Rows]:
    if workers == 1:
        synthesizer = Synthesizer(soundfont, sample_rate)
        yield from (_render_part(synthesizer, part, plan) for part in parts)
        return
    Synthesizer(soundfont, sample_rate).close()  # what is missing is said here; a worker would only break
    # Spawned, not forked: this process may hold JAX's threads.
    with ProcessPoolExecutor(workers, get_context("spawn"), _start_worker, (soundfont, sample_rate)) as pool:
        yield from pool.map(partial(_render_part, None), parts, [plan] * len(parts))


# One per worker process, as opening a soundfont may take seconds.
_worker_synthesizer: Synthesizer | None = None


def _start_worker(soundfont: str, sample_rate: int) -> None:
    global _worker_synthesizer
    _worker_synthesizer = Synthesizer(soundfont, sample_rate)


def _render_part(synthesizer: Synthesizer | None, part: int, plan: _Plan) -> _Rows:
    """All rows of one program, or of the drums."""
    synthesizer = synthesizer or _worker_synthesizer
    assert synthesizer is not None
    is_drum = part == DRUM_ROW
    program = 0 if is_drum else part
    has_sound = synthesizer.sounding_pitches(program, is_drum)
    found: list[tuple[int, int, np.ndarray, float, float]] = []
    for pitch in plan.drum_pitches if is_drum else plan.pitches:
        if not has_sound[pitch]:
            continue
        strike = partial(make_notes, 0.0, pitch=pitch, program=program, is_drum=is_drum)
        release = _measure_release(synthesizer, strike, plan.velocities[len(plan.velocities) // 2])
        for layer, velocity in enumerate(plan.velocities):
            audio = synthesizer.render(strike(plan.seconds + 1, velocity=velocity), plan.seconds)
            peak = float(np.abs(audio).max())
            if peak > _SILENT_PEAK:
                found.append((pitch, layer, _quantise(audio, peak, synthesizer.sample_rate), peak, release))
    length = round(plan.seconds * synthesizer.sample_rate)
    pitches, layers, samples, peaks, releases = zip(*found, strict=True) if found else [()] * 5
    return _Rows(
        np.asarray(pitches, np.int64),
        np.asarray(layers, np.int64),
        np.asarray(samples, np.int16).reshape(len(found), length),
        np.asarray(peaks, np.float32) / np.float32(_FULL_SCALE),
        np.asarray(releases, np.float32),
    )


def _quantise(audio: np.ndarray, peak: float, sample_rate: int) -> np.ndarray:
    """int16 [L] at full scale, with a short fade at the end."""
    fade = np.minimum(np.arange(len(audio), 0, -1) / (_FADE_SECONDS * sample_rate), 1.0)
    return np.rint(audio * fade * (_FULL_SCALE / peak)).astype(np.int16)


def _measure_release(synthesizer: Synthesizer, strike: Callable[..., np.ndarray], velocity: int) -> float:
    """Seconds in which a let-go note falls by 60 dB against the same note held on.

    FluidSynth's release is a straight line in decibels, so the ratio of the two renderings, frame by frame,
    is that line; its slope is fitted down to -40 dB. Sounds that are over too soon for that are let go
    sooner, and if that is no help, count as ringing on by themselves.
    """
    frame = round(_FRAME_SECONDS * synthesizer.sample_rate)

    def levels(end_seconds: float, first_seconds: float) -> np.ndarray:
        notes, seconds = strike(end_seconds, velocity=velocity), first_seconds + _LISTENED_SECONDS
        audio = synthesizer.render(notes, seconds)[round(first_seconds * synthesizer.sample_rate) :]
        return np.sqrt(np.mean(audio[: len(audio) // frame * frame].reshape(-1, frame) ** 2, axis=1))

    for held_seconds in _HELD_SECONDS:
        held = levels(held_seconds + 2 * _LISTENED_SECONDS, held_seconds)
        released = levels(held_seconds, held_seconds)
        usable = (held > _SILENT_PEAK) & (released > 0.01 * held)
        if usable.any():
            time = (np.flatnonzero(usable) + 0.5) * _FRAME_SECONDS
            fall_decibels = -20 * np.log10(released[usable] / held[usable])
            decibels_per_second = max(float(time @ fall_decibels / (time @ time)), 1e-3)
            return float(np.clip(_RELEASE_DECIBELS / decibels_per_second, *_RELEASE_LIMITS))
    return _RELEASE_LIMITS[1]


# ---- keeping ----


def save_note_bank(bank: NoteBank, folder: str | Path) -> None:
    """Writes `samples.npy` and, last, `index.npz` into the folder, which is made where it is missing."""
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    (folder / _INDEX_FILE).unlink(missing_ok=True)  # a folder without it is unfinished
    np.save(folder / _SAMPLES_FILE, bank.samples)
    index = {field.name: getattr(bank, field.name) for field in fields(bank) if field.name != "samples"}
    np.savez(folder / _INDEX_FILE, **index)


def load_note_bank(folder: str | Path) -> NoteBank:
    """Reads what `save_note_bank` wrote; the samples stay on disk until they are used.

    Raises:
      ValueError: the folder holds no note bank, or an unfinished one.
    """
    folder = Path(folder)
    if not (folder / _INDEX_FILE).is_file() or not (folder / _SAMPLES_FILE).is_file():
        raise ValueError(f"{folder} holds no finished note bank; write one with save_note_bank")
    samples = np.load(folder / _SAMPLES_FILE, mmap_mode="r")
    with np.load(folder / _INDEX_FILE) as index:
        stored = dict(index)
    if len(samples) != len(stored["scales"]):
        raise ValueError(f"{folder}: {len(samples)} rows of samples, but an index of {len(stored['scales'])}")
    stored["sample_rate"], stored["soundfont"] = int(stored["sample_rate"]), str(stored["soundfont"])
    return NoteBank(samples=samples, **stored)
