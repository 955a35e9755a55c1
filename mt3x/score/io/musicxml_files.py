"""MusicXML files, compressed or not, and the order of time in a part.

A part is a list of measures, a measure a list of elements that move a cursor on, back (`<backup>`) or not at
all. Times are whole divs of a quarter; a score's divs are such that all times of all parts are whole.
"""

import io
import itertools
import math
import os
import zipfile
import zlib
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from typing import NamedTuple
from xml.etree import ElementTree
from xml.etree.ElementTree import Element

SUFFIXES = (".mxl", ".musicxml", ".xml")
MAX_DIVS_PER_QUARTER = 1_000_000


class MusicXmlError(ValueError):
    """A file that can't be read as MusicXML; the message names it and says why."""


def musicxml_content(path: str | os.PathLike[str]) -> bytes:
    """The MusicXML of a file, compressed or not.

    Raises:
      MusicXmlError: the file is missing or unreadable, or an archive without a score.
    """
    try:
        return unpack_musicxml(Path(path).read_bytes(), os.fspath(path))
    except OSError as error:
        raise MusicXmlError(f"{path}: cannot be read ({error.strerror})") from error


def unpack_musicxml(data: bytes, name: str) -> bytes:
    """The MusicXML in the content of a file, which is returned as it is unless it is an archive.

    Where an archive's container is malformed, its only score is taken: some programs write titles into it as
    they are, so that an apostrophe breaks it (72 of OpenEWLD's 399 files).

    Raises:
      MusicXmlError: an archive without a score.
    """
    if not zipfile.is_zipfile(io.BytesIO(data)):
        return data
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            return archive.read(_score_of(archive))
    except (KeyError, zipfile.BadZipFile, zlib.error, NotImplementedError, RuntimeError) as error:
        raise MusicXmlError(
            f"{name} can't be read as MusicXML: it is an archive, but holds no MusicXML ({error})"
        ) from error


def _score_of(archive: zipfile.ZipFile) -> str:
    """The name of the score in an archive; KeyError where there is none or it can't be told."""
    try:
        container = ElementTree.fromstring(archive.read("META-INF/container.xml"))
        rootfile = container.find(".//{*}rootfile")
        return "" if rootfile is None else rootfile.get("full-path", "")
    except (KeyError, ElementTree.ParseError) as error:
        scores = [
            name
            for name in archive.namelist()
            if name.lower().endswith((".xml", ".musicxml")) and not name.startswith("META-INF/")
        ]
        if len(scores) != 1:
            raise KeyError(
                f"it has no readable container and {len(scores)} scores; give an archive of one score"
            ) from error
        return scores[0]


def parse_musicxml(content: bytes, name: str) -> Element:
    """The root element of MusicXML by parts.

    Args:
      name: of the file, for errors.

    Raises:
      MusicXmlError: it is no XML, or not MusicXML by parts.
    """
    try:
        root = ElementTree.fromstring(content)
    except ElementTree.ParseError as error:
        raise MusicXmlError(f"{name} can't be read as MusicXML: it is no XML ({error})") from error
    if root.tag != "score-partwise":
        raise MusicXmlError(
            f"{name} can't be read as MusicXML: it begins with <{root.tag}>; only MusicXML by parts, "
            "<score-partwise>, is read: export it as partwise"
        )
    return root


def divs_per_quarter(root: Element) -> int:
    """The least number of divs in which all durations and all measures of a score are whole.

    Raises:
      ValueError: it is more than `MAX_DIVS_PER_QUARTER`, or a number in the file is none.
    """
    divisions = [Fraction(e.text or "") for e in root.iter("divisions")]
    if not all(each > 0 for each in divisions):
        raise ValueError(f"divisions are {min(divisions)}; they must be positive")
    lengths = {e.text or "" for e in root.iter("duration")}
    parts = [Fraction(text).denominator for text in lengths if not text.strip().isdecimal()]
    divs = math.lcm(1, *(each.numerator for each in divisions)) * math.lcm(1, *parts)
    for time in root.iter("time"):
        metre = time_signature(time)
        if metre is not None:
            divs = math.lcm(divs, metre[1] // math.gcd(4 * metre[0], metre[1]))
    if divs > MAX_DIVS_PER_QUARTER:
        raise ValueError(f"it needs {divs} divs per quarter in common, more than {MAX_DIVS_PER_QUARTER}")
    return divs


def time_signature(time: Element) -> tuple[int, int] | None:
    """Beats and beat type of a <time>: (5, 8) of 3+2/8 and of 3/8+2/8; None where there is no metre."""
    beats = [sum(int(n) for n in (e.text or "").split("+")) for e in time.iterfind("beats")]
    types = [int(e.text or "") for e in time.iterfind("beat-type")]
    if not beats:
        return None
    least = max(types)
    if min(types) < 1:
        raise ValueError(f"a time signature has the beat type {min(types)}; it must be positive")
    return sum(count * least // unit for count, unit in zip(beats, types, strict=True)), least


class TimedElement(NamedTuple):
    """An element of a measure.

    Attributes:
      measure: counted from 0.
      time: divs from the start of the measure.
      duration: divs; that of a chord's further notes, too.
    """

    measure: int
    time: int
    duration: int
    element: Element


def elements_in_time(part: Element, divs_per_quarter: int) -> Iterator[TimedElement]:
    """The elements of a <part> in their order in the file, each where the cursor stands when it is met.

    A further note of a chord is where its first note is, a chord symbol where its offset moves it.
    """
    scale = divs_per_quarter
    for number, measure in enumerate(part.iterfind("measure")):
        now = first_of_chord = 0
        for element in measure:
            tag, duration = element.tag, 0
            if tag == "attributes":
                divisions = element.findtext("divisions")
                scale = scale if divisions is None else int(divs_per_quarter / Fraction(divisions))
            elif tag in ("note", "backup", "forward"):
                text = element.findtext("duration")
                if text is not None and element.find("grace") is None:
                    duration = _whole(text, scale)
            if tag == "note" and element.find("chord") is not None:
                yield TimedElement(number, first_of_chord, duration, element)
                continue
            if tag == "note":
                first_of_chord = now
            offset = _whole(element.findtext("offset") or "0", scale) if tag == "harmony" else 0
            yield TimedElement(number, max(now + offset, 0), duration, element)
            if tag == "backup":
                now = max(now - duration, 0)
            elif tag in ("note", "forward"):
                now += duration


def _whole(text: str, scale: int) -> int:
    return int(text) * scale if text.isdecimal() else round(Fraction(text) * scale)


class TimedScore(NamedTuple):
    """All elements of a score in time.

    Attributes:
      divs_per_quarter: of all times.
      starts: where the measures begin, and the end of the last one. A measure is as long as it is in the part
        where it is longest.
      parts: the elements of each part.
    """

    divs_per_quarter: int
    starts: tuple[int, ...]
    parts: tuple[tuple[TimedElement, ...], ...]


def timed_score(root: Element) -> TimedScore:
    """The elements of all parts, kept together at their measures.

    Raises:
      ValueError: a number in the file is none, or `MAX_DIVS_PER_QUARTER` do not suffice.
    """
    divs = divs_per_quarter(root)
    parts = tuple(tuple(elements_in_time(part, divs)) for part in root.iterfind("part"))
    lengths = [0] * max((len(part.findall("measure")) for part in root.iterfind("part")), default=0)
    for number, time, duration, element in itertools.chain.from_iterable(parts):
        if element.tag != "backup":
            lengths[number] = max(lengths[number], time + duration)
    return TimedScore(divs, tuple(itertools.accumulate(lengths, initial=0)), parts)
