"""Ogg (Vorbis, Opus, FLAC and Speex inside): its streams one after the other, and the pages that they lack.

Streams are chained where files were joined, or a radio changed its programme; libsndfile reads the first.

Source: RFC 3533.
"""

import re
from io import BufferedIOBase

from mt3x.audio.files.parts import Part
from mt3x.audio.files.window import read_at

_HEADER_BYTES = 27  # before a page's table of segment sizes
_BEGINS_STREAM = 2  # a bit of a page's flags
_SEARCH_BYTES = 2**20


def find_ogg_parts(file: BufferedIOBase, start: int, end: int) -> list[Part]:
    """The streams of a file whose first page begins at `start`; those that sound together are one part."""
    parts: list[Part] = []
    numbers: dict[bytes, int] = {}  # of the last page of each stream
    missing: str | None = None
    place, begins = start, True
    while place < end:
        head = read_at(file, place, _HEADER_BYTES + 255)
        table = head[_HEADER_BYTES : _HEADER_BYTES + head[26]] if len(head) >= _HEADER_BYTES else b""
        if head[:4] != b"OggS":
            found = _find_page(file, place, end)
            if found is None:
                break  # tags, or what else is no page
            missing = missing or f"its data is damaged at byte {place}"
            place = found
            continue
        page_end = place + _HEADER_BYTES + len(table) + sum(table)
        if len(head) < _HEADER_BYTES or len(table) < head[26] or page_end > end:
            missing = f"its last page begins at byte {place} and is not complete"
            break
        was_begun, begins = begins, bool(head[5] & _BEGINS_STREAM)
        if begins and not was_begun:
            parts.append(Part(start, place, missing=missing))
            start, missing = place, None
            numbers.clear()
        stream, number = head[14:18], int.from_bytes(head[18:22], "little")
        if number > numbers.get(stream, number) + 1:
            missing = missing or f"pages before byte {place} are missing"
        numbers[stream] = number
        place = page_end
    if numbers:
        parts.append(Part(start, place, missing=missing))
    return parts


def _find_page(file: BufferedIOBase, place: int, end: int) -> int | None:
    while place < end:
        block = read_at(file, place, min(_SEARCH_BYTES, end - place))
        if match := re.search(rb"OggS\x00[\x00-\x07]", block):
            return place + match.start()
        if len(block) <= 5:
            return None
        place += len(block) - 5
    return None
