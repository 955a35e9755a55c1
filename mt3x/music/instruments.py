"""General MIDI programs, the three granularities of instrument labels, and the class tables of two datasets.

Programs are 0-based (0..127; printed MIDI manuals count from 1). Drums are no program: they are marked by
`is_drum` and keep that mark at every granularity.

Source: General MIDI System Level 1 sound set; MT3 `vocabularies.py` (granularities) and `preprocessors.py`
(Slakh and URMP tables); arXiv 2111.03017, section 3.2 and appendix.
"""

import difflib
import enum
from collections.abc import Iterable, Mapping
from types import MappingProxyType

import numpy as np
import numpy.typing as npt

DRUM_CHANNEL = 9
"""Channel 10, counted from 0: the drums' in General MIDI."""

PROGRAMS_PER_CLASS = 8

CLASS_NAMES: tuple[str, ...] = (
    "Piano",
    "Chromatic Percussion",
    "Organ",
    "Guitar",
    "Bass",
    "Strings",
    "Ensemble",
    "Brass",
    "Reed",
    "Pipe",
    "Synth Lead",
    "Synth Pad",
    "Synth Effects",
    "Ethnic",
    "Percussive",
    "Sound Effects",
)
"""The 16 General MIDI classes; program p belongs to class p // 8."""

PIANO_PROGRAMS = range(PROGRAMS_PER_CLASS)
"""Programs of class "Piano", whose notes a sustain pedal holds."""

# One line per class, eight programs each.
# fmt: off
PROGRAM_NAMES: tuple[str, ...] = (
    "Acoustic Grand Piano", "Bright Acoustic Piano", "Electric Grand Piano", "Honky-tonk Piano",
    "Electric Piano 1", "Electric Piano 2", "Harpsichord", "Clavinet",
    "Celesta", "Glockenspiel", "Music Box", "Vibraphone", "Marimba", "Xylophone", "Tubular Bells", "Dulcimer",
    "Drawbar Organ", "Percussive Organ", "Rock Organ", "Church Organ",
    "Reed Organ", "Accordion", "Harmonica", "Tango Accordion",
    "Acoustic Guitar (nylon)", "Acoustic Guitar (steel)", "Electric Guitar (jazz)", "Electric Guitar (clean)",
    "Electric Guitar (muted)", "Overdriven Guitar", "Distortion Guitar", "Guitar Harmonics",
    "Acoustic Bass", "Electric Bass (finger)", "Electric Bass (pick)", "Fretless Bass",
    "Slap Bass 1", "Slap Bass 2", "Synth Bass 1", "Synth Bass 2",
    "Violin", "Viola", "Cello", "Contrabass",
    "Tremolo Strings", "Pizzicato Strings", "Orchestral Harp", "Timpani",
    "String Ensemble 1", "String Ensemble 2", "Synth Strings 1", "Synth Strings 2",
    "Choir Aahs", "Voice Oohs", "Synth Voice", "Orchestra Hit",
    "Trumpet", "Trombone", "Tuba", "Muted Trumpet",
    "French Horn", "Brass Section", "Synth Brass 1", "Synth Brass 2",
    "Soprano Sax", "Alto Sax", "Tenor Sax", "Baritone Sax", "Oboe", "English Horn", "Bassoon", "Clarinet",
    "Piccolo", "Flute", "Recorder", "Pan Flute", "Blown Bottle", "Shakuhachi", "Whistle", "Ocarina",
    "Lead 1 (square)", "Lead 2 (sawtooth)", "Lead 3 (calliope)", "Lead 4 (chiff)",
    "Lead 5 (charang)", "Lead 6 (voice)", "Lead 7 (fifths)", "Lead 8 (bass + lead)",
    "Pad 1 (new age)", "Pad 2 (warm)", "Pad 3 (polysynth)", "Pad 4 (choir)",
    "Pad 5 (bowed)", "Pad 6 (metallic)", "Pad 7 (halo)", "Pad 8 (sweep)",
    "FX 1 (rain)", "FX 2 (soundtrack)", "FX 3 (crystal)", "FX 4 (atmosphere)",
    "FX 5 (brightness)", "FX 6 (goblins)", "FX 7 (echoes)", "FX 8 (sci-fi)",
    "Sitar", "Banjo", "Shamisen", "Koto", "Kalimba", "Bagpipe", "Fiddle", "Shanai",
    "Tinkle Bell", "Agogo", "Steel Drums", "Woodblock",
    "Taiko Drum", "Melodic Tom", "Synth Drum", "Reverse Cymbal",
    "Guitar Fret Noise", "Breath Noise", "Seashore", "Bird Tweet",
    "Telephone Ring", "Helicopter", "Applause", "Gunshot",
)
# fmt: on

