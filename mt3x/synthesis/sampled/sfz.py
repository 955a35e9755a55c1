"""SFZ files: text that says which recording sounds at which keys and velocities.

Keys are MIDI pitches 0..127, where c4 is 60; velocities are 0..127. Read are the opcodes that say what a
recording is (sample, offset, key, lokey, hikey, pitch_keycenter, lovel, hivel, tune, transpose, volume,
trigger, sw_last), their inheritance (<global>, <master>, <group>, <region>), default_path, note_offset and
octave_offset of <control>, #define, #include and comments. Others, such as envelopes, filters and effects,
are passed over: they say how a recording is played, which is drawn anew when it is. Takes that alternate
(seq_position, lorand) are regions of their own.

Source: sfzformat.com, SFZ versions 1 and 2. Deviation: a region without a velocity range is said to be of
velocity 64, the middle of all.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

SUSTAINED = "sustain"
"""Articulation of a region that no key switch selects."""

_MAX_INCLUDES = 16
_KEY_OPCODES = ("lokey", "hikey", "pitch_keycenter")
_SCOPES = ("global", "master", "group", "region")
_NOTE_STEPS = {"c": 0, "d": 2, "e": 4, "f": 5, "g": 7, "a": 9, "b": 11}
_NOTE_NAME = re.compile(r"([a-g])([#b]?)(-?\d+)", re.IGNORECASE)
_COMMENT = re.compile(r"/\*.*?\*/|//[^\n]*", re.DOTALL)
_DIRECTIVE = re.compile(r'\s*#(?:define\s+(\$\w+)\s+(\S+)|include\s+"([^"]+)")')
# A value ends before the next opcode, header or line: file names may hold spaces.
_TOKEN = re.compile(r"<(\w+)>|(\w+)=(.*?)(?=\s+\w+=|\s*<\w+>|\s*$)", re.MULTILINE)


@dataclass(frozen=True)
class Region:
    """One recording and where it is played.

    Attributes:
      file: the recording; offset_samples: how much of its beginning is left out, at its own rate.
      pitch_keycenter: the key at which it is played as it was recorded.
      exact_pitch: the MIDI pitch at which it sounds, by pitch_keycenter, tune and transpose.
      lokey, hikey: first and last key that it is played at.
      velocity: the middle of its range of velocities.
      volume_decibels: its gain.
      articulation: `SUSTAINED`, or the key switch that selects it.
    """

    file: Path
    pitch_keycenter: int
    exact_pitch: float
    lokey: int
    hikey: int
    velocity: int
    offset_samples: int = 0
    volume_decibels: float = 0.0
    articulation: str = SUSTAINED


def read_sfz(path: str | Path) -> list[Region]:
    """The regions of an SFZ file that a struck key sounds, in their order.

    Left out are generated waves (`*sine`), what sounds on release, and what no key reaches. The recordings
    themselves are not looked at.

    Raises:
      ValueError: the file or one that it includes cannot be read, or holds a value that is none.
    """
    path = Path(path)
    scopes: dict[str, dict[str, str]] = {}
    header, found = "", []

    def finish() -> None:
        """Takes the region whose opcodes are complete."""
        if header == "region":
            opcodes = _merged(scopes)
            if _is_struck(opcodes):
                region = _region(path, scopes.get("control", {}), opcodes)
                found.extend([region] if region.lokey <= region.hikey else [])

    for token in _TOKEN.finditer(_text(path, {}, [])):
        name, opcode, value = token.groups()
        if name:
            finish()
            header = name.lower()
            if header in _SCOPES:
                for inner in _SCOPES[_SCOPES.index(header) :]:
                    scopes[inner] = {}
        else:
            scopes.setdefault(header, {})[opcode.lower()] = value.strip()
    finish()
    return found


def _text(path: Path, defined: dict[str, str], including: list[Path]) -> str:
    """The file's text without comments, included files in their places and defined names replaced."""
    if len(including) > _MAX_INCLUDES:
        raise ValueError(f"{including[0]} includes files {_MAX_INCLUDES} deep; does {path} include itself?")
    try:
        text = _COMMENT.sub("", path.read_text(encoding="utf-8", errors="replace"))
    except OSError as error:
        raise ValueError(f"{path} cannot be read ({error.strerror}); give an SFZ file") from error
    chain = [*including, path]
    lines = []
    for line in text.splitlines():
        while directive := _DIRECTIVE.match(line):
            name, value, included = directive.groups()
            if name:
                defined[name] = value
            else:  # relative to the file that was asked for, as players do
                file = chain[0].parent / _replaced(included, defined).replace("\\", "/")
                lines.append(_text(file, defined, chain))
            line = line[directive.end() :]
        lines.append(_replaced(line, defined))
    return "\n".join(lines)


