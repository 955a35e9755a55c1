import pytest

from mt3x.tokens.codec import Codec, Event, EventRange

CODEC = Codec(10, 100, [EventRange("pitch", 21, 108), EventRange("tie", 0, 0)])


def test_ranges_lie_end_to_end_after_the_shifts():
    assert CODEC.event_type_range("shift") == (0, 10)
    assert CODEC.event_type_range("pitch") == (11, 98)
    assert CODEC.event_type_range("tie") == (99, 99)
    assert CODEC.num_classes == 100


def test_every_index_survives_decoding_and_encoding():
    events = [CODEC.decode_event_index(index) for index in range(CODEC.num_classes)]
    assert [CODEC.encode_event(event) for event in events] == list(range(CODEC.num_classes))
    assert events[11] == Event("pitch", 21)


def test_only_shifts_are_shifts():
    assert [index for index in range(-1, 100) if CODEC.is_shift_event_index(index)] == list(range(11))


@pytest.mark.parametrize("index", [-1, 100])
def test_index_outside_is_refused(index):
    with pytest.raises(ValueError, match=f"index {index}; indexes are 0..99"):
        CODEC.decode_event_index(index)


@pytest.mark.parametrize("value", [20, 109])
def test_value_outside_its_range_is_refused(value):
    with pytest.raises(ValueError, match=f"value {value}; it must be within 21..108"):
        CODEC.encode_event(Event("pitch", value))


def test_unknown_type_is_refused():
    with pytest.raises(ValueError, match="unknown event type 'drum'; this codec has shift, pitch, tie"):
        CODEC.encode_event(Event("drum", 36))


def test_bad_ranges_are_refused():
    with pytest.raises(ValueError, match="'pitch' has two ranges"):
        Codec(10, 100, [EventRange("pitch", 0, 1), EventRange("pitch", 2, 3)])
    with pytest.raises(ValueError, match="is empty"):
        Codec(10, 100, [EventRange("pitch", 5, 4)])
    with pytest.raises(ValueError, match="steps_per_second is 0"):
        Codec(10, 0, [])
