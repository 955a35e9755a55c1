"""Golden sequences of the original and random notes, for the tests of this room."""

import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import strategies as st

from mt3x.music.notes import empty_notes, make_notes
from mt3x.tokens.spec import NoteSpec
from mt3x.tokens.vocabulary import VocabularyConfig, build_codec

GOLDEN = Path(__file__).parents[1] / "golden"


@pytest.fixture(scope="session")
def golden():
    """A JSON file of tests/golden by name."""
    return lambda name: json.loads((GOLDEN / name).read_text())


@pytest.fixture(scope="session")
def notes_from_rows():
    """Notes from golden rows of start, end, pitch, velocity, program, is_drum, instrument."""

    def convert(rows):
        if not rows:
            return empty_notes()
        start, end, *others, _instrument = np.array(rows, np.float64).T
        return make_notes(start, end, *(column.astype(np.int32) for column in others))

    return convert


@pytest.fixture(scope="session")
def codec_and_spec():
    """What a golden configuration such as `vel1_ties` stands for."""

    def convert(name):
        num_bins = 127 if name.startswith("vel127") else 1
        spec = NoteSpec.NOTES_WITH_TIES if name.endswith("_ties") else NoteSpec.NOTES
        return build_codec(VocabularyConfig(num_velocity_bins=num_bins)), spec

    return convert


@pytest.fixture(scope="session")
def random_notes():
    """A hypothesis strategy: up to 25 notes within 6 s, few pitches and programs, so that they collide."""

    def strategy(on_grid=False, programs=(0, 7, 40), min_steps=0):
        scale = 1 if on_grid else 10
        note = st.tuples(
            st.integers(0, 400 * scale),
            st.integers(min_steps * scale, 200 * scale),
            st.integers(60, 63),
            st.integers(1, 127),
            st.sampled_from(programs),
            st.booleans(),
        )

        def build(rows):
            if not rows:
                return empty_notes()
            start, length, *others = np.array(rows).T
            steps_per_second = 100.0 * scale
            return make_notes(start / steps_per_second, (start + length) / steps_per_second, *others)

        return st.lists(note, max_size=25).map(build)

    return strategy
