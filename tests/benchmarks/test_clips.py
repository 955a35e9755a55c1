"""How labelled clips are read and scored, worked by hand on small folders that the tests write."""

import json
import sys
from pathlib import Path
from types import SimpleNamespace

import accuracy
import clips
import numpy as np
import peers
import pytest
import soundfile
from clips import ClipScores, Kind, LabelledClip

import mt3x
from mt3x.metrics.tables import FoundCounts
from mt3x.music.midi_writing import write_midi
from mt3x.music.notes import empty_notes, make_notes

SOURCES = {
    "mix": ("medleydb_mix", "a_MIX", "band mix"),
    "drums": ("mdb_drums", "a_DRUM", "drum kit alone"),
    "voice": ("medleydb_pitch", "a_S01", "male singer"),
    "guitar": ("medleydb_pitch", "a_S02", "distorted electric guitar"),
    "violin": ("bach_violin", "b_t0", "solo violin"),
    "saxophone": ("filosax", "P1_sax", "solo tenor sax"),
    "saxophone_in_a_band": ("filosax", "P1_band", "tenor sax+piano+bass+drums"),
    "choir": ("dagstuhl_choir_libsoni", "c", "SATB vocal quartet"),
    "lied": ("schubert_libsoni", "d", "voice and/or piano (Schubert)"),
    "piano": ("madmom", "e", "piano"),
}
NOTE = ("0.05", "0.5", "60", "0", "-1", "0")


def write_tsv(path: Path, *rows):
    path.write_text("\n".join("\t".join(row) for row in rows) + "\n")


def write_folder(folder: Path, kinds=tuple(SOURCES), notes=(NOTE,), seconds="30.0") -> Path:
    """A clip of each kind, one second of silence, with the same notes in every table."""
    manifest = [("source", "clip", "seconds", "notes", "instruments")]
    for kind in kinds:
        source, name, instruments = SOURCES[kind]
        (folder / source).mkdir(parents=True, exist_ok=True)
        soundfile.write(folder / source / f"{name}.flac", np.zeros(8000), 8000)
        write_tsv(folder / source / f"{name}.tsv", clips.NOTE_COLUMNS, *notes)
        manifest.append((source, name, seconds, "1", instruments))
    write_tsv(folder / clips.MANIFEST, *manifest)
    return folder


def hits(keys, start=0.5, step=0.5) -> np.ndarray:
    """Drum hits on these keys, one after another."""
    onsets = start + step * np.arange(len(keys))
    return make_notes(onsets, onsets + 0.05, keys, is_drum=True)


def labelled(kind: Kind, notes: np.ndarray, seconds=30.0) -> LabelledClip:
    return LabelledClip("a", kind, Path("a.flac"), seconds, notes)


def test_each_source_has_its_kind(tmp_path):
    found = clips.read_clips(write_folder(tmp_path))
    assert [clip.kind.value for clip in found] == list(SOURCES)
    assert found[0].audio == tmp_path / "medleydb_mix" / "a_MIX.flac" and found[0].seconds == 30
    assert all(clip.notes.tolist() == [(0.05, 0.5, 60, 1, 0, False)] for clip in found)


def test_a_table_may_hold_drum_hits_or_nothing(tmp_path):
    table = tmp_path / "a.tsv"
    write_tsv(table, clips.NOTE_COLUMNS, NOTE, ("0.1", "0.15", "36", "90", "53", "1"))
    assert clips.read_notes(table).tolist() == [
        (0.05, 0.5, 60, 1, 0, False),
        (0.1, 0.15, 36, 90, 53, True),
    ]
    write_tsv(table, clips.NOTE_COLUMNS)
    assert len(clips.read_notes(table)) == 0


@pytest.mark.parametrize(
    ("column", "cell", "message"),
    [
        (2, "60.5", "midi_pitch 60.5; it must be a whole number"),
        (2, "C4", "a cell that is not a number"),
        (0, "nan", "a cell that is nan; all must be finite"),
        (2, "128", "a.tsv: note 0 has pitch 128"),
        (1, "0.01", "a.tsv: note 0 lasts from 0.05 to 0.01"),
        (5, "2", "is_drum 2; it must be 0 or 1"),
    ],
)
def test_unsound_notes_are_told(tmp_path, column, cell, message):
    row = [*NOTE[:column], cell, *NOTE[column + 1 :]]
    write_tsv(tmp_path / "a.tsv", clips.NOTE_COLUMNS, row)
    with pytest.raises(ValueError, match=message):
        clips.read_notes(tmp_path / "a.tsv")


