"""Tokens here are written by hand or by the encoder; no network is needed."""

import dataclasses
import pickle

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mt3x.audio.logmel import SpectrogramConfig
from mt3x.music.instruments import DRUMS
from mt3x.music.notes import make_notes, sort_notes, trim_overlapping_notes
from mt3x.music.timegrid import segment_start_seconds
from mt3x.runtime.collector import NoteCollector
from mt3x.runtime.presets import PRESETS, TranscriptionConfig
from mt3x.tokens.codec import Event
from mt3x.tokens.decode import decode_segments, merge_restrikes
from mt3x.tokens.spec import NoteSpec
from mt3x.tokens.vocabulary import EOS_ID, NUM_SPECIAL_IDS, build_codec, vocabulary_from_codec

# Segments of exactly one second.
CONFIG = TranscriptionConfig(spectrogram=SpectrogramConfig(hop_width=160), segment_frames=100)
CODEC = build_codec(CONFIG.vocabulary)


def ids(*events, codec=CODEC):
    return np.array([NUM_SPECIAL_IDS + codec.encode_event(Event(*event)) for event in events] + [EOS_ID])


TIE, ON, OFF = ("tie", 0), ("velocity", 1), ("velocity", 0)


def pitch(value):
    return ("pitch", value)


def shift(value):
    return ("shift", value)


def collect(segments, config=CONFIG):
    """What becomes final after each segment, and the rest."""
    collector = NoteCollector(config)
    taken = []
    for i, segment in enumerate(segments):
        collector.add(segment, i * config.segment_frames)
        taken.append(collector.take_final())
    return [*taken, collector.notes()[0]]


def test_note_is_final_once_it_has_ended():
    taken = collect([ids(TIE, shift(10), ON, pitch(60), shift(50), OFF, pitch(60)), ids(TIE)])
    assert [len(notes) for notes in taken] == [1, 0, 0]
    assert taken[0]["end"].tolist() == [0.5]


def test_note_that_is_held_over_the_edge_waits():
    segments = [ids(TIE, ON, pitch(60)), ids(pitch(60), TIE, shift(30), OFF, pitch(60)), ids(TIE)]
    taken = collect(segments)
    assert [len(notes) for notes in taken] == [0, 1, 0, 0]
    assert taken[1]["end"].tolist() == [1.3]


def test_note_that_is_not_held_ends_at_the_edge_and_is_final_a_segment_later():
    taken = collect([ids(TIE, ON, pitch(60)), ids(TIE), ids(TIE)])
    assert [len(notes) for notes in taken] == [0, 1, 0, 0]
    assert taken[1]["end"].tolist() == [1.0]


def test_silence_ends_what_sounds():
    collector = NoteCollector(CONFIG)
    collector.add(ids(TIE, ON, pitch(60)), 0)
    collector.add_silence(100)
    notes, report = collector.notes()
    assert notes["end"].tolist() == [1.0] and report.invalid_events == 0


def test_silence_is_no_event_where_there_are_no_ties():
    collector = NoteCollector(TranscriptionConfig(spec=NoteSpec.ONSETS))
    collector.add_silence(0)
    notes, report = collector.notes()
    assert len(notes) == 0 and report.invalid_events == 0


def test_note_waits_for_a_restrike_that_would_be_merged_into_it():
    config = TranscriptionConfig(
        spectrogram=CONFIG.spectrogram, segment_frames=100, merge_restrikes_seconds=0.1
    )
    segments = [
        ids(TIE, shift(95), ON, pitch(60), shift(97), OFF, pitch(60)),
        ids(TIE, shift(3), ON, pitch(60), shift(20), OFF, pitch(60)),
    ]
    taken = collect(segments, config)
    assert [len(notes) for notes in taken] == [0, 1, 0]
    assert taken[1]["start"].tolist() == [0.95] and taken[1]["end"].tolist() == [1.2]


def test_without_segments_there_are_no_notes():
    collector = NoteCollector(CONFIG)
    assert len(collector.take_final()) == 0 and len(collector.notes()[0]) == 0


