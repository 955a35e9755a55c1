"""A score as MusicXML 4.0, and as a compressed .mxl file.

Everything that a reader sees is written out: accidentals, beams, ties, tuplet brackets, rests, clefs.
Programs that draw MusicXML differ in what they would infer. The same score gives the same bytes. Only the
standard library and NumPy are used, so that every installation of mt3x can write it.

Source: the MusicXML 4.0 specification of the W3C Music Notation Community Group.
"""

import io
import math
import zipfile
from fractions import Fraction
from xml.etree import ElementTree
from xml.etree.ElementTree import Element, SubElement

from mt3x.score.io.musicxml_notes import add_line, text_element
from mt3x.score.notation.engraving import drum_place
from mt3x.score.notation.lines import Frame
from mt3x.score.notation.staves import WrittenPart
from mt3x.score.notation.written_values import is_compound
from mt3x.score.score import Part, Score

_HEAD = (
    '<?xml version="1.0" encoding="UTF-8"?>\n'
    '<!DOCTYPE score-partwise PUBLIC "-//Recordare//DTD MusicXML 4.0 Partwise//EN" '
    '"http://www.musicxml.org/dtds/partwise.dtd">\n'
)
_CONTAINER = (
    '<?xml version="1.0" encoding="UTF-8"?>\n<container><rootfiles>'
    '<rootfile full-path="score.musicxml" media-type="application/vnd.recordare.musicxml+xml"/>'
    "</rootfiles></container>\n"
)
_EPOCH = (1980, 1, 1, 0, 0, 0)
_BEAT_UNITS = {Fraction(2): ("half", False, 2.0), Fraction(3, 2): ("quarter", True, 1.5)}
_DRUM_CHANNEL = 10
_PITCHED_CHANNELS = (*range(1, 10), *range(11, 17))


def musicxml_bytes(score: Score, title: str = "", composer: str = "") -> bytes:
    """The content of a .musicxml file.

    Args:
      title, composer: where given, instead of the score's own.

    Raises:
      ValueError: a note without spelling, notes of one voice that overlap, or a position that no note value
        expresses; the message says where.
    """
    parts = [WrittenPart(part, score) for part in score.parts]
    # Ties may cut where no div is.
    scale = math.lcm(1, *(part.scale for part in parts))
    root = Element("score-partwise", version="4.0")
    _add_header(root, title or score.title, composer or score.composer)
    part_list = SubElement(root, "part-list")
    for number, part in enumerate(score.parts, start=1):
        _add_score_part(part_list, part, number)
    for number, written in enumerate(parts, start=1):
        element = SubElement(root, "part", id=f"P{number}")
        for index in range(len(score.measures)):
            _add_measure(element, written, score, index, number, scale)
    ElementTree.indent(root)
    return (_HEAD + ElementTree.tostring(root, encoding="unicode") + "\n").encode()


def compress_musicxml(content: bytes) -> bytes:
    """The content of a .mxl file from that of a .musicxml file."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in (("META-INF/container.xml", _CONTAINER.encode()), ("score.musicxml", content)):
            archive.writestr(zipfile.ZipInfo(name, _EPOCH), data, zipfile.ZIP_DEFLATED)
    return buffer.getvalue()


def _add_header(root: Element, title: str, composer: str) -> None:
    if title:
        text_element(SubElement(root, "work"), "work-title", title)
    identification = SubElement(root, "identification")
    if composer:
        text_element(identification, "creator", composer, {"type": "composer"})
    encoding = SubElement(identification, "encoding")
    text_element(encoding, "software", "mt3x")
    for name in ("accidental", "beam"):
        SubElement(encoding, "supports", element=name, type="yes")
    for kind, words, justify in (("title", title, "center"), ("composer", composer, "right")):
        if words:
            credit = SubElement(root, "credit", page="1")
            text_element(credit, "credit-type", kind)
            text_element(credit, "credit-words", words, {"justify": justify, "valign": "top"})


def _add_score_part(part_list: Element, part: Part, number: int) -> None:
    """A part's name and its sounds; every drum is an instrument of its own."""
    element = SubElement(part_list, "score-part", id=f"P{number}")
    text_element(element, "part-name", part.name)
    if part.is_drum:
        keys = sorted(set(part.notes["pitch"].tolist()))
        for key in keys:
            instrument = SubElement(element, "score-instrument", id=f"P{number}-I{key}")
            text_element(instrument, "instrument-name", drum_place(key).name)
        for key in keys:
            midi = SubElement(element, "midi-instrument", id=f"P{number}-I{key}")
            text_element(midi, "midi-channel", _DRUM_CHANNEL)
            text_element(midi, "midi-program", part.program + 1)
            text_element(midi, "midi-unpitched", key + 1)
        return
    instrument = SubElement(element, "score-instrument", id=f"P{number}-I1")
    text_element(instrument, "instrument-name", part.name)
    midi = SubElement(element, "midi-instrument", id=f"P{number}-I1")
    text_element(midi, "midi-channel", _PITCHED_CHANNELS[(number - 1) % len(_PITCHED_CHANNELS)])
    text_element(midi, "midi-program", part.program + 1)


