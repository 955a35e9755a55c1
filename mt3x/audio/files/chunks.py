"""Files made of chunks: where their samples are, whatever their headers say of lengths.

WAV (RIFF, RIFX, RF64, BW64), W64, AIFF, AIFC and CAF are a name, then chunks: an identifier, a size, the
content. One chunk tells how the samples are written, another one holds them. Programs that write into a pipe,
stop by accident or pass 4 GB leave sizes that are zero, all ones, too small, too large or wrapped around. So
the samples end where a plausible chunk, another file or a tag begins, or with the file.

AU has one header, and samples to its end.
"""

import dataclasses
import re
import struct
from collections.abc import Callable, Iterator
from io import BufferedIOBase
from typing import Literal

from mt3x.audio.files.mpeg import find_mpeg_parts
from mt3x.audio.files.parts import Part, Samples
from mt3x.audio.files.window import read_at

_LENGTH_UNKNOWN = 0x7FFFF000  # programs that write into a pipe promise this many bytes or more
_MOST_CHANNELS = 1024  # of libsndfile
PADDING = 8  # bytes by which sizes differ between writers
_MP3_ENCODING, _EXTENSIBLE_ENCODING = 0x55, 0xFFFE
_TAIL_BYTES = 2**18  # in which chunks behind samples of unknown length are looked for

_KNOWN_CHUNKS = re.compile(
    rb"LIST|id3 |ID3 |bext|iXML|axml|cue |smpl|inst|fact|PEAK|_PMX|DISP|afsp|JUNK|FLLR|PAD |cart|plst|adtl"
    rb"|NAME|AUTH|ANNO|COMT|MARK|INST|APPL|\(c\) |free|info|uuid"
)
_OTHER_BEGINNINGS = (b"RIFF", b"RIFX", b"RF64", b"FORM", b"ID3", b"TAG", b"APETAGEX", b"LYRICSBEGIN")

_SUBTYPES = {
    (1, 1): "PCM_U8",
    (1, 2): "PCM_16",
    (1, 3): "PCM_24",
    (1, 4): "PCM_32",
    (3, 4): "FLOAT",
    (3, 8): "DOUBLE",
    (6, 1): "ALAW",
    (7, 1): "ULAW",
}
"""libsndfile's names by WAV's number of an encoding and the bytes of a sample."""

_AIFF_ENCODINGS = {
    **dict.fromkeys((b"NONE", b"twos", b"in24", b"in32"), (1, "BIG")),
    b"sowt": (1, "LITTLE"),
    **dict.fromkeys((b"fl32", b"FL32", b"fl64", b"FL64"), (3, "BIG")),
    **dict.fromkeys((b"alaw", b"ALAW"), (6, "BIG")),
    **dict.fromkeys((b"ulaw", b"ULAW"), (7, "BIG")),
}
_AU_ENCODINGS = {1: (7, 1), 3: (1, 2), 4: (1, 3), 5: (1, 4), 6: (3, 4), 7: (3, 8), 27: (6, 1)}


@dataclasses.dataclass(frozen=True)
class _Layout:
    """How the chunks of one kind of file look.

    Attributes:
      chunk: identifier and size of a chunk.
      first: where the first chunk is.
      align: what each chunk's place is a multiple of, from the file's beginning.
      counts_header: whether a chunk's size includes identifier and size.
      format_chunk, data_chunk: how these two identifiers begin.
      read_format: the encoding's number and the samples' form, from the content of the format chunk.
      data_offset: of the samples in the data chunk.
    """

    chunk: struct.Struct
    first: int
    align: int
    counts_header: bool
    format_chunk: bytes
    data_chunk: bytes
    read_format: Callable[[bytes], tuple[int, Samples | None]]
    data_offset: int = 0


def find_chunked_parts(file: BufferedIOBase, start: int, end: int) -> list[Part]:
    """The parts of a file that begins at `start` as one of these kinds; empty where it does not."""
    if read_at(file, start, 4) == b".snd":
        return _find_au_part(file, start, end)
    parts: list[Part] = []
    while (layout := _layout(read_at(file, start, 40))) is not None:
        found, start = _find_parts(file, layout, start, end)
        if not found:
            break
        parts += found
    return parts


