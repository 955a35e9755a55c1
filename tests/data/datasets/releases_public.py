"""Miniatures of public releases, laid out on disk as the real ones are, 1 to 3 seconds an item."""

import json
from pathlib import Path

import mido
import numpy as np
import soundfile

MAESTRO_HEADER = "canonical_composer,canonical_title,split,year,midi_filename,audio_filename,duration"
MUSICNET_HEADER = "start_time,end_time,instrument,note,start_beat,end_beat,note_value"


class Problems(list[tuple[str, str]]):
    """A report that remembers (file, reason)."""

    def __call__(self, file: str, reason: str) -> None:
        self.append((file, reason))

    @property
    def reasons(self) -> list[str]:
        return [reason for _, reason in self]


def write_wav(path: Path, seconds: float = 2.0, rate: int = 44100, channels: int = 1) -> Path:
    """A sine, as 16-bit PCM."""
    path.parent.mkdir(parents=True, exist_ok=True)
    sine = 0.3 * np.sin(2 * np.pi * 440 * np.arange(round(seconds * rate)) / rate)
    soundfile.write(path, np.stack([sine] * channels, axis=1), rate, subtype="PCM_16")
    return path


def write_midi(path: Path, *messages: tuple[float, str, dict]) -> Path:
    """(seconds, kind of message, its fields) in any order, on one track, to the millisecond."""
    path.parent.mkdir(parents=True, exist_ok=True)
    track = mido.MidiTrack()
    now = 0
    for seconds, kind, fields in sorted(messages, key=lambda message: message[0]):
        tick = round(seconds * 1000)
        track.append(mido.Message(kind, time=tick - now, **fields))
        now = tick
    mido.MidiFile(ticks_per_beat=500, tracks=[track]).save(path)
    return path


def midi_note(start: float, end: float, pitch: int, channel: int = 0) -> list[tuple[float, str, dict]]:
    """The two messages of a note."""
    fields = {"note": pitch, "channel": channel}
    return [(start, "note_on", fields | {"velocity": 80}), (end, "note_off", fields)]


def midi_pedal(seconds: float, value: int) -> tuple[float, str, dict]:
    return (seconds, "control_change", {"control": 64, "value": value})


def make_maestro(folder: Path, version: int) -> Path:
    """Three performances of 2 s, one a split, stereo; the first holds C4 by the pedal from 0.5 to 1.5 s."""
    lines = [MAESTRO_HEADER]
    for split, year in (("train", 2004), ("validation", 2006), ("test", 2008)):
        name = f"{year}/MIDI-Unprocessed_{split.upper()}_wav--1"
        write_wav(folder / f"{name}.wav", 2.0, channels=2)
        notes = [*midi_note(0.25, 0.75, 60), *midi_note(1.0, 1.25, 64)]
        pedal = [midi_pedal(0.5, 127), midi_pedal(1.5, 0)] if split == "train" else []
        write_midi(folder / f"{name}.midi", *notes, *pedal)
        title = '"Sonata in D, Op. 1"'
        lines.append(f"Alban Berg,{title},{split},{year},{name}.midi,{name}.wav,2.0")
    (folder / f"maestro-v{version}.0.0.csv").write_text("\n".join(lines) + "\n", encoding="utf-8")
    return folder


def write_jams(path: Path, strings: list[list[tuple[float, float, float]]]) -> Path:
    """For each string its notes (onset s, duration s, pitch), beside the pitch contours that JAMS hold."""
    path.parent.mkdir(parents=True, exist_ok=True)
    annotations = []
    for number, notes in enumerate(strings):
        metadata = {"annotation_metadata": {"data_source": str(number)}, "sandbox": {}}
        contour = {"time": [], "duration": [], "value": [], "confidence": []}
        annotations.append({**metadata, "namespace": "pitch_contour", "data": contour})
        keys = ("time", "duration", "value", "confidence")
        data = [dict(zip(keys, (*note, None), strict=True)) for note in notes]
        annotations.append({**metadata, "namespace": "note_midi", "data": data})
    path.write_text(json.dumps({"annotations": annotations, "file_metadata": {"duration": 2.0}}))
    return path