def test_wrong_columns_and_rows_of_notes_are_told(tmp_path):
    table = tmp_path / "a.tsv"
    with pytest.raises(ValueError, match=r"a\.tsv was not found; each clip needs a table"):
        clips.read_notes(table)
    write_tsv(table, [*clips.NOTE_COLUMNS[:2], "hertz", *clips.NOTE_COLUMNS[3:]], NOTE)
    with pytest.raises(ValueError, match="unknown column 'hertz'; its columns must be onset_seconds"):
        clips.read_notes(table)
    write_tsv(table, clips.NOTE_COLUMNS[:3], NOTE[:3])
    with pytest.raises(ValueError, match="has the columns onset_seconds, offset_seconds, midi_pitch; its"):
        clips.read_notes(table)
    write_tsv(table, clips.NOTE_COLUMNS, NOTE, NOTE[:4])
    with pytest.raises(ValueError, match="line 3, has 4 cells; its header has 6"):
        clips.read_notes(table)


def test_a_folder_that_is_not_one_of_clips_is_told(tmp_path):
    with pytest.raises(ValueError, match=r"MANIFEST\.tsv was not found; a folder of clips needs it"):
        clips.read_clips(tmp_path)
    manifest = tmp_path / clips.MANIFEST
    manifest.write_text("")
    with pytest.raises(ValueError, match="no column source; it needs source, clip, seconds, instruments"):
        clips.read_clips(tmp_path)
    write_folder(tmp_path, ())
    with pytest.raises(ValueError, match="has 0 clips"):
        clips.read_clips(tmp_path)
    write_folder(tmp_path, ("piano", "piano"))
    with pytest.raises(ValueError, match="has the clip e twice"):
        clips.read_clips(tmp_path)
    write_folder(tmp_path, ("piano",), seconds="0")
    with pytest.raises(ValueError, match="e has seconds '0'; it must be above 0"):
        clips.read_clips(tmp_path)
    write_folder(tmp_path, ("piano",), seconds="long")
    with pytest.raises(ValueError, match="e has seconds 'long'"):
        clips.read_clips(tmp_path)
    (tmp_path / "madmom" / "e.flac").unlink()
    with pytest.raises(ValueError, match=r"e\.flac was not found; MANIFEST\.tsv names it"):
        clips.read_clips(tmp_path)


def test_clips_of_no_known_kind_are_told():
    with pytest.raises(ValueError, match="of 'bagpipe'; it must be a singer or an electric guitar"):
        clips.kind_of("medleydb_pitch", "a", "bagpipe")
    with pytest.raises(ValueError, match="ends in neither _sax nor _band"):
        clips.kind_of("filosax", "P1_trio", "trio")
    with pytest.raises(ValueError, match="unknown source opera; the sources are bach_violin, dag"):
        clips.kind_of("opera", "a", "choir")


@pytest.mark.parametrize(
    ("group", "keys"),
    [
        ("kick", [35, 36]),
        ("snare", [37, 38, 39, 40]),
        ("cymbals and hats", [42, 44, 46, 49, 51, 52, 53, 54, 55, 57, 59]),
    ],
)
def test_any_key_of_a_group_stands_for_any_other(group, keys):
    figures = clips.drum_figures(hits(keys), hits(keys[::-1]))
    assert figures == dict.fromkeys(clips.DRUM_FIGURES) | {group: 1.0, clips.THREE_GROUPS: 1.0}


def test_drums_of_different_groups_do_not_match_and_others_are_left_out():
    # Kick: 2 of 2 found and 1 too many, F1 4/5. Snare: 0 of 1. Cymbals: 1 of 2, F1 2/3. Toms (45) and claves.
    reference = hits([36, 36, 38, 42, 49, 45])
    estimate = hits([35, 36, 36, 46, 75, 47])
    figures = clips.drum_figures(reference, estimate)
    assert figures["kick"] == pytest.approx(4 / 5)
    assert figures["snare"] == 0
    assert figures["cymbals and hats"] == pytest.approx(2 / 3)
    assert figures[clips.THREE_GROUPS] == pytest.approx(2 * 3 / (5 + 4)), "counts are summed over the groups"


def test_drum_hits_are_matched_within_50_ms_whatever_their_ends():
    reference = hits([36, 36])
    estimate = hits([36, 36])
    estimate["start"] += [0.05, 0.06]
    estimate["end"] = estimate["start"]
    assert clips.drum_figures(reference, estimate)["kick"] == 0.5
    pitched = make_notes([0.5, 1.0], 2.0, 36)
    assert clips.drum_figures(reference, pitched)["kick"] == 0, "a pitched note is no drum hit"