def _layout(head: bytes) -> _Layout | None:
    if head[:4] in (b"RIFF", b"RF64", b"BW64") and head[8:12] == b"WAVE":
        return _Layout(struct.Struct("<4sI"), 12, 2, False, b"fmt ", b"data", _wave_format("<"))
    if head[:4] == b"RIFX" and head[8:12] == b"WAVE":
        return _Layout(struct.Struct(">4sI"), 12, 2, False, b"fmt ", b"data", _wave_format(">"))
    if head[:4] == b"riff" and head[24:28] == b"wave":
        return _Layout(struct.Struct("<16sQ"), 40, 8, True, b"fmt ", b"data", _wave_format("<"))
    if head[:4] == b"FORM" and head[8:12] in (b"AIFF", b"AIFC"):
        return _Layout(struct.Struct(">4sI"), 12, 2, False, b"COMM", b"SSND", _aiff_format, 8)
    if head[:4] == b"caff":
        return _Layout(struct.Struct(">4sQ"), 8, 1, False, b"desc", b"data", _caf_format, 4)
    return None


def _find_parts(file: BufferedIOBase, layout: _Layout, start: int, end: int) -> tuple[list[Part], int]:
    """What the first data chunk holds, and where the file that begins at `start` ends."""
    encoding, samples, long_size = 0, None, None
    for name, size, place in _chunks(file, layout, start, end):
        if name == b"ds64":  # the lengths of RF64, where the data chunk has no room for them
            (long_size,) = struct.unpack("<8xQ", read_at(file, place, 16).ljust(16, b"\0"))
        elif name.startswith(layout.format_chunk):
            encoding, samples = layout.read_format(read_at(file, place, min(size, 64)))
        elif name.startswith(layout.data_chunk):
            break
    else:
        return [], end
    if long_size is not None and size == 0xFFFFFFFF:
        size = long_size
    first, stated = place + layout.data_offset, size - layout.data_offset
    is_unknown = stated <= 0 or size >= _LENGTH_UNKNOWN > end - first
    last = _samples_end(file, layout, (start, first, end), 0 if is_unknown else stated)
    after = _file_end(file, layout, last, start, end)
    missing = None if is_unknown else lacking(stated, last - first)
    if encoding == _MP3_ENCODING:
        return find_mpeg_parts(file, first, last), after
    if samples is None or abs(last - first - stated) <= PADDING:
        return [Part(start, after, missing=missing)], after
    return [Part(first, last, samples, missing=missing)], after


def lacking(stated: int, found: int) -> str | None:
    """In words, how many bytes a header promises that are not there."""
    if found + PADDING >= stated:
        return None
    return f"its header promises {stated} bytes of audio and {found} are there"


def _samples_end(file: BufferedIOBase, layout: _Layout, places: tuple[int, int, int], stated: int) -> int:
    """Where samples end whose header states a length: there, if something else begins there; 0 is unknown."""
    start, first, end = places
    wrap = 2**32 if layout.chunk.size == 8 else 2**64
    for last in range(first + stated, end + 1, wrap):
        if (
            end - last < layout.chunk.size
            or _file_end(file, layout, last, start, end) > last
            or _begins(file, last)
        ):
            return last
    tail_start = max(first, end - _TAIL_BYTES)
    for match in _KNOWN_CHUNKS.finditer(read_at(file, tail_start, _TAIL_BYTES)):
        if _after_chunks(file, layout, tail_start + match.start(), end) == end:
            return tail_start + match.start()
    return end


def _file_end(file: BufferedIOBase, layout: _Layout, last: int, start: int, end: int) -> int:
    """Where a file ends whose samples end at `last`: behind the chunks that follow them."""
    padded = last + -(last - start) % layout.align
    for place in (last, padded):
        if (after := _after_chunks(file, layout, place, end)) > place:
            return after
    if end - last < layout.chunk.size:
        return end
    return padded if _begins(file, padded) else last


def _begins(file: BufferedIOBase, place: int) -> bool:
    """Whether another file or a tag begins at a place."""
    return read_at(file, place, 12).startswith(_OTHER_BEGINNINGS)


