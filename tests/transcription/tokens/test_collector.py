"""Tokens here are written by hand or by the encoder; no network is needed."""

import dataclasses
import pickle

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mt3x.audio.logmel import SpectrogramConfig
from mt3x.music.instruments import DRUMS
from mt3x.music.notes import make_notes, sort_notes
from mt3x.music.timegrid import segment_start_seconds
from mt3x.tokens.codec import Event
from mt3x.tokens.decode import decode_segments, merge_restrikes
from mt3x.tokens.spec import NoteSpec
from mt3x.tokens.vocabulary import EOS_ID, NUM_SPECIAL_IDS, build_codec, vocabulary_from_codec
from mt3x.transcription.segment import Segment
from mt3x.transcription.tokens.collector import NoteCollector
from mt3x.transcription.tokens.config import PRESETS, TranscriptionConfig

# Segments of exactly one second.
CONFIG = TranscriptionConfig(spectrogram=SpectrogramConfig(hop_width=160), segment_frames=100)
CODEC = build_codec(CONFIG.vocabulary)


def ids(*events, codec=CODEC):
    return np.array([NUM_SPECIAL_IDS + codec.encode_event(Event(*event)) for event in events] + [EOS_ID])


def segment(first_frame, is_silent=False):
    """A segment by its place; collecting asks for nothing else."""
    return Segment(np.zeros(0, np.float32), 0, first_frame, is_silent)


TIE, ON, OFF = ("tie", 0), ("velocity", 1), ("velocity", 0)


def pitch(value):
    return ("pitch", value)


def shift(value):
    return ("shift", value)


def collect(segments, config=CONFIG):
    """What becomes final after each segment, and the rest."""
    collector = NoteCollector(config)
    taken = []
    for i, written in enumerate(segments):
        collector.add(segment(i * config.segment_frames), written)
        taken.append(collector.take_final())
    return [*taken, collector.finish().notes]


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
    collector.add(segment(0), ids(TIE, ON, pitch(60)))
    collector.add(segment(100, is_silent=True), np.zeros(0, np.int32))
    notes, report = collector.finish()[:2]
    assert notes["end"].tolist() == [1.0] and report.invalid_events == 0


def test_silence_is_no_event_where_there_are_no_ties():
    collector = NoteCollector(TranscriptionConfig(spec=NoteSpec.ONSETS))
    collector.add(segment(0, is_silent=True), np.zeros(0, np.int32))
    notes, report = collector.finish()[:2]
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


def test_segments_that_reach_the_longest_length_are_counted():
    collector = NoteCollector(dataclasses.replace(CONFIG, max_target_length=4))
    collector.add(segment(0), ids(TIE, ON, pitch(60)))  # with the end id, four
    collector.add(segment(100), ids(TIE))
    assert collector.num_cut == 1


def test_without_segments_there_are_no_notes():
    collector = NoteCollector(CONFIG)
    assert len(collector.take_final()) == 0 and len(collector.finish().notes) == 0


def whole(segments, config, mt3_compatible):
    """What the notes are by definition: all decoded, then merged."""
    first_frames = [i * config.segment_frames for i in range(len(segments))]
    spectrogram = config.spectrogram
    starts = segment_start_seconds(
        first_frames, spectrogram.hop_width, spectrogram.sample_rate, 100, mt3_compatible
    )
    codec = build_codec(config.vocabulary)
    tokens = [vocabulary_from_codec(codec).decode(written) for written in segments]
    notes, report = decode_segments(tokens, starts, codec, config.spec, mt3_compatible)
    notes = sort_notes(notes)
    if config.merge_restrikes_seconds:
        notes = merge_restrikes(notes, config.merge_restrikes_seconds)
    return notes, report


LIKELY = [TIE, ON, OFF, pitch(60), pitch(61), ("program", 40), ("program", 1), ("drum", 36)]
LIKELY += [shift(step) for step in (1, 5, 50, 99, 100, 101, 250)]


