"""Singing: a glottal source through gliding vowels, with breath, roughness, consonants, vibrato and legato.

One call is one singer, or a group that sings chords: notes that overlap go to different lines. The label
of a note's onset is where it is heard to begin, not where the first of it sounds: the vowel has risen and a
glide from the note before has arrived by then, and plosives, fricatives and hums lie before both. Labels of
real singing are so: a model that had learned onsets at the middle of glides found them 30 ms before the
labels of seven singers out of seven.
"""

import dataclasses

import numpy as np
import scipy

from mt3x.synthesis.inflection import Inflections
from mt3x.synthesis.voices import part, wavetable
from mt3x.synthesis.voices.vowels import NASAL, VOWELS, vowel_spectra

_FRAME_SECONDS = 0.025
_DRIFT_SECONDS = 0.15
_CONSONANTS = ("none", "plosive", "fricative", "nasal")

# A gap up to this is sung without a break.
_LEGATO_GAP_SECONDS = 0.06


@dataclasses.dataclass(frozen=True)
class _Singer:
    """What stays the same over all notes of one singer; shares are probabilities per note.

    Attributes:
      lead_seconds: from the beginning of a vowel, or the middle of a glide, to the note's onset.
      roughness: depth of the beat at half the pitch, as in a pressed or shouting voice.
      drift_cents: standard deviation of the slow wandering about the pitch.
    """

    formant_scale: float
    tilt: float
    lead_seconds: float
    legato_share: float
    glide_seconds: float
    attack_seconds: float
    release_seconds: float
    consonant_shares: np.ndarray
    breath_gain: float
    roughness: float
    drift_cents: float
    jitter_cents: float
    shimmer: float


@dataclasses.dataclass(frozen=True)
class _Line:
    """M notes in a row, as one singer sings them.

    Attributes:
      notes, inflections, index: all notes and inflections, and int [M], those of the line.
      start, end: float64 [M], seconds in which the vowels sound; connected notes end where the next one
        starts.
      is_connected: bool [M], whether the note before it runs into this one.
      consonant, consonant_seconds: str [M] and float64 [M], what sounds before each onset.
    """

    notes: np.ndarray
    inflections: Inflections
    index: np.ndarray
    start: np.ndarray
    end: np.ndarray
    is_connected: np.ndarray
    consonant: np.ndarray
    consonant_seconds: np.ndarray


def render(
    rng: np.random.Generator, notes: np.ndarray, inflections: Inflections, seconds: float, sample_rate: int
) -> np.ndarray:
    """Sings the notes with a random voice.

    Args:
      notes: `NOTE_DTYPE` [M], in seconds from the first sample; onsets may be negative.
      inflections: of the M notes.

    Returns:
      float32 [N], with N = round(seconds * sample_rate).

    Raises:
      ValueError: as `part.check_request`.
    """
    num_samples = part.check_request(notes, inflections, seconds, sample_rate)
    mixed = np.zeros(num_samples, np.float32)
    if not len(notes):
        return mixed
    singer = _draw_singer(rng, float(np.median(notes["pitch"])))
    for index in _lines(notes):
        line = _draw_line(rng, singer, notes, inflections, index)
        _add_line(rng, mixed, singer, line, sample_rate)
    return mixed


def _draw_singer(rng: np.random.Generator, pitch: float) -> _Singer:
    # The share of high voices grows from MIDI pitch 50 to 66.
    is_high = rng.random() < np.clip((pitch - 50) / 16, 0.05, 0.95)
    return _Singer(
        formant_scale=rng.uniform(1.1, 1.28) if is_high else rng.uniform(0.93, 1.05),
        tilt=rng.uniform(0.9, 2.0),
        lead_seconds=rng.uniform(0.01, 0.05),
        legato_share=rng.uniform(0.3, 1.0),
        glide_seconds=0.03 * 5.0 ** rng.random(),
        attack_seconds=rng.uniform(0.01, 0.08),
        release_seconds=rng.uniform(0.03, 0.2),
        consonant_shares=rng.dirichlet([3.0, 1.5, 1.5, 1.5]),
        breath_gain=10.0 ** rng.uniform(-2.5, -0.6),
        roughness=rng.uniform(0.1, 0.9) if rng.random() < 0.35 else 0.0,
        drift_cents=rng.uniform(0.0, 25.0),
        jitter_cents=rng.uniform(2.0, 8.0),
        shimmer=rng.uniform(0.01, 0.08),
    )


def _lines(notes: np.ndarray) -> list[np.ndarray]:
    """Positions of notes, shared out to lines in which none overlaps the next by more than 50 ms."""
    lines: list[list[int]] = []
    ends: list[float] = []
    for index in np.lexsort((-notes["pitch"], notes["start"])).tolist():
        free = [number for number, end in enumerate(ends) if end <= notes["start"][index] + 0.05]
        if free:
            nearest = min(free, key=lambda n: abs(int(notes["pitch"][lines[n][-1]] - notes["pitch"][index])))
            lines[nearest].append(index)
            ends[nearest] = float(notes["end"][index])
        else:
            lines.append([index])
            ends.append(float(notes["end"][index]))
    return [np.array(line) for line in lines]