@pytest.mark.parametrize("kind", ["voice", "guitar", "saxophone", "piano"])
def test_instruments_alone_have_onset_f1_at_50_ms_of_any_program(kind):
    reference = make_notes([0.5, 1.0, 1.5], [0.9, 1.4, 1.9], [60, 62, 64], program=53)
    # The second is too late, the third a semitone off; the drum hit is not counted.
    estimate = make_notes(
        [0.54, 1.06, 1.5, 0.5], 3.0, [60, 62, 65, 36], program=0, is_drum=[False, False, False, True]
    )
    scores = clips.score_clip(labelled(Kind(kind), reference), estimate)
    assert scores.figures == {clips.ONSET_F1: pytest.approx(1 / 3)}


@pytest.mark.parametrize("kind", ["violin", "choir", "lied"])
def test_loose_labels_have_onset_f1_at_100_ms(kind):
    reference = make_notes([0.5, 1.0], 2.0, [60, 62])
    estimate = make_notes([0.59, 1.11], 2.0, [60, 62])
    scores = clips.score_clip(labelled(Kind(kind), reference), estimate)
    assert scores.figures == {clips.ONSET_F1: 0.5}


def test_parts_in_a_band_have_recall_only():
    reference = make_notes([0.5, 1.0], 2.0, [60, 62], program=66)
    estimate = make_notes([0.5, 0.5, 0.5, 1.08], 2.0, [60, 64, 67, 62])
    band = clips.score_clip(labelled(Kind.SAXOPHONE_IN_A_BAND, reference), estimate)
    assert band.figures == {clips.ONSET_RECALL: 0.5}, "what is not labelled is no mistake"
    mix = clips.score_clip(
        labelled(Kind.MIX, np.concatenate([reference, hits([36])])), np.concatenate([estimate, hits([36])])
    )
    assert mix.figures == dict.fromkeys(clips.DRUM_FIGURES) | {
        clips.THREE_GROUPS: 1.0,
        "kick": 1.0,
        clips.ONSET_RECALL: 0.5,
    }
    silent = clips.score_clip(labelled(Kind.SAXOPHONE_IN_A_BAND, empty_notes()), estimate)
    assert silent.figures == {clips.ONSET_RECALL: None}


def test_pitched_notes_where_only_drums_play_are_counted_a_minute():
    estimate = np.concatenate([hits([36, 38]), make_notes([1.0, 2.0, 3.0], 4.0, 40)])
    scores = clips.score_clip(labelled(Kind.DRUMS, hits([36, 38]), seconds=20.0), estimate)
    assert scores.figures[clips.PITCHED_PER_MINUTE] == 9
    assert scores.figures[clips.THREE_GROUPS] == 1
    assert clips.ONSET_RECALL not in scores.figures


def test_the_first_note_is_one_of_the_first_100_ms():
    reference = np.concatenate([make_notes([0.1, 0.11], 1.0, [60, 62]), hits([36, 45], 0.02, 0.01)])
    assert clips.first_note(reference, empty_notes()) == FoundCounts(0, 2), "a tom is of no group"
    assert clips.first_note(reference, make_notes([0.14, 0.11], 1.0, [60, 62])) == FoundCounts(1, 2)
    assert clips.first_note(reference, hits([35], 0.0)) == FoundCounts(1, 2)
    late = make_notes(0.19, 1.0, 60)
    assert clips.first_note(reference, late) == FoundCounts(0, 2)
    assert clips.first_note(reference, late, tolerance_seconds=0.1) == FoundCounts(1, 2)
    scores = clips.score_clip(labelled(Kind.VIOLIN, reference), late)
    assert scores.first_note == FoundCounts(1, 2), "violins have the tolerance of their kind"


def test_rows_are_means_over_clips_that_have_the_figure():
    nothing = FoundCounts()
    scores = [
        ClipScores(Kind.MIX, {**dict.fromkeys(clips.DRUM_FIGURES), clips.ONSET_RECALL: 0.5}, nothing),
        ClipScores(Kind.SAXOPHONE_IN_A_BAND, {clips.ONSET_RECALL: 0.25}, FoundCounts(0, 3)),
        ClipScores(Kind.VOICE, {clips.ONSET_F1: 0.3}, FoundCounts(1, 2)),
        ClipScores(Kind.VOICE, {clips.ONSET_F1: 0.6}, FoundCounts(2, 2)),
        ClipScores(Kind.VOICE, {clips.ONSET_F1: None}, nothing),
    ]
    rows = clips.table_rows(scores, [])
    assert list(rows)[:-1] == list(clips.QUANTITIES)
    assert rows["labelled part in the band: onset recall"] == (2, "0.375")
    assert rows["voice alone: onset F1"] == (2, "0.450")
    assert rows["drums in the mix, kick: onset F1"] == (0, "-")
    assert rows["piano: onset F1"] == (0, "-")
    assert rows["first note found, clips"] == (5, "2 of 3")
    assert clips.table_rows([], [FoundCounts(1, 1), nothing]) == {
        "first note found, real recordings": (2, "1 of 1")
    }


