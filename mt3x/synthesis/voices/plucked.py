"""Plucked strings, as on guitars and basses: a string with losses, where it is plucked, and a body.

One call is one player on one instrument. The Karplus-Strong loop, a delay of one period with a loss filter,
is evaluated in the frequency domain as excitation / (1 - loop). That makes the period exact, lets the string
be stiff, and costs the same at every pitch.

Source: Karplus and Strong 1983; Jaffe and Smith 1983.
"""

import dataclasses

import numpy as np

from mt3x.synthesis.effects import filters
from mt3x.synthesis.inflection import Inflections
from mt3x.synthesis.voices import part

# By the end of the transform a sound that does not decay has fallen to this, so that it hardly wraps around.
_WRAP_GAIN = 0.03


@dataclasses.dataclass(frozen=True)
class _Instrument:
    """One instrument and one way to play it.

    Attributes:
      pluck_position: of the string's length, from the bridge.
      pickup_position: likewise; None for an acoustic instrument.
      pick_hz: above this the pluck is dull.
      decay_seconds: time in which the lowest partials at MIDI pitch 52 fall by 60 dB.
      treble_loss: nepers per second at 1 kHz, grows with the square of frequency.
      mute_seconds: decay of palm-muted notes.
      muted_share: share of the notes that are palm-muted.
      stiffness: inharmonicity B at MIDI pitch 52; it grows with the root of frequency.
      release_seconds: time in which a damped string falls by 26 dB.
      body_hz, body_q, body_gain: float [P], resonances of the body.
    """

    pluck_position: float
    pickup_position: float | None
    pick_hz: float
    decay_seconds: float
    treble_loss: float
    mute_seconds: float
    muted_share: float
    stiffness: float
    release_seconds: float
    body_hz: np.ndarray
    body_q: np.ndarray
    body_gain: np.ndarray


def render(
    rng: np.random.Generator, notes: np.ndarray, inflections: Inflections, seconds: float, sample_rate: int
) -> np.ndarray:
    """Plays the notes on a random plucked instrument.

    Args:
      notes: `NOTE_DTYPE` [M], in seconds from the first sample; onsets may be negative.
      inflections: of the M notes.

    Returns:
      float32 [N], with N = round(seconds * sample_rate).

    Raises:
      ValueError: as `part.check_request`.
    """
    instrument = _draw_instrument(rng)
    mixed = part.mix_notes(rng, notes, inflections, seconds, sample_rate, instrument, _add_note)
    return filters.convolve(mixed, _body(instrument, sample_rate))


def _draw_instrument(rng: np.random.Generator) -> _Instrument:
    resonances = rng.integers(3, 7)
    is_electric = rng.random() < 0.5
    return _Instrument(
        pluck_position=rng.uniform(0.06, 0.4),
        pickup_position=rng.uniform(0.06, 0.25) if is_electric else None,
        pick_hz=1000.0 * 6.0 ** rng.random(),
        decay_seconds=1.5 * 6.0 ** rng.random(),
        treble_loss=0.3 * 12.0 ** rng.random(),
        mute_seconds=rng.uniform(0.12, 0.4),
        muted_share=rng.uniform(0.2, 1.0) if rng.random() < 0.25 else 0.0,
        stiffness=1e-5 * 10.0 ** rng.random(),
        release_seconds=rng.uniform(0.02, 0.15),
        body_hz=90.0 * 25.0 ** rng.random(resonances),
        body_q=rng.uniform(3.0, 12.0, resonances),
        body_gain=rng.uniform(0.05, 0.3 if is_electric else 1.2, resonances),
    )


