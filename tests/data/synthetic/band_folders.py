"""Small folders as `pack_bands` reads them: a drummer's recording and a lead sheet."""

import zipfile
from pathlib import Path

import numpy as np

from mt3x.music.midi_writing import write_midi
from mt3x.music.notes import make_notes

_TABLE = """file,drummer,style,bpm,beat_type,time_signature,seconds,split
beat.mid,drummer1,rock,120,beat,4-4,8.0,train
"""
_CONTAINER = '<container><rootfiles><rootfile full-path="sheet.xml"/></rootfiles></container>'
_ATTRIBUTES = (
    "<attributes><divisions>1</divisions><time><beats>4</beats><beat-type>4</beat-type></time></attributes>"
)
_HARMONY = "<harmony><root><root-step>C</root-step></root><kind>major</kind></harmony>"
_NOTE = "<note><pitch><step>{}</step><octave>4</octave></pitch><duration>1</duration></note>"


def write_grooves(folder: Path) -> Path:
    """A beat of four bars: kick and snare in turn."""
    folder.mkdir()
    (folder / "info.csv").write_text(_TABLE)
    start = np.arange(16) / 2
    hits = make_notes(start, start + 0.05, [36, 38] * 8, 90, is_drum=True)
    write_midi(hits, folder / "beat.mid", 120.0)
    return folder


def write_sheets(folder: Path) -> Path:
    """A song of eight bars on one chord."""
    folder.mkdir()
    notes = "".join(_NOTE.format(step) for step in "CDEG")
    measures = "".join(
        f'<measure number="{number}">{_ATTRIBUTES if number == 1 else ""}{_HARMONY}{notes}</measure>'
        for number in range(1, 9)
    )
    with zipfile.ZipFile(folder / "song.mxl", "w") as archive:
        archive.writestr("META-INF/container.xml", _CONTAINER)
        archive.writestr(
            "sheet.xml",
            '<score-partwise><part-list><score-part id="P1"><part-name>M</part-name></score-part></part-list>'
            f'<part id="P1">{measures}</part></score-partwise>',
        )
    return folder