def _add_measure(
    parent: Element, part: WrittenPart, score: Score, index: int, number: int, scale: int
) -> None:
    frame = part.frames[index]
    has_pickup = part.frames[0].is_pickup
    attributes = {"number": str(index + (not has_pickup))}
    if frame.is_pickup:
        attributes["implicit"] = "yes"
    measure = SubElement(parent, "measure", attributes)
    _add_attributes(measure, part, score, index, scale)
    if number == 1:
        _add_tempos(measure, score, frame, scale)
    length = (frame.end - frame.start) * scale
    for place, line in enumerate(part.measures[index]):
        if place:
            text_element(SubElement(measure, "backup"), "duration", length)
        add_line(measure, part, f"P{number}", line, score.divs_per_quarter * scale)
    if index + 1 == len(score.measures):
        text_element(SubElement(measure, "barline", location="right"), "bar-style", "light-heavy")
    else:
        _add_clef_changes(measure, part, index)


def _add_attributes(measure: Element, part: WrittenPart, score: Score, index: int, scale: int) -> None:
    """What is new in this measure: divisions, key, time, staves, clefs, transposition."""
    frame = part.frames[index]
    attributes = Element("attributes")
    if index == 0:
        text_element(attributes, "divisions", score.divs_per_quarter * scale)
    if not part.part.is_drum and frame.start in dict(score.key_signatures):
        text_element(SubElement(attributes, "key"), "fifths", part.written_key(frame.fifths))
    if any(onset == frame.start for onset, _, _ in score.time_signatures):
        time = SubElement(attributes, "time")
        text_element(time, "beats", frame.beats)
        text_element(time, "beat-type", frame.beat_type)
    if index == 0 and part.num_staves > 1:
        text_element(attributes, "staves", part.num_staves)
    for staff in range(1, part.num_staves + 1) if index == 0 else ():
        _add_clef(attributes, part, staff, index)
    transposition = part.transposition
    if index == 0 and transposition.chromatic:
        transpose = SubElement(attributes, "transpose")
        text_element(transpose, "diatonic", -transposition.diatonic)
        text_element(transpose, "chromatic", -transposition.chromatic)
    if len(attributes):
        measure.append(attributes)


def _add_clef_changes(measure: Element, part: WrittenPart, index: int) -> None:
    """The clefs that hold from the next measure on: they stand before the bar line."""
    attributes = Element("attributes")
    for staff, clefs in ({} if part.part.is_drum else part.clefs).items():
        if clefs[index + 1] != clefs[index]:
            _add_clef(attributes, part, staff, index + 1)
    if len(attributes):
        measure.append(attributes)


def _add_clef(attributes: Element, part: WrittenPart, staff: int, index: int) -> None:
    clef = SubElement(attributes, "clef", {"number": str(staff)} if part.num_staves > 1 else {})
    if part.part.is_drum:
        text_element(clef, "sign", "percussion")
        return
    written = part.clefs[staff][index]
    text_element(clef, "sign", written.sign)
    text_element(clef, "line", written.line)
    if written.octave_change:
        text_element(clef, "clef-octave-change", written.octave_change)


def _add_tempos(measure: Element, score: Score, frame: Frame, scale: int) -> None:
    """Metronome marks; the beat is a dotted quarter in compound metres, a half in 2/2."""
    beat = Fraction(4 * (3 if is_compound(frame.beats, frame.beat_type) else 1), frame.beat_type)
    name, is_dotted, quarters = _BEAT_UNITS.get(beat, ("quarter", False, 1.0))
    for onset, quarters_per_minute in score.tempos:
        if not frame.start <= onset < frame.end:
            continue
        _move(measure, "forward", (onset - frame.start) * scale)
        direction = SubElement(measure, "direction", placement="above")
        metronome = SubElement(SubElement(direction, "direction-type"), "metronome")
        text_element(metronome, "beat-unit", name)
        if is_dotted:
            SubElement(metronome, "beat-unit-dot")
        text_element(metronome, "per-minute", round(quarters_per_minute / quarters))
        SubElement(direction, "sound", tempo=f"{quarters_per_minute:.12g}")
        _move(measure, "backup", (onset - frame.start) * scale)


def _move(measure: Element, tag: str, duration: int) -> None:
    if duration:
        text_element(SubElement(measure, tag), "duration", duration)
