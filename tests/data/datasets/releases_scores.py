"""A miniature folder of scores: one for each split, two parts of eight bars."""

from pathlib import Path

TRAIN, VALIDATION, TEST = "piece-1", "piece-25", "piece-84"
"""Names that the hashes put into these splits."""

OPTIONS = {"soundfonts": ("sf_GMbank",), "takes": 2, "seconds": 3.0}
"""Of the readers: a soundfont that loads at once, and short takes."""


def score_xml() -> str:
    """A melody in quarter notes over half-note chords."""
    melody = "".join(
        _measure(number, [("CDEFGAB"[(number + k) % 7], 5, 2) for k in range(4)]) for number in range(8)
    )
    chords = "".join(_measure(number, [(step, 3, 4) for step in "CG"], chord_step="E") for number in range(8))
    return (
        '<score-partwise><part-list><score-part id="P0"><part-name>Flute</part-name></score-part>'
        '<score-part id="P1"><part-name>Piano</part-name></score-part></part-list>'
        f'<part id="P0">{melody}</part><part id="P1">{chords}</part></score-partwise>'
    )


def _measure(number: int, notes: list[tuple[str, int, int]], chord_step: str = "") -> str:
    """Notes as (step, octave, eighths), each with another note above it if there is a `chord_step`."""
    attributes = "<attributes><divisions>2</divisions></attributes>" if number == 0 else ""
    words = [attributes]
    for step, octave, eighths in notes:
        words.append(_note(step, octave, eighths))
        if chord_step:
            words.append(_note(chord_step, octave + 1, eighths, "<chord/>"))
    return f"<measure>{''.join(words)}</measure>"


def _note(step: str, octave: int, eighths: int, chord: str = "") -> str:
    pitch = f"<pitch><step>{step}</step><octave>{octave}</octave></pitch>"
    return f"<note>{chord}{pitch}<duration>{eighths}</duration></note>"


def make_release(folder: Path) -> None:
    """Writes the three scores, one of them in a folder of its own."""
    (folder / "composer").mkdir(parents=True)
    (folder / "composer" / f"{TRAIN}.musicxml").write_text(score_xml())
    (folder / f"{VALIDATION}.xml").write_text(score_xml())
    (folder / f"{TEST}.musicxml").write_text(score_xml())