def whole(segments, names, config, mt3_compatible):
    """What the notes are by definition: all decoded, then named, merged and cut."""
    first_frames = [i * config.segment_frames for i in range(len(segments))]
    spectrogram = config.spectrogram
    starts = segment_start_seconds(
        first_frames, spectrogram.hop_width, spectrogram.sample_rate, 100, mt3_compatible
    )
    codec = build_codec(config.vocabulary)
    tokens = [vocabulary_from_codec(codec).decode(segment) for segment in segments]
    notes, report = decode_segments(tokens, starts, codec, config.spec, mt3_compatible)
    for i in range(len(notes)):
        key = tuple(notes[["start", "pitch", "is_drum"]][i].tolist())
        notes["program"][i] = names.get(key, notes["program"][i])
    notes = sort_notes(notes)
    if config.merge_restrikes_seconds:
        notes = merge_restrikes(notes, config.merge_restrikes_seconds)
    return (trim_overlapping_notes(notes) if config.note_head_width else notes), report


LIKELY = [TIE, ON, OFF, pitch(60), pitch(61), ("program", 40), ("program", 1), ("drum", 36)]
LIKELY += [shift(step) for step in (1, 5, 50, 99, 100, 101, 250)]


@settings(max_examples=400, deadline=None)
@given(
    data=st.data(),
    gap=st.sampled_from([0.0, 0.1]),
    spec=st.sampled_from(list(NoteSpec)),
    mt3_compatible=st.booleans(),
    has_head=st.booleans(),
    # The last: starts are off the grid of steps, so that floats differ from it.
    frames=st.sampled_from([(160, 100), (128, 77)]),
)
def test_notes_taken_on_the_way_are_all_notes_whatever_the_tokens(
    data, gap, spec, mt3_compatible, has_head, frames
):
    config = dataclasses.replace(
        CONFIG,
        spectrogram=SpectrogramConfig(hop_width=frames[0]),
        segment_frames=frames[1],
        spec=spec,
        merge_restrikes_seconds=gap,
        note_head_width=16 * has_head,
    )
    event = st.sampled_from([int(ids(event)[0]) for event in LIKELY] + [0, EOS_ID, 2, 1500])
    segments = data.draw(st.lists(st.lists(event, max_size=25), min_size=1, max_size=6))
    segments = [np.array(segment, np.int32) for segment in segments]
    collector = NoteCollector(config, mt3_compatible)
    taken, names = [], {}
    for i, segment in enumerate(segments):
        collector.add(segment, i * config.segment_frames)
        if has_head:
            begun = collector.begun_last()
            # Few programs, so that notes of several become one.
            program = st.sampled_from([0, 0, 0, 40])
            programs = data.draw(st.lists(program, min_size=len(begun), max_size=len(begun)))
            collector.name_instruments(begun, np.array(programs, np.int32))
            names |= dict(zip(begun[["start", "pitch", "is_drum"]].tolist(), programs, strict=True))
        if data.draw(st.booleans()):
            taken.append(collector.take_final())
    rest, report = collector.notes()
    expected, expected_report = whole(segments, names, config, mt3_compatible)
    together = np.concatenate([*taken, rest])
    assert sorted(together.tolist()) == sorted(expected.tolist())
    assert report == expected_report and collector.num_waiting == 0
    if not taken:
        np.testing.assert_array_equal(rest, expected)


# Segments of half a second; velocities are told apart.
DENSE = dataclasses.replace(
    PRESETS["ismir2021"],
    spectrogram=CONFIG.spectrogram,
    spec=NoteSpec.NOTES_WITH_TIES,
    segment_frames=50,
    merge_restrikes_seconds=0.1,
)