def _replaced(text: str, defined: Mapping[str, str]) -> str:
    """The text with names in place of what they stand for, the longest first: $KEYS is not $KEY and an S."""
    for name in sorted(defined, key=len, reverse=True) if "$" in text else ():
        text = text.replace(name, defined[name])
    return text


def _merged(scopes: Mapping[str, Mapping[str, str]]) -> dict[str, str]:
    """A region's opcodes: what an inner header says replaces what an outer one says."""
    merged: dict[str, str] = {}
    for name in _SCOPES:
        scope = scopes.get(name, {})
        if "key" in scope:
            merged |= dict.fromkeys(_KEY_OPCODES, scope["key"])
        merged |= scope
    return merged


def _is_struck(opcodes: Mapping[str, str]) -> bool:
    has_file = not opcodes.get("sample", "*").startswith("*")
    is_release = opcodes.get("trigger", "attack") not in ("attack", "first")
    return has_file and not is_release and opcodes.get("hikey") != "-1"


def _region(path: Path, control: Mapping[str, str], opcodes: Mapping[str, str]) -> Region:
    def number(name: str, default: float) -> float:
        value = opcodes.get(name, default)
        try:
            return float(value)
        except ValueError:
            raise ValueError(f"{path} has {name}={value}; it must be a number") from None

    def key(name: str, default: int) -> int:
        if name not in opcodes:
            return default
        moved = _control_number(path, control, "note_offset")
        moved += 12 * _control_number(path, control, "octave_offset")
        return _key(path, opcodes[name]) + moved

    lowest, highest = max(number("lovel", 1), 1), number("hivel", 127)
    center = key("pitch_keycenter", 60)
    sample = control.get("default_path", "") + opcodes["sample"]
    switch = opcodes.get("sw_last")
    return Region(
        file=path.parent / sample.replace("\\", "/"),
        pitch_keycenter=center,
        exact_pitch=center - number("transpose", 0) - number("tune", 0) / 100,
        lokey=max(key("lokey", 0), 0),
        hikey=min(key("hikey", 127), 127),
        velocity=min(max(round((lowest + highest) / 2), 1), 127),
        offset_samples=max(int(number("offset", 0)), 0),
        volume_decibels=number("volume", 0.0),
        articulation=SUSTAINED if switch is None else f"switch_{switch}",
    )


def _control_number(path: Path, control: Mapping[str, str], name: str) -> int:
    value = control.get(name, "0")
    try:
        return int(value)
    except ValueError:
        raise ValueError(f"{path} has {name}={value}; it must be a whole number") from None


def _key(path: Path, value: str) -> int:
    """A key from its number or name: `61`, `c#4` and `db4` are one."""
    if parts := _NOTE_NAME.fullmatch(value):
        step, sign, octave = parts.groups()
        moved = {"#": 1, "b": -1, "": 0}[sign]
        return _NOTE_STEPS[step.lower()] + moved + 12 * (int(octave) + 1)
    try:
        return int(value)
    except ValueError:
        raise ValueError(
            f"{path} has the key {value}; it must be a number or a name, such as 60 or c4"
        ) from None