class Silence:
    """A transcriber that hears one note in everything."""

    def transcribe(self, recording):
        report = SimpleNamespace(invalid_events=0, dropped_events=0)
        return SimpleNamespace(notes=make_notes(0.05, 0.5, 60), duration_seconds=1.0, report=report)


def test_one_command_prints_both_tables_and_keeps_every_figure(tmp_path, monkeypatch, capsys):
    folder = write_folder(tmp_path / "clips")
    real = tmp_path / "real"
    real.mkdir()
    soundfile.write(real / "r.wav", np.zeros(8000), 8000)
    write_tsv(
        real / "r.tsv", ("onset_seconds", "offset_seconds", "pitch", "velocity"), ("0.0", "1", "61", "9")
    )
    monkeypatch.setattr(mt3x, "load", lambda *arguments, **options: Silence(), raising=False)
    words = ["accuracy.py", "--sets", "none", "--clips", str(folder), "--json", str(tmp_path / "all.json")]
    monkeypatch.setattr(sys, "argv", [*words, "--real", str(real)])
    assert accuracy.main() == 0
    out = capsys.readouterr().out
    assert "| real | 1 |" in out and "| quantity | recordings | value |" in out
    assert "| voice alone: onset F1 | 1 | 1.000 |" in out
    assert "| drums alone: pitched notes a minute | 1 | 2.0 |" in out
    assert "| first note found, clips | 10 | 10 of 10 |" in out
    assert "| first note found, real recordings | 1 | 0 of 1 |" in out
    table = json.loads((tmp_path / "all.json").read_text())
    assert table["real"]["pieces"]["r"]["first_note"] == {"found": 0, "reference": 1}
    assert table["clips"]["quantities"]["piano: onset F1"] == {"value": 1.0, "clips": 1}
    assert table["clips"]["first_note"] == {"found": 10, "reference": 10}
    assert table["clips"]["clips"]["P1_band"] == {
        "kind": "saxophone_in_a_band",
        "figures": {"onset recall": 1.0},
        "first_note": {"found": 1, "reference": 1},
    }
    monkeypatch.setattr(sys, "argv", words)
    assert accuracy.main() == 0
    assert "onset+offset F1" not in capsys.readouterr().out, "there is no first table without sets"


def test_the_command_tells_of_a_folder_without_a_manifest(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(mt3x, "load", lambda *arguments, **options: Silence(), raising=False)
    monkeypatch.setattr(sys, "argv", ["accuracy.py", "--sets", "none", "--clips", str(tmp_path)])
    with pytest.raises(SystemExit):
        accuracy.main()
    assert "MANIFEST.tsv was not found" in capsys.readouterr().err


def test_peers_have_a_column_each_and_dashes_where_they_fail(tmp_path, monkeypatch, capsys):
    folder = write_folder(tmp_path / "clips", ("voice", "piano"))

    def transcribe(python, peer, recordings, midi, minutes):
        if peer == "basic-pitch":
            raise peers.PeerError("failed: no model")
        midi.mkdir(parents=True)
        for recording in recordings:
            write_midi(make_notes(0.05, 0.5, 60), midi / f"{recording.stem}.mid")
        return {"audio_seconds": 2.0}

    monkeypatch.setattr(peers, "transcribe", transcribe)
    monkeypatch.setattr(peers, "install", lambda name, peer, work: Path(sys.executable))
    words = ["--sets", "none", "--work", str(tmp_path), "--json", str(tmp_path / "all.json")]
    monkeypatch.setattr(sys, "argv", ["peers.py", *words, "--clips", str(folder)])
    assert peers.main() == 0
    out, err = capsys.readouterr()
    assert "| quantity | recordings | mt3x | basic-pitch |" in out, "transkun is for pianos only"
    assert "| voice alone: onset F1 | 1 | 1.000 | - |" in out
    assert "clips, basic-pitch: failed: no model" in err
    table = json.loads((tmp_path / "all.json").read_text())["clips"]
    assert table["basic-pitch"] == {"error": "failed: no model"}
    assert table["mt3x"]["timing"] == {"audio_seconds": 2.0}
    assert table["mt3x"]["clips"]["e"]["figures"] == {"onset F1": 1.0}
