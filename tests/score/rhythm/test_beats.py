import numpy as np
import pytest

from mt3x.music.midi import read_midi
from mt3x.music.midi_writing import write_midi
from mt3x.music.notes import empty_notes, make_notes
from mt3x.score.rhythm.beat_decoding import DecodingSettings
from mt3x.score.rhythm.beats import Beats, is_in_threes, midi_tempo_map, tempo_marks, track_beats
from tests.score.performances import jig, play, scale, seconds_of, waltz

REGULAR = {"rubato": 0.0, "jitter": 0.0}
HUMAN = {"rubato": 0.15, "jitter": 0.02}


def worst_beat_error(beats, quarters, tempo, rubato):
    """The farthest that a beat of the music lies from a beat that was found, in seconds."""
    expected = seconds_of(np.arange(0, quarters, beats.quarters_per_beat), tempo, rubato, 1.0)
    return np.abs(beats.seconds[:, None] - expected).min(0).max()


@pytest.mark.parametrize("manner", [REGULAR, HUMAN], ids=["regular", "human"])
@pytest.mark.parametrize(
    ("piece", "tempo", "size", "is_compound", "bar"),
    [(scale(), 110, 4, False, 4), (waltz(), 150, 3, False, 3), (jig(), 165, 2, True, 3)],
    ids=["scale", "waltz", "jig"],
)
def test_beats_metre_and_downbeats_are_found(piece, tempo, size, is_compound, bar, manner):
    beats = track_beats(play(piece, tempo, legato=0.9, **manner))
    assert (beats.beats_per_measure, beats.is_compound) == (size, is_compound)
    assert worst_beat_error(beats, piece[-1][0], tempo, manner["rubato"]) < 0.07
    downbeats = seconds_of(np.arange(0, piece[-1][0], bar), tempo, manner["rubato"], 1.0)
    found = beats.seconds[beats.is_downbeat]
    assert np.abs(found[:, None] - downbeats).min(0).max() < 0.07


@pytest.mark.parametrize("size", [2, 3, 4])
def test_what_is_heard_of_the_metre_decides_where_downbeats_leave_it_open(size):
    def detect(notes, num_frames):
        beat = np.full(num_frames, 0.03)
        beat[np.rint(notes["start"] * 50).astype(int)] = 0.9
        return beat, np.full(num_frames, 0.5), {bar: 0.0 if bar == size else -5.0 for bar in (2, 3, 4)}

    notes = make_notes(0.5 * np.arange(24), 0.5 * np.arange(24) + 0.4, 60)
    assert track_beats(notes, detect=detect).beats_per_measure == size
    known = DecodingSettings(bars=((5, 0.0),))
    assert track_beats(notes, known, detect).beats_per_measure == 5


def test_a_pickup_comes_before_the_first_downbeat():
    upbeat = [(3.0, 1.0, 67), *((4 + onset, duration, pitch) for onset, duration, pitch in scale())]
    beats = track_beats(play(upbeat, 110))
    assert beats.is_downbeat[:3].tolist() == [False, True, False]


def test_a_rest_begins_the_first_bar_if_most_of_the_bar_is_there():
    late = [note for note in scale() if note[0] >= 1]
    beats = track_beats(play(late, 110, begin=0.0))
    assert beats.is_downbeat[:5].tolist() == [True, False, False, False, True]
    assert beats.seconds[0] == pytest.approx(0.0, abs=0.02)


def test_a_single_note_has_a_bar():
    beats = track_beats(make_notes(3.0, 4.0, 60))
    assert beats.seconds[0] == 3.0
    assert beats.is_downbeat.tolist() == [True, False, False, False]


def test_no_notes_have_no_beats():
    with pytest.raises(ValueError, match="no note to find beats in"):
        track_beats(empty_notes())


def test_threes_are_told_from_twos_and_fours():
    beats = np.arange(8) * 0.6
    thirds = (beats[:-1, None] + np.array([0, 0.2, 0.4])).ravel()
    quarters = (beats[:-1, None] + np.array([0, 0.15, 0.3, 0.45])).ravel()
    assert is_in_threes(beats, thirds)
    assert not is_in_threes(beats, quarters)
    assert not is_in_threes(beats, beats)


def test_positions_go_on_at_the_outer_tempos():
    beats = Beats(np.array([1.0, 2.0, 2.5]), np.array([True, False, False]), 3)
    assert beats.positions(np.array([0.0, 1.5, 2.25, 3.5])).tolist() == [-1.0, 0.5, 1.5, 4.0]


@pytest.mark.parametrize(
    ("seconds", "is_downbeat", "size", "message"),
    [
        ([1.0], [True], 4, "K at least 2"),
        ([1.0, 2.0], [True], 4, "K at least 2"),
        ([2.0, 1.0], [True, False], 4, "increase"),
        ([1.0, np.nan], [True, False], 4, "finite"),
        ([1.0, 2.0], [False, False], 4, "no beat is a downbeat"),
        ([1.0, 2.0], [True, False], 0, "at least 1"),
    ],
)
def test_unsound_beats_are_refused(seconds, is_downbeat, size, message):
    with pytest.raises(ValueError, match=message):
        Beats(np.array(seconds), np.array(is_downbeat), size)