DRUMS_NAME = "Drums"

DRUMS = 128
"""Stands for drums in a list of instruments, beside programs 0..127."""


def check_instruments(instruments: Iterable[int]) -> None:
    """Refuses what is neither a program nor `DRUMS`.

    Raises:
      ValueError: names it.
    """
    for instrument in instruments:
        if not 0 <= instrument <= DRUMS:
            raise ValueError(f"instruments has {instrument}; it may hold 0 to 127, and {DRUMS} for drums")


def programs_of(instruments: tuple[int, ...]) -> tuple[int, ...]:
    """The programs that may play where these are known to: all where none is; () where only drums do."""
    return tuple(p for p in instruments or range(DRUMS) if p != DRUMS)


def is_piano(notes: np.ndarray) -> np.ndarray:
    """bool [N]: which notes a sustain pedal holds."""
    return ~notes["is_drum"] & np.isin(notes["program"], PIANO_PROGRAMS)


def includes_drums(instruments: tuple[int, ...]) -> bool:
    """Whether drums may play where these instruments are known to."""
    return not instruments or DRUMS in instruments


SLAKH_CLASSES: Mapping[str, int] = MappingProxyType(
    {
        "Acoustic Piano": 0,
        "Electric Piano": 4,
        "Chromatic Percussion": 8,
        "Organ": 16,
        "Acoustic Guitar": 24,
        "Clean Electric Guitar": 26,
        "Distorted Electric Guitar": 29,
        "Acoustic Bass": 32,
        "Electric Bass": 33,
        "Violin": 40,
        "Viola": 41,
        "Cello": 42,
        "Contrabass": 43,
        "Orchestral Harp": 46,
        "Timpani": 47,
        "String Ensemble": 48,
        "Synth Strings": 50,
        "Choir and Voice": 52,
        "Orchestral Hit": 55,
        "Trumpet": 56,
        "Trombone": 57,
        "Tuba": 58,
        "French Horn": 60,
        "Brass Section": 61,
        "Soprano/Alto Sax": 64,
        "Tenor Sax": 66,
        "Baritone Sax": 67,
        "Oboe": 68,
        "English Horn": 69,
        "Bassoon": 70,
        "Clarinet": 71,
        "Pipe": 73,
        "Synth Lead": 80,
        "Synth Pad": 88,
    }
)
"""The 34 pitched classes of Slakh2100 as MT3 groups them, and the program that stands for each."""

URMP_INSTRUMENTS: Mapping[str, int] = MappingProxyType(
    {
        "vn": 40,
        "va": 41,
        "vc": 42,
        "db": 43,
        "tpt": 56,
        "tbn": 57,
        "tba": 58,
        "hn": 60,
        "sax": 64,
        "ob": 68,
        "bn": 70,
        "cl": 71,
        "fl": 73,
    }
)
"""The instrument abbreviations of URMP's file names and their programs."""


_PLAIN_NAMES: Mapping[str, int] = MappingProxyType(
    {
        "piano": 0,
        "electric piano": 4,
        "organ": 16,
        "pipe organ": 19,
        "guitar": 24,
        "electric guitar": 27,
        "bass": 33,
        "double bass": 43,
        "harp": 46,
        "strings": 48,
        "choir": 52,
        "voice": 52,
        "horn": 60,
        "brass": 61,
        "sax": 65,
        "saxophone": 65,
        "synth": 81,
        "drums": DRUMS,
    }
)
"""What people say for what General MIDI calls otherwise."""