def _draw_line(
    rng: np.random.Generator, singer: _Singer, notes: np.ndarray, inflections: Inflections, index: np.ndarray
) -> _Line:
    onset = notes["start"][index]
    # A vowel takes at most 40 % of the time that the one before it has.
    room = 0.4 * np.maximum(np.diff(onset, prepend=-np.inf), 0.0)
    start = onset - np.minimum(singer.lead_seconds, room)
    end = np.maximum(notes["end"][index], onset + 0.02)
    count = len(index)
    following = np.append(start[1:], np.inf)
    is_near = following - end < _LEGATO_GAP_SECONDS
    runs_on = is_near & (rng.random(count) < singer.legato_share)
    end = np.where(runs_on, following, np.minimum(end, following))
    consonant = rng.choice(_CONSONANTS, count, p=singer.consonant_shares)
    # A consonant takes at most 40 % of the note before it.
    room = np.append(np.inf, np.maximum(0.4 * (end - start)[:-1] + start[1:] - end[:-1], 0.0))
    consonant_seconds = np.minimum(rng.uniform(0.03, 0.12, count), room)
    consonant_seconds[consonant == "none"] = 0.0
    return _Line(
        notes=notes,
        inflections=inflections,
        index=index,
        start=start,
        end=end,
        is_connected=np.append(False, runs_on[:-1]),
        consonant=consonant,
        consonant_seconds=consonant_seconds,
    )


def _add_line(
    rng: np.random.Generator, mixed: np.ndarray, singer: _Singer, line: _Line, sample_rate: int
) -> None:
    begin = float(line.start[0] - line.consonant_seconds[0] - 0.005)
    first, length = part.span(begin, line.end[-1] + singer.release_seconds, len(mixed), sample_rate)
    if not length:
        return
    step = max(int(part.CONTROL_SECONDS * sample_rate), 1)
    control = np.arange(0, length + step, step)
    times = (control + first) / sample_rate
    samples = np.arange(length, dtype=np.float64)

    hz = part.hertz(_pitch(rng, singer, line, times))
    turns = np.cumsum(np.interp(samples, control, hz)) / sample_rate
    loudness = np.interp(samples, control, _loudness(rng, singer, line, times)).astype(np.float32)

    frame_times = times[0] + np.arange(int(length / sample_rate / _FRAME_SECONDS) + 2) * _FRAME_SECONDS
    formants = _formants(rng, singer, line, frame_times)
    frame_hz = np.interp(frame_times, times, hz)
    tables = wavetable.make_tables(vowel_spectra(formants, frame_hz, singer.tilt, sample_rate))
    voiced = wavetable.look_up(tables, turns, samples.astype(np.float32) / (_FRAME_SECONDS * sample_rate))
    if singer.roughness:
        depth = singer.roughness * np.clip(0.5 + 0.7 * _wander(rng, len(control), _DRIFT_SECONDS), 0, 1)
        voiced *= 1 + np.interp(samples, control, depth).astype(np.float32) * _half_pitch(turns)
    breath = rng.standard_normal(length, dtype=np.float32)
    breath[1:] -= 0.7 * breath[:-1]
    mixed[first : first + length] += (voiced + np.float32(singer.breath_gain) * breath) * loudness
    for number in range(len(line.index)):
        _add_consonant(rng, mixed, line, number, sample_rate)


def _half_pitch(turns: np.ndarray) -> np.ndarray:
    """A sine with half the pitch of a phase in turns: float32 [N]."""
    return np.sin(np.pi * (turns - 2 * np.floor(turns / 2))).astype(np.float32)


def _pitch(rng: np.random.Generator, singer: _Singer, line: _Line, times: np.ndarray) -> np.ndarray:
    """MIDI pitch with glides, inflections and jitter at the control times: float64 [T]."""
    current = np.maximum(np.searchsorted(line.start, times, side="right") - 1, 0)
    steps = line.notes["pitch"][line.index][current].astype(np.float64)
    pitch = _smooth(steps, singer.glide_seconds)
    # What is not connected starts at its pitch; the consonant's hum before it has that pitch too.
    loose = ~line.is_connected
    near = np.zeros(len(times), bool)
    for start in line.start[loose]:
        near |= np.abs(times - start) < singer.glide_seconds
    pitch = np.where(near, steps, pitch)
    onset = line.notes["start"][line.index][current]
    cents = line.inflections.cents_at(line.index[current], times - onset)
    jitter = _smooth(rng.standard_normal(len(times)), 0.03) * singer.jitter_cents
    drift = _wander(rng, len(times), _DRIFT_SECONDS) * singer.drift_cents
    return pitch + (_smooth(cents.astype(np.float64), 0.02) + jitter + drift) / 100


def _wander(rng: np.random.Generator, length: int, seconds: float) -> np.ndarray:
    """A random curve, normal values every so many seconds joined by lines: float64 [length]."""
    knots = rng.standard_normal(int(length * part.CONTROL_SECONDS / seconds) + 3)
    return np.interp(np.arange(length) * part.CONTROL_SECONDS / seconds, np.arange(len(knots)), knots)


