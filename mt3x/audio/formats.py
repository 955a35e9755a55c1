"""What counts as a recording: the one list of suffixes, and first bytes by which kinds of files are known.

The suffixes choose files in folders and give their outputs names; how a file is read depends on its bytes
alone. docs/your_recordings.md shows them as a table; a test holds the two together and reads what it lists.
"""

# fmt: off
SOUND_SUFFIXES = (
    ".wav", ".wave", ".bwf", ".rf64", ".w64", ".aif", ".aiff", ".aifc", ".au", ".snd", ".caf", ".voc",
    ".flac", ".alac", ".wv", ".tta", ".mp3", ".mp2", ".mpa", ".ogg", ".oga", ".opus",
    ".m4a", ".m4b", ".m4r", ".aac", ".ac3", ".eac3", ".wma", ".mka", ".weba", ".amr", ".3ga",
)
"""Files of sound; the tests make one of each kind and read it."""

VIDEO_SUFFIXES = (
    ".mp4", ".m4v", ".mov", ".3gp", ".3g2", ".mkv", ".webm", ".avi", ".wmv", ".asf", ".flv", ".mpg", ".mpeg",
    ".mts", ".m2ts", ".vob", ".ogv",
)
"""Videos, whose sound is read; the tests make one of each kind and read it."""

OTHER_SUFFIXES = (
    ".spx", ".ape", ".mpc", ".tak", ".dts", ".dsf", ".dff", ".awb", ".oma", ".ra", ".rm", ".shn", ".m4p",
    ".aax",
)
"""Media that FFmpeg knows and the tests cannot make, protected ones too: tried, and named where they fail."""
# fmt: on

AUDIO_SUFFIXES = (*SOUND_SUFFIXES, *VIDEO_SUFFIXES, *OTHER_SUFFIXES)
"""What counts as a recording in a folder, in lower case; a file that is named itself may have any suffix."""

KINDS = "WAV, FLAC, MP3, OGG, M4A, AIFF, WMA, AMR and others, and the sound of videos"
"""What can be read, for sentences; the suffixes are too many."""

_FIRST_BYTES = (
    (4, b"ftyp", "MPEG-4 (m4a, mp4, mov)"),
    (4, b"moov", "MPEG-4 (m4a, mp4, mov)"),
    (0, b"\x1aE\xdf\xa3", "Matroska or WebM"),
    (0, b"0&\xb2u\x8ef\xcf\x11", "Windows Media (wma)"),
    (0, b"RIFF", "a WAV file"),
    (0, b"fLaC", "a FLAC file"),
    (0, b"OggS", "an OGG file"),
    (0, b"ID3", "an MP3 file"),
    (0, b"\xff\xf1", "AAC"),
    (0, b"\xff\xf9", "AAC"),
    (0, b"wvpk", "WavPack"),
    (0, b"MAC ", "Monkey's Audio"),
    (0, b"#!AMR", "AMR"),
    (0, b"MThd", "a MIDI file, which holds notes already"),
)
"""Offset, the bytes found there, name."""


def name_by_first_bytes(head: bytes) -> str | None:
    """The kind of file that begins so, if it is a known one."""
    for offset, magic, name in _FIRST_BYTES:
        if head[offset : offset + len(magic)] == magic:
            return name
    return None
