"""Examples of the frame recogniser: the same for a number, and labels that say what sounds."""

import dataclasses

import numpy as np
import pytest

from mt3x.data.synthetic.bands import BandMusic, save_bands
from mt3x.data.synthetic.grooves import GROOVE_NOTE_DTYPE, Groove
from mt3x.data.synthetic.played_examples import PlayedConfig, PlayedExamples, open_played_examples
from mt3x.data.synthetic.players import Orchestra
from mt3x.data.synthetic.scores import PIECE_NOTE_DTYPE, Piece, is_held_out, save_scores
from mt3x.synthesis.sampled.instruments import save_samples
from tests.synthesis.sampled.sine_library import RATE, Recorded, make_library

CONFIG = PlayedConfig(segment_seconds=1.0, lead_seconds=0.4)
DRY = dataclasses.replace(CONFIG, file_probability=0.0, effects_probability=0.0)
PITCHED = {"score_share": 0.0, "band_share": 0.0, "random_share": 1.0, "drums_probability": 0.0}
LIBRARY = make_library(
    [Recorded("grand", program, pitch, seconds=0.5) for program in range(112) for pitch in range(24, 108, 8)]
    + [Recorded("kit", 0, key, is_drum=True, seconds=0.1) for key in range(128)]
)
COLUMNS = ("cents", "scoop_cents", "scoop_seconds", "vibrato_cents", "vibrato_hz", "vibrato_phase")


class Soundfont:
    """A synthesizer that has every sound, and keeps silent."""

    def sounding_pitches(self, program, is_drum=False):
        return np.ones(128, bool)

    def render(self, notes, seconds, detune_cents, formant_semitones):
        return np.zeros(round(seconds * RATE), np.float32)


class Watched(Orchestra):
    """An orchestra that remembers what it assigned last."""

    def assign(self, rng, notes):
        self.parts = super().assign(rng, notes)
        self.notes = notes
        return self.parts


def score(name="piece"):
    notes = np.array([(i / 2, 0.5, 60 + i % 12, 0) for i in range(64)], PIECE_NOTE_DTYPE)
    bars, tempos = np.arange(0, 32, 4, np.float32), np.zeros((0, 2), np.float32)
    return Piece(name, name, "", ("Piano",), notes, bars, tempos)


def bands():
    hits = [(beat, key, 80) for beat in range(8) for key in (36, 42)]
    return BandMusic((Groove("rock", 120.0, 4.0, False, np.array(hits, GROOVE_NOTE_DTYPE)),), ())


def maker(config=CONFIG, library=LIBRARY, synthesizers=0.35):
    orchestra = Watched(library, [Soundfont()], RATE, 0.6 if library else 0.0, synthesizers, 0.6)
    return PlayedExamples(config, [score()], bands(), orchestra), orchestra


def draw(number, *args, **changes):
    return maker(*args, **changes)[0].draw(np.random.default_rng((3, number)))


def recorded_only(config):
    """Examples that recordings alone play."""
    orchestra = Watched(LIBRARY, [Soundfont()], RATE, 1.0, 0.0, 0.0)
    return PlayedExamples(config, [score()], bands(), orchestra)


def test_an_example_is_the_same_for_its_seed_and_number():
    examples, _ = maker()
    drawn = [examples.draw(np.random.default_rng((3, number))) for number in range(6)]
    for number, example in enumerate(drawn):
        again = draw(number)  # by another process
        assert np.array_equal(example.notes, again.notes)
        assert set(example.sound) == set(again.sound)
        for name, values in example.sound.items():
            assert np.array_equal(values, again.sound[name]), name
    assert not np.array_equal(drawn[0].sound["samples"], drawn[1].sound["samples"])


def test_shapes_are_those_of_the_segment_and_of_the_notes():
    for number in range(20):
        example = draw(number)
        samples = example.sound["samples"]
        assert samples.shape == (RATE,) and samples.dtype == np.float32 and np.isfinite(samples).all()
        assert np.abs(samples).max() <= 1
        assert len(example.targets) == 0 and len(example.notes) <= CONFIG.max_notes
        for name in COLUMNS:
            column = example.sound[f"note_{name}"]
            assert column.shape == example.notes.shape and column.dtype == np.float32
        assert example.sound["note_has_cents"].dtype == bool


