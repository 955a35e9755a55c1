"""Chords and rests of one voice as <note> elements of MusicXML.

What an element holds comes in the order that the schema prescribes.
"""

from xml.etree.ElementTree import Element, SubElement

from mt3x.score.notation.accidentals import NAMES, Shown
from mt3x.score.notation.engraving import drum_place
from mt3x.score.notation.lines import Event, WrittenMeasure
from mt3x.score.notation.staves import WrittenPart


def text_element(
    parent: Element, tag: str, text: object, attributes: dict[str, str] | None = None
) -> Element:
    """A new child that holds text."""
    element = SubElement(parent, tag, attributes or {})
    element.text = str(text)
    return element


def add_line(
    measure: Element, part: WrittenPart, part_id: str, written: WrittenMeasure, divisions: int
) -> None:
    """Appends one voice to a <measure>; `divisions` are those of a quarter in the file."""
    for event in written.events:
        _add_graces(measure, part, part_id, written, event.graces)
        duration = int((event.value.end - event.value.start) * divisions)
        if not event.notes:
            _add_rest(measure, part, written, event, duration)
        for place, i in enumerate(event.notes):
            _add_note(measure, part, part_id, written, event, i, place, duration)
    _add_graces(measure, part, part_id, written, written.graces)


def _add_graces(
    measure: Element, part: WrittenPart, part_id: str, written: WrittenMeasure, graces: tuple[int, ...]
) -> None:
    """Grace notes or chords of them: one is an eighth with a slash, several are beamed sixteenths."""
    places = part.part.notes["grace"][list(graces)]
    count = len(set(places.tolist()))
    for i, place, before in zip(graces, places, [None, *places], strict=False):
        is_chord = place == before
        note = _add_grace(measure, part, part_id, written, i, is_chord, count)
        if count > 1 and not is_chord:
            state = "begin" if before is None else "end" if place == places[-1] else "continue"
            for level in "12":
                text_element(note, "beam", state, {"number": level})


def _add_grace(
    measure: Element,
    part: WrittenPart,
    part_id: str,
    written: WrittenMeasure,
    i: int,
    is_chord: bool,
    count: int,
) -> Element:
    """One note of `count` grace notes or chords, without its beam."""
    note = SubElement(measure, "note")
    SubElement(note, "grace", {"slash": "yes"} if count == 1 else {})
    if is_chord:
        SubElement(note, "chord")
    _add_pitch(note, part, i)
    _add_instrument(note, part, part_id, i)
    text_element(note, "voice", written.voice)
    text_element(note, "type", "eighth" if count == 1 else "16th")
    _add_accidental(note, part, i)
    _add_head_and_staff(note, part, written, i)
    return note


def _add_rest(
    measure: Element, part: WrittenPart, written: WrittenMeasure, event: Event, duration: int
) -> None:
    note = SubElement(measure, "note", {"print-object": "no"} if event.is_hidden else {})
    SubElement(note, "rest", {"measure": "yes"} if written.is_empty else {})
    text_element(note, "duration", duration)
    text_element(note, "voice", written.voice)
    if not written.is_empty:
        _add_type(note, event)
        _add_time_modification(note, event)
    _add_head_and_staff(note, part, written, None)
    if event.tuplet_edges:
        _add_tuplet(SubElement(note, "notations"), event)


def _add_note(
    measure: Element,
    part: WrittenPart,
    part_id: str,
    written: WrittenMeasure,
    event: Event,
    i: int,
    place: int,
    duration: int,
) -> None:
    """The note at `place` of a chord, from 0; what belongs to the whole chord is written on the first."""
    note = SubElement(measure, "note")
    if place:
        SubElement(note, "chord")
    _add_pitch(note, part, i)
    text_element(note, "duration", duration)
    ties = ["stop"] * event.ties_back + ["start"] * event.ties_on
    for tie in ties:
        SubElement(note, "tie", type=tie)
    _add_instrument(note, part, part_id, i)
    text_element(note, "voice", written.voice)
    _add_type(note, event)
    if not event.ties_back:
        _add_accidental(note, part, i)
    _add_time_modification(note, event)
    _add_head_and_staff(note, part, written, i)
    if place == 0:
        for level, state in enumerate(event.beams, start=1):
            text_element(note, "beam", state, {"number": str(level)})
    if ties or (event.tuplet_edges and place == 0):
        notations = SubElement(note, "notations")
        for tie in ties:
            SubElement(notations, "tied", type=tie)
        if place == 0:
            _add_tuplet(notations, event)


def _add_pitch(note: Element, part: WrittenPart, i: int) -> None:
    if part.part.is_drum:
        drum = drum_place(int(part.part.notes["pitch"][i]))
        unpitched = SubElement(note, "unpitched")
        text_element(unpitched, "display-step", drum.step)
        text_element(unpitched, "display-octave", drum.octave)
        return
    written = part.pitches[i]
    pitch = SubElement(note, "pitch")
    text_element(pitch, "step", written.step)
    if written.alter:
        text_element(pitch, "alter", written.alter)
    text_element(pitch, "octave", written.octave)


def _add_instrument(note: Element, part: WrittenPart, part_id: str, i: int) -> None:
    if part.part.is_drum:
        SubElement(note, "instrument", id=f"{part_id}-I{part.part.notes['pitch'][i]}")


def _add_type(note: Element, event: Event) -> None:
    text_element(note, "type", event.value.name)
    for _ in range(event.value.dots):
        SubElement(note, "dot")


def _add_accidental(note: Element, part: WrittenPart, i: int) -> None:
    if part.part.is_drum or part.shown[i] is Shown.NO:
        return
    reminder = {"cautionary": "yes", "parentheses": "yes"} if part.shown[i] is Shown.AS_REMINDER else {}
    text_element(note, "accidental", NAMES[part.pitches[i].alter], reminder)


def _add_time_modification(note: Element, event: Event) -> None:
    if event.value.tuplet is not None:
        modification = SubElement(note, "time-modification")
        text_element(modification, "actual-notes", event.value.tuplet.actual)
        text_element(modification, "normal-notes", event.value.tuplet.normal)


def _add_head_and_staff(note: Element, part: WrittenPart, written: WrittenMeasure, i: int | None) -> None:
    if part.part.is_drum and i is not None:
        head = drum_place(int(part.part.notes["pitch"][i])).head
        if head != "normal":
            text_element(note, "notehead", head)
    if part.num_staves > 1:
        text_element(note, "staff", written.staff)


def _add_tuplet(notations: Element, event: Event) -> None:
    for edge in event.tuplet_edges:
        bracket = {"bracket": "yes" if event.has_bracket else "no"} if edge == "start" else {}
        SubElement(notations, "tuplet", {"type": edge, "number": "1", **bracket})
