"""The choice of thresholds, on predictions made by hand."""

import dataclasses

import numpy as np
import pytest
from clips import Kind
from one_recording import CONFIG, item
from thresholds import choose, group_f1, mean_by_kind, onset_f1, recall

from mt3x.music.notes import make_notes
from mt3x.transcription.frames.config import FrameConfig, Thresholds


def test_thresholds_move_to_where_right_and_wrong_part():
    chosen = choose(CONFIG, [item()]).thresholds
    assert 0.6 < chosen.onset <= 0.9 or chosen.note > 0.6
    assert chosen.kick <= 0.3


def test_hits_where_no_drums_play_raise_their_threshold():
    voice = item(hit_probability=0.5)._replace(kind=Kind.VOICE, notes=make_notes(0.072, 0.25, 60))
    drums = item(hit_probability=0.7)
    assert choose(CONFIG, [drums]).thresholds.kick <= 0.5
    assert 0.5 < choose(CONFIG, [drums, voice]).thresholds.kick <= 0.7


def test_a_threshold_without_evidence_stays_valid():
    chosen = choose(CONFIG, [item()])
    assert all(0 < value < 1 for value in dataclasses.astuple(chosen.thresholds))
    assert FrameConfig.from_json(chosen.to_json()) == chosen


def test_scores_by_hand():
    found = np.concatenate([make_notes(0.08, 0.2, [60, 62]), make_notes(0.13, 0.14, 35, is_drum=True)])
    one = item()
    assert onset_f1(one, found) == pytest.approx(2 / 3)
    assert recall(one, found) == 1.0
    assert group_f1(one, found, "kick") == 1.0
    assert group_f1(one, found, "snare") is None


def test_kinds_count_the_same_however_many_recordings_they_have():
    items = [item()._replace(kind="a"), item()._replace(kind="a"), item()._replace(kind="b")]
    scores = iter([0.0, 0.0, 1.0])
    assert mean_by_kind(items, lambda _: next(scores)) == 0.5
    assert mean_by_kind(items, lambda _: None) == 0.0


def test_the_thresholds_of_a_fresh_configuration_are_probabilities():
    assert all(0 < value < 1 for value in dataclasses.astuple(Thresholds()))
