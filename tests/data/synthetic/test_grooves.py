"""Grooves: keys and timing of small recordings, and bad tables."""

from pathlib import Path

import numpy as np
import pytest

from mt3x.data.synthetic.grooves import read_grooves, vary_keys
from mt3x.music.midi_writing import write_midi
from mt3x.music.notes import make_notes

HEADER = "file,drummer,style,bpm,beat_type,time_signature,seconds,split"


def write_folder(folder: Path, rows: list[str], pitches: list[int], bpm: float = 120.0) -> Path:
    """A data set of one recording, `one.mid`, with a hit on every quarter."""
    (folder / "info.csv").write_text("\n".join([HEADER, *rows]) + "\n", encoding="utf-8")
    start = np.arange(len(pitches)) * 60 / bpm
    notes = make_notes(start, start + 0.05, pitches, np.arange(len(pitches)) + 50, is_drum=True)
    write_midi(notes, folder / "one.mid", bpm)
    return folder


def row(beat_type: str = "beat", split: str = "train", bpm: str = "120", signature: str = "4-4") -> str:
    return f"one.mid,drummer1,rock/folk,{bpm},{beat_type},{signature},4.0,{split}"


def test_kit_pitches_become_general_midi_keys_in_quarters(tmp_path: Path) -> None:
    pitches = [36, 40, 22, 26, 52, 59, 58, 50, 99]
    (groove,) = read_grooves(write_folder(tmp_path, [row()], pitches, 90.0))
    # The table says 120 where the file was played at 90: onsets in seconds count.
    np.testing.assert_allclose(groove.notes["onset_quarters"], np.arange(8) * 120 / 90, atol=0.01)
    assert groove.notes["key"].tolist() == [36, 38, 42, 46, 57, 51, 43, 48]
    assert groove.notes["velocity"].tolist() == list(range(50, 58))
    assert (groove.style, groove.bpm, groove.quarters_per_bar, groove.is_fill) == ("rock/folk", 120, 4, False)
    assert groove.num_bars == 2


def test_six_eighths_are_three_quarters(tmp_path: Path) -> None:
    (groove,) = read_grooves(write_folder(tmp_path, [row(signature="6-8")], [36] * 9))
    assert (groove.quarters_per_bar, groove.num_bars) == (3.0, 3)


def test_short_beats_are_left_out_and_short_fills_are_kept(tmp_path: Path) -> None:
    folder = write_folder(tmp_path, [row("beat"), row("fill")], [38] * 4)
    assert [groove.is_fill for groove in read_grooves(folder)] == [True]


def test_validation_performances_are_not_read(tmp_path: Path) -> None:
    folder = write_folder(tmp_path, [row(split="validation")], [36] * 9)
    with pytest.raises(ValueError, match="no performance of split train; give"):
        read_grooves(folder)


def test_a_missing_table_is_named(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"info\.csv cannot be read"):
        read_grooves(tmp_path)


def test_a_missing_column_is_named(tmp_path: Path) -> None:
    (tmp_path / "info.csv").write_text("file,style,bpm,beat_type,split\n", encoding="utf-8")
    with pytest.raises(ValueError, match=r"lacks the columns \['time_signature'\]"):
        read_grooves(tmp_path)


@pytest.mark.parametrize(
    ("bad", "message"),
    [
        (row(bpm="fast"), "bpm 'fast' and time signature '4-4'; they must look like"),
        (row(signature="4/4"), "time signature '4/4'; they must look like"),
        (row(bpm="1000"), r"bpm 1000\.0 .* must be within 20\.\.400"),
    ],
)
def test_a_malformed_row_is_named(tmp_path: Path, bad: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        read_grooves(write_folder(tmp_path, [bad], [36] * 9))


def test_a_missing_recording_is_named(tmp_path: Path) -> None:
    folder = write_folder(tmp_path, [row().replace("one.mid", "two.mid")], [36] * 9)
    with pytest.raises(ValueError, match=r"two\.mid"):
        read_grooves(folder)


def test_varied_keys_stay_on_their_piece_of_the_kit() -> None:
    pieces = {36: {36, 35}, 38: {38, 40}, 48: {48, 50}, 45: {45, 47}, 43: {43, 41}, 42: {42}}
    keys = np.array(list(pieces) * 2, np.int16)
    seen: dict[int, set[int]] = {key: set() for key in pieces}
    for seed in range(100):
        varied = vary_keys(np.random.default_rng(seed), keys)
        assert (varied[:6] == varied[6:]).all()  # one kit for a whole performance
        for key, other in zip(keys.tolist(), varied.tolist(), strict=True):
            seen[key].add(other)
    assert seen == pieces


def test_a_bar_that_is_hardly_begun_is_not_counted(tmp_path: Path) -> None:
    bars = []
    for hits in (8, 9, 12):
        (groove,) = read_grooves(write_folder(tmp_path, [row()], [36] * hits))
        bars.append(groove.num_bars)
    assert bars == [2, 2, 3]
