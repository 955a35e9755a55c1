import dataclasses

import numpy as np
import pytest

from mt3x.music.notes import make_notes
from mt3x.synthesis import inflection
from mt3x.synthesis.voices.synthesizers import SYNTHESIZERS, synthesizers_of

RATE = 16000
NAMES = list(SYNTHESIZERS)


def play(name, notes, seed=0, inflections=None, seconds=2.0):
    inflections = inflections or inflection.none(len(notes))
    return SYNTHESIZERS[name].render(np.random.default_rng(seed), notes, inflections, seconds, RATE)


def cents_from(samples: np.ndarray, hz: float) -> float:
    """Detuning of the loudest harmonic series within 60 cents of `hz`."""
    size = 1 << 18
    spectrum = np.abs(np.fft.rfft(samples * np.hanning(len(samples)), size))
    cents = np.arange(-60, 61)
    harmonics = hz * 2.0 ** (cents / 1200) * np.arange(1, 4)[:, None]
    loudness = np.interp(harmonics.ravel(), np.arange(len(spectrum)) * RATE / size, spectrum)
    return float(cents[loudness.reshape(3, -1).sum(axis=0).argmax()])


def track_cents(samples: np.ndarray, hz: float) -> np.ndarray:
    """Pitch of the partial at `hz` over time, in cents, by its phase; eight periods keep out the others."""
    rotated = samples * np.exp(-2j * np.pi * hz / RATE * np.arange(len(samples)))
    window = np.blackman(int(8 * RATE / hz))
    phase = np.unwrap(np.angle(np.convolve(rotated, window / window.sum(), mode="valid")))
    return 1200 * np.log2(1 + np.diff(phase) * RATE / (2 * np.pi * hz))


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("pitch", [40, 52, 64, 76])
def test_note_sounds_at_its_midi_pitch(name, pitch):
    hz = 440 * 2 ** ((pitch - 69) / 12)
    for seed in range(3):
        samples = play(name, make_notes(0.2, 1.9, pitch), seed)
        # Oscillators detuned by up to 13 cents around the pitch: one of them may be the loudest.
        limit = 14 if name == "analogue" else 10
        assert abs(cents_from(samples[int(0.5 * RATE) : int(1.8 * RATE)], hz)) <= limit


@pytest.mark.parametrize("name", NAMES)
def test_sound_begins_at_the_onset(name):
    for seed in range(6):
        samples = np.abs(play(name, make_notes(0.5, 1.0, 60), seed))
        # Consonants of singers take up to 120 ms before the vowel, which rises for up to 50 ms to the onset.
        before = 0.176 if name == "singing" else 0.0005
        # The body of a string is applied by Fourier transform, in single precision.
        assert samples[: int((0.5 - before) * RATE)].max() < 1e-6
        assert samples[int(0.5 * RATE) : int(0.58 * RATE)].max() > 0.2 * samples.max()
        assert samples[int(1.5 * RATE) :].max() < 0.01 * samples.max()


@pytest.mark.parametrize("name", NAMES)
def test_vibrato_has_its_depth(name):
    vibrato = dataclasses.replace(
        inflection.none(1), vibrato_cents=np.array([50.0]), vibrato_hz=np.array([5.0])
    )
    # A singer's pitch also trembles by up to 8 cents; other oscillators beat with the one measured.
    limit = {"singing": 16, "analogue": 20}.get(name, 8)
    cents = track_cents(play(name, make_notes(0.0, 1.9, 69), 2, vibrato)[8000:24000], 440.0)
    assert np.percentile(cents, 98) == pytest.approx(50, abs=limit)
    assert np.percentile(cents, 2) == pytest.approx(-50, abs=limit)


