"""The training step: rolls by hand, losses by hand, and a batch learned by heart."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from mt3x.training.mesh import make_mesh, place, replicate, split_batch, state_shardings
from mt3x.training.optimizer import REWARM_STEPS, make_optimizer
from mt3x.training.state import new_state
from mt3x.training.step import frame_loss, jitter_shifts, make_train_step, piano_rolls


def note_columns(*rows, places=6):
    """One example's note columns from (start, end, pitch, program, is_drum) rows, padded."""
    rows = [*rows, *[(0.0, 0.0, -1, 0, False)] * (places - len(rows))]
    start, end, pitch, program, is_drum = map(np.array, zip(*rows, strict=True))
    return {
        "note_start": start[None].astype(np.float32),
        "note_end": end[None].astype(np.float32),
        "note_pitch": pitch[None].astype(np.int32),
        "note_program": program[None].astype(np.int32),
        "note_is_drum": is_drum[None],
    }


def ones(roll):
    """(frame, column) of each 1 in a roll [1, F, C], which holds nothing but 0 and 1."""
    assert set(np.unique(roll)) <= {0.0, 1.0}
    return [tuple(place) for place in np.argwhere(np.asarray(roll[0]) == 1).tolist()]


def rolls_of(*rows, num_frames=10):
    """The rolls at 10 frames a second."""
    return piano_rolls(note_columns(*rows), num_frames, 10.0)


def test_a_note_starts_in_two_frames_and_sounds_to_its_end():
    rolls = rolls_of((0.25, 0.55, 60, 41, False))
    assert ones(rolls["onset"]) == [(2, 60), (3, 60)]
    assert ones(rolls["active"]) == [(2, 60), (3, 60), (4, 60), (5, 60)]
    assert ones(rolls["class_active"]) == [(frame, 5 * 128 + 60) for frame in (2, 3, 4, 5)]
    assert ones(rolls["drum"]) == []


def test_a_drum_is_only_struck():
    rolls = rolls_of((0.8, 0.95, 38, 0, True))
    assert ones(rolls["drum"]) == [(8, 38), (9, 38)]
    assert ones(rolls["onset"]) == ones(rolls["active"]) == ones(rolls["class_active"]) == []


def test_a_note_from_before_the_segment_sounds_without_starting():
    rolls = rolls_of((-0.5, 0.15, 60, 0, False), (-0.05, 0.3, 62, 0, False))
    assert ones(rolls["active"]) == [(0, 60), (0, 62), (1, 60), (1, 62), (2, 62)]
    assert ones(rolls["onset"]) == [(0, 62)]  # its start, just before, is heard in frame 0


def test_a_note_that_is_over_and_one_still_to_come_are_not_heard():
    rolls = rolls_of((-0.5, -0.1, 60, 0, False), (1.0, 1.2, 60, 0, False))
    assert all(ones(roll) == [] for roll in rolls.values())


def test_two_parts_on_one_pitch_count_once_and_the_shortest_note_has_a_frame():
    rolls = rolls_of((0.3, 0.31, 60, 0, False), (0.3, 0.31, 60, 8, False))
    assert ones(rolls["active"]) == [(3, 60)]
    assert ones(rolls["class_active"]) == [(3, 60), (3, 128 + 60)]


def test_only_shifts_are_misread_and_only_as_other_shifts():
    ids = jnp.tile(jnp.array([[0, 1, 3, 500, 1003, 1004, 1200]], jnp.int32), (200, 1))
    read = np.asarray(jitter_shifts(jax.random.key(0), ids, (3, 1003), 2.0))
    assert (read[:, [0, 1, 5, 6]] == [0, 1, 1004, 1200]).all()
    assert read[:, 2].min() == 3 and read[:, 4].max() == 1003
    errors = read[:, 3] - 500
    assert abs(errors.mean()) < 0.3 and 0.8 < errors.std() < 1.5  # 2 / sqrt(3) = 1.15: uniform up to 2
    assert (jitter_shifts(jax.random.key(0), ids, (3, 1003), 0.0) == ids).all()


def test_the_frame_loss_weighs_onsets_and_averages_over_frames():
    logits = {name: jnp.zeros((1, 4, 2)) for name in ("onset", "active")}
    rolls = {name: jnp.zeros((1, 4, 2)).at[0, 0, 0].set(1.0) for name in ("onset", "active")}
    # Every cell costs log 2, the onset five times: (7 + 5 + 8) log 2 over 4 frames.
    assert frame_loss(logits, rolls, 5.0) == pytest.approx(20 * np.log(2) / 4)


