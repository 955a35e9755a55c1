"""MPEG audio (MP3, and layers I and II): its frames, counted, so that no header needs to be believed.

An MP3 has no length; a header in its first frame (Xing, Info or VBRI) may state one, which is wrong where
files were joined or cut. libmpg123, inside libsndfile, reads as far as that header, or an estimate from the
first frame, reaches, and says on standard error what it does not like. So it is given what is regular: frame
after frame, as many as stated. FFmpeg reads the rest.

Sources: ISO 11172-3 and 13818-3 (frame headers), ID3v2, APEv2, the Xing, Info and VBRI headers.
"""

import dataclasses
import functools
import re
from io import BufferedIOBase

from mt3x.audio.files.parts import Part
from mt3x.audio.files.window import read_at

MOST_JUNK_BYTES = 2**16
"""In which the first frame is looked for."""

_BLOCK_BYTES = 2**20
_FRAMES_TO_BELIEVE = 4  # in a row, where something else comes before them
_SYNC = re.compile(rb"\xff[\xe2-\xff]")
_LENGTH_HEADERS = (b"Xing", b"Info", b"VBRI")
_LENGTH_HEADER_REACH = 48  # bytes from its frame's beginning, in which it begins

_KBPS = {
    (3, 3): (32, 64, 96, 128, 160, 192, 224, 256, 288, 320, 352, 384, 416, 448),
    (3, 2): (32, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320, 384),
    (3, 1): (32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320),
    (2, 3): (32, 48, 56, 64, 80, 96, 112, 128, 144, 160, 176, 192, 224, 256),
    (2, 2): (8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160),
    (2, 1): (8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160),
}
"""By the header's bits of version (3 is MPEG-1, 2 MPEG-2, 0 MPEG-2.5, which has the rates of 2) and layer."""

_HERTZ = {3: (44100, 48000, 32000), 2: (22050, 24000, 16000), 0: (11025, 12000, 8000)}


@dataclasses.dataclass(frozen=True)
class _Kind:
    """What all frames of a stream have in common.

    Attributes:
      sample_rate: Hz.
      frame_samples: of one frame.
      sizes: bytes of a frame, by the second and third byte of its header.
    """

    sample_rate: int
    frame_samples: int
    sizes: dict[int, int]


@dataclasses.dataclass
class _Run:
    """Frames that follow each other.

    Attributes:
      kind: theirs.
      start, end: in bytes.
      num_frames: that are there, without one that holds a length header.
      stated_frames, stated_bytes: what the length header says, if there is one and it says that.
      is_whole: whether nothing else lies between the frames.
    """

    kind: _Kind
    start: int
    end: int
    num_frames: int = 0
    stated_frames: int | None = None
    stated_bytes: int | None = None
    is_whole: bool = True

    def part(self) -> Part:
        """How it is read."""
        found_samples = self.num_frames * self.kind.frame_samples
        if self.stated_frames is None:
            return Part(self.start, self.end, is_regular=False, num_frames=found_samples)
        missing = None
        if self.num_frames + 1 < self.stated_frames:
            seconds = self.stated_frames * self.kind.frame_samples / self.kind.sample_rate
            missing = f"its stated length is {seconds:.1f} s"
        is_length_right = abs(self.stated_frames - self.num_frames) <= 1
        found_bytes = self.end - self.start
        is_size_right = self.stated_bytes is None or abs(self.stated_bytes - found_bytes) < 0.01 * found_bytes
        is_regular = self.is_whole and is_length_right and is_size_right
        return Part(self.start, self.end, None, is_regular, missing, found_samples)


def find_mpeg_parts(
    file: BufferedIOBase, start: int, end: int, most_junk: int = MOST_JUNK_BYTES
) -> list[Part]:
    """The parts between two places; empty where no frames begin in the first `most_junk` bytes.

    A part begins with a length header or behind a tag, as each of several files does that were joined.
    """
    for are_joined in (False, True):  # most are not, and need no search
        parts = [run.part() for run in _find_runs(file, start, end, most_junk, are_joined) if run.num_frames]
        if not parts or (len(parts) == 1 and parts[0].is_regular):
            break
    return parts


def _find_runs(file: BufferedIOBase, start: int, end: int, most_junk: int, are_joined: bool) -> list[_Run]:
    runs: list[_Run] = []
    place = skip_tags(file, start, end)
    found = _next_frame(file, place, min(end, place + most_junk), end)
    is_another = True
    while found is not None:
        kind = _kind(read_at(file, found, 3))
        assert kind is not None
        if is_another or kind != runs[-1].kind:
            runs.append(_Run(kind, found, found))
        else:
            runs[-1].is_whole = False
        _walk(file, runs, found, end, are_joined)
        place = skip_tags(file, runs[-1].end, end)
        is_another = place > runs[-1].end
        found = _next_frame(file, place, end, end)
    return runs


def skip_tags(file: BufferedIOBase, place: int, end: int) -> int:
    """Where the tags that begin at a place end: ID3v2, ID3v1 and APEv2."""
    while place < end:
        head = read_at(file, place, 32)
        if head[:3] == b"ID3" and len(head) >= 10:
            size = sum((byte & 0x7F) << shift for byte, shift in zip(head[6:10], (21, 14, 7, 0), strict=True))
            place += 10 + size + (10 if head[5] & 0x10 else 0)  # bit 4: a footer follows
        elif head[:3] == b"TAG":
            place += 128
        elif head[:8] == b"APETAGEX" and len(head) == 32:
            place += 32 + int.from_bytes(head[12:16], "little")
        else:
            break
    return min(place, end)