def test_every_label_sounds_and_belongs_to_what_was_drawn():
    examples, orchestra = maker()
    for number in range(30):
        example = examples.draw(np.random.default_rng(number))
        parts = [(player, orchestra.notes[mine]) for player, mine in orchestra.parts]
        assert all(player.sounding(notes).all() for player, notes in parts)
        assert len(example.notes) == sum(len(notes) for _, notes in parts)
        names = ["start", "pitch", "velocity", "program", "is_drum"]
        for name in names:
            expected = np.concatenate([example.notes[name][:0], *(notes[name] for _, notes in parts)])
            assert np.array_equal(example.notes[name], expected)
        assert (example.notes["start"] < CONFIG.total_seconds).all()
        assert (example.notes["end"] - example.notes["start"] >= 0.02 - 1e-9).all()


def test_music_that_begins_with_the_segment_begins_at_the_first_label():
    examples = recorded_only(dataclasses.replace(DRY, start_probability=1.0))
    count = 0
    for number in range(30):
        example = examples.draw(np.random.default_rng(number))
        samples = np.abs(example.sound["samples"])
        if not len(example.notes) or not samples.any():
            continue
        first = example.notes["start"].min() - DRY.lead_seconds
        assert 0 <= first < 0.061 and (example.notes["start"] < DRY.total_seconds).all()
        heard = int(np.argmax(samples > 0.02 * samples.max())) / RATE
        assert heard == pytest.approx(first, abs=0.003)
        count += 1
    assert count > 20


def test_cents_say_what_is_heard():
    config = dataclasses.replace(
        DRY, **PITCHED, solo_piano_probability=1.0, max_polyphony=1, detune_cents=40.0, start_probability=1.0
    )
    examples = recorded_only(config)
    seen = []
    for number in range(60):
        example = examples.draw(np.random.default_rng(number))
        long = np.flatnonzero((example.notes["end"] - example.notes["start"]) > 0.3)
        alone = [
            i for i in long if np.sum(np.abs(example.notes["start"] - example.notes["start"][i]) < 0.5) == 1
        ]
        for index in alone[:1]:
            note = example.notes[index]
            begin = round((note["start"] - config.lead_seconds + 0.02) * RATE)
            samples = example.sound["samples"][begin : begin + 4000]
            if begin < 0 or len(samples) < 4000:
                continue
            spectrum = np.abs(np.fft.rfft(samples * np.hanning(4000), 1 << 18))
            hz = np.argmax(spectrum) * RATE / (1 << 18)
            cents = 100 * (69 + 12 * np.log2(hz / 440) - note["pitch"])
            assert example.sound["note_has_cents"][index]
            assert cents == pytest.approx(example.sound["note_cents"][index], abs=5)
            seen.append(cents)
    assert len(seen) > 5 and np.ptp(seen) > 30


def test_cents_are_not_known_of_soundfonts_and_drums():
    for number in range(20):
        assert not draw(number, library=None, synthesizers=0.0).sound["note_has_cents"].any()
    example = recorded_only(dataclasses.replace(DRY, score_share=0.0, band_share=0.0, random_share=0.0)).draw(
        np.random.default_rng(0)
    )
    assert example.notes["is_drum"].all() and not example.sound["note_has_cents"].any()


def test_labels_end_with_the_recordings():
    examples = recorded_only(dataclasses.replace(DRY, **PITCHED))
    for number in range(10):
        notes = examples.draw(np.random.default_rng(number)).notes
        # Half a second, four semitones lower at most.
        assert (notes["end"] - notes["start"] <= 0.5 * 2 ** (4 / 12) + 1e-6).all()