def _after_chunks(file: BufferedIOBase, layout: _Layout, place: int, end: int) -> int:
    """Where the chunks that begin at a place end: with the file, or where another file or a tag begins.

    The place itself if no chunks begin there.
    """
    first = place
    while end - place >= layout.chunk.size and not _begins(file, place):
        name, size = layout.chunk.unpack(read_at(file, place, layout.chunk.size))
        if layout.counts_header:
            size -= layout.chunk.size
        if size < 0 or not all(0x20 <= byte < 0x7F for byte in name[:4]):
            return first
        place += layout.chunk.size + size
        place += -size % layout.align
        if place > end + layout.align:
            return end if _KNOWN_CHUNKS.match(name) else first
    return place if end - place >= layout.chunk.size else end


def _chunks(file: BufferedIOBase, layout: _Layout, start: int, end: int) -> Iterator[tuple[bytes, int, int]]:
    """Identifier, size of the content and place of the content of chunk after chunk."""
    place = start + layout.first
    while end - place >= layout.chunk.size:
        name, size = layout.chunk.unpack(read_at(file, place, layout.chunk.size))
        if layout.counts_header:
            size = max(0, size - layout.chunk.size)
        yield name, size, place + layout.chunk.size
        place += layout.chunk.size + size
        place += -(place - start) % layout.align


def _wave_format(order: str) -> Callable[[bytes], tuple[int, Samples | None]]:
    endian: Literal["LITTLE", "BIG"] = "LITTLE" if order == "<" else "BIG"

    def read(content: bytes) -> tuple[int, Samples | None]:
        if len(content) < 16:
            return 0, None
        encoding, channels, rate, _, frame_bytes, bits = struct.unpack(f"{order}HHIIHH", content[:16])
        if encoding == _EXTENSIBLE_ENCODING and len(content) >= 26:
            (encoding,) = struct.unpack(f"{order}H", content[24:26])
        width = frame_bytes // channels if channels and frame_bytes else (bits + 7) // 8
        return encoding, _samples(rate, channels, (encoding, width), endian)

    return read


def _aiff_format(content: bytes) -> tuple[int, Samples | None]:
    if len(content) < 18:
        return 0, None
    channels, _, bits, exponent, mantissa = struct.unpack(">HIHHQ", content[:18])
    rate = round(mantissa * 2.0 ** ((exponent & 0x7FFF) - 16383 - 63))  # an 80-bit float
    encoding, endian = _AIFF_ENCODINGS.get(content[18:22] or b"NONE", (0, "BIG"))
    samples = _samples(rate, channels, (encoding, (bits + 7) // 8 if encoding in (1, 3) else 1), endian)
    if samples is not None and samples.subtype == "PCM_U8":
        samples = dataclasses.replace(samples, subtype="PCM_S8")
    return encoding, samples


def _caf_format(content: bytes) -> tuple[int, Samples | None]:
    if len(content) < 32:
        return 0, None
    rate, name, flags, _, _, channels, bits = struct.unpack(">d4sIIIII", content[:32])
    encoding = {b"lpcm": 3 if flags & 1 else 1, b"alaw": 6, b"ulaw": 7}.get(name, 0)
    samples = _samples(round(rate), channels, (encoding, bits // 8), "LITTLE" if flags & 2 else "BIG")
    if samples is not None and samples.subtype == "PCM_U8":
        samples = dataclasses.replace(samples, subtype="PCM_S8")
    return encoding, samples


def _find_au_part(file: BufferedIOBase, start: int, end: int) -> list[Part]:
    head = read_at(file, start, 24)
    if len(head) < 24:
        return []
    offset, stated, number, rate, channels = struct.unpack(">5I", head[4:24])
    found = end - start - offset
    missing = lacking(stated, found) if stated < _LENGTH_UNKNOWN else None
    samples = _samples(rate, channels, _AU_ENCODINGS.get(number, (0, 0)), "BIG")
    if samples is None or found == stated:
        return [Part(start, end, missing=missing)]
    return [Part(start + offset, end, samples, missing=missing)]


def _samples(
    rate: int, channels: int, form: tuple[int, int], endian: Literal["LITTLE", "BIG"]
) -> Samples | None:
    subtype = _SUBTYPES.get(form)
    if subtype is None or not 0 < rate < 2**31 or not 0 < channels <= _MOST_CHANNELS:
        return None
    return Samples(rate, channels, subtype, endian)
