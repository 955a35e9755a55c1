"""A recording is cut into segments, and what is predicted of them becomes a transcription, with fakes."""

import numpy as np
import pytest

from mt3x.music.notes import empty_notes, make_notes
from mt3x.tokens.report import DecodeReport
from mt3x.transcription.frames.config import FrameConfig
from mt3x.transcription.recogniser import Collected
from mt3x.transcription.recording import SILENCE_PEAK, Recording

CONFIG = FrameConfig(segment_frames=16, lead_frames=4, tail_frames=2)
HOP = CONFIG.spectra.hop_samples


class FakeCollector:
    """Takes whatever it is given; a note of each segment is final at once."""

    def __init__(self, num_cut):
        self.added, self.num_cut = [], num_cut

    def add(self, segment, predicted):
        self.added.append((segment.first_frame, predicted))

    def take_final(self):
        return make_notes(0.0, 1.0, 60)

    def finish(self):
        return Collected(empty_notes(), DecodeReport(1, 2), num_cut=self.num_cut)


class FakeRecogniser:
    lead_frames, tail_frames, knows_bends = CONFIG.lead_frames, CONFIG.tail_frames, False
    knows_pedal = False

    def __init__(self, num_cut=0):
        self.collectors, self.num_cut = [], num_cut

    def recognise(self, segments):
        return ((segment, None) for segment in segments)

    def new_collector(self, request):
        self.collectors.append(FakeCollector(self.num_cut))
        return self.collectors[-1]

    def new_tuning_tracker(self):
        return None


def sound(num_frames):
    return np.full(num_frames * HOP, 0.5, np.float32)


def test_segments_overlap_and_the_first_begins_before_the_recording():
    recording = Recording(FakeRecogniser(), CONFIG)
    segments = list(recording.segments([sound(7), sound(8)]))
    assert [segment.first_frame for segment in segments] == [-4, 6]  # steps of 16 - 4 - 2 frames
    assert not segments[0].samples[: 4 * HOP].any() and (segments[0].samples[4 * HOP :] == 0.5).all()
    assert all(segment.source is recording and not segment.is_silent for segment in segments)


@pytest.mark.parametrize("shows_silence", [False, True])
def test_silence_is_shown_where_that_is_asked_for(shows_silence):
    recording = Recording(FakeRecogniser(), CONFIG, shows_silence=shows_silence)
    (segment,) = recording.segments([np.full(HOP, SILENCE_PEAK, np.float32)])
    assert segment.is_silent is not shows_silence


def test_a_recording_is_done_when_all_its_segments_are_collected():
    recogniser = FakeRecogniser()
    recording = Recording(recogniser, CONFIG)
    segments = list(recording.segments([sound(15)]))
    assert recording.is_read and not recording.is_done
    for segment in segments:
        recording.collect(segment, "predicted")
    assert recording.is_done
    assert recogniser.collectors[0].added == [(-4, "predicted"), (6, "predicted")]


def test_the_transcription_tells_what_a_person_should_know():
    recording = Recording(FakeRecogniser(num_cut=1), CONFIG)
    for segment in recording.segments([sound(15)]):
        recording.collect(segment, None)
    recording.source.notices.append("the recording is cut off")
    found = recording.finish("mine")
    assert found.notices == (
        "the recording is cut off",
        "no notes were found",
        "1 of 2 segments need more tokens than the model may write",
    )
    assert (found.model, found.report, found.tuning_cents, found.bends) == (
        "mine",
        DecodeReport(1, 2),
        None,
        None,
    )
    assert found.duration_seconds == pytest.approx(15 * HOP / CONFIG.sample_rate)


def test_notes_that_were_taken_before_the_end_were_found():
    recording = Recording(FakeRecogniser(), CONFIG)
    for segment in recording.segments([sound(5)]):
        recording.collect(segment, None)
    assert len(recording.take_final()) == 1
    assert recording.finish("mine").notices == ()


def test_a_recording_without_sound_is_said_to_be_silent():
    recording = Recording(FakeRecogniser(), CONFIG)
    for segment in recording.segments([np.zeros(5 * HOP, np.float32)]):
        recording.collect(segment, None)
    assert recording.finish("mine").notices == (
        "the recording is silent: no sample exceeds -80 dB of full scale",
    )