def drawn(random, count):
    """Segments for `DENSE` of notes at few pitches that are held, struck again and tied at random."""
    events = [OFF, ("velocity", 50), ("velocity", 90), pitch(60), pitch(60), pitch(61)]
    events += [("program", 40), ("program", 1), ("drum", 36), shift(7)]
    codec = build_codec(DENSE.vocabulary)
    tie, *likely = (int(ids(event, codec=codec)[0]) for event in [TIE, *events])
    for _ in range(count):
        tied = random.choice(likely[3:8], 6)
        yield np.array([*tied, tie, *random.choice(likely, 30)])


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("gap", [0.0, 0.1])
def test_long_recordings_of_one_instrument_under_several_names_come_out_whole(seed, gap):
    config = dataclasses.replace(DENSE, merge_restrikes_seconds=gap, note_head_width=16)
    random = np.random.default_rng(seed)
    collector, segments, names, taken = NoteCollector(config), list(drawn(random, 300)), {}, []
    for i, segment in enumerate(segments):
        collector.add(segment, 50 * i)
        begun = collector.begun_last()
        programs = random.choice([0, 40], len(begun))
        collector.name_instruments(begun, programs)
        names |= dict(zip(begun[["start", "pitch", "is_drum"]].tolist(), programs.tolist(), strict=True))
        taken.append(collector.take_final())
    together = np.concatenate([*taken, collector.notes()[0]])
    expected, _ = whole(segments, names, config, mt3_compatible=False)
    assert len(expected) > 500 and sorted(together.tolist()) == sorted(expected.tolist())


@pytest.mark.parametrize("has_head", [False, True])
def test_what_is_kept_does_not_grow_with_the_recording(has_head):
    config = dataclasses.replace(DENSE, note_head_width=16 * has_head)
    random = np.random.default_rng(0)
    collector = NoteCollector(config)
    num_notes, sizes = 0, []
    for i, segment in enumerate(drawn(random, 10_000)):
        collector.add(segment, 50 * i)
        if has_head:
            begun = collector.begun_last()
            collector.name_instruments(begun, random.choice([0, 40], len(begun)))
        num_notes += len(collector.take_final())
        if i % 100 == 0:
            sizes.append(len(pickle.dumps(collector)))
            assert collector.num_waiting < 20
    assert num_notes > 10_000
    assert max(sizes) < min(sizes) + 3000


def test_times_count_from_the_floored_segment_start():
    config = TranscriptionConfig(spectrogram=SpectrogramConfig(hop_width=256), segment_frames=128)
    collector = NoteCollector(config)
    collector.add(ids(TIE), 0)
    collector.add(ids(TIE, ON, pitch(60), shift(10), OFF, pitch(60)), 128)  # 2.048 s
    notes, _ = collector.notes()
    np.testing.assert_array_equal(notes, make_notes([2.04], [2.14], 60, velocity=127))


def test_broken_spec_of_events_is_counted():
    collector = NoteCollector(CONFIG)
    collector.add(ids(TIE, TIE), 0)
    assert collector.notes()[1].invalid_events == 1


@pytest.mark.parametrize("mt3_compatible", [False, True])
def test_mt3_compatible_starts_segments_where_mt3_does(mt3_compatible):
    # Frame 256 * 25 of 128 samples at 16 kHz is at 51.2 s; float32 floors some such starts 10 ms early.
    config = TranscriptionConfig()
    early = 0
    collector = NoteCollector(config, mt3_compatible)
    for segment in range(600):
        collector.add(ids(TIE, ON, pitch(60), shift(10), OFF, pitch(60)), 256 * segment)
    starts = np.round(collector.notes()[0]["start"], 2)
    exact = np.floor(np.arange(600) * 204.8 + 1e-6) / 100
    early = int((starts < exact - 1e-3).sum())
    assert early == (24 if mt3_compatible else 0)


def test_notes_of_the_segment_added_last_get_the_programs_that_they_are_given():
    collector = NoteCollector(CONFIG)
    collector.add(ids(TIE, ON, pitch(60), shift(20), pitch(62)), 0)
    collector.add(ids(pitch(60), TIE, shift(30), pitch(64), shift(40), OFF, pitch(60), pitch(64)), 100)
    begun = collector.begun_last()
    assert begun["start"].tolist() == [1.3] and begun["pitch"].tolist() == [64]
    collector.name_instruments(begun, np.array([40]))
    notes, _ = collector.notes()
    assert dict(zip(notes["pitch"].tolist(), notes["program"].tolist(), strict=True)) == {
        60: 0,
        62: 0,
        64: 40,
    }