def _smooth(values: np.ndarray, seconds: float) -> np.ndarray:
    """Moving average with a Hann window of this width, which keeps the ends' values."""
    width = 2 * max(round(seconds / part.CONTROL_SECONDS / 2), 1) + 1
    window = np.hanning(width + 2)[1:-1]
    padded = np.pad(values, width // 2, mode="edge")
    return np.convolve(padded, window / window.sum(), mode="valid")


def _loudness(rng: np.random.Generator, singer: _Singer, line: _Line, times: np.ndarray) -> np.ndarray:
    """Amplitude of the voiced sound at the control times: float64 [T]."""
    gains = part.velocity_gain(line.notes["velocity"][line.index])
    loudness = np.zeros(len(times))
    for number, gain in enumerate(gains):
        start, end = line.start[number], line.end[number]
        is_last = number + 1 == len(gains)
        runs_on = not is_last and bool(line.is_connected[number + 1])
        lead = float(line.consonant_seconds[number])
        # Loud by its attack after the onset; a connected note takes over from the one before it.
        attack = max(min(singer.attack_seconds, 0.4 * (end - start)), 0.004)  # a line may leave no time
        if line.is_connected[number]:
            attack = 0.03
        stop = end - float(line.consonant_seconds[number + 1]) if not is_last else end
        release = max(min(singer.release_seconds, 0.03) if runs_on else singer.release_seconds, 0.004)
        if not is_last:
            release = min(release, max(line.start[number + 1] - stop, 0.01))
        if runs_on and line.consonant_seconds[number + 1] == 0:
            release, stop = 0.03, end
        swell = 1 + rng.uniform(-0.4, 0.4) * np.clip((times - start) / max(end - start, 0.05), 0, 1)
        note = np.clip((times - start) / attack, 0, 1) * np.clip(1 + (stop - times) / release, 0, 1) * swell
        loudness += gain * note
        if line.consonant[number] == "nasal" and lead > 0:
            hum = np.clip((times - start + lead) / 0.01, 0, 1) * np.clip(1 - (times - start) / attack, 0, 1)
            loudness += 0.25 * gain * hum
    return loudness * (1 + singer.shimmer * _smooth(rng.standard_normal(len(times)), 0.02))


def _formants(rng: np.random.Generator, singer: _Singer, line: _Line, frame_times: np.ndarray) -> np.ndarray:
    """Formants in Hz per frame: float64 [K, 5]. Every note goes from one vowel, sometimes to another."""
    vowels = np.stack(list(VOWELS.values()))
    count = len(line.index)
    opening = vowels[rng.integers(0, len(vowels), count)] * singer.formant_scale
    closing = vowels[rng.integers(0, len(vowels), count)] * singer.formant_scale
    closing = np.where((rng.random(count) < 0.35)[:, None], closing, opening)
    seconds = line.end - line.start
    knots = [line.start + 0.03, line.start + 0.4 * seconds, line.end - 0.04]
    values = [opening, opening, closing]
    hums = line.consonant == "nasal"
    knots.append((line.start - line.consonant_seconds)[hums])
    knots.append((line.start - 0.01)[hums])
    nasal = np.broadcast_to(NASAL * singer.formant_scale, (int(hums.sum()), 5))
    values += [nasal, nasal]
    times, rows = np.concatenate(knots), np.concatenate(values)
    order = np.argsort(times, kind="stable")
    times, rows = times[order], rows[order]
    return np.stack([np.interp(frame_times, times, rows[:, column]) for column in range(5)], axis=1)


def _add_consonant(
    rng: np.random.Generator, mixed: np.ndarray, line: _Line, number: int, sample_rate: int
) -> None:
    """Adds the noise of a plosive or a fricative, which ends at the onset."""
    kind, seconds = line.consonant[number], float(line.consonant_seconds[number])
    if kind not in ("plosive", "fricative"):
        return
    if kind == "plosive":
        seconds = min(seconds, rng.uniform(0.005, 0.03))
    first, length = part.span(line.start[number] - seconds, line.start[number], len(mixed), sample_rate)
    if length < 8:
        return
    noise = rng.standard_normal(length, dtype=np.float32)
    hz = rng.uniform(2500.0, 7000.0) if kind == "fricative" else rng.uniform(700.0, 4000.0)
    pole = rng.uniform(0.6, 0.9) * np.exp(2j * np.pi * min(hz, 0.45 * sample_rate) / sample_rate)
    noise = np.asarray(scipy.signal.lfilter([1, 0, -1], [1, -2 * pole.real, abs(pole) ** 2], noise))
    noise *= np.hanning(length) if kind == "fricative" else np.linspace(1, 0.1, length)
    gain = part.velocity_gain(line.notes["velocity"][line.index[number]]) * 10.0 ** rng.uniform(-1.2, -0.3)
    mixed[first : first + length] += (noise / (np.std(noise) + 1e-6) * gain).astype(np.float32)
