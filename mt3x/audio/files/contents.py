"""What a file is, by its bytes and not by its name, and the parts that it consists of."""

import re
from io import BufferedIOBase

from mt3x.audio.files.chunks import find_chunked_parts
from mt3x.audio.files.mpeg import MOST_JUNK_BYTES, find_mpeg_parts, skip_tags
from mt3x.audio.files.ogg import find_ogg_parts
from mt3x.audio.files.parts import Part
from mt3x.audio.files.window import read_at

_FFMPEG_ALONE = re.compile(
    rb"....(?:ftyp|moov|mdat|wide|free|skip)|\x1aE\xdf\xa3|0&\xb2u\x8ef\xcf\x11|\xff[\xf0\xf1\xf8\xf9]|\x0bw|wvpk"
    rb"|MAC |#!AMR|TTA|FLV\x01|RIFF....AVI |\x00\x00\x01\xba|G.{187}G|....G.{191}G|MThd",
    re.DOTALL,
)
"""How files begin that libsndfile does not read, or takes for something else."""

_BEGINNING = re.compile(
    rb"(?:RIFF|RIFX|RF64|BW64)....WAVE|FORM....AIF[FC]|fLaC\x00\x00\x00\x22|OggS\x00\x02|caff\x00\x01",
    re.DOTALL,
)


def find_parts(file: BufferedIOBase, size: int) -> list[Part]:
    """The parts of a file of `size` bytes, at least one.

    Tags before the sound are passed over, and up to 64 kB of what nobody knows.
    """
    start = skip_tags(file, 0, size)
    head = read_at(file, start, MOST_JUNK_BYTES)
    if parts := _find_at(file, start, head, size):
        return parts
    if _FFMPEG_ALONE.match(head):
        return [Part(0, size, is_regular=False)]
    if match := _BEGINNING.search(head):
        place = match.start()
        if parts := _find_at(file, start + place, head[place:], size):
            return parts
    return find_mpeg_parts(file, start, size) or [Part(0, size)]


def _find_at(file: BufferedIOBase, start: int, head: bytes, end: int) -> list[Part]:
    """The parts of what begins at a place; empty where that is not known here."""
    if head[:4] == b"OggS":
        return find_ogg_parts(file, start, end)
    if head[:4] == b"fLaC":
        return [Part(start, end)]
    return find_chunked_parts(file, start, end) or find_mpeg_parts(file, start, end, most_junk=0)