def _add_note(
    rng: np.random.Generator,
    mixed: np.ndarray,
    instrument: _Instrument,
    notes: np.ndarray,
    inflections: Inflections,
    index: int,
    sample_rate: int,
) -> None:
    start, end = float(notes["start"][index]), float(notes["end"][index])
    first, length = part.span(start, end + 2 * instrument.release_seconds, len(mixed), sample_rate)
    if not length:
        return
    skipped = max(first - round(start * sample_rate), 0)
    hz = float(part.hertz(notes["pitch"][index] + inflections.cents[index] / 100))
    velocity = float(notes["velocity"][index])
    if inflections.scoop_cents[index] or inflections.vibrato_cents[index]:
        # A bent string is the straight one, played at a varying speed.
        turns = part.note_turns(notes, inflections, index, first, length, sample_rate)
        position = (turns - turns[0]) * (sample_rate / hz) + skipped
        straight = _pluck(rng, instrument, hz, velocity, int(position[-1]) + 2, sample_rate)
        whole = position.astype(np.int32)
        string = straight[whole] + (straight[whole + 1] - straight[whole]) * (position - whole)
    else:
        string = _pluck(rng, instrument, hz, velocity, skipped + length, sample_rate)[skipped:]
    damping = np.ones(length, np.float32)
    released = max(round(end * sample_rate) - first, 0)
    since_release = np.arange(max(length - released, 0), dtype=np.float32) / sample_rate
    damping[released:] = np.exp(-3.0 / instrument.release_seconds * since_release)
    mixed[first : first + length] += (string * damping).astype(np.float32)


def _pluck(
    rng: np.random.Generator,
    instrument: _Instrument,
    hz: float,
    velocity: float,
    length: int,
    sample_rate: int,
) -> np.ndarray:
    """One plucked string, float32 [length]."""
    size = filters.fast_length(int(1.25 * length) + 1024)
    frequency = np.arange(size // 2 + 1, dtype=np.float32) * np.float32(sample_rate / size)
    # Everything is scaled by exp(-wrap * seconds) while it is in the frequency domain.
    wrap = -np.log(_WRAP_GAIN) * sample_rate / size

    stiffness = instrument.stiffness * (hz / 165.0) ** 0.5
    ratio = frequency / np.float32(hz)
    # Which partial n a frequency is, where partial n sounds at n * sqrt(1 + stiffness * n**2) * hz.
    partial = ratio * np.sqrt(2 / (1 + np.sqrt(1 + 4 * stiffness * ratio**2)))
    is_muted = rng.random() < instrument.muted_share
    decay = instrument.mute_seconds if is_muted else instrument.decay_seconds * (165.0 / hz) ** 0.5
    loss = 6.9 / decay + wrap + instrument.treble_loss * (3 if is_muted else 1) * (frequency / 1000) ** 2
    spectrum = 1 / (1 - _turned(partial) * np.exp(-np.minimum(loss / hz, 20)))

    pick_hz = instrument.pick_hz * (0.4 + velocity / 127) * (0.4 if is_muted else 1)
    spectrum *= np.minimum(frequency / 40, 1) / (1 + 1j * frequency / pick_hz) ** 2
    spectrum *= 1 - _turned(partial * (instrument.pluck_position * rng.uniform(0.8, 1.2)))
    if instrument.pickup_position is not None:
        spectrum *= 1 - _turned(partial * instrument.pickup_position)
    # Without a soft end at the Nyquist frequency the sound would ring before its onset, around the wrap.
    taper = np.minimum((1 - frequency / (sample_rate / 2)) * 4, 1)
    spectrum *= 0.5 - 0.5 * np.cos(np.pi * taper)

    string = np.fft.irfft(spectrum, n=size)[:length]
    string = string * np.exp(wrap / sample_rate * np.arange(length, dtype=np.float32))
    opening = string[: int(0.1 * sample_rate)]
    level = np.sqrt(np.mean(np.square(opening))) + 1e-9
    return (string * (part.velocity_gain(velocity) * 0.9 / level)).astype(np.float32)


def _turned(turns: np.ndarray) -> np.ndarray:
    """exp(-2j * pi * turns), complex64, by real functions, which are several times as fast."""
    angle = (turns - np.floor(turns)) * np.float32(2 * np.pi)
    turned = np.empty(len(turns), np.complex64)
    turned.real, turned.imag = np.cos(angle), -np.sin(angle)
    return turned


def _body(instrument: _Instrument, sample_rate: int) -> np.ndarray:
    """Impulse response of the body: float32 [4096], the direct sound of the string at lag 0."""
    frequency = np.linspace(0.0, sample_rate / 2, 2049)[:, None]
    nearness = frequency / instrument.body_hz
    resonances = 1j * nearness / instrument.body_q / (1 - nearness**2 + 1j * nearness / instrument.body_q)
    response = np.fft.irfft(1 + resonances @ (3 * instrument.body_gain), n=4096)
    # What would sound before the direct sound is only the tail that wraps around.
    response[2048:] = 0
    return response.astype(np.float32)