@pytest.mark.parametrize("name", NAMES)
def test_rendering_is_the_same_for_a_seed_and_louder_for_a_higher_velocity(name):
    soft, loud = make_notes(0.1, 0.8, 60, 40), make_notes(0.1, 0.8, 60, 110)
    np.testing.assert_array_equal(play(name, soft, 5), play(name, soft, 5))
    assert np.abs(play(name, loud, 5)).max() > 1.2 * np.abs(play(name, soft, 5)).max()


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("kind", ["none", "voice", "guitar"])
def test_chords_melodies_and_cut_notes_are_finite(name, kind):
    rng = np.random.default_rng(7)
    start = np.concatenate([[-1.5, -0.01, -3.0, 1.999, 2.5, 0.5], np.arange(6) * 0.3])
    end = np.concatenate([[0.5, 0.02, -2.0, 3.0, 2.6, 0.5], np.arange(6) * 0.3 + 0.3])
    notes = make_notes(start, end, rng.integers(0, 128, 12), rng.integers(1, 128, 12))
    samples = play(name, notes, 1, inflection.draw_inflections(rng, notes, kind))
    assert samples.shape == (2 * RATE,) and samples.dtype == np.float32
    assert np.isfinite(samples).all() and np.abs(samples[:1000]).max() > 0


def test_every_registration_of_an_organ_has_the_unison():
    for seed in range(40):
        samples = play("organ", make_notes(0.0, 1.0, 69), seed, seconds=1.0)[4000:12000]
        spectrum = np.abs(np.fft.rfft(samples * np.hanning(8000)))
        assert spectrum[220] > 0.2 * spectrum.max()
        assert spectrum[110] < spectrum[220]


def test_a_sung_note_has_risen_and_arrived_at_its_pitch_when_it_is_labelled():
    has_risen, new_shares = [], []
    for seed in range(40):
        samples = play("singing", make_notes([0.5, 1.0], [1.0, 1.6], [60, 67]), seed)
        first = samples[int(0.5 * RATE) : int(0.52 * RATE)]
        has_risen.append(np.std(first) > 0.3 * np.std(samples[int(0.6 * RATE) : int(0.8 * RATE)]))
        at_second = samples[int(1.0 * RATE) : int(1.06 * RATE)]
        turns = np.arange(len(at_second)) / RATE
        old, new = (
            np.abs(np.sum(at_second * np.hanning(len(at_second)) * np.exp(-2j * np.pi * hz * turns)))
            for hz in (261.6, 392.0)
        )
        new_shares.append(new / (old + new))
    assert np.mean(has_risen) > 0.7
    assert np.median(new_shares) > 0.8


def test_connected_notes_of_a_singer_meet_without_a_break():
    for seed in range(40):
        samples = play("singing", make_notes([0.1, 0.8], [0.8, 1.5], [60, 64]), seed)
        around = samples[int(0.77 * RATE) : int(0.83 * RATE)].reshape(-1, 160)
        if np.abs(around).max(axis=1).min() > 0.25 * np.abs(samples).max():
            return
    pytest.fail("none of 40 singers connected the two notes")


@pytest.mark.parametrize("name", NAMES)
def test_no_notes_or_no_seconds_give_silence(name):
    assert not play(name, make_notes([], [], 60)).any()
    assert len(play(name, make_notes(0, 1, 60), seconds=0.0)) == 0


@pytest.mark.parametrize("name", NAMES)
def test_negative_seconds_are_refused(name):
    with pytest.raises(ValueError, match="seconds is -1.0; it must be finite and at least 0"):
        play(name, make_notes(0, 1, 60), seconds=-1.0)


@pytest.mark.parametrize("name", NAMES)
def test_low_sample_rate_and_missing_inflections_are_refused(name):
    render, notes = SYNTHESIZERS[name].render, make_notes(0, 1, 60)
    with pytest.raises(ValueError, match="sample_rate is 4000 Hz; it must be at least 8000"):
        render(np.random.default_rng(0), notes, inflection.none(1), 1.0, 4000)
    with pytest.raises(ValueError, match="inflections of 0 notes; there must be 1, one per note"):
        render(np.random.default_rng(0), notes, inflection.none(0), 1.0, RATE)


def test_programs_name_their_synthesisers():
    assert synthesizers_of(53) == ["singing"]
    assert synthesizers_of(0) == []


def test_notes_that_a_chord_leaves_no_time_for_are_sung_without_a_fault():
    """Several voices of one singer that begin together and end within 50 ms of each other."""
    notes = make_notes([0.0, 0.0, 0.0, 0.04], [0.049, 0.047, 0.048, 0.3], [46, 48, 51, 50], 80, 52)
    for seed in range(20):
        rng = np.random.default_rng(seed)
        audio = SYNTHESIZERS["singing"].render(rng, notes, inflection.none(4), 0.5, 16000)
        assert np.isfinite(audio).all()
