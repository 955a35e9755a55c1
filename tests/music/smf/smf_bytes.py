"""MIDI files written by hand, byte by byte."""

END = "00 ff2f00"


def midi_file(
    *tracks: str | bytes, kind: int = 1, division: int = 480, num_tracks: int | None = None
) -> bytes:
    """A file of tracks in hexadecimal digits; 480 ticks are half a second, 83 60 as a delta time."""
    contents = [track if isinstance(track, bytes) else bytes.fromhex(track) for track in tracks]
    count = len(tracks) if num_tracks is None else num_tracks
    header = b"MThd" + b"".join(n.to_bytes(size) for n, size in ((6, 4), (kind, 2), (count, 2)))
    return header + division.to_bytes(2) + b"".join(map(chunk, contents))


def chunk(content: bytes, length: int | None = None, name: bytes = b"MTrk") -> bytes:
    return name + (len(content) if length is None else length).to_bytes(4) + content


def note(pitch: int, channel: int = 0) -> str:
    """Half a second, struck and released."""
    return f"00 9{channel:x}{pitch:02x}5a 8360 8{channel:x}{pitch:02x}00 "
