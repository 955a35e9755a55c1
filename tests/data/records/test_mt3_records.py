import io

import numpy as np
import pytest
import soundfile

from mt3x.data.records.mt3_records import LAYOUTS, feature_description, find_layout, parse_fields
from mt3x.data.records.recordings import SAMPLE_RATE, DataError
from mt3x.music.notes import SUSTAIN_CONTROL, empty_notes, make_notes
from mt3x.music.noteseq import to_note_sequence

SAMPLES = np.sin(np.arange(SAMPLE_RATE) / 8).astype(np.float32) / 2
NOTES = make_notes([0.25, 0.5], [0.5, 0.75], [60, 62], velocity=[80, 90], program=7)


def wav(samples=SAMPLES, rate=SAMPLE_RATE):
    file = io.BytesIO()
    soundfile.write(file, samples, rate, format="WAV")
    return file.getvalue()


def sequence(notes=NOTES, pedal=()):
    message = to_note_sequence(notes)
    for time, value in pedal:
        message.control_changes.add(time=time, control_number=SUSTAIN_CONTROL, control_value=value)
    return message.SerializeToString()


def multitrack(names, tracks):
    return {
        "track_id": b"Track1",
        "inst_names": np.array(names, object),
        "note_sequences": np.array(tracks, object),
        "audio_sample_rate": np.int64(SAMPLE_RATE),
        "mix": SAMPLES,
    }


def test_a_piano_recording_keeps_its_programs_and_holds_notes_under_the_pedal():
    pedal = [(0.4, 127), (0.9, 0)]
    example = parse_fields("maestro", {"id": b"a", "audio": wav(), "sequence": sequence(pedal=pedal)})
    assert example.id == "a"
    assert example.notes["end"].tolist() == [0.9, 0.9]
    assert example.notes["program"].tolist() == [7, 7]
    np.testing.assert_allclose(example.samples, SAMPLES, atol=2**-15)


def test_audio_of_another_rate_and_two_channels_becomes_mono_at_16_khz():
    stereo = np.stack([np.sin(np.arange(44100) / 20), np.zeros(44100)], axis=1)
    values = {"id": b"a", "audio": wav(stereo, 44100), "sequence": sequence()}
    example = parse_fields("guitarset", values)
    assert example.samples.dtype == np.float32
    assert abs(len(example.samples) - SAMPLE_RATE) <= 1
    assert 0.45 < np.abs(example.samples).max() < 0.55


def test_guitarset_is_all_guitar():
    example = parse_fields("guitarset", {"id": b"a", "audio": wav(), "sequence": sequence()})
    assert example.notes["program"].tolist() == [24, 24]


def test_instruments_of_urmp_are_known_by_abbreviation():
    values = {
        "id": b"a",
        "audio": wav(),
        "inst_names": np.array([b"vn", b"hn"], object),
        "instrument_sequences": np.array([sequence(NOTES[1:]), sequence(NOTES[:1])], object),
    }
    notes = parse_fields("urmp", values).notes
    assert notes[["start", "program"]].tolist() == [(0.25, 60), (0.5, 40)]


def test_numbers_are_audio_with_their_rate():
    values = {"id": b"a", "sequence": sequence(), "sample_rate": np.float32(8000), "audio": SAMPLES}
    assert abs(len(parse_fields("musicnet", values).samples) - 2 * SAMPLE_RATE) <= 1


def test_tracks_of_slakh_are_known_by_class_and_those_of_cerberus4_by_name():
    slakh = parse_fields("multitrack", multitrack([b"Drums", b"Pipe"], [sequence(NOTES[:1]), sequence()]))
    assert slakh.id == "Track1"
    assert slakh.notes[["program", "is_drum"]].tolist() == [(73, False), (0, True), (73, False)]
    cerberus = parse_fields("multitrack", multitrack([b"bass", b"drums"], [sequence(NOTES[:1])] * 2))
    assert cerberus.notes[["program", "is_drum"]].tolist() == [(32, False), (0, True)]


def test_a_recording_may_have_no_notes():
    assert not len(parse_fields("multitrack", multitrack([], [])).notes)
    values = {"id": b"a", "audio": wav(), "sequence": sequence(empty_notes())}
    assert not len(parse_fields("maestro", values).notes)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        (multitrack([b"Kazoo"], [sequence()]), "Track1: unknown instrument 'Kazoo'"),
        (multitrack([b"Pipe"], []), "Track1: there are 0 tracks but 1 instrument names"),
        ({**multitrack([], []), "mix": np.zeros(0, np.float32)}, "Track1: the array holds no samples"),
    ],
)
def test_what_cannot_be_used_is_named(values, message):
    with pytest.raises(DataError, match=message):
        parse_fields("multitrack", values)


def test_broken_audio_is_named():
    with pytest.raises(DataError, match="a: "):
        parse_fields("maestro", {"id": b"a", "audio": b"RIFF", "sequence": sequence()})


def test_unknown_layout_is_refused():
    with pytest.raises(ValueError, match="unknown layout 'mp3'; known are maestro, guitarset"):
        find_layout("mp3")


def test_descriptions_name_the_features_that_are_read():
    import tensorflow as tf

    for name, layout in LAYOUTS.items():
        description = feature_description(name)
        assert set(description) == set(layout.fields)
        assert layout.id_field in description
    assert feature_description("musicnet")["audio"].dtype == tf.float32
    assert feature_description("musicnet")["audio"].allow_missing
