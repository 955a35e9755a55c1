"""Bands: the packed file, properties of what is drawn, hand-worked parts, and bad settings."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mt3x.data.synthetic.band_harmony import Song, Style, cut_sheet, draw_progression
from mt3x.data.synthetic.band_parts import draw_accompaniment, draw_bass, draw_melody
from mt3x.data.synthetic.bands import BandMusic, BandSettings, draw_band, load_bands, pack_bands, save_bands
from mt3x.data.synthetic.grooves import GROOVE_NOTE_DTYPE, Groove
from mt3x.data.synthetic.lead_sheets import MELODY_NOTE_DTYPE, Chord, LeadSheet
from mt3x.data.synthetic.orchestra import HIGHEST_PITCH, LOWEST_PITCH
from mt3x.music.midi_writing import write_midi
from mt3x.music.notes import make_notes, trim_overlapping_notes, validate_notes

C_MAJOR, G_SEVENTH = Chord(0.0, 0, (0, 4, 7), 0), Chord(4.0, 7, (0, 4, 7, 10), 11)


def make_groove(style: str = "rock", quarters_per_bar: float = 4.0, is_fill: bool = False) -> Groove:
    """Kick and hi-hat, snare and hi-hat in turn, two bars, a little late; velocities from 40 up."""
    rows = [(beat + 0.03, key, 40 + beat) for beat in range(8) for key in (36 + beat % 2 * 2, 42)]
    return Groove(style, 120.0, quarters_per_bar, is_fill, np.array(rows, GROOVE_NOTE_DTYPE))


def make_sheet(quarters_per_bar: float = 4.0) -> LeadSheet:
    rows = [(beat, 1.0, 60 + beat % 12) for beat in range(32)]
    chords = (C_MAJOR, G_SEVENTH, Chord(8.0, 9, (0, 3, 7), 9), Chord(12.0, 5, (), 5))
    return LeadSheet("song", np.array(rows, MELODY_NOTE_DTYPE), chords, quarters_per_bar, 96.0)


MUSIC = BandMusic(
    (make_groove(), make_groove("jazz/swing"), make_groove("latin", 3.0), make_groove("rock", is_fill=True)),
    (make_sheet(), make_sheet(3.0)),
)


def make_song(style: Style = Style.ROCK, **changes) -> Song:
    melody = make_sheet().melody[:8]
    fields = {"chords": (C_MAJOR, G_SEVENTH), "melody": melody, "kicks": np.array([0.02, 2.03]), "swing": 0.5}
    return Song(style, 2, 4.0, **{**fields, **changes})


@given(seed=st.integers(0, 2**32), seconds=st.floats(0.05, 12.0))
def test_drawn_notes_are_sound_for_any_seed(seed: int, seconds: float) -> None:
    notes = validate_notes(draw_band(np.random.default_rng(seed), seconds, MUSIC))
    pitched = notes[~notes["is_drum"]]
    assert (notes["start"] < seconds).all()
    assert (notes["end"] - notes["start"] >= 0.02).all()
    assert ((notes["velocity"] >= 20) & (notes["velocity"] <= 120)).all()
    assert (pitched["pitch"] >= LOWEST_PITCH[pitched["program"]]).all()
    assert (pitched["pitch"] <= HIGHEST_PITCH[pitched["program"]]).all()
    assert np.array_equal(trim_overlapping_notes(notes), notes)


def test_a_seed_gives_one_piece() -> None:
    first, again, other = (draw_band(np.random.default_rng(seed), 4.0, MUSIC) for seed in (1, 1, 2))
    assert np.array_equal(first, again)
    assert not np.array_equal(first, other)


def draw_many(count: int = 200, **changes: float) -> list[np.ndarray]:
    rng = np.random.default_rng(5)
    return [draw_band(rng, 3.0, MUSIC, BandSettings(**changes)) for _ in range(count)]


def test_drums_play_as_often_as_asked() -> None:
    for probability in (0.0, 1.0):
        drawn = draw_many(50, drums_probability=probability)
        assert {bool(notes["is_drum"].any()) for notes in drawn} == {probability == 1}
    share = np.mean([notes["is_drum"].any() for notes in draw_many(600)])
    assert 0.6 < share < 0.74


def test_drums_and_voices_play_alone() -> None:
    for notes in draw_many(50, drums_probability=1, drums_alone_probability=1):
        assert notes["is_drum"].all() and set(notes["pitch"].tolist()) <= {35, 36, 38, 40, 42}
    for notes in draw_many(50, drums_probability=0, voice_alone_probability=1):
        assert (notes["program"] == 53).all()


def test_music_is_under_way_at_the_beginning() -> None:
    drawn = draw_many(200)
    assert np.mean([(notes["start"] == 0).any() for notes in drawn]) > 0.4


def test_hits_keep_the_drummers_timing() -> None:
    rows = np.array([(0.0, 36, 90), (1.04, 38, 90), (1.97, 36, 90), (3.02, 38, 90)], GROOVE_NOTE_DTYPE)
    music = BandMusic((Groove("pop", 120.0, 4.0, False, rows),), ())
    alone = BandSettings(drums_probability=1, drums_alone_probability=1)
    for seed in range(20):
        onset = draw_band(np.random.default_rng(seed), 10.0, music, alone)["start"]
        quarters = np.diff(onset) / (onset[4] - onset[0]) * 4
        first = int(np.argmin(np.abs(quarters[:4] - 1.05)))  # from the third hit to the fourth
        expected = np.resize([1.05, 0.98, 1.04, 0.93], len(quarters) - first)
        np.testing.assert_allclose(quarters[first:], expected, atol=1e-4)


def test_packed_music_is_read_back(tmp_path: Path) -> None:
    save_bands(MUSIC, tmp_path / "bands.npz")
    again = load_bands(tmp_path / "bands.npz")
    for groove, expected in zip(again.grooves, MUSIC.grooves, strict=True):
        assert np.array_equal(groove.notes, expected.notes) and groove.is_fill == expected.is_fill
        assert (groove.style, groove.bpm) == (expected.style, expected.bpm)
        assert groove.quarters_per_bar == expected.quarters_per_bar
    for sheet, expected in zip(again.sheets, MUSIC.sheets, strict=True):
        assert np.array_equal(sheet.melody, expected.melody) and sheet.chords == expected.chords
        assert (sheet.name, sheet.bpm) == (expected.name, 96.0)
    for seed in range(5):
        first, second = (draw_band(np.random.default_rng(seed), 3.0, music) for music in (MUSIC, again))
        assert np.array_equal(first, second)


def test_music_without_sheets_is_drawn_on_random_chords(tmp_path: Path) -> None:
    save_bands(BandMusic((make_groove(),), ()), tmp_path / "bands.npz")
    music = load_bands(tmp_path / "bands.npz")
    assert not music.sheets
    assert len(draw_band(np.random.default_rng(0), 5.0, music))


def test_a_region_of_a_sheet_begins_with_the_chord_that_holds() -> None:
    chords, melody = cut_sheet(make_sheet(), 6.5, 4.0, 2)
    assert chords == (Chord(0.0, 9, (0, 4, 7, 10), 1), Chord(1.5, 11, (0, 3, 7), 11))
    assert melody["onset_quarters"].tolist() == [0.0, 0.5, 1.5, 2.5, 3.5]
    assert melody["duration_quarters"].tolist() == [0.5, 1.0, 1.0, 1.0, 1.0]
    assert melody["pitch"].tolist() == [68, 69, 70, 71, 72]


def test_a_bass_plays_the_bass_note_with_the_kick() -> None:
    song = make_song(Style.POP, kicks=np.array([0.02, 2.03, 4.01, 6.0]))
    parts = [draw_bass(np.random.default_rng(seed), song, 33) for seed in range(60)]
    locked = [part for part in parts if len(part) and np.isin(part["onset_quarters"], song.kicks).all()]
    assert locked
    for part in locked:
        on_change = np.isin(part["onset_quarters"], [0.02, 4.01])
        # C over the first chord, and B, the bass of the inverted second one.
        assert set((part["pitch"][on_change] % 12).tolist()) <= {0, 11}


def test_a_strum_spreads_chord_tones_over_the_strings() -> None:
    for seed in range(40):
        part = draw_accompaniment(np.random.default_rng(seed), make_song(), 25, True)
        early = part[part["onset_quarters"] < 3.5]
        assert set((early["pitch"] % 12).tolist()) <= {0, 4, 7}
        assert 0 <= part["delay_seconds"].max() <= 0.13


def test_power_chords_are_fifths() -> None:
    for seed in range(40):
        part = draw_accompaniment(np.random.default_rng(seed), make_song(Style.METAL), 30, True)
        assert set((part["pitch"][part["onset_quarters"] < 3.5] % 12).tolist()) <= {0, 7}
        assert part["pitch"].min() >= 40


def test_nothing_accompanies_where_there_is_no_chord() -> None:
    song = make_song(chords=(Chord(0.0, 0, (), 0),))
    for program in (0, 16, 25, 30):
        for seed in range(20):
            assert not len(draw_accompaniment(np.random.default_rng(seed), song, program, False))
    assert not len(draw_bass(np.random.default_rng(0), song, 33))


def test_a_sung_melody_keeps_its_pitch_classes_and_repeats_some() -> None:
    counts = set()
    for seed in range(40):
        part = draw_melody(np.random.default_rng(seed), make_song(), 53)
        assert set((part["pitch"] % 12).tolist()) == set(range(8))
        assert (np.diff(part["pitch"] % 12) >= 0).all()
        counts.add(len(part))
    assert min(counts) == 8 < max(counts)


def test_progressions_fill_the_region() -> None:
    for style in Style:
        chords = draw_progression(np.random.default_rng(3), style, 5, 4.0)
        assert chords[0].onset_quarters == 0
        assert chords[-1].onset_quarters >= 20 - 8


@pytest.mark.parametrize("name", list(BandSettings.__dataclass_fields__))
@pytest.mark.parametrize("value", [-0.1, 1.5, float("nan")])
def test_a_setting_that_is_no_probability_is_refused(name: str, value: float) -> None:
    with pytest.raises(ValueError, match=f"{name} is {value}; it must be within 0..1"):
        BandSettings(**{name: value})


@pytest.mark.parametrize("seconds", [0.0, -1.0, float("nan"), float("inf")])
def test_a_length_that_is_not_positive_is_refused(seconds: float) -> None:
    with pytest.raises(ValueError, match=f"seconds is {seconds}; it must be positive"):
        draw_band(np.random.default_rng(0), seconds, MUSIC)


def test_music_without_a_beat_is_refused() -> None:
    with pytest.raises(ValueError, match="1 grooves, of which none is a beat; give at least one"):
        BandMusic((make_groove(is_fill=True),), ())


def test_a_file_that_is_no_archive_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "bands.npz"
    with pytest.raises(ValueError, match="not an archive of bands .* write one with pack_bands"):
        load_bands(path)
    np.savez(path, other=np.zeros(3))
    with pytest.raises(ValueError, match="not an archive of bands"):
        load_bands(path)


def test_packing_reads_both_folders(tmp_path: Path) -> None:
    start = np.arange(8) * 0.5
    write_midi(make_notes(start, start + 0.05, 36, 80, is_drum=True), tmp_path / "one.mid", 120.0)
    (tmp_path / "info.csv").write_text(
        "file,style,bpm,beat_type,time_signature,split\none.mid,funk,120,beat,4-4,train\n", encoding="utf-8"
    )
    sheet = (
        '<score-partwise><part-list><score-part id="P1"/></part-list><part id="P1"><measure><attributes>'
        "<divisions>1</divisions><time><beats>4</beats><beat-type>4</beat-type></time></attributes>"
        "<harmony><root><root-step>C</root-step></root><kind>minor</kind></harmony>"
        "<note><pitch><step>E</step><octave>4</octave></pitch><duration>4</duration></note>"
        "</measure></part></score-partwise>"
    )
    (tmp_path / "bad.mxl").write_bytes(b"no sheet")
    (tmp_path / "good.mxl").write_text(sheet, encoding="utf-8")
    report = pack_bands(tmp_path, tmp_path, tmp_path / "bands.npz")
    assert (report.beats, report.fills, report.sheets, report.unreadable_sheets) == (1, 0, 1, 1)
    music = load_bands(tmp_path / "bands.npz")
    assert music.sheets[0].chords == (Chord(0.0, 0, (0, 3, 7), 0),)
    assert music.grooves[0].style == "funk"


def test_a_folder_without_grooves_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"info\.csv"):
        pack_bands(tmp_path, tmp_path, tmp_path / "bands.npz")
    assert not (tmp_path / "bands.npz").exists()