@pytest.fixture(scope="module")
def learned(tiny_run):
    """(states, measurements) of all steps on one batch; states as NumPy, the first before any step."""
    optimizer, mesh = make_optimizer(tiny_run.train_config), make_mesh()
    state = replicate(new_state(tiny_run.params, optimizer), mesh)
    batch, key = split_batch(tiny_run.batch, mesh), replicate(jax.random.key(0), mesh)
    states, measured = [jax.tree.map(np.array, state)], []
    for _ in range(tiny_run.train_config.total_steps):
        state, values = tiny_run.step(state, batch, key, None)
        states.append(jax.tree.map(np.array, state))
        measured.append({name: float(value) for name, value in values.items()})
    return states, measured


def test_the_loss_falls_when_one_batch_is_learned_by_heart(learned):
    _, measured = learned
    assert measured[0]["loss"] == pytest.approx(np.log(1536), rel=0.2)
    assert measured[-1]["loss"] < 0.3 * measured[0]["loss"]
    assert measured[-1]["frame_loss"] < 0.5 * measured[0]["frame_loss"]
    assert measured[-1]["token_accuracy"] > 0.5
    assert set(measured[0]) == {"loss", "token_accuracy", "frame_loss", "gradient_norm"}


def test_every_parameter_learns(learned):
    states, _ = learned
    moved = jax.tree.map(lambda a, b: bool((a != b).any()), states[0].params, states[-1].params)
    assert jax.tree.all(moved)
    assert [int(state.step) for state in states] == list(range(21))


def test_the_rate_is_zero_at_the_first_step_of_a_warm_up(learned):
    states, _ = learned
    assert jax.tree.all(jax.tree.map(np.array_equal, states[0].params, states[1].params))
    assert not jax.tree.all(jax.tree.map(np.array_equal, states[1].params, states[2].params))


def test_the_average_trails_the_network(learned):
    states, _ = learned
    name = ("encoder", "layers_0", "mlp", "wo", "kernel")

    def pick(tree):
        for key in name:
            tree = tree[key]
        return tree

    average, decay = pick(states[0].average), [min(0.9, (1 + step) / (10 + step)) for step in range(20)]
    for step in range(20):
        weights = pick(states[step + 1].params["network"])
        average = decay[step] * average + (1 - decay[step]) * weights
    assert np.allclose(pick(states[-1].average), average, atol=1e-6)


def test_a_step_leaves_frozen_parameters_as_they_are(tiny_run):
    training = dataclasses.replace(
        tiny_run.train_config, frozen=("encoder/.*", "frame_head/.*"), num_microbatches=2
    )
    optimizer, mesh = make_optimizer(training, REWARM_STEPS), make_mesh()
    state = new_state(tiny_run.params, optimizer)
    placement = state_shardings(state, tiny_run.params, mesh)
    step = make_train_step(tiny_run.config, training, optimizer, tiny_run.prepare, mesh, placement)
    batch, key = split_batch(tiny_run.batch, mesh), replicate(jax.random.key(0), mesh)
    state = place(state, placement)
    for _ in range(2):  # the first has a rate of 0
        state, measured = step(state, batch, key, None)
    changed = jax.tree.map(lambda a, b: not np.array_equal(a, b), tiny_run.params, state.params)
    assert not any(jax.tree.leaves((changed["network"]["encoder"], changed["frame_head"])))
    assert all(jax.tree.leaves(changed["network"]["decoder"]))
    assert jax.tree.all(
        jax.tree.map(np.array_equal, state.average["encoder"], tiny_run.params["network"]["encoder"])
    )
    assert measured["gradient_norm"] > 0


def test_the_frame_head_needs_notes_in_the_batch(tiny_run):
    batch = {name: value for name, value in tiny_run.batch.items() if not name.startswith("note_")}
    mesh = make_mesh()
    state = new_state(tiny_run.params, make_optimizer(tiny_run.train_config))
    with pytest.raises(ValueError, match="no notes; set LossConfig.frame_weight to 0"):
        tiny_run.step(replicate(state, mesh), split_batch(batch, mesh), jax.random.key(0), None)