@pytest.mark.parametrize("is_compound", [False, True])
def test_under_the_midi_tempo_map_beats_keep_their_times(is_compound):
    rng = np.random.default_rng(1)
    seconds = 0.7 + np.cumsum(rng.uniform(0.4, 0.6, 3000))
    beats = Beats(seconds, np.arange(3000) % 2 == 0, 2, is_compound)
    tempo_map = midi_tempo_map(beats)
    quarters = beats.quarters_per_beat * (2 + np.arange(3000))  # two beats come nearest to the first 1.2 s
    np.testing.assert_allclose(tempo_map.seconds_at(quarters), seconds, rtol=0, atol=2e-4)
    assert tempo_map.time_signatures == ((0, *((6, 8) if is_compound else (2, 4))),)


@pytest.mark.parametrize(
    ("first", "lead", "signatures"),
    [
        (0.0, 0, ((0, 3, 4),)),
        (0.03, 0, ((0, 3, 4),)),  # less than the sixteenth of a beat
        (0.1, 0.25, ((0, 1, 16), (0.25, 3, 4))),
        (0.2, 0.5, ((0, 1, 8), (0.5, 3, 4))),
        (0.5, 1, ((0, 1, 4), (1, 3, 4))),
        (1.6, 3, ((0, 3, 4),)),
        (3.6, 7, ((0, 1, 4), (1, 3, 4))),
    ],
)
def test_beats_fill_the_time_before_the_first(first, lead, signatures):
    seconds = first + 0.5 * np.arange(7)
    tempo_map = midi_tempo_map(Beats(seconds, np.arange(7) % 3 == 0, 3))
    assert tempo_map.time_signatures == signatures
    assert tempo_map.seconds_at(lead) == pytest.approx(first, abs=0.031)
    assert tempo_map.seconds_at(lead + np.arange(1, 7)) == pytest.approx(seconds[1:], abs=1e-5)
    assert 80 <= tempo_map.tempos[0][1] <= 240


def test_a_pickup_and_bars_of_other_lengths_have_signatures_of_their_own():
    is_downbeat = np.isin(np.arange(14), [1, 5, 7, 11])  # a pickup of 1, then 4, 2, 4 beats
    beats = Beats(0.5 * np.arange(14), is_downbeat, 4)
    expected = ((0, 1, 4), (1, 4, 4), (5, 2, 4), (7, 4, 4))
    assert midi_tempo_map(beats).time_signatures == expected


def test_beats_before_the_file_begins_are_left_out():
    beats = Beats(np.array([-0.4, 0.1, 0.6, 1.1]), np.array([True, False, False, True]), 3)
    tempo_map = midi_tempo_map(beats)
    assert tempo_map.seconds_at([0.25, 1.25, 2.25]) == pytest.approx([0.1, 0.6, 1.1])
    assert tempo_map.time_signatures == ((0, 9, 16), (2.25, 3, 4))
    one_left = Beats(np.array([-0.6, -0.1, 0.4]), np.array([True, False, False]), 4)
    assert midi_tempo_map(one_left).time_signatures == ((0, 3, 4), (3, 4, 4))
    with pytest.raises(ValueError, match=r"last beat is at -0\.5 s; at least one must be at 0 s"):
        midi_tempo_map(Beats(np.array([-1.0, -0.5]), np.array([True, False]), 2))


def test_bars_of_the_midi_file_begin_at_the_downbeats(tmp_path):
    import pretty_midi

    notes = play(waltz(), 150, rubato=0.15, jitter=0.02)
    beats = track_beats(notes)
    write_midi(notes, tmp_path / "a.mid", midi_tempo_map(beats))
    bars = pretty_midi.PrettyMIDI(str(tmp_path / "a.mid")).get_downbeats()
    downbeats = beats.seconds[beats.is_downbeat]
    assert np.abs(bars[:, None] - downbeats).min(0).max() < 0.001
    assert len(bars) <= len(downbeats) + 2  # those before the music, too
    np.testing.assert_allclose(read_midi(tmp_path / "a.mid")["start"], notes["start"], rtol=0, atol=5e-4)


def test_rubato_is_one_tempo_and_a_new_tempo_is_two():
    def marks_of(seconds):
        return tempo_marks(Beats(seconds, np.arange(len(seconds)) % 4 == 0, 4))

    rubato = marks_of(seconds_of(np.arange(129), 100, 0.15, 0.0))
    assert [round(tempo) for _, tempo in rubato] == [100]
    faster = np.concatenate([np.arange(64) * 0.6, 64 * 0.6 + np.arange(64) * 0.4])
    assert marks_of(faster) == ((0, pytest.approx(100)), (64, pytest.approx(150)))
