"""Note arrays of notated scores and of transcriptions."""

import numpy as np
import pytest

from mt3x.music.notes import empty_notes, make_notes
from mt3x.score.graphs.note_arrays import notes_of_score, notes_of_transcription
from mt3x.score.score import Part, Score, empty_score_notes, make_score_notes


def notated(parts, **changes):
    settings = {
        "measures": np.array([[0, 2], [2, 8], [8, 14]]),
        "time_signatures": ((0, 3, 4), (8, 6, 8)),
        "key_signatures": ((0, -1), (8, 2)),
    }
    return Score(2, tuple(parts), **(settings | changes))


def test_a_notated_score_counts_its_own_beats():
    right = Part("right", 0, False, make_score_notes([0, 2, 9], [2, 3, 2], [60, 65, 67], staff=1))
    left = Part("left", 0, False, make_score_notes(2, 6, 53, "F", 0, 3))
    drums = Part("drums", 0, True, make_score_notes(0, 1, 36))
    score = notes_of_score(notated([right, left, drums]))
    notes = score.note_array
    assert notes["pitch"].tolist() == [60, 53, 65, 67]
    assert notes["part"].tolist() == [0, 1, 0, 0]
    assert notes["onset_beat"].tolist() == [-1, 0, 0, 4]  # after 8, an eighth is a beat
    assert notes["duration_beat"].tolist() == [1, 3, 1.5, 2]
    assert notes["ts_beats"].tolist() == [3, 3, 3, 6] and notes["ts_beat_type"].tolist() == [4, 4, 4, 8]
    assert notes["ks_fifths"].tolist() == [-1, -1, -1, 2]
    assert not score.is_spelled and not score.graph().labels
    assert score.graph().num_nodes("measure") == 3


def test_the_last_measure_takes_in_grace_notes_at_its_end():
    part = Part("one", 0, False, make_score_notes([0, 14], [14, 0], [60, 62]))
    assert notes_of_score(notated([part])).measures.tolist() == [[0, 2], [2, 8], [8, 15]]


def test_a_name_without_a_label_needs_a_graph_without_labels():
    part = Part("one", 0, False, make_score_notes(0, 2, 60, "C", 0, 4))
    score = notes_of_score(notated([part]))
    score.note_array["alter"] = 3
    with pytest.raises(ValueError, match="altered by 3"):
        score.graph()
    assert not score.graph(add_labels=False).labels


def test_without_a_pickup_or_keys_beats_start_at_zero():
    part = Part("one", 0, False, make_score_notes([0, 6], 1, 60))
    measures = np.array([[0, 6], [6, 12]])
    score = notes_of_score(
        notated([part], measures=measures, time_signatures=((0, 3, 4),), key_signatures=())
    )
    assert score.note_array["onset_beat"].tolist() == [0, 3]
    assert score.note_array["ks_fifths"].tolist() == [0, 0]


def test_a_score_of_drums_is_an_error():
    drums = Part("drums", 0, True, make_score_notes(0, 1, 36))
    with pytest.raises(ValueError, match="no pitched notes"):
        notes_of_score(notated([drums, Part("silent", 0, False, empty_score_notes())]))


def test_a_transcription_is_rounded_to_divs_without_drums():
    heard = make_notes([1.0, 0.0004, 0.5], [1.5, 0.5, 0.5], [60, 64, 67], program=[40, 0, 0])
    drum = make_notes(0.0, 0.1, 36, is_drum=True)
    score = notes_of_transcription(np.concatenate([heard, drum]))
    notes = score.note_array
    assert notes["onset_div"].tolist() == [0, 500, 1000]
    assert notes["duration_div"].tolist() == [500, 1, 500]  # a sounding note is no grace note
    assert notes["onset_beat"].tolist() == [0, 1, 2]
    assert notes["part"].tolist() == [0, 0, 1]
    graph = score.graph()
    assert graph.metadata()[0] == ["note", "beat"]
    assert graph.edges["note", "consecutive", "note"].T.tolist() == [[0, 1]]


def test_coarse_divs_bring_a_chord_together():
    heard = make_notes([0.0, 0.01], 1.0, [60, 64])
    assert set(notes_of_transcription(heard, divs_per_second=20).note_array["onset_div"]) == {0}


def test_transcriptions_without_notes_or_with_odd_settings_are_errors():
    with pytest.raises(ValueError, match="no pitched notes"):
        notes_of_transcription(empty_notes())
    with pytest.raises(ValueError, match="divs_per_second 0"):
        notes_of_transcription(make_notes(0.0, 1.0, 60), divs_per_second=0)
    with pytest.raises(ValueError, match="NOTE_DTYPE"):
        notes_of_transcription(np.zeros(3))
