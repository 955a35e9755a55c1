"""Small scores for tests of notation, as text: `C#4:1/2` is a note of half a quarter, `r` a rest."""

import itertools
from fractions import Fraction
from itertools import takewhile

import numpy as np

from mt3x.score.notation.engraving import place_of
from mt3x.score.score import SCORE_NOTE_DTYPE, STEP_PITCH_CLASSES, Part, Score, sort_score_notes

DIVS = 24


def voice(text: str, voice: int = 1, staff: int = 1) -> list[tuple]:
    """Rows of `SCORE_NOTE_DTYPE`; `:0` is a grace note, `C4+E4:1` a chord, `36:1` a drum, `|` for the eye."""
    rows, time = [], Fraction(0)
    words = text.replace("|", " ").split()
    for number, word in enumerate(words):
        names, length = word.split(":")
        duration = Fraction(length) * DIVS
        assert duration.denominator == 1, word
        grace = len(list(takewhile(lambda other: other.endswith(":0"), words[number:])))
        pitches = [] if names == "r" else [_pitch(name) for name in names.split("+")]
        rows += [(int(time), int(duration), *pitch, voice, staff, grace) for pitch in pitches]
        time += duration
    return rows


def _pitch(name: str) -> tuple[int, str, int, int]:
    if name.isdecimal():
        return int(name), "", 0, 0
    step, octave, alter = name[0], int(name[-1]), name.count("#") - name.count("b")
    assert place_of(step, octave) > 0
    return 12 * (octave + 1) + STEP_PITCH_CLASSES[step] + alter, step, alter, octave


def part(*voices: list[tuple], name: str = "Piano", program: int = 0, is_drum: bool = False) -> Part:
    rows = [row for rows in voices for row in rows]
    return Part(name, program, is_drum, sort_score_notes(np.array(rows, SCORE_NOTE_DTYPE)))


def score(
    *parts: Part,
    beats: int = 4,
    beat_type: int = 4,
    num_measures: int = 1,
    pickup_quarters: str = "0",
    key: int | None = 0,
    tempo: float | None = None,
) -> Score:
    full, first = 4 * DIVS * beats // beat_type, int(Fraction(pickup_quarters) * DIVS)
    starts = [*([0] if first else []), *(first + full * i for i in range(num_measures + 1))]
    return Score(
        DIVS,
        parts,
        np.array(list(itertools.pairwise(starts)), np.int64),
        ((0, beats, beat_type),),
        () if key is None else ((0, key),),
        () if tempo is None else ((0, tempo),),
    )


def alla_turca() -> Score:
    """The beginning of Mozart's K. 331, third movement."""
    right = """B4:1/4 A4:1/4 G#4:1/4 A4:1/4 | C5:1/2 r:1/2 D5:1/4 C5:1/4 B4:1/4 C5:1/4
      | E5:1/2 r:1/2 F5:1/4 E5:1/4 D#5:1/4 E5:1/4
      | B5:1/4 A5:1/4 G#5:1/4 A5:1/4 B5:1/4 A5:1/4 G#5:1/4 A5:1/4 | C6:1 A5:1/2 C6:1/2
      | B5:1/2 F#5+A5:1/2 E5+G5:1/2 F#5+A5:1/2 | B5:1/2 F#5+A5:1/2 E5+G5:1/2 F#5+A5:1/2
      | B5:1/2 F#5+A5:1/2 E5+G5:1/2 D#5+F#5:1/2 | E5:1"""
    a_minor, e_minor = "A3:1/2 C4+E4:1/2 C4+E4:1/2 C4+E4:1/2 |", "E3:1/2 B3+E4:1/2 B3+E4:1/2 B3+E4:1/2 |"
    left = f"""r:1 | {a_minor * 2} A3:1/2 C4+E4:1/2 A3:1/2 C4+E4:1/2 | {a_minor} {e_minor * 2}
      E3:1/2 B3+E4:1/2 B2:1/2 B3:1/2 | E3:1"""
    piano = part(voice(right), voice(left, voice=3, staff=2))
    whole = score(piano, beats=2, num_measures=8, pickup_quarters="1", tempo=120.0)
    measures = whole.measures.copy()
    measures[-1, 1] -= DIVS  # the last measure is short by the pickup
    return Score(DIVS, whole.parts, measures, whole.time_signatures, whole.key_signatures, whole.tempos)


def ensemble() -> Score:
    """A clarinet, a song with triplets over two voices, a double bass and drums: all that a page may need."""
    clarinet = voice("G#4:0 A4:3/2 Bb4:1/2 B4:1 | r:1 C#5:2 | F#4:1/2 F4:5/2")
    right = voice("C5:1/3 E5:1/3 G5:1/3 " * 3 + "| A4+C5+E5:1 D5:1/4 C5:1/2 B4:1/4 A4:1 | G4:3")
    inner = voice("r:3 | r:1 F4:1/2 E4:1/2 r:1 | C4:1/2 D4:1/2 E4:2", voice=2)
    left = voice("C3:3 | F2:3/2 G2:3/2 | C2+C3:3", voice=3, staff=2)
    drums = voice("42:1/2 42:1/2 38+42:1/2 46:1/2 49:1 | 42:1/2 42:1/2 37:1/2 51:1/2 53:1 | 38:3")
    feet = voice("36:1 r:1 36:1/2 36:1/2 | 36:1 r:2 | 44:3", voice=2)
    return score(
        part(clarinet, name="Clarinet", program=71),
        part(right, inner, left),
        part(voice("C2:2 G1:1 | F1:3 | C2:3"), name="Contrabass", program=43),
        part(drums, feet, name="Drums", is_drum=True),
        beats=3,
        num_measures=3,
        key=-1,
        tempo=96.0,
    )


def mei(*movements: str) -> str:
    """MEI of movements, each a bar of quarters at 90 a minute, from middle C up, as "cde"."""
    head = "<meiHead><fileDesc><titleStmt><title/></titleStmt><pubStmt/></fileDesc></meiHead>"
    staff = '<staffGrp><staffDef n="1" lines="5" clef.shape="G" clef.line="2"/></staffGrp>'
    body = ""
    for steps in movements:
        notes = "".join(f'<note dur="4" oct="4" pname="{step}"/>' for step in steps)
        body += (
            f'<mdiv><score><scoreDef meter.count="{len(steps)}" meter.unit="4" midi.bpm="90">{staff}'
            f'</scoreDef><section><measure n="1"><staff n="1"><layer n="1">{notes}</layer></staff></measure>'
            "</section></score></mdiv>"
        )
    name = 'xmlns="http://www.music-encoding.org/ns/mei" meiversion="5.0"'
    return f"<mei {name}>{head}<music><body>{body}</body></music></mei>"


def kern(*spines: str, title: str = "") -> str:
    """Humdrum of a bar of quarters at 90 a minute, repeated; a spine is its notes, as "4c 4e"."""
    parts = [["**kern", "*clefG2", "*MM90", "=1", *spine.split(), "=:|!", "*-"] for spine in spines]
    lines = ["\t".join(fields) for fields in zip(*parts, strict=True)]
    return "\n".join([f"!!!OTL: {title}", *lines, ""])
