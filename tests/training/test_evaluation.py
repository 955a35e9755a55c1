"""Scores of whole pieces as means, and the predictor for seqio's Evaluator."""

import dataclasses
import itertools

import numpy as np
import pytest

from mt3x.metrics.instruments import mean_scores
from mt3x.music.notes import empty_notes, make_notes
from mt3x.tokens.report import DecodeReport
from mt3x.tokens.spec import NoteSpec
from mt3x.tokens.vocabulary import EOS_ID
from mt3x.training import evaluation as evaluate
from mt3x.training.evaluation import Piece, evaluate_pieces, make_predict_fn, piece_scores
from mt3x.transcription.result import Transcription
from mt3x.transcription.segment import Segment
from mt3x.transcription.tokens.config import TranscriptionConfig
from mt3x.transcription.tokens.engine import Engine

REFERENCE = make_notes([0.0, 1.0, 2.0, 2.0], [0.5, 1.5, 2.5, 2.1], [60, 62, 64, 36], 100, 0, [0, 0, 0, 1])
PIECES = [Piece(np.full(3, value, np.float32), 16_000, REFERENCE) for value in (0, 1)]


def transcription(notes, invalid_events=0):
    return Transcription(notes, DecodeReport(invalid_events, 0), 3.0, "model")


@pytest.fixture
def answers(monkeypatch):
    """A transcriber that finds all of the first piece, and of the second half the notes, one too short."""
    found = REFERENCE[[0, 1]].copy()
    found["end"][1] = 1.2

    class Known:
        def __init__(self, config, params):
            pass

        def transcribe(self, samples, sample_rate):
            return transcription(found if samples[0] else REFERENCE)

    monkeypatch.setattr(evaluate, "Transcriber", Known)


def test_scores_while_training_are_means_over_pieces(answers):
    scores = evaluate_pieces(TranscriptionConfig(), {}, PIECES)
    # Of the second piece: onsets 2 of 3 pitched, and right to the end 1 of 3, or with drums 1 of 4.
    assert scores == pytest.approx(
        {
            "onset_f1": (1 + 4 / 5) / 2,
            "onset_offset_f1": (1 + 2 / 5) / 2,
            "multi_instrument_f1": (1 + 1 / 3) / 2,
        }
    )


def test_a_model_of_bare_onsets_has_no_score_of_offsets(answers):
    config = TranscriptionConfig(spec=NoteSpec.ONSETS)
    assert list(evaluate_pieces(config, {}, PIECES)) == ["onset_f1", "multi_instrument_f1"]


def test_no_piece_has_no_scores():
    assert mean_scores([]) == {}


def test_a_piece_has_mt3s_scores_and_counts_of_events():
    scores = piece_scores(PIECES[0], transcription(empty_notes(), 3), NoteSpec.NOTES)
    assert len(scores) == 2 + 12 + 27
    assert (scores["Invalid events"], scores["Dropped events"], scores["Onset F1"]) == (3, 0, 0.0)


def test_means_do_not_depend_on_the_order_of_pieces():
    values = [{"F1": value} for value in [*np.random.default_rng(0).random(4).tolist(), 1e16, -1e16]]
    means = {mean_scores(order)["F1"] for order in itertools.permutations(values)}
    assert len(means) == 1


class Enumerated:
    """As a tf.data.Dataset of (number, example)."""

    def __init__(self, examples):
        self._examples = examples

    def as_numpy_iterator(self):
        return iter(self._examples)


def test_the_predictor_returns_what_the_engine_writes_up_to_the_end_token(small_model):
    config, params = small_model
    config = dataclasses.replace(config, max_target_length=20)
    random = np.random.default_rng(5)
    samples = random.normal(0, 0.3, (3, config.segment_samples)).astype(np.float32)
    samples[2, 10 * 256 :] = 0
    segments = [Segment(samples[i], 10 if i == 2 else config.segment_frames, 0) for i in range(3)]
    expected = [ids.tolist() for _, ids in Engine(config, params, 2).decode(segments)]
    examples = [
        {"raw_inputs": samples[0]},
        {"raw_inputs": samples[1]},
        {"raw_inputs": samples[2, : 10 * 256]},
    ]
    found = make_predict_fn(config, params, 2)(Enumerated(zip(np.array([4, 7, 5]), examples, strict=True)))
    assert [number for number, _ in found] == [4, 7, 5]
    for (_, ids), before_end in zip(found, expected, strict=True):
        assert ids.dtype == np.int32 and len(ids) == 20
        assert ids.tolist() == (before_end + [EOS_ID] + [0] * 20)[:20]
    assert all(expected)


def test_a_segment_longer_than_what_the_network_reads_is_refused(small_model):
    predict = make_predict_fn(*small_model)
    example = {"raw_inputs": np.zeros(33 * 256, np.float32)}
    message = r"a segment has 33 frames of 256 samples; the network reads 32: give this many as seq"
    with pytest.raises(ValueError, match=message):
        predict(Enumerated([(0, example)]))
