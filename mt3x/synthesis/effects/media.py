"""What recording, transmission and storage do to audio: codecs, telephone, telephone microphone, tape, noise.

Every effect takes samples: float32 [N], mono, and returns float32 [N] with its onsets in place.
"""

import io

import numpy as np
import soundfile

from mt3x.synthesis.effects import filters, levels

# Above this, libsndfile writes low rates of MP3 without the header that lets the decoder remove its delay.
_MAX_COMPRESSION = 0.9


def codec(rng: np.random.Generator, samples: np.ndarray, sample_rate: int) -> np.ndarray:
    """Encodes and decodes the samples as MP3 or Vorbis, of variable and mostly low rate.

    libsndfile removes the delay of both codecs. It is the most expensive of the effects.
    """
    peak = levels.peak(samples)
    if peak < 1e-6:
        return samples
    scale = np.float32(0.7 / peak)
    file_format = "MP3" if rng.random() < 0.4 else "OGG"
    compression = rng.uniform(0.0, _MAX_COMPRESSION)
    buffer = io.BytesIO()
    soundfile.write(buffer, samples * scale, sample_rate, format=file_format, compression_level=compression)
    buffer.seek(0)
    decoded, _ = soundfile.read(buffer, dtype="float32")
    decoded = decoded[: len(samples)]
    return np.pad(decoded, (0, len(samples) - len(decoded))) / scale


def telephone(rng: np.random.Generator, samples: np.ndarray, sample_rate: int) -> np.ndarray:
    """A telephone line: 200-400 to 2800-3600 Hz, and mu-law steps of 8 bits at a random level."""
    low_hz, high_hz = rng.uniform(200.0, 400.0), rng.uniform(2800.0, 3600.0)
    band = filters.high_pass(filters.low_pass(samples, sample_rate, high_hz, 4), sample_rate, low_hz, 3)
    peak = levels.peak(band)
    if peak < 1e-6:
        return band
    scale = levels.from_db(rng.uniform(-20.0, 0.0)) / peak
    compressed = np.sign(band) * np.log1p(255 * np.abs(band * scale)) / np.log(256.0)
    steps = np.round(compressed * 127) / 127
    return (np.sign(steps) * np.expm1(np.abs(steps) * np.log(256.0)) / (255 * scale)).astype(np.float32)


def phone_microphone(rng: np.random.Generator, samples: np.ndarray, sample_rate: int) -> np.ndarray:
    """The microphone of a telephone in a room: no bass, resonances, soft clipping and its own noise.

    It cuts below 100-300 Hz, has two to five resonances of -6..10 dB over 800 Hz, and noise 25-55 dB under
    the music.
    """
    hz = np.linspace(0.0, sample_rate / 2, 513)
    count = rng.integers(2, 6)
    centres = 800.0 * 8.0 ** rng.random(count)
    gain_db = filters.peaks_db(hz, centres, rng.uniform(0.1, 0.5, count), rng.uniform(-6.0, 10.0, count))
    gain_db -= 10 * np.log10(1 + (rng.uniform(100.0, 300.0) / np.maximum(hz, 5.0)) ** rng.choice([2, 4]))
    coloured = filters.minimum_phase(samples, gain_db)
    ceiling = np.float32(levels.peak(coloured) * levels.from_db(rng.uniform(-6.0, 12.0)))
    if ceiling > 1e-6:
        coloured = np.tanh(coloured / ceiling) * ceiling
    return coloured + coloured_noise(rng, len(samples), 0.5) * _noise_level(rng, coloured, (25.0, 55.0))


def tape(rng: np.random.Generator, samples: np.ndarray, sample_rate: int) -> np.ndarray:
    """Tape: saturation of the loudest 0-12 dB, no treble over 3.5-7.5 kHz, and hiss 30-60 dB under it.

    Its speed is even, so that the times of notes stay true.
    """
    ceiling = np.float32(levels.peak(samples) * levels.from_db(-rng.uniform(0.0, 12.0)))
    saturated = np.tanh(samples / ceiling) * ceiling if ceiling > 1e-6 else samples
    dull = filters.low_pass(saturated, sample_rate, rng.uniform(3500.0, 7500.0))
    hiss = rng.standard_normal(len(samples), dtype=np.float32)
    hiss = np.diff(hiss, prepend=np.float32(0)) * 0.5 + hiss * 0.3
    return dull + hiss * _noise_level(rng, dull, (30.0, 60.0))


def noise(rng: np.random.Generator, samples: np.ndarray, sample_rate: int) -> np.ndarray:
    """Adds noise of a room 15-60 dB under the music: white to brown noise, and sometimes hum or a crowd.

    The hum has 50 or 60 Hz and up to eight harmonics; the crowd is noise of the speech band whose loudness
    wanders at 1-6 Hz.
    """
    length = len(samples)
    level = _noise_level(rng, samples, (15.0, 60.0))
    added = coloured_noise(rng, length, rng.uniform(0.0, 1.2))
    kind = rng.random()
    if kind < 0.25:
        added = 0.5 * added + _hum(rng, length, sample_rate)
    elif kind < 0.45:
        added = 0.5 * added + _crowd(rng, length, sample_rate)
    return samples + added.astype(np.float32) * level


def coloured_noise(rng: np.random.Generator, length: int, colour: float) -> np.ndarray:
    """Noise of root mean square 1 whose power falls as 1 / f ** (2 * colour): float32 [length]."""
    if length < 2:
        return np.zeros(length, np.float32)
    size = filters.fast_length(length)
    bins = size // 2 + 1
    falloff = (np.maximum(np.arange(bins), 16.0) / 16.0) ** -colour
    parts = rng.standard_normal((2, bins), dtype=np.float32) * falloff.astype(np.float32)
    added = np.fft.irfft(parts[0] + 1j * parts[1], n=size)[:length]
    return (added / levels.rms(added)).astype(np.float32)


def _noise_level(rng: np.random.Generator, samples: np.ndarray, snr_db: tuple[float, float]) -> np.float32:
    """Level of noise under the samples, or under -60 dBFS where they are quieter than that."""
    return np.float32(max(levels.rms(samples), 1e-3) * levels.from_db(-rng.uniform(*snr_db)))


def _hum(rng: np.random.Generator, length: int, sample_rate: int) -> np.ndarray:
    turns = np.arange(length, dtype=np.float32) * np.float32(rng.choice([50.0, 60.0]) / sample_rate)
    base = np.exp(2j * np.pi * turns).astype(np.complex64)
    harmonic, hum = base, np.zeros(length, np.float32)
    for number in range(1, rng.integers(2, 9)):
        phase = np.exp(2j * np.pi * rng.random())
        hum += (harmonic * phase).real.astype(np.float32) * np.float32(rng.uniform(0.2, 1.0) / number)
        harmonic = harmonic * base
    return hum


def _crowd(rng: np.random.Generator, length: int, sample_rate: int) -> np.ndarray:
    """Noise of 300-2000 Hz whose loudness is a random walk through values per 60-300 ms."""
    band = filters.low_pass(rng.standard_normal(length, dtype=np.float32), sample_rate, 1500.0)
    band = filters.high_pass(band, sample_rate, 300.0)
    step = int(rng.uniform(0.06, 0.3) * sample_rate)
    values = rng.gamma(1.5, size=length // step + 2)
    loudness = np.interp(np.arange(length), np.arange(len(values)) * step, values)
    return (2 * band * loudness).astype(np.float32)
