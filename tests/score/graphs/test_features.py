"""The 25 features of a note, against GraphMuse's and by hand."""

import numpy as np
import pytest

from mt3x.score.graphs.features import FEATURE_NAMES, get_score_features
from tests.score.graphs.graph_goldens import SCORES, read_golden


@pytest.mark.parametrize("name", SCORES)
def test_features_equal_those_of_graphmuse(name):
    stored, notes = read_golden(name)
    features, names = get_score_features(notes)
    np.testing.assert_array_equal(features, stored["x__note"])
    assert names == stored["feature_names"].tolist()
    assert features.dtype == np.float32


def make_notes(onset_beat=5.5, duration_beat=2.0, ts_beats=4, pitch=61):
    names = "onset_beat,duration_beat,ts_beats,pitch"
    return np.rec.fromarrays(
        [np.array([v]) for v in (onset_beat, duration_beat, ts_beats, pitch)], names=names
    )


def column(features, name):
    return features[0, FEATURE_NAMES.index(name)]


def test_a_half_note_off_the_beat_by_hand():
    features, _ = get_score_features(make_notes())
    assert column(features, "bar_exp_duration") == np.float32(1 - np.tanh(0.5))
    assert column(features, "onset_bar_norm") == 1.5 / 4
    assert column(features, "is_down_beat") == 0
    assert np.flatnonzero(features[0, 3:]).tolist() == [1, 12 + 5]  # C sharp, of octave 5


def test_a_pickup_on_the_beat_is_late_in_its_bar():
    features, _ = get_score_features(make_notes(onset_beat=-1.0))
    assert column(features, "onset_bar_norm") == 0.75
    assert column(features, "is_down_beat") == 1


def test_highest_pitches_belong_to_the_highest_octave():
    features, _ = get_score_features(make_notes(pitch=127))
    assert column(features, "octave_09") == 1


def test_anything_with_a_note_array_has_features():
    class Score:
        def note_array(self, include_time_signature):
            assert include_time_signature
            return make_notes()

    np.testing.assert_array_equal(get_score_features(Score())[0], get_score_features(make_notes())[0])


@pytest.mark.parametrize(
    ("notes", "message"),
    [
        (np.zeros(1, [("onset_beat", float), ("pitch", int)]), r"\['duration_beat', 'ts_beats'\]"),
        (make_notes(onset_beat=np.nan), "note 0 has onset_beat nan; it must be finite"),
        (make_notes(duration_beat=-1.0), "duration_beat -1.0; it must be 0 or more"),
        (make_notes(duration_beat=np.inf), "duration_beat inf"),
        (make_notes(ts_beats=0), "ts_beats 0; it must be 1 or more"),
        (make_notes(pitch=128), "pitch 128; it must be within 0..127"),
    ],
)
def test_notes_without_sound_times_and_pitches_are_errors(notes, message):
    with pytest.raises(ValueError, match=message):
        get_score_features(notes)
