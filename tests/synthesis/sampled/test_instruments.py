"""Sampled instruments: onset, pitch, loudness and length of what they play, on recordings that are sines."""

import dataclasses

import numpy as np
import pytest

from mt3x.music.notes import make_notes
from mt3x.synthesis import inflection
from mt3x.synthesis.sampled.instruments import ONSET_SECONDS, SamplePlayer, load_samples, save_samples
from tests.synthesis.sampled.sine_library import RATE, Recorded, make_library

PIANO = make_library([Recorded("grand", 0, 60, exact_pitch=60.2)])
LIBRARY = make_library(
    [
        Recorded("grand", 0, 60, 40, gain=0.1),
        Recorded("grand", 0, 60, 110),
        Recorded("violin", 40, 69),
        Recorded("kit", 0, 38, is_drum=True),
    ]
)


def play(library, notes, seconds=2.0, inflections=None, release_seconds=0.1, seed=0):
    player = SamplePlayer(library, library.recordings, release_seconds)
    inflections = inflections or inflection.none(len(notes))
    return player.render(np.random.default_rng(seed), notes, inflections, seconds)


def onset_seconds(samples):
    return int(np.argmax(np.abs(samples) > 0.1 * np.abs(samples).max())) / RATE


def pitch_of(samples):
    """MIDI pitch of a sine, by the phase of its analytic signal."""
    spectrum = np.fft.fft(samples)
    spectrum[len(spectrum) // 2 :] = 0
    phase = np.unwrap(np.angle(np.fft.ifft(spectrum)))
    time = np.arange(len(samples)) / RATE
    inner = slice(len(samples) // 10, -len(samples) // 10)
    hz = np.polyfit(time[inner], phase[inner], 1)[0] / (2 * np.pi)
    return 69 + 12 * np.log2(hz / 440)


@pytest.mark.parametrize("semitones", range(-4, 5))
def test_onset_and_pitch_are_the_notes_at_any_distance(semitones):
    samples = play(PIANO, make_notes(0.5, 1.2, 60 + semitones))
    assert onset_seconds(samples) == pytest.approx(0.5, abs=0.001)
    assert pitch_of(samples[round(0.55 * RATE) : round(1.15 * RATE)]) == pytest.approx(
        60 + semitones, abs=0.05
    )


def test_onset_stays_where_a_note_slides_up_to_its_pitch():
    scoop = dataclasses.replace(
        inflection.none(1), scoop_cents=np.array([-220.0]), scoop_seconds=np.array([0.05])
    )
    samples = play(PIANO, make_notes(0.5, 1.2, 57), inflections=scoop)
    assert onset_seconds(samples) == pytest.approx(0.5, abs=0.001)
    assert pitch_of(samples[round(0.8 * RATE) : round(1.15 * RATE)]) == pytest.approx(57, abs=0.05)


def test_detuning_moves_pitch_and_drums_alike():
    cents = dataclasses.replace(inflection.none(1), cents=np.array([50.0]))
    for pitch, is_drum in ((69, False), (38, True)):
        samples = play(LIBRARY, make_notes(0.1, 0.9, pitch, is_drum=is_drum), inflections=cents)
        assert pitch_of(samples[round(0.2 * RATE) : round(0.8 * RATE)]) == pytest.approx(
            pitch + 0.5, abs=0.05
        )


def test_what_sounds_before_the_audio_is_cut_off():
    whole = play(PIANO, make_notes(0.5, 0.9, 61))
    begun = play(PIANO, make_notes(-0.1, 0.3, 61))
    np.testing.assert_allclose(begun[: round(0.4 * RATE)], whole[round(0.6 * RATE) : RATE], atol=1e-6)
    assert not play(PIANO, make_notes(-1.0, -0.5, 61)).any()
    at_once = play(PIANO, make_notes(0.0, 0.4, 61))
    np.testing.assert_allclose(at_once[:1000], whole[round(0.5 * RATE) :][:1000], atol=1e-6)


def test_what_sounds_after_the_audio_is_cut_off():
    whole = play(PIANO, make_notes(0.5, 0.9, 61))
    assert np.array_equal(play(PIANO, make_notes(0.5, 0.9, 61), 0.7), whole[: round(0.7 * RATE)])
    assert not play(PIANO, make_notes([2.0, 5.0], [3.0, 6.0], 61)).any()


def test_velocity_grows_loudness_across_layers():
    peaks = [
        np.abs(play(LIBRARY, make_notes(0.1, 0.5, 60, velocity))).max() for velocity in range(20, 128, 15)
    ]
    assert (np.diff(peaks) > 0).all()


def test_a_note_falls_by_60_decibels_within_the_release():
    samples = np.abs(play(PIANO, make_notes(0.2, 0.6, 60), release_seconds=0.2))
    held, released = samples[round(0.5 * RATE) : round(0.6 * RATE)], samples[round(0.79 * RATE) :]
    assert held.min() < 0.01 < 0.45 < held.max()
    assert released.max() < held.max() / 700
    assert not samples[round(0.81 * RATE) :].any()


def test_a_note_lasts_as_long_as_its_recording():
    library = make_library([Recorded("bar", 12, 60, seconds=0.3), Recorded("bar", 12, 72, seconds=2.0)])
    notes = make_notes(0.5, 2.0, [60, 64, 72])
    player = SamplePlayer(library, library.recordings, 0.1)
    ends = player.lasts(notes)
    np.testing.assert_allclose(ends, [0.8, 0.5 + 0.3 * 2 ** (-4 / 12), 2.0], atol=0.002)
    for note, end in zip(notes[:2], ends[:2], strict=True):
        sounding = np.flatnonzero(play(library, np.array([note], notes.dtype)))
        assert sounding[-1] / RATE == pytest.approx(end, abs=0.003)
    assert len(player.lasts(notes[:0])) == 0


def test_a_note_sounds_within_four_semitones_and_a_drum_on_its_key():
    player = SamplePlayer(LIBRARY, LIBRARY.recordings[3:], 1.0)
    assert player.sounding(make_notes(0, 1, [37, 38, 39], is_drum=True)).tolist() == [False, True, False]
    player = SamplePlayer(LIBRARY, LIBRARY.recordings[2:3], 1.0)
    assert player.sounding(make_notes(0, 1, [64, 65, 73, 74])).tolist() == [False, True, True, False]
    assert not SamplePlayer(LIBRARY, LIBRARY.recordings[:0], 1.0).sounding(make_notes(0, 1, [60])).any()


def test_another_body_plays_from_other_recordings_at_the_same_pitch():
    library = make_library([Recorded("low", 40, 60, gain=0.5), Recorded("high", 40, 66, gain=0.25)])
    notes = make_notes(0.5, 1.2, [63])
    for formants, gain in ((-3, 0.25), (3, 0.5)):
        player = SamplePlayer(library, library.recordings, 0.1, formants)
        samples = player.render(np.random.default_rng(0), notes, inflection.none(1), 2.0)
        inside = samples[round(0.55 * RATE) : round(1.15 * RATE)]
        assert pitch_of(inside) == pytest.approx(63, abs=0.05)
        assert np.abs(inside).max() == pytest.approx(gain, rel=0.05)
    player = SamplePlayer(library, library.recordings, 0.1, 4)
    assert player.sounding(make_notes(0, 1, [59, 60, 74, 75])).tolist() == [False, True, True, False]


def test_rendering_is_the_same_for_a_seed_and_adds_up():
    both = make_notes([0.1, 0.3], [0.8, 0.9], [60, 69])
    np.testing.assert_array_equal(play(LIBRARY, both), play(LIBRARY, both))
    np.testing.assert_allclose(
        play(LIBRARY, both), play(LIBRARY, both[:1]) + play(LIBRARY, both[1:]), atol=1e-6
    )


def test_a_recording_begins_before_its_onset_and_no_earlier():
    samples = play(PIANO, make_notes(0.5, 1.2, 64))
    assert not samples[: round((0.5 - ONSET_SECONDS) * RATE) - 1].any()


@pytest.mark.parametrize(
    ("length", "seconds", "message"),
    [
        (0, 1.0, "inflections of 0 notes; there must be 1"),
        (1, -1.0, "seconds is -1.0; it must be finite and at least 0"),
    ],
)
def test_a_request_that_cannot_be_is_refused(length, seconds, message):
    player = SamplePlayer(PIANO, PIANO.recordings, 0.1)
    with pytest.raises(ValueError, match=message):
        player.render(np.random.default_rng(0), make_notes(0, 1, 60), inflection.none(length), seconds)


def test_instruments_are_found_by_program_and_kits_apart():
    names = LIBRARY.instruments
    assert [names[number] for number in LIBRARY.instruments_of((0, 40))] == ["grand", "violin"]
    assert LIBRARY.instruments_of((1,)) == []
    assert [names[number] for number in LIBRARY.kits] == ["kit"]


def test_instruments_can_be_left_out():
    left = LIBRARY.without(["grand", "kit"])
    assert (left.instruments_of(range(128)), left.kits) == (LIBRARY.instruments_of((40,)), [])
    assert len(LIBRARY.without([]).recordings) == len(LIBRARY.recordings)


def test_leaving_out_an_unknown_instrument_is_refused():
    with pytest.raises(ValueError, match="no instrument 'tuba'; there are grand, kit, violin"):
        LIBRARY.without(["violin", "tuba"])


def test_a_saved_library_is_read_back(tmp_path):
    save_samples(LIBRARY, tmp_path / "packed")
    again = load_samples(tmp_path / "packed")
    assert np.array_equal(again.samples, LIBRARY.samples)
    assert np.array_equal(again.recordings, LIBRARY.recordings)
    assert (again.instruments, again.articulations) == (LIBRARY.instruments, LIBRARY.articulations)
    assert again.sample_rate == RATE


@pytest.mark.parametrize("missing", ["index.npz", "samples.npy"])
def test_an_unfinished_library_is_refused(tmp_path, missing):
    save_samples(LIBRARY, tmp_path)
    (tmp_path / missing).unlink()
    with pytest.raises(
        ValueError, match="holds no finished sample library; mt3x prepare note-bank --samples"
    ):
        load_samples(tmp_path)
