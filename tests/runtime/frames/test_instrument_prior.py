"""Which program is chosen for a note, by hand."""

import numpy as np
import pytest

from mt3x.runtime.frames.instrument_prior import InstrumentPrior


def logits(**programs):
    values = np.full(128, -10.0)
    for name, value in programs.items():
        values[int(name[1:])] = value
    return values


def test_the_likeliest_program_of_the_likeliest_class_is_chosen():
    # 40 is the likeliest program, but pianos together are likelier.
    assert InstrumentPrior().choose(logits(p40=2.0, p0=1.9, p4=1.9)) in (0, 4)


def test_what_has_played_plays_on_where_the_evidence_is_close():
    prior = InstrumentPrior()
    for _ in range(8):
        assert prior.choose(logits(p73=5.0)) == 73
    assert prior.choose(logits(p73=1.0, p68=2.0)) == 73


def test_clear_evidence_brings_in_another_program():
    prior = InstrumentPrior()
    for _ in range(8):
        prior.choose(logits(p73=5.0))
    assert prior.choose(logits(p73=-5.0, p0=8.0)) == 0


def test_only_programs_that_may_play_are_chosen():
    assert InstrumentPrior([40, 41]).choose(logits(p0=20.0, p41=1.0)) == 41


@pytest.mark.parametrize("seed", range(3))
def test_a_choice_is_always_one_that_may_play(seed):
    rng = np.random.default_rng(seed)
    programs = rng.choice(128, 5, replace=False).tolist()
    prior = InstrumentPrior(programs)
    assert all(prior.choose(rng.normal(0, 5, 128)) in programs for _ in range(20))
