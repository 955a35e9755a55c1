import dataclasses

import numpy as np
import pytest

from mt3x.music.notes import make_notes
from mt3x.synthesis import inflection


def columns(length: int, **changes: float) -> inflection.Inflections:
    replaced = {name: np.full(length, value, np.float32) for name, value in changes.items()}
    return dataclasses.replace(inflection.none(length), **replaced)


def test_scoop_approaches_the_pitch():
    scoop = columns(1, cents=5.0, scoop_cents=-100.0, scoop_seconds=0.1)
    at = scoop.cents_at(0, [-1.0, 0.0, 0.1, 2.0])
    np.testing.assert_allclose(at, [-95.0, -95.0, 5 - 100 / np.e, 5.0], atol=1e-4)
    assert at.dtype == np.float32


def test_vibrato_starts_after_its_delay():
    vibrato = columns(1, vibrato_cents=50.0, vibrato_hz=5.0, vibrato_delay_seconds=0.3)
    times = np.linspace(0, 2, 2001)
    cents = vibrato.cents_at(0, times)
    assert np.abs(cents[times < 0.3]).max() == 0
    assert cents[times > 0.55].max() == pytest.approx(50, abs=0.1)


def test_index_chooses_among_notes():
    notes = inflection.Inflections(**{**vars(inflection.none(2)), "cents": np.array([1.0, 2.0])})
    assert notes.cents_at([1, 0, 1], 0.0).tolist() == [2.0, 1.0, 2.0]


@pytest.mark.parametrize("kind", ["none", "voice", "bowed", "wind", "guitar"])
def test_drawn_inflections_are_finite_and_the_same_for_a_seed(kind):
    notes = make_notes(np.arange(40) * 0.3, np.arange(40) * 0.3 + 0.29, 60)
    first, second = (
        inflection.draw_inflections(np.random.default_rng(0), notes, kind).cents_at(np.arange(40), 0.1)
        for _ in range(2)
    )
    np.testing.assert_array_equal(first, second)
    assert np.abs(first).max() < 300


def test_no_notes_have_no_inflections():
    assert len(inflection.draw_inflections(np.random.default_rng(0), make_notes([], [], 60), "voice")) == 0


def test_unknown_kind_is_refused():
    with pytest.raises(ValueError, match="kind is 'harp'; it must be one of none, voice"):
        inflection.draw_inflections(np.random.default_rng(0), make_notes(0, 1, 60), "harp")  # type: ignore


def test_columns_of_different_lengths_are_refused():
    with pytest.raises(ValueError, match=r"vibrato_hz has shape \[2\]; it must be \[3\]"):
        dataclasses.replace(inflection.none(3), vibrato_hz=np.ones(2))


def test_nan_is_refused():
    with pytest.raises(ValueError, match="vibrato_cents holds values that are not finite"):
        columns(1, vibrato_cents=np.nan)


def test_scoop_of_no_length_is_refused():
    with pytest.raises(ValueError, match="scoop_seconds is 0.0; it must be above 0"):
        columns(1, scoop_seconds=0.0)
