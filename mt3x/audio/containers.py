"""What audio files promise and do not hold: the losses that libsndfile passes over in silence.

libsndfile shortens a WAV or AIFF whose header promises more than there is, ends an Ogg file at its last whole
page, and reads an MP3 only as far as its length header or an estimate from its first frame reaches. Each of
these is found here, before reading where possible.

Sources: RIFF, RFC 3533 (Ogg pages), ID3v2, the Xing, Info and VBRI headers of MP3, libsndfile's parse log.
"""

import os
import re
from typing import BinaryIO

# libsndfile's log, e.g. "data : 441000 (should be 220478)"; RF64 counts frames in a chunk of its own.
_SHORT_CHUNK = re.compile(r"^\s*(?:data|SSND|riff|Data Size)\s*: (\d+) \(should be (\d+)\)", re.MULTILINE)
_SHORT_RF64 = re.compile(r"Calculated frame count (\d+) does not match value from 'ds64' chunk of (\d+)")
_LENGTH_UNKNOWN = 0x7FFFF000  # programs that write into a pipe promise this many bytes or more
_PADDING = 8  # bytes by which chunk sizes differ between writers

_LARGEST_OGG_PAGE = 65307
_OGG_HEADER = 27  # bytes before a page's table of segment sizes

# Containers that libsndfile does not read: offset, the bytes found there, name.
_OTHER_CONTAINERS = (
    (4, b"ftyp", "MPEG-4 (m4a, mp4, mov)"),
    (0, b"\x1aE\xdf\xa3", "Matroska or WebM"),
    (0, b"0&\xb2u\x8ef\xcf\x11", "Windows Media (wma)"),
    (0, b"\xff\xf1", "AAC"),
    (0, b"\xff\xf9", "AAC"),
    (0, b"wvpk", "WavPack"),
    (0, b"MAC ", "Monkey's Audio"),
    (0, b"#!AMR", "AMR"),
    (0, b"MThd", "a MIDI file, which holds notes already"),
)


def name_other_container(head: bytes) -> str | None:
    """The format that a file's first bytes name, if it is one that libsndfile does not read."""
    for offset, magic, name in _OTHER_CONTAINERS:
        if head[offset : offset + len(magic)] == magic:
            return name
    return None


def find_missing_part(file: BinaryIO, parse_log: str) -> str | None:
    """In words, what a file just opened is known to lack; None if nothing is known.

    Args:
      file: its bytes; the position is kept.
      parse_log: what libsndfile says about the header.
    """
    if match := _SHORT_CHUNK.search(parse_log):
        promised, found = int(match[1]), int(match[2])
        if found + _PADDING < promised < _LENGTH_UNKNOWN:
            return f"its header promises {promised} bytes of audio and {found} are there"
    if match := _SHORT_RF64.search(parse_log):
        found, promised = int(match[1]), int(match[2])
        if found + _PADDING < promised:
            return f"its header promises {promised} sample frames and {found} are there"
    position = file.tell()
    try:
        return _find_missing_ogg_part(file)
    finally:
        file.seek(position)


def _find_missing_ogg_part(file: BinaryIO) -> str | None:
    file.seek(0)
    if file.read(4) != b"OggS":
        return None
    size = file.seek(0, os.SEEK_END)
    start = file.seek(max(0, size - _LARGEST_OGG_PAGE))
    tail = file.read()
    page = tail.rfind(b"OggS")
    if page < 0:
        return None
    sizes_end = page + _OGG_HEADER
    if len(tail) >= sizes_end:
        num_segments = tail[sizes_end - 1]
        sizes = tail[sizes_end : sizes_end + num_segments]
        page_end = sizes_end + num_segments + sum(sizes)
        if len(sizes) == num_segments and page_end <= len(tail):
            return None
    return f"its last page begins at byte {start + page} and is not complete"


def mp3_states_length(file: BinaryIO) -> bool:
    """Whether an MP3 file has a length header (Xing, Info or VBRI); else its length is only an estimate.

    Args:
      file: its bytes; the position is kept.
    """
    position = file.tell()
    try:
        file.seek(0)
        _skip_id3(file)
        first_frame = file.read(4096)
        return any(tag in first_frame for tag in (b"Xing", b"Info", b"VBRI"))
    finally:
        file.seek(position)


def unread_mp3_share(file: BinaryIO) -> float:
    """How much audio follows the place where the decoder stopped, as a share of what it read.

    0.0 where no MP3 frame begins there: the end of the file, or tags.

    Args:
      file: its bytes, at that place; the position is lost.
    """
    num_read = file.tell()
    _skip_id3(file)
    sync = file.read(2)
    if len(sync) < 2 or sync[0] != 0xFF or sync[1] & 0xE0 != 0xE0:
        return 0.0
    return (file.seek(0, os.SEEK_END) - num_read) / num_read


def _skip_id3(file: BinaryIO) -> None:
    """Move behind an ID3v2 tag, if one begins here. It tells its size in four bytes of seven bits."""
    start = file.tell()
    head = file.read(10)
    is_tag = len(head) == 10 and head[:3] == b"ID3"
    size = sum(byte << shift for byte, shift in zip(head[6:], (21, 14, 7, 0), strict=True)) if is_tag else 0
    file.seek(start + (10 + size if is_tag else 0))
