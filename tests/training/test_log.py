"""The profile of a run; the log is tested with the loop that writes it."""

import jax.numpy as jnp
import pytest

from mt3x.training.log import PROFILE, PROFILED_STEPS, Profile


def run(directory, first_step, total_steps):
    state = jnp.zeros(3)
    with Profile(directory, first_step) as profile:
        for number in range(total_steps):
            profile.before_step(number)
            state = state + 1
            profile.after_step(number + 1, state)


@pytest.mark.parametrize("steps_after_the_first", [PROFILED_STEPS + 2, PROFILED_STEPS, 1])
def test_a_profile_is_written_even_if_the_run_ends_before_it(tmp_path, steps_after_the_first):
    run(tmp_path, 2, 2 + steps_after_the_first)
    assert len(list((tmp_path / PROFILE).glob("**/*.xplane.pb"))) == 1


@pytest.mark.parametrize("first_step", [None, 9])
def test_no_profile_is_written_where_none_is_asked_for_or_its_step_is_never_reached(tmp_path, first_step):
    run(tmp_path, first_step, 9)
    assert not (tmp_path / PROFILE).exists()