@given(
    data=st.data(),
    gap=st.sampled_from([0.0, 0.1]),
    spec=st.sampled_from(list(NoteSpec)),
    mt3_compatible=st.booleans(),
    # The last: starts are off the grid of steps, so that floats differ from it.
    frames=st.sampled_from([(160, 100), (128, 77)]),
)
def test_notes_taken_on_the_way_are_all_notes_whatever_the_tokens(data, gap, spec, mt3_compatible, frames):
    config = dataclasses.replace(
        CONFIG,
        spectrogram=SpectrogramConfig(hop_width=frames[0]),
        segment_frames=frames[1],
        spec=spec,
        merge_restrikes_seconds=gap,
    )
    event = st.sampled_from([int(ids(event)[0]) for event in LIKELY] + [0, EOS_ID, 2, 1500])
    segments = data.draw(st.lists(st.lists(event, max_size=25), min_size=1, max_size=6))
    segments = [np.array(written, np.int32) for written in segments]
    collector = NoteCollector(config, mt3_compatible)
    taken = []
    for i, written in enumerate(segments):
        collector.add(segment(i * config.segment_frames), written)
        if data.draw(st.booleans()):
            taken.append(collector.take_final())
    rest, report = collector.finish()[:2]
    expected, expected_report = whole(segments, config, mt3_compatible)
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


def test_what_is_kept_does_not_grow_with_the_recording():
    random = np.random.default_rng(0)
    collector = NoteCollector(DENSE)
    num_notes, sizes = 0, []
    for i, written in enumerate(drawn(random, 10_000)):
        collector.add(segment(50 * i), written)
        num_notes += len(collector.take_final())
        if i % 100 == 0:
            sizes.append(len(pickle.dumps(collector)))
            assert collector.num_waiting < 20
    assert num_notes > 10_000
    assert max(sizes) < min(sizes) + 3000


def test_times_count_from_the_floored_segment_start():
    config = TranscriptionConfig(spectrogram=SpectrogramConfig(hop_width=256), segment_frames=128)
    collector = NoteCollector(config)
    collector.add(segment(0), ids(TIE))
    collector.add(segment(128), ids(TIE, ON, pitch(60), shift(10), OFF, pitch(60)))  # 2.048 s
    notes, _ = collector.finish()[:2]
    np.testing.assert_array_equal(notes, make_notes([2.04], [2.14], 60, velocity=127))


def test_broken_spec_of_events_is_counted():
    collector = NoteCollector(CONFIG)
    collector.add(segment(0), ids(TIE, TIE))
    assert collector.finish().report.invalid_events == 1


@pytest.mark.parametrize("mt3_compatible", [False, True])
def test_mt3_compatible_starts_segments_where_mt3_does(mt3_compatible):
    # Frame 256 * 25 of 128 samples at 16 kHz is at 51.2 s; float32 floors some such starts 10 ms early.
    config = TranscriptionConfig()
    early = 0
    collector = NoteCollector(config, mt3_compatible)
    for number in range(600):
        collector.add(segment(256 * number), ids(TIE, ON, pitch(60), shift(10), OFF, pitch(60)))
    starts = np.round(collector.finish().notes["start"], 2)
    exact = np.floor(np.arange(600) * 204.8 + 1e-6) / 100
    early = int((starts < exact - 1e-3).sum())
    assert early == (24 if mt3_compatible else 0)


def test_a_note_of_no_instrument_that_plays_goes_to_the_first_that_does():
    config = dataclasses.replace(CONFIG, instruments=(DRUMS, 73, 40))
    written = ids(
        TIE, shift(10), ON, pitch(60), ("program", 40), pitch(62), ("drum", 38), shift(50), OFF, pitch(62)
    )
    notes = np.concatenate(collect([written], config))
    assert sorted(notes[["pitch", "program", "is_drum"]].tolist()) == [
        (38, 0, True),
        (60, 73, False),
        (62, 40, False),
    ]