def make_guitarset(folder: Path) -> Path:
    """Three excerpts of 2 s, of the progressions 1, 2 and 3."""
    for excerpt in ("00_BN1-129-Eb_comp", "03_Rock2-142-D_solo", "05_SS3-84-Bb_comp"):
        strings = [[(0.1, 0.4, 40.12)], [], [(0.1, 0.3, 49.97), (1.0, 0.5, 52.4)], [], [], []]
        write_jams(folder / "annotation" / f"{excerpt}.jams", strings)
        write_wav(folder / "audio_mono-mic" / f"{excerpt}_mic.wav")
        write_wav(folder / "audio_mono-pickup_mix" / f"{excerpt}_mix.wav")
    return folder


def write_urmp_piece(folder: Path, piece: str, named: str = "") -> Path:
    """A piece of 2 s, a note a part; `named` are the instruments in its files' names, if others."""
    number, name, *instruments = piece.split("_")
    write_wav(folder / piece / f"AuMix_{piece}.wav", 2.0, 48000)
    (folder / piece / f"Sco_{piece}.mid").write_bytes(b"MThd")  # is never read
    for part, instrument in enumerate(named.split() or instruments, start=1):
        ending = f"{part}_{instrument}_{number}_{name}.txt"
        (folder / piece / f"F0s_{ending}").write_text("0.000\t0.000\n")
        (folder / piece / f"Notes_{ending}").write_text(f"0.{part}\t\t{220 * part}\t\t0.5\n")
    return folder / piece


def make_urmp(folder: Path) -> Path:
    """Three pieces of 2 s, the first for validation; of piece 15 the third part's files are named wrongly."""
    write_urmp_piece(folder, "01_Jupiter_vn_vc")
    write_urmp_piece(folder, "07_GString_tpt_tbn")
    write_urmp_piece(folder, "15_Surprise_tpt_tpt_tbn", named="tpt tpt tpt")
    return folder


def write_labels(path: Path, *rows: tuple[float, float, int, int]) -> Path:
    """(start s, end s, instrument, pitch) as MusicNet's table."""
    path.parent.mkdir(parents=True, exist_ok=True)
    lines = [
        f"{round(start * 44100)},{round(end * 44100)},{instrument},{pitch},0.0,1.0,Quarter"
        for start, end, instrument, pitch in rows
    ]
    path.write_text("\n".join([MUSICNET_HEADER, *lines]) + "\n")
    return path


def make_musicnet(folder: Path) -> Path:
    """Five recordings of 2 s; the release has 1733 and 1729 in train, 1759 in test, MT3 otherwise."""
    for id_, part in ((1727, "train"), (1729, "train"), (1733, "train"), (1759, "test"), (2194, "train")):
        write_wav(folder / f"{part}_data" / f"{id_}.wav")
        rows = [(0.25, 0.75, 1, 60), (0.5, 1.5, 41, 76), (0.5, 1.0, 44, 36)]
        write_labels(folder / f"{part}_labels" / f"{id_}.csv", *rows)
    (folder / "musicnet_metadata.csv").write_text("id,composer\n")
    return folder


def make_musicnet_em(folder: Path) -> Path:
    """The same recordings with refined notes, which 2194 lacks."""
    make_musicnet(folder)
    for id_ in (1727, 1729, 1733, 1759):
        programs = [(0.0, "program_change", {"channel": 1, "program": 40})]
        notes = [*midi_note(0.26, 0.76, 60), *midi_note(0.5, 1.5, 76, channel=1)]
        write_midi(folder / "musicnet_em" / f"{id_}.mid", *programs, *notes)
    return folder
