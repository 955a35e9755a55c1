"""Single lines: one note at a time, one program each, mixed by up to eight."""

import dataclasses

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mt3x.data.datasets import rendered_scores
from mt3x.data.datasets.monophonic import SAME_ONSET_SECONDS, Monophonic, reduce_to_line
from mt3x.data.records.recordings import DataError, check_recording
from mt3x.music.notes import make_notes
from tests.data.datasets.releases_scores import OPTIONS, TEST, make_release

READER = Monophonic(**OPTIONS)


@pytest.fixture(scope="module")
def release(tmp_path_factory):
    folder = tmp_path_factory.mktemp("scores")
    make_release(folder)
    return folder


def ignore(file, reason):
    """A report that nobody reads."""


def test_the_highest_note_of_each_chord_stays_and_ends_at_the_next():
    notes = make_notes([0.0, 0.01, 0.5, 0.6], [1.0, 0.4, 0.9, 0.61], [60, 67, 64, 40])
    line = reduce_to_line(notes)
    assert line["pitch"].tolist() == [67, 64]
    assert line["start"].tolist() == [0.01, 0.5]
    assert line["end"].tolist() == [0.4, 0.6]
    assert len(reduce_to_line(notes[:0])) == 0


times = st.floats(0, 5).map(lambda seconds: round(seconds, 3))


@given(st.lists(st.tuples(times, st.floats(0.02, 2), st.integers(30, 90)), max_size=30))
def test_a_line_is_one_note_at_a_time(rows):
    start, length, pitch = np.array(rows).reshape(-1, 3).T
    line = reduce_to_line(make_notes(start, start + length, pitch))
    assert (line["end"][:-1] <= line["start"][1:]).all()
    assert (np.diff(line["start"]) > SAME_ONSET_SECONDS - 1e-9).all()
    assert np.isin(line["start"], start).all()


def test_a_take_is_eight_lines_of_eight_instruments_and_as_many_mixes(release):
    item = READER.items(release, ignore)[0]
    recording = check_recording(READER.read(release, item, ignore), item)
    programs = [set(stem.notes["program"].tolist()) for stem in recording.stems]
    assert all(len(mine) == 1 for mine in programs)
    assert len(set.union(*programs)) == len(recording.stems) >= 6
    assert len(recording.mixes) == len(recording.stems)
    for stem in recording.stems:
        assert (stem.notes["end"][:-1] <= stem.notes["start"][1:]).all()
        assert not stem.notes["is_drum"].any()
        assert np.abs(stem.samples).max() > 0
    for mix in recording.mixes:
        assert 1 <= len(mix) == len(set(mix))


def test_lines_may_stand_alone(release):
    reader = dataclasses.replace(READER, max_mixed=1)
    recording = reader.read(release, reader.items(release, ignore)[0], ignore)
    assert len(recording.stems) == 1 and recording.mixes == ((0,),)


def test_a_take_depends_on_seed_and_item_alone(release):
    reader = dataclasses.replace(READER, max_mixed=2)
    first, second, *_ = reader.items(release, ignore)
    once, other, again = (reader.read(release, item, ignore) for item in (first, second, first))
    assert once.mixes == again.mixes
    for mine, theirs in zip(once.stems, again.stems, strict=True):
        np.testing.assert_array_equal(mine.samples, theirs.samples)
        np.testing.assert_array_equal(mine.notes, theirs.notes)
    assert once.stems[0].name != other.stems[0].name


def test_a_score_that_cannot_be_read_is_an_error_of_its_takes_alone(tmp_path):
    make_release(tmp_path)
    (tmp_path / f"{TEST}.musicxml").write_text("no score")
    *_, last = READER.items(tmp_path, ignore)
    with pytest.raises(DataError, match="can't be read as MusicXML"):
        READER.read(tmp_path, last, ignore)


def test_a_score_of_which_nothing_sounds_is_an_error(release, monkeypatch):
    monkeypatch.setattr(rendered_scores, "keep_sounding", lambda synthesizer, notes: notes[:0])
    item = READER.items(release, ignore)[0]
    with pytest.raises(DataError, match="nothing sounds in any line of it"):
        READER.read(release, item, ignore)


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        ({"takes": 0}, "takes is 0; it must be positive"),
        ({"seconds": -1.0}, r"seconds is -1\.0; it must be positive"),
        ({"max_mixed": 9}, r"max_mixed is 9; it must be within 1\.\.8"),
        ({"detune_cents": -1}, r"detune_cents is -1; it must be within 0\.\.200"),
    ],
)
def test_impossible_options_are_errors(options, reason):
    with pytest.raises(ValueError, match=reason):
        Monophonic(**options)


def test_a_missing_soundfont_is_an_error(release):
    with pytest.raises(DataError, match="no soundfont at nowhere.sf2"):
        Monophonic(soundfonts=("nowhere.sf2",)).items(release, ignore)