def test_notes_of_pianos_last_as_the_pedal_of_the_example_says():
    config = dataclasses.replace(DRY, **PITCHED, solo_piano_probability=1.0, pedal_probability=1.0)
    examples, _ = maker(config, library=None, synthesizers=0.0)
    bare, _ = maker(dataclasses.replace(config, pedal_probability=0.0), library=None, synthesizers=0.0)
    longer = 0
    for number in range(20):
        example = examples.draw(np.random.default_rng(number))
        pedal, notes = example.sound["pedal"], example.notes
        assert pedal.dtype == np.float32 and 0 <= pedal.min() <= pedal.max() <= config.segment_seconds
        ends = notes["end"] - config.lead_seconds
        is_inside = (ends > 0) & (ends < config.segment_seconds)
        is_struck = [np.any((notes["pitch"] == n["pitch"]) & (notes["start"] == n["end"])) for n in notes]
        for down, up in pedal[pedal[:, 1] > 0].tolist():
            # Nothing is released while it is down.
            released = is_inside & (ends > down + 1e-6) & (ends < up - 1e-6)
            assert not np.any(released & ~np.array(is_struck))
        assert not bare.draw(np.random.default_rng(number)).sound["pedal"].any()
        longer += pedal.any()
    assert longer > 12


def test_what_is_no_piano_has_no_pedal():
    config = dataclasses.replace(
        DRY, pedal_probability=1.0, score_share=0.0, band_share=0.0, random_share=0.0
    )
    assert not any(draw(number, config).sound["pedal"].any() for number in range(5))


def test_an_example_with_too_many_notes_is_drawn_again():
    config = dataclasses.replace(DRY, max_notes=8)
    assert all(len(draw(number, config).notes) <= 8 for number in range(10))


def test_nothing_to_play_is_silence_with_empty_columns():
    class Nobody(Orchestra):
        def assign(self, rng, notes):
            return []

    examples = PlayedExamples(DRY, [score()], bands(), Nobody(None, [Soundfont()], RATE, 0.0, 0.0, 0.0))
    example = examples.draw(np.random.default_rng(0))
    assert len(example.notes) == 0 and not example.sound["samples"].any()
    assert {len(example.sound[f"note_{name}"]) for name in (*COLUMNS, "has_cents")} == {0}


def files(folder, scores):
    save_scores(scores, folder / "scores.npz")
    save_bands(bands(), folder / "bands.npz")
    save_samples(LIBRARY, folder / "samples")
    return str(folder / "scores.npz"), str(folder / "bands.npz"), str(folder / "samples")


def name_of(held_out):
    return next(f"piece {i}" for i in range(1000) if is_held_out(f"piece {i}") is held_out)


def test_what_a_worker_opens_draws_the_same_examples(tmp_path):
    paths = files(tmp_path, [score(name_of(False)), score(name_of(True))])
    first, again = (open_played_examples(CONFIG, *paths, ("sf_GMbank",), ()) for _ in range(2))
    for number in range(4):
        example, other = (made.draw(np.random.default_rng(number)) for made in (first, again))
        assert np.array_equal(example.notes, other.notes)
        np.testing.assert_array_equal(example.sound["samples"], other.sound["samples"])


def test_held_out_scores_and_instruments_are_not_drawn_from(tmp_path):
    paths = files(tmp_path, [score(name_of(True))])
    config = dataclasses.replace(CONFIG, score_share=1.0, band_share=0.0, random_share=0.0)
    with pytest.raises(ValueError, match="no score to draw from"):
        open_played_examples(config, *paths, ("sf_GMbank",), ()).draw(np.random.default_rng(0))
    with pytest.raises(ValueError, match="no instrument 'tuba'; there are grand, kit"):
        open_played_examples(config, *paths, ("sf_GMbank",), ("tuba",))


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"segment_seconds": 0.0}, "segment_seconds is 0.0; it must be positive"),
        ({"max_parts": 0}, "max_parts is 0; it must be positive"),
        ({"max_notes": -1}, "max_notes is -1; it must be positive"),
        ({"sample_rate": 0}, "sample_rate is 0; it must be positive"),
        ({"lead_seconds": -0.1}, "lead_seconds is -0.1; it must be at least 0"),
        ({"detune_cents": float("nan")}, "detune_cents is nan; it must be at least 0"),
        ({"start_probability": 1.5}, r"start_probability is 1.5; it must be within 0\.\.1"),
        ({"pedal_probability": 1.1}, r"pedal_probability is 1.1; it must be within 0\.\.1"),
        ({"band_share": -0.1}, r"band_share is -0.1; it must be within 0\.\.1"),
        ({"score_share": 0.5, "band_share": 0.5}, "score_share, band_share and random_share add up to 1.18"),
    ],
)
def test_settings_that_cannot_be_are_refused(settings, message):
    with pytest.raises(ValueError, match=message):
        PlayedConfig(**settings)
