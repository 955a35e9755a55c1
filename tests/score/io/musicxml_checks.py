"""What must hold of any MusicXML that is written: the schema, and what the schema cannot say."""

from collections import defaultdict
from fractions import Fraction
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from xml.etree import ElementTree

import lxml.etree

from mt3x.score.notation.accidentals import key_alteration

ALTERATIONS = {"flat-flat": -2, "flat": -1, "natural": 0, "sharp": 1, "double-sharp": 2}


class _Resolver(lxml.etree.Resolver):
    """The two schemas that MusicXML's imports from the web, from the package xmlschema."""

    def resolve(self, url, public_id, context):
        name = {"xml.xsd": "XML/xml.xsd", "xlink.xsd": "XLINK/xlink.xsd"}.get(str(url).rpartition("/")[2])
        if name is None:
            return None
        return self.resolve_filename(str(folder_of("xmlschema") / "schemas" / name), context)


@cache
def schema() -> lxml.etree.XMLSchema:
    """MusicXML 3.1's, the newest in an installed package (partitura); 4.0 allows all that 3.1 does."""
    parser = lxml.etree.XMLParser(no_network=True)
    parser.resolvers.add(_Resolver())
    path = folder_of("partitura") / "assets" / "musicxml.xsd"
    return lxml.etree.XMLSchema(lxml.etree.parse(path, parser))


def folder_of(package: str) -> Path:
    """Where a package is installed; it is not imported: that takes seconds."""
    spec = find_spec(package)
    assert spec is not None and spec.origin is not None
    return Path(spec.origin).parent


def schema_errors(content: bytes) -> list[str]:
    checker = schema()
    checker.validate(lxml.etree.fromstring(content))
    return [f"line {error.line}: {error.message}" for error in checker.error_log]


def check(content: bytes) -> None:
    """Fails unless the schema holds, voices fill measures, ties pair, beams close, accidentals tell all."""
    assert schema_errors(content) == []
    root = ElementTree.fromstring(content)
    for part in root.findall("part"):
        check_durations(part)
        check_ties(part)
        check_beams(part)
        check_accidentals(part)


def notes_in_time(measure):
    """(onset in the measure, element) of each note, in the order of the file; then the measure's length."""
    time = previous = length = 0
    found = []
    for element in measure:
        duration = int(element.findtext("duration") or 0)
        if element.tag == "backup":
            time -= duration
        elif element.tag == "forward":
            time += duration
        elif element.tag == "note":
            if element.find("chord") is not None:
                time = previous
            found.append((time, element))
            previous, time = time, time + duration
        length = max(length, time)
    return found, length


def check_durations(part) -> None:
    """Every voice of a measure fills it, from its beginning to its end, without gaps; so do its values."""
    divisions = int(part.findtext(".//divisions"))
    values = {"breve": 8, "whole": 4, "half": 2, "quarter": 1, "eighth": Fraction(1, 2)}
    values |= {f"{n}{'nd' if n == 32 else 'th'}": Fraction(4, n) for n in (16, 32, 64, 128, 256)}
    for measure in part.findall("measure"):
        found, length = notes_in_time(measure)
        ends = defaultdict(int)
        for time, note in found:
            duration, key = (
                int(note.findtext("duration") or 0),
                (note.findtext("voice"), note.findtext("staff")),
            )
            if note.find("chord") is None and note.find("grace") is None:
                assert time == ends[key], f"measure {measure.get('number')}: voice {key} has a gap"
                ends[key] = time + duration
            if note.find("grace") is None and note.find("type") is not None:
                value = values[note.findtext("type")] * (2 - Fraction(1, 2 ** len(note.findall("dot"))))
                ratio = Fraction(
                    int(note.findtext("time-modification/normal-notes") or 1),
                    int(note.findtext("time-modification/actual-notes") or 1),
                )
                assert value * ratio * divisions == duration
        assert set(ends.values()) == {length}, f"measure {measure.get('number')}: {dict(ends)}"


def check_ties(part) -> None:
    """What is tied on is tied to a note of the same pitch and voice that begins where it ends."""
    offset, waiting = 0, defaultdict(int)
    for measure in part.findall("measure"):
        found, length = notes_in_time(measure)
        for time, note in sorted(found, key=lambda item: item[0]):
            pitch = tuple(e.text for e in note.iter() if e.tag in ("step", "alter", "octave", "display-step"))
            key = (pitch, note.findtext("voice"), note.findtext("staff"))
            ties = [tie.get("type") for tie in note.findall("tie")]
            assert ties == [tied.get("type") for tied in note.findall("notations/tied")]
            if "stop" in ties:
                waiting[key, offset + time] -= 1
                assert waiting[key, offset + time] >= 0
            if "start" in ties:
                waiting[key, offset + time + int(note.findtext("duration"))] += 1
        offset += length
    assert not any(waiting.values())


def check_beams(part) -> None:
    """At each level of each voice, beams begin, continue and end in this order, within a measure."""
    for measure in part.findall("measure"):
        states = defaultdict(str)
        for note in measure.findall("note"):
            kind = "grace" if note.find("grace") is not None else "main"
            voice = (note.findtext("voice"), note.findtext("staff"), kind)
            for beam in note.findall("beam"):
                key = (voice, beam.get("number"))
                allowed = {"": ("begin", "forward hook", "backward hook"), "open": ("continue", "end")}
                assert beam.text in allowed[states[key]]
                states[key] = "open" if beam.text in ("begin", "continue") else ""
        assert not any(states.values())


def check_accidentals(part) -> None:
    """Whoever reads the staff in the order of time, by key signature and accidentals, reads the notes."""
    fifths = 0
    for measure in part.findall("measure"):
        fifths = int(measure.findtext("attributes/key/fifths") or fifths)
        lines = {}
        found, _ = notes_in_time(measure)
        pitched = [(time, note) for time, note in found if note.find("pitch") is not None]
        for time, note in sorted(pitched, key=lambda item: (item[0], item[1].find("grace") is None)):
            step, octave = note.findtext("pitch/step"), note.findtext("pitch/octave")
            alter = int(note.findtext("pitch/alter") or 0)
            line = (step, octave, note.findtext("staff"))
            printed = note.findtext("accidental")
            if printed is not None:
                lines[line] = ALTERATIONS[printed]
            if "stop" not in [tie.get("type") for tie in note.findall("tie")]:
                simultaneous = any(
                    other.findtext("accidental") is not None
                    for t, other in pitched
                    if t == time
                    and [other.findtext(f"pitch/{tag}") for tag in ("step", "octave")] == [step, octave]
                )
                expected = lines.get(line, key_alteration(step, fifths))
                assert alter == expected or simultaneous, f"{step}{octave} in measure {measure.get('number')}"
