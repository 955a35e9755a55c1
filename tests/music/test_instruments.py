import numpy as np
import pytest

from mt3x.music.instruments import (
    CLASS_NAMES,
    DRUMS,
    PROGRAM_NAMES,
    SLAKH_CLASSES,
    URMP_INSTRUMENTS,
    Granularity,
    apply_granularity,
    map_programs,
    parse_instruments,
    program_name,
    slakh_class_to_program_and_is_drum,
    urmp_instrument_to_program,
)
from mt3x.music.notes import make_notes


def test_there_are_128_distinct_program_names_in_16_classes():
    assert len(PROGRAM_NAMES) == len(set(PROGRAM_NAMES)) == 128
    assert len(CLASS_NAMES) == 16


@pytest.mark.parametrize(
    ("program", "name"), [(0, "Acoustic Grand Piano"), (40, "Violin"), (73, "Flute"), (127, "Gunshot")]
)
def test_program_has_its_general_midi_name(program, name):
    assert program_name(program) == name


@pytest.mark.parametrize("program", [-1, 128])
def test_program_outside_general_midi_is_refused(program):
    with pytest.raises(ValueError, match=rf"program {program} does not exist.*0\.\.127"):
        program_name(program)


@pytest.mark.parametrize(
    ("granularity", "expected"),
    [
        (Granularity.FLAT, [0, 0, 0, 0]),
        (Granularity.MIDI_CLASS, [0, 0, 32, 120]),
        (Granularity.FULL, [0, 7, 33, 127]),
    ],
)
def test_programs_map_to_each_granularity(granularity, expected):
    assert map_programs([0, 7, 33, 127], granularity).tolist() == expected


@pytest.mark.parametrize("granularity", Granularity)
def test_mapping_twice_changes_nothing_more(granularity):
    once = map_programs(np.arange(128), granularity)
    np.testing.assert_array_equal(map_programs(once, granularity), once)


def test_granularity_leaves_drums_order_and_input_alone():
    notes = make_notes([0.0, 0.0, 1.0], [0.5, 0.1, 2.0], [60, 38, 64], program=[41, 5, 9], is_drum=[0, 1, 0])
    mapped = apply_granularity(notes, Granularity.MIDI_CLASS)
    assert mapped["program"].tolist() == [40, 5, 8]
    assert mapped["is_drum"].tolist() == [False, True, False]
    assert notes["program"].tolist() == [41, 5, 9]


def test_granularity_is_found_by_the_name_that_gin_files_use():
    assert Granularity("midi_class") is Granularity.MIDI_CLASS


def test_slakh_classes_have_distinct_programs_and_drums_are_apart():
    assert len(SLAKH_CLASSES) == len(set(SLAKH_CLASSES.values())) == 34
    assert slakh_class_to_program_and_is_drum("Electric Bass") == (33, False)
    assert slakh_class_to_program_and_is_drum("Drums") == (0, True)


def test_unknown_slakh_class_is_refused_with_the_known_ones():
    with pytest.raises(ValueError, match="unknown Slakh class 'Kazoo'.*Acoustic Piano.*Drums"):
        slakh_class_to_program_and_is_drum("Kazoo")


def test_urmp_instruments_are_named_by_their_abbreviation():
    assert len(URMP_INSTRUMENTS) == 13
    assert urmp_instrument_to_program("hn") == 60


def test_unknown_urmp_instrument_is_refused_with_the_known_ones():
    with pytest.raises(ValueError, match="unknown URMP instrument 'kz'.*vn.*fl"):
        urmp_instrument_to_program("kz")


def test_instruments_are_named_as_general_midi_slakh_and_people_do():
    assert parse_instruments("Acoustic Grand Piano,electric bass, sax ,DRUMS") == (0, 33, 65, DRUMS)
    assert parse_instruments(["Violin", 41, "cello"]) == (40, 41, 42)


def test_an_instrument_that_is_named_twice_is_listed_once():
    assert parse_instruments("flute, 73, flute, piano") == (73, 0)


@pytest.mark.parametrize("program", range(128))
def test_every_program_is_found_by_its_name(program):
    assert parse_instruments([program_name(program)]) == (program,)


@pytest.mark.parametrize(
    ("names", "message"),
    [
        ("violn", r"'violn' is no instrument; name those of General MIDI \(violin, "),
        ("129", "'129' is no instrument"),
        ("-1", "'-1' is no instrument"),
        ("piano,", "'' is no instrument"),
        ([], "no instrument is named"),
    ],
)
def test_what_is_no_instrument_is_named(names, message):
    with pytest.raises(ValueError, match=message):
        parse_instruments(names)