class Granularity(enum.Enum):
    """How finely instruments are told apart; the values are the names in MT3's gin files."""

    FLAT = "flat"
    """One instrument: every program is 0."""
    MIDI_CLASS = "midi_class"
    """16 instruments: every program is the first of its class."""
    FULL = "full"
    """128 instruments: programs as they are."""


def program_name(program: int) -> str:
    """The General MIDI name of a program.

    >>> program_name(40)
    'Violin'

    Raises:
      ValueError: the program is outside 0..127.
    """
    if not 0 <= program < len(PROGRAM_NAMES):
        raise ValueError(f"program {program} does not exist; General MIDI programs are 0..127")
    return PROGRAM_NAMES[program]


def parse_instruments(names: str | Iterable[str | int]) -> tuple[int, ...]:
    """Programs, and `DRUMS`, in the order in which they are named; each once.

    >>> parse_instruments("piano, flute, drums")
    (0, 73, 128)

    Args:
      names: names of General MIDI or of Slakh's classes, in any case, or plain ones such as "guitar"; or
        numbers of programs. A text separates them by commas.

    Raises:
      ValueError: nothing is named, or something that is no instrument.
    """
    listed = names.split(",") if isinstance(names, str) else names
    known = {name.lower(): program for program, name in enumerate(PROGRAM_NAMES)}
    known |= {name.lower(): program for name, program in SLAKH_CLASSES.items()}
    known |= _PLAIN_NAMES
    found = []
    for name in listed:
        text = str(name).strip().lower()
        program = int(text) if text.isdecimal() else known.get(text)
        if program is None or program > DRUMS:
            near = difflib.get_close_matches(text, known, cutoff=0.5)
            raise ValueError(
                f"{str(name).strip()!r} is no instrument; name those of General MIDI"
                f"{' (' + ', '.join(near) + '?)' if near else ''}, programs 0 to 127, or drums"
            )
        found.append(program)
    if not found:
        raise ValueError("no instrument is named; name at least one, or leave the list out")
    return tuple(dict.fromkeys(found))


def map_programs(programs: npt.ArrayLike, granularity: Granularity) -> np.ndarray:
    """Programs at a granularity: int32, same shape. Mapping twice changes nothing more.

    >>> map_programs([0, 41, 127], Granularity.MIDI_CLASS).tolist()
    [0, 40, 120]
    """
    programs = np.asarray(programs, np.int32)
    match granularity:
        case Granularity.FLAT:
            return np.zeros_like(programs)
        case Granularity.MIDI_CLASS:
            return programs // PROGRAMS_PER_CLASS * PROGRAMS_PER_CLASS
        case Granularity.FULL:
            return programs.copy()


def apply_granularity(notes: np.ndarray, granularity: Granularity) -> np.ndarray:
    """The same notes in the same order, the programs of pitched notes mapped; drum hits stay as they are."""
    mapped = notes.copy()
    mapped["program"] = np.where(
        notes["is_drum"], notes["program"], map_programs(notes["program"], granularity)
    )
    return mapped


def slakh_class_to_program_and_is_drum(slakh_class: str) -> tuple[int, bool]:
    """The program that stands for a class of Slakh2100, and whether it is drums (then the program is 0).

    Raises:
      ValueError: MT3's tables know no such class.
    """
    if slakh_class == DRUMS_NAME:
        return 0, True
    if slakh_class not in SLAKH_CLASSES:
        known = ", ".join([*SLAKH_CLASSES, DRUMS_NAME])
        raise ValueError(f"unknown Slakh class {slakh_class!r}; known are: {known}")
    return SLAKH_CLASSES[slakh_class], False


def urmp_instrument_to_program(abbreviation: str) -> int:
    """The program of an instrument abbreviation of URMP.

    >>> urmp_instrument_to_program("hn")
    60

    Raises:
      ValueError: URMP has no such instrument.
    """
    if abbreviation not in URMP_INSTRUMENTS:
        raise ValueError(
            f"unknown URMP instrument {abbreviation!r}; known are: {', '.join(URMP_INSTRUMENTS)}"
        )
    return URMP_INSTRUMENTS[abbreviation]