def test_notes_that_are_one_instrument_now_are_merged_and_cut_where_they_overlap():
    config = dataclasses.replace(CONFIG, merge_restrikes_seconds=0.1, note_head_width=16)
    piano, flute = ("program", 0), ("program", 73)
    together = [piano, ON, pitch(60), flute, pitch(60)]
    later = [shift(50), piano, OFF, pitch(60), flute, pitch(60)]
    again = [shift(20), piano, ON, pitch(60)]
    found = {}
    for is_named in (False, True):
        collector = NoteCollector(config)
        collector.add(ids(TIE, *together, *again, *later), 0)
        if is_named:
            begun = collector.begun_last()
            collector.name_instruments(begun, np.full(len(begun), 40))
        found[is_named], _ = collector.notes()
    assert len(found[False]) == 3
    assert found[True]["program"].tolist() == [40, 40]
    assert found[True]["start"].tolist() == [0.0, 0.2] and found[True]["end"].tolist() == [0.2, 0.5]


def test_note_that_is_cut_is_final_while_it_sounds():
    config = dataclasses.replace(CONFIG, note_head_width=16)
    collector = NoteCollector(config)
    collector.add(ids(TIE, ("program", 73), ON, pitch(60), shift(20), ("program", 0), pitch(60)), 0)
    begun = collector.begun_last()
    collector.name_instruments(begun, np.full(len(begun), 40))
    notes = collector.take_final()
    assert notes["start"].tolist() == [0.0] and notes["end"].tolist() == [0.2]
    rest, _ = collector.notes()
    assert rest["start"].tolist() == [0.2]


def test_note_of_unknown_velocity_waits_for_its_end_and_stays_cut_where_it_was():
    config = dataclasses.replace(CONFIG, merge_restrikes_seconds=0.1, note_head_width=16)
    flute, piano = ("program", 73), ("program", 0)
    # The flute has another velocity than the piano, and which of them ends first counts.
    segments = [ids(TIE, flute, pitch(60), piano, ON, pitch(60), shift(20), ("program", 1), pitch(60))]
    segments += [ids(flute, pitch(60), piano, pitch(60), TIE, shift(50), ("program", 2), pitch(60))]
    segments += [ids(piano, pitch(60), TIE, shift(10), OFF, pitch(61))]
    collector, taken = NoteCollector(config), []
    for i, segment in enumerate(segments):
        collector.add(segment, i * 100)
        begun = collector.begun_last()
        collector.name_instruments(begun, np.full(len(begun), 40))
        taken.append(collector.take_final()[["start", "end", "velocity"]].tolist())
    assert taken == [[], [(0.2, 1.0, 127)], [(1.5, 2.0, 127)]]
    assert collector.notes()[0][["start", "end", "velocity"]].tolist() == [(0.0, 0.2, 100)]


def test_renamed_notes_come_out_of_a_stream_as_of_the_whole():
    segments = [ids(TIE, ON, pitch(60), pitch(62), shift(50), OFF, pitch(62)), ids(pitch(60), TIE), ids(TIE)]
    collector, streamed = NoteCollector(CONFIG), []
    for i, segment in enumerate(segments):
        collector.add(segment, i * CONFIG.segment_frames)
        begun = collector.begun_last()
        collector.name_instruments(begun, begun["pitch"] - 20)
        streamed.append(collector.take_final())
    streamed = np.concatenate([*streamed, collector.notes()[0]])
    assert sorted(streamed["program"].tolist()) == [40, 42]
    assert sorted(streamed["end"].tolist()) == [0.5, 2.0]


def test_a_note_of_no_instrument_that_plays_goes_to_the_first_that_does():
    config = dataclasses.replace(CONFIG, instruments=(DRUMS, 73, 40))
    segment = ids(
        TIE, shift(10), ON, pitch(60), ("program", 40), pitch(62), ("drum", 38), shift(50), OFF, pitch(62)
    )
    notes = np.concatenate(collect([segment], config))
    assert sorted(notes[["pitch", "program", "is_drum"]].tolist()) == [
        (38, 0, True),
        (60, 73, False),
        (62, 40, False),
    ]