def _walk(file: BufferedIOBase, runs: list[_Run], place: int, end: int, are_joined: bool) -> None:
    """Adds the frames that follow each other from a place on to the last run.

    A length header begins another run, if they are looked for in all frames and not only in the first.
    """
    while True:
        block = read_at(file, place, min(_BLOCK_BYTES, end - place))
        offset = 0
        searched = block if are_joined else block[:_LENGTH_HEADER_REACH] if not runs[-1].num_frames else b""
        for header in [*_find_length_headers(searched), len(block) + _LENGTH_HEADER_REACH]:
            until = header - _LENGTH_HEADER_REACH
            offset, num_frames = _count_frames(block, offset, until, runs[-1].kind.sizes)
            runs[-1].num_frames += num_frames
            runs[-1].end = place + offset
            size = _size_at(block, offset, runs[-1].kind.sizes)
            if until < offset < header and size and offset + size <= len(block):
                if runs[-1].num_frames:
                    runs.append(_Run(runs[-1].kind, place + offset, place + offset))
                _read_length_header(runs[-1], block[header : header + 18])
                offset += size
                runs[-1].end = place + offset
        place += offset
        if not offset or place + 4 > end:
            return


def _find_length_headers(block: bytes) -> list[int]:
    """Places that look like one; `find` is thirty times faster than a regular expression here."""
    places = []
    for name in _LENGTH_HEADERS:
        place = block.find(name)
        while place >= 0:
            places.append(place)
            place = block.find(name, place + 1)
    return sorted(places)


def _count_frames(block: bytes, offset: int, until: int, sizes: dict[int, int]) -> tuple[int, int]:
    """Passes over whole frames that begin at or before `until`; where they end, and how many there are."""
    num_frames, last = 0, min(until, len(block) - 4)
    while offset <= last and block[offset] == 0xFF:
        size = sizes.get(block[offset + 1] << 8 | block[offset + 2])
        if size is None or offset + size > len(block):
            break
        offset += size
        num_frames += 1
    return offset, num_frames


def _size_at(block: bytes, offset: int, sizes: dict[int, int]) -> int | None:
    header = block[offset : offset + 3]
    return sizes.get(int.from_bytes(header[1:], "big")) if header[:1] == b"\xff" else None


def _read_length_header(run: _Run, header: bytes) -> None:
    if header[:4] == b"VBRI":
        run.stated_bytes = int.from_bytes(header[10:14], "big")
        run.stated_frames = int.from_bytes(header[14:18], "big")
        return
    flags = int.from_bytes(header[4:8], "big")
    fields = [int.from_bytes(header[place : place + 4], "big") for place in (8, 12)]
    if flags & 1:
        run.stated_frames = fields.pop(0)
    if flags & 2:
        run.stated_bytes = fields.pop(0)


def _next_frame(file: BufferedIOBase, place: int, limit: int, end: int) -> int | None:
    """Where the first frame begins, from a place on and before a limit."""
    if _num_in_row(file, place, end, 2) == 2:
        return place
    while place < limit:
        block = read_at(file, place, min(_BLOCK_BYTES, limit - place) + 1)
        for match in _SYNC.finditer(block):
            found = place + match.start()
            if _num_in_row(file, found, end, _FRAMES_TO_BELIEVE) == _FRAMES_TO_BELIEVE:
                return found
        place += len(block) - 1 if len(block) > 1 else 1
    return None


def _num_in_row(file: BufferedIOBase, place: int, end: int, most: int) -> int:
    """Frames of one kind in a row from a place on, at most so many; these, where the file ends with them."""
    kind = _kind(read_at(file, place, 3))
    if kind is None:
        return 0
    for number in range(most):
        size = _size_at(read_at(file, place, 3), 0, kind.sizes)
        if size is None or place + size > end:
            return most if number and skip_tags(file, place, end) == end else number
        place += size
    return most


def _kind(header: bytes) -> _Kind | None:
    """The kind of a frame by its first three bytes; None where they begin no frame."""
    if len(header) < 3 or header[0] != 0xFF or header[1] & 0xE0 != 0xE0:
        return None
    version, layer, rate_index = header[1] >> 3 & 3, header[1] >> 1 & 3, header[2] >> 2 & 3
    if version not in _HERTZ or not layer or rate_index == 3 or not 0 < header[2] >> 4 < 15:
        return None
    return _make_kind(version, layer, rate_index)


@functools.cache
def _make_kind(version: int, layer: int, rate_index: int) -> _Kind:
    rate = _HERTZ[version][rate_index]
    # Layer I has 384 samples in slots of 4 bytes, II and III 1152 in bytes, III of MPEG-2 half as many.
    samples = 384 if layer == 3 else 576 if layer == 1 and version != 3 else 1152
    slot_bytes = 4 if layer == 3 else 1
    sizes = {}
    for index, kbps in enumerate(_KBPS[version or 2, layer], start=1):
        for padding in (0, 1):
            size = (kbps * 125 * samples // (rate * slot_bytes) + padding) * slot_bytes
            for without_crc in (0, 1):
                for private in (0, 1):
                    second = 0xE0 | version << 3 | layer << 1 | without_crc
                    third = index << 4 | rate_index << 2 | padding << 1 | private
                    sizes[second << 8 | third] = size
    return _Kind(rate, samples, sizes)
