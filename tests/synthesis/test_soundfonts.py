"""FluidSynth rendering: timing, determinism, many programs, and what is said when something is missing."""

import ctypes.util
import pickle
import sys

import numpy as np
import pytest

from mt3x.music.notes import empty_notes, make_notes
from mt3x.synthesis import soundfonts
from mt3x.synthesis.soundfonts import (
    TEST_SOUNDFONT,
    TRAINING_SOUNDFONTS,
    SynthesisError,
    Synthesizer,
    find_soundfont,
)

SAMPLE_RATE = 16000


@pytest.fixture(scope="module")
def synthesizer():
    return Synthesizer(TEST_SOUNDFONT)


def random_notes(seed, count=30, programs=(0, 24, 40, 56, 73)):
    rng = np.random.default_rng(seed)
    start = rng.uniform(0, 1, count)
    return make_notes(
        start,
        start + rng.uniform(0.05, 0.5, count),
        rng.integers(45, 80, count),
        rng.integers(30, 127, count),
        rng.choice(programs, count),
        rng.random(count) < 0.2,
    )


def strongest_hz(audio):
    spectrum = np.abs(np.fft.rfft(audio * np.hanning(len(audio))))
    return np.argmax(spectrum) * SAMPLE_RATE / len(audio)


def test_a_note_sounds_from_its_onset_at_its_pitch(synthesizer):
    audio = synthesizer.render(make_notes(0.5, 1.5, 69, program=0), 2.0)
    assert audio.shape == (2 * SAMPLE_RATE,) and audio.dtype == np.float32
    audible = np.flatnonzero(np.abs(audio) > 1e-4)
    assert 0 <= audible[0] - 0.5 * SAMPLE_RATE < 128, "the piano's own attack takes the rest"
    assert strongest_hz(audio[SAMPLE_RATE // 2 : SAMPLE_RATE * 3 // 2]) == pytest.approx(440, abs=4)


def test_onsets_are_a_block_of_32_samples_accurate(synthesizer):
    block = 32 / SAMPLE_RATE
    reference = synthesizer.render(make_notes(10 * block, 1.0, 60), 1.0)
    later = synthesizer.render(make_notes(11.4 * block, 1.0 + block, 60), 1.0)
    np.testing.assert_allclose(later[64 + 32 :][:8000], reference[64:][:8000], atol=1e-5)


def test_release_tail_reaches_past_the_notes_end_and_dies(synthesizer):
    audio = synthesizer.render(make_notes(0.0, 0.3, 60), 3.0)
    rms = np.sqrt(np.mean(audio.reshape(-1, 1600) ** 2, axis=1))
    assert rms[3] > 1e-4, "no tail right after the end"
    assert rms[-1] < 1e-4 * rms[1], "the note never ends"


def test_same_notes_give_the_same_samples_whatever_came_before(synthesizer):
    notes = random_notes(0)
    first = synthesizer.render(notes, 1.5)
    synthesizer.render(random_notes(1, count=60), 0.7)
    synthesizer.sounding_pitches(11)
    np.testing.assert_array_equal(synthesizer.render(notes, 1.5), first)
    np.testing.assert_array_equal(Synthesizer(TEST_SOUNDFONT).render(notes, 1.5), first)


def test_order_of_notes_does_not_matter(synthesizer):
    notes = random_notes(2)
    np.testing.assert_array_equal(synthesizer.render(notes[::-1], 1.0), synthesizer.render(notes, 1.0))


def test_nothing_of_one_render_is_left_in_the_next(synthesizer):
    synthesizer.render(make_notes(0.0, 5.0, [36, 60, 64], program=19), 0.5)
    assert not synthesizer.render(empty_notes(), 0.5).any()


def test_more_voices_at_once_than_most_music_has_end_as_well(synthesizer):
    pitches, programs = np.meshgrid(np.arange(30, 100), np.arange(8))
    cluster = make_notes(0.0, 0.3, pitches.ravel(), 60, programs.ravel())  # 560 notes
    first = synthesizer.render(cluster, 0.3)
    assert not synthesizer.render(empty_notes(), 0.5).any()
    np.testing.assert_array_equal(synthesizer.render(cluster, 0.3), first)


def test_all_128_programs_and_drums_sound_at_once(synthesizer):
    programs = np.arange(128)
    together = synthesizer.render(make_notes(0.0, 0.3, 60, 100, programs), 0.3)
    assert np.sqrt(np.mean(together**2)) > 0.05
    # every program has a channel of its own, also those where MIDI keeps drums (channel 9 of each port)
    for program in (8, 9, 24, 25, 40):
        alone = synthesizer.render(make_notes(0.0, 0.3, 60, 100, program), 0.3)
        assert strongest_hz(alone) % 65.4 == pytest.approx(0, abs=6) or program in (8, 9)  # a partial of C2
    drum = synthesizer.render(make_notes(0.0, 0.3, 38, 100, 0, is_drum=True), 0.3)
    assert np.abs(drum).max() > 0.05


def test_a_drums_program_has_no_meaning(synthesizer):
    hits = [make_notes([0.0, 0.2], 0.4, 38, 100, program, is_drum=True) for program in (0, 77)]
    np.testing.assert_array_equal(synthesizer.render(hits[0], 0.5), synthesizer.render(hits[1], 0.5))


def test_overlapping_notes_of_one_pitch_are_cut_at_the_next_onset(synthesizer):
    overlapping = make_notes([0.0, 0.5], [0.8, 1.0], 60)
    cut = make_notes([0.0, 0.5], [0.5, 1.0], 60)
    np.testing.assert_array_equal(synthesizer.render(overlapping, 1.2), synthesizer.render(cut, 1.2))


def test_a_note_without_length_is_heard(synthesizer):
    assert np.abs(synthesizer.render(make_notes(0.1, 0.1, 38, is_drum=True), 0.5)).max() > 0.01


def test_louder_velocity_is_louder(synthesizer):
    soft, loud = (np.abs(synthesizer.render(make_notes(0, 1, 60, v), 1.0)).max() for v in (30, 120))
    assert loud > 2 * soft


def test_sounding_pitches_end_with_the_soundfonts_samples(synthesizer):
    assert synthesizer.sounding_pitches(0)[21:109].all()
    drums = synthesizer.sounding_pitches(0, is_drum=True)
    assert drums[35:82].all() and not drums[:27].any()
    assert not np.abs(synthesizer.render(make_notes(0, 1, 10, is_drum=True), 0.5)).any()


def test_detuning_moves_pitches_and_leaves_drums_and_later_renders_alone(synthesizer):
    note, drum = make_notes(0.0, 1.0, 69, program=73), make_notes(0.0, 0.5, 38, is_drum=True)
    plain, drum_plain = synthesizer.render(note, 1.0), synthesizer.render(drum, 1.0)
    assert strongest_hz(synthesizer.render(note, 1.0, detune_cents=100)) == pytest.approx(466.2, abs=4)
    assert strongest_hz(synthesizer.render(note, 1.0, detune_cents=-200)) == pytest.approx(392.0, abs=4)
    np.testing.assert_array_equal(synthesizer.render(drum, 1.0, detune_cents=50), drum_plain)
    np.testing.assert_array_equal(synthesizer.render(note, 1.0), plain)
    with pytest.raises(ValueError, match="detune_cents is 300"):
        synthesizer.render(note, 1.0, detune_cents=300)


@pytest.mark.parametrize("semitones", [-4, 3])
def test_formants_move_and_pitch_and_onset_stay(synthesizer, semitones):
    note = make_notes(0.5, 1.5, 69, program=73)
    plain, moved = synthesizer.render(note, 2.0), synthesizer.render(note, 2.0, formant_semitones=semitones)
    assert moved.shape == plain.shape
    steady = slice(SAMPLE_RATE * 3 // 4, SAMPLE_RATE * 5 // 4)
    assert strongest_hz(moved[steady]) == pytest.approx(440, abs=4)
    first = np.argmax(np.abs(moved) > 1e-3) / SAMPLE_RATE
    assert first == pytest.approx(np.argmax(np.abs(plain) > 1e-3) / SAMPLE_RATE, abs=0.02)
    assert not np.allclose(moved, plain, atol=1e-2)
    np.testing.assert_array_equal(synthesizer.render(note, 2.0), plain)


def test_formants_of_a_drum_are_its_pitch(synthesizer):
    drum = make_notes(0.0, 0.5, 47, is_drum=True)
    hz = strongest_hz(synthesizer.render(drum, 1.0))
    assert strongest_hz(synthesizer.render(drum, 1.0, formant_semitones=4)) == pytest.approx(
        hz * 2 ** (4 / 12), rel=0.05
    )


def test_a_pitch_that_would_be_played_below_0_is_refused(synthesizer):
    with pytest.raises(ValueError, match="pitch -2"):
        synthesizer.render(make_notes(0.0, 0.5, 2), 1.0, formant_semitones=4)


def test_reverb_adds_a_tail(synthesizer):
    notes = make_notes(0.0, 0.2, 72, program=13)
    wet = Synthesizer(TEST_SOUNDFONT, use_reverb=True, use_chorus=True)
    audio = wet.render(notes, 2.0)
    dry = synthesizer.render(notes, 2.0)
    assert np.abs(audio[8000:12000]).max() > 1.1 * np.abs(dry[8000:12000]).max()
    wet.render(random_notes(3), 1.0)
    np.testing.assert_allclose(wet.render(notes, 2.0), audio, atol=0.01 * np.abs(audio).max())


def test_other_sample_rates():
    audio = Synthesizer(TEST_SOUNDFONT, sample_rate=44100).render(make_notes(0.0, 1.0, 69, program=73), 1.0)
    assert audio.shape == (44100,)
    assert strongest_hz(audio) * 44100 / SAMPLE_RATE == pytest.approx(440, abs=4)


def test_a_pickled_synthesizer_opens_its_soundfont_again(synthesizer):
    notes = random_notes(4)
    copy = pickle.loads(pickle.dumps(synthesizer))
    np.testing.assert_array_equal(copy.render(notes, 0.5), synthesizer.render(notes, 0.5))


def test_training_soundfonts_leave_out_the_test_soundfont():
    assert TEST_SOUNDFONT not in TRAINING_SOUNDFONTS


@pytest.mark.parametrize("name", [*TRAINING_SOUNDFONTS, TEST_SOUNDFONT])
def test_every_named_soundfont_is_found(name):
    assert find_soundfont(name).is_file()


@pytest.mark.parametrize(
    ("name", "package"),
    [
        ("FluidR3_GM", "fluid-soundfont-gm"),
        ("MuseScore_General", "musescore-general-soundfont"),
        ("sf_GMbank", "csound-soundfont"),
        ("TimGM6mb", "timgm6mb-soundfont"),
    ],
)
def test_missing_soundfont_names_its_debian_package(tmp_path, name, package):
    with pytest.raises(SynthesisError, match=f"apt install {package}$"):
        find_soundfont(name, folders=[tmp_path])


def test_unknown_soundfont_lists_the_known_ones(tmp_path):
    with pytest.raises(SynthesisError, match=r"none\.sf2.*FluidR3_GM"):
        Synthesizer(tmp_path / "none.sf2")


def test_a_file_that_is_no_soundfont_says_so(tmp_path):
    (tmp_path / "bad.sf2").write_bytes(b"RIFF, but not a soundfont")
    with pytest.raises(SynthesisError, match="cannot be read as a soundfont"):
        Synthesizer(tmp_path / "bad.sf2")


def test_missing_python_package_says_pip_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "fluidsynth", None)
    with pytest.raises(SynthesisError, match="pip install pyfluidsynth"):
        Synthesizer(TEST_SOUNDFONT)


def test_missing_library_says_apt_install(monkeypatch):
    monkeypatch.delitem(sys.modules, "fluidsynth", raising=False)
    monkeypatch.delenv("HOMEBREW_PREFIX", raising=False)
    monkeypatch.setattr(ctypes.util, "find_library", lambda name: None)
    with pytest.raises(SynthesisError, match="apt install libfluidsynth3"):
        Synthesizer(TEST_SOUNDFONT)


def test_missing_presets_fall_back_then_fail(synthesizer, monkeypatch):
    other = Synthesizer(TEST_SOUNDFONT)
    select = other._fluid.program_select

    def select_violin_only(channel, soundfont_id, bank, preset):
        return select(channel, soundfont_id, bank, preset) if (bank, preset) == (0, 40) else -1

    monkeypatch.setattr(other._fluid, "program_select", select_violin_only)
    violin, viola = (make_notes(0, 0.5, 60, program=p) for p in (40, 41))
    np.testing.assert_array_equal(other.render(viola, 0.5), synthesizer.render(violin, 0.5))
    with pytest.raises(SynthesisError, match="no drum kit"):
        other.render(make_notes(0, 1, 38, is_drum=True), 1.0)
    with pytest.raises(SynthesisError, match="no piano"):
        other.render(make_notes(0, 1, 38, program=100), 1.0)


@pytest.mark.parametrize("seconds", [0.0, -1.0, np.inf, np.nan])
def test_impossible_lengths_are_refused(synthesizer, seconds):
    with pytest.raises(ValueError, match="seconds"):
        synthesizer.render(empty_notes(), seconds)


def test_unsound_notes_are_refused(synthesizer):
    with pytest.raises(ValueError, match="pitch 200"):
        synthesizer.render(make_notes(0, 1, 200), 1.0)
    with pytest.raises(ValueError, match="program is 128"):
        synthesizer.sounding_pitches(128)


@pytest.mark.parametrize(("option", "value"), [("sample_rate", 4000), ("gain", 0.0), ("gain", 11)])
def test_options_out_of_range_are_refused(option, value):
    with pytest.raises(ValueError, match=f"{option} is {value}"):
        Synthesizer(TEST_SOUNDFONT, **{option: value})


def test_closed_synthesizer_says_so():
    closed = Synthesizer(TEST_SOUNDFONT)
    closed.close()
    with pytest.raises(ValueError, match="closed"):
        closed.render(empty_notes(), 1.0)


def test_names_and_packages_cover_the_declared_soundfonts():
    assert set(soundfonts._SOUNDFONTS) == {*TRAINING_SOUNDFONTS, TEST_SOUNDFONT}
