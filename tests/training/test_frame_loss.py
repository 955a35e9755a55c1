"""Targets, matches and costs of the frame recogniser, by hand: frames of 16 ms, drum frames of 8 ms."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from mt3x.model.note_head import Classification
from mt3x.model.trunk import DRUM_KEYS, Rolls
from mt3x.training.frame_loss import (
    _DRUM_WIDTH_SECONDS,
    _WIDTH_SECONDS,
    FrameLossConfig,
    _active_targets,
    _peak_targets,
    frame_loss,
    match_candidates,
)
from mt3x.transcription.frames.config import FrameConfig
from mt3x.transcription.frames.network import Candidates, Detected

FRAMES = 32
CONFIG = FrameConfig(segment_frames=FRAMES, lead_frames=2, tail_frames=2, num_candidates=4)
FPS = CONFIG.frames_per_second
WEIGHTS = FrameLossConfig()
READ_73 = np.where(np.arange(128) == 73, 30.0, 0.0).astype(np.float32)[None]
PARAMS = {"program_reader": {"kernel": READ_73, "bias": np.zeros(128, np.float32)}}
"""One channel of features: it says flute, program 73."""


def pitched_rows(batch):
    row = batch["note_pitch"] - 21
    return row, (batch["note_pitch"] >= 0) & ~batch["note_is_drum"] & (row >= 0) & (row < 88)


def onset_targets(batch):
    row, pitched = pitched_rows(batch)
    return np.asarray(_peak_targets(batch["note_start"], row, pitched, (FRAMES, 88), FPS, _WIDTH_SECONDS))


def drum_targets(batch):
    key = batch["note_pitch"] - DRUM_KEYS[0]
    is_hit = (batch["note_pitch"] >= 0) & batch["note_is_drum"] & (key >= 0) & (key < 47)
    size = 2 * FRAMES, 47
    return np.asarray(_peak_targets(batch["note_start"], key, is_hit, size, 2 * FPS, _DRUM_WIDTH_SECONDS))


def active_targets(batch):
    row, pitched = pitched_rows(batch)
    return np.asarray(_active_targets(batch, row, pitched, FRAMES, FPS))


def detected_of(
    onset=-30.0, active=-30.0, offset=-30.0, cents=0.0, drums=-30.0, candidates=(), classified=None, batch=1
):
    """What was detected; a number fills a roll. Candidates are (frames, row), the same in each segment."""

    def filled(value, *size):
        return jnp.full((batch, *size), value) if isinstance(value, float) else jnp.asarray(value)

    rolls = Rolls(
        *(filled(roll, FRAMES, 88) for roll in (onset, active, offset)), filled(cents, FRAMES // 2, 88)
    )
    empty = [(0.0, 0)] * (4 - len(candidates))
    places = np.array([[*candidates, *empty]] * batch)
    is_candidate = np.arange(4)[None] < np.full((batch, 1), len(candidates))
    return Detected(
        jnp.zeros((batch, FRAMES // 2, 88, 1)),
        rolls,
        filled(drums, 2 * FRAMES, 47),
        Candidates(
            jnp.asarray(places[..., 0], jnp.float32),
            jnp.asarray(places[..., 1], jnp.int32),
            jnp.where(is_candidate, 2.0, -jnp.inf),
        ),
        classified
        or Classification(jnp.zeros((batch, 4)), jnp.zeros((batch, 4, 128)), jnp.zeros((batch, 4))),
    )


def cost(detected, batch, weights=WEIGHTS):
    total, measured = frame_loss(CONFIG, weights, PARAMS, detected, batch)
    assert total == measured["loss"] and np.isfinite(total)
    return {name: float(value) for name, value in measured.items()}


def test_a_target_is_one_in_the_frame_of_the_onset_and_falls_to_zero_at_40_ms(make_note_columns):
    roll = onset_targets(make_note_columns([(0.1, 0.3, 61, 100, 0, False)]))
    assert roll.shape == (1, FRAMES, 88) and not np.delete(roll, 40, axis=2).any()
    # Frame 6 has its centre at 0.104 s; frame 5 at 0.088, 12 ms away: 1.25 - 12 / 32.
    expected = np.zeros(FRAMES)
    expected[4:9] = [1.25 - 28 / 32, 1.25 - 12 / 32, 1.0, 1.25 - 20 / 32, 1.25 - 36 / 32]
    np.testing.assert_allclose(roll[0, :, 40], expected, atol=1e-5)


@pytest.mark.parametrize("start", [0.0, 0.0159, 0.016, 0.1234, 0.4])
def test_wherever_a_note_begins_its_own_frame_has_one(make_note_columns, start):
    column = onset_targets(make_note_columns([(start, 0.5, 61, 100, 0, False)]))[0, :, 40]
    assert column[int(np.floor(np.float32(start) * np.float32(FPS)))] == pytest.approx(1.0, abs=1e-5)
    far = np.abs((np.arange(FRAMES) + 0.5) / FPS - start) >= 0.0401
    assert not column[far].any() and (column[~far] >= 0).all()


def test_onsets_outside_the_segment_are_seen_at_its_edges_only(make_note_columns):
    notes = [(-0.01, 0.3, 61, 100, 0, False), (-2.0, 0.3, 62, 100, 0, False), (0.6, 0.7, 63, 100, 0, False)]
    roll = onset_targets(make_note_columns(notes))
    # 10 ms before the segment: frame 0 is 18 ms away, frame 1 34 ms.
    np.testing.assert_allclose(roll[0, :3, 40], [1.25 - 18 / 32, 1.25 - 34 / 32, 0], atol=1e-5)
    assert not roll[0, :, 41:].any()


def test_two_notes_of_a_pitch_share_the_higher_target(make_note_columns):
    notes = [(0.1, 0.3, 61, 100, 0, False), (0.116, 0.3, 61, 100, 40, False)]
    roll = onset_targets(make_note_columns(notes))
    alone = [onset_targets(make_note_columns([note])) for note in notes]
    np.testing.assert_allclose(roll, np.maximum(*alone), atol=1e-6)


def test_a_drum_hit_has_a_narrow_target_of_its_own(make_note_columns):
    batch = make_note_columns([(0.1, 0.2, 38, 100, 0, True)])
    assert not onset_targets(batch).any() and not active_targets(batch).any()
    roll = drum_targets(batch)
    assert not np.delete(roll, 38 - 35, axis=2).any()
    # Drum frame 12 has its centre at 0.1 s; the next ones are 8, 16 and 24 ms away, of 20.
    np.testing.assert_allclose(roll[0, 11:17, 3], [0.85, 1.0, 0.85, 0.45, 0.05, 0.0], atol=1e-5)


def test_a_note_sounds_from_the_frame_of_its_onset_to_its_offset(make_note_columns):
    notes = [
        (0.1, 0.2, 61, 100, 0, False),  # frames 6.25 to 12.5
        (0.3, 0.301, 62, 100, 0, False),  # the shortest has a frame
        (-1.0, 0.04, 63, 100, 0, False),  # from before the segment to frame 2.5
        (0.15, 0.22, 61, 100, 40, False),  # on the first one's pitch
    ]
    roll = active_targets(make_note_columns(notes))[0]
    assert set(np.unique(roll)) == {0.0, 1.0}
    assert np.flatnonzero(roll[:, 40]).tolist() == list(range(6, 14))
    assert np.flatnonzero(roll[:, 41]).tolist() == [18]
    assert np.flatnonzero(roll[:, 42]).tolist() == [0, 1]
    assert roll.sum() == 8 + 1 + 2


INFLECTIONS = ("scoop_cents", "scoop_seconds", "vibrato_cents", "vibrato_hz", "vibrato_phase")


def inflected(batch, cents, known=True, **values):
    """A batch with constant detuning of its first notes; other inflections are 0 where they are not given."""
    shape = batch["note_pitch"].shape
    columns = dict.fromkeys((*INFLECTIONS, "vibrato_delay_seconds"), 0.0) | values
    row = np.zeros(shape, np.float32)
    row[:, : len(cents)] = cents
    return {
        **batch,
        **{f"note_{name}": np.full(shape, value, np.float32) for name, value in columns.items()},
        "note_cents": row,
        "note_has_cents": np.full(shape, known),
    }


def test_cents_are_compared_where_one_note_of_known_tuning_sounds(make_note_columns):
    batch = make_note_columns([(0.1, 0.3, 61, 100, 0, False), (0.1, 0.3, 65, 100, 0, False)])
    batch = inflected(batch, [20.0, -30.0])
    assert cost(detected_of(cents=0.0), batch)["cents_loss"] == pytest.approx((20 + 30) / 2, rel=1e-5)
    perfect = np.full((1, FRAMES // 2, 88), 77.0, np.float32)  # anything where nothing sounds
    perfect[:, :, 40], perfect[:, :, 44] = 20.0, -30.0
    assert cost(detected_of(cents=perfect), batch)["cents_loss"] == pytest.approx(0.0, abs=1e-4)
    assert cost(detected_of(cents=0.0), inflected(batch, [20.0], known=False))["cents_loss"] == 0.0


def test_cents_of_two_notes_on_one_pitch_are_not_compared(make_note_columns):
    batch = make_note_columns([(0.1, 0.3, 61, 100, 0, False), (0.1, 0.3, 61, 100, 40, False)])
    assert cost(detected_of(cents=0.0), inflected(batch, [20.0, -30.0]))["cents_loss"] == 0.0


def test_without_inflections_cents_cost_nothing(make_note_columns):
    batch = make_note_columns([(0.1, 0.3, 61, 100, 0, False)])
    assert cost(detected_of(cents=50.0), batch)["cents_loss"] == 0.0


def test_a_scoop_falls_to_the_pitch_and_vibrato_swings_about_it(make_note_columns):
    batch = make_note_columns([(0.0, 0.512, 61, 100, 0, False)])
    time = (np.arange(FRAMES // 2) + 0.5) * 0.032
    scooped = np.zeros((1, FRAMES // 2, 88), np.float32)
    scooped[0, :, 40] = 5 - 60 * np.exp(-time / 0.1)
    found = inflected(batch, [5.0], scoop_cents=-60.0, scoop_seconds=0.1)
    assert cost(detected_of(cents=scooped), found)["cents_loss"] == pytest.approx(0.0, abs=1e-3)
    swung = np.zeros((1, FRAMES // 2, 88), np.float32)
    # Grown to its width within 250 ms after a delay of 50 ms.
    swung[0, :, 40] = 40 * np.clip((time - 0.05) / 0.25, 0, 1) * np.sin(2 * np.pi * 5 * time + 1)
    found = inflected(
        batch, [0.0], vibrato_cents=40.0, vibrato_hz=5.0, vibrato_phase=1.0, vibrato_delay_seconds=0.05
    )
    assert cost(detected_of(cents=swung), found)["cents_loss"] == pytest.approx(0.0, abs=1e-3)


def matches(candidates, notes, make_note_columns):
    """The number of the note that each candidate is, None for none; candidates are (seconds, row)."""
    detected = detected_of(candidates=[(seconds * FPS, row) for seconds, row in candidates])
    is_note, note = match_candidates(CONFIG, detected.candidates, make_note_columns(notes))
    assert is_note.shape == note.shape == (1, 4) and note.dtype == jnp.int32
    assert not is_note[0, len(candidates) :].any()
    found = zip(is_note[0].tolist(), note[0].tolist(), strict=True)
    return [number if is_one else None for is_one, number in found][: len(candidates)]


def test_the_nearest_candidate_is_the_note_and_no_other(make_note_columns):
    notes = [(0.17, 0.3, 61, 100, 0, False)]
    assert matches([(0.192, 40), (0.16, 40)], notes, make_note_columns) == [None, 0]
    assert matches([(0.17, 41), (0.2, 40)], notes, make_note_columns) == [None, 0]


def test_each_note_has_a_candidate_and_each_candidate_a_note(make_note_columns):
    notes = [(0.17, 0.3, 61, 100, 0, False), (0.2, 0.3, 61, 100, 0, False), (0.2, 0.3, 65, 100, 0, False)]
    found = matches([(0.205, 40), (0.2, 44), (0.165, 40)], notes, make_note_columns)
    assert found == [1, 2, 0]
    # In unison a candidate is the nearer of both.
    unison = [(0.19, 0.3, 61, 100, 0, False), (0.2, 0.3, 61, 100, 40, False)]
    assert matches([(0.201, 40)], unison, make_note_columns) == [1]


def test_a_note_that_is_not_within_50_ms_or_does_not_begin_here_is_no_candidates(make_note_columns):
    near, far = (0.2 + 0.049, 40), (0.2 + 0.051, 40)
    note = (0.2, 0.3, 61, 100, 0, False)
    assert matches([near], [note], make_note_columns) == [0]
    assert matches([far], [note], make_note_columns) == [None]
    early, late = (-0.06, 0.3, 61, 100, 0, False), (0.52, 0.6, 61, 100, 0, False)
    assert matches([(0.0, 40), (0.51, 40)], [early, late], make_note_columns) == [None, None]
    assert matches([(0.0, 40)], [(-0.04, 0.3, 61, 100, 0, False)], make_note_columns) == [0]


def test_a_drum_hit_is_no_candidates_note(make_note_columns):
    assert matches([(0.2, 40)], [(0.2, 0.3, 61, 100, 0, True)], make_note_columns) == [None]


def perfect_logits(target, positive=1.0):
    """Where cross-entropy with a target is least, within -30 to 30."""
    with np.errstate(divide="ignore"):
        return np.clip(np.log(positive * target) - np.log(1 - target), -30, 30).astype(np.float32)


def perfect(batch):
    """What was detected if everything is right of a batch with a note at 0.17 s on row 40, program 73."""
    programs = np.zeros((1, 4, 128), np.float32)
    programs[..., 73] = 30.0
    offset = onset_targets({**batch, "note_start": batch["note_end"]})
    return detected_of(
        onset=perfect_logits(onset_targets(batch), WEIGHTS.positive_weight),
        active=perfect_logits(active_targets(batch)),
        offset=perfect_logits(offset, WEIGHTS.positive_weight),
        drums=perfect_logits(drum_targets(batch), WEIGHTS.positive_weight),
        candidates=[(0.17 * FPS, 40), (0.4 * FPS, 3)],
        classified=Classification(
            jnp.array([[30.0, -30.0, 30.0, 30.0]]), jnp.asarray(programs), jnp.full((1, 4), 30.0)
        ),
    )


@pytest.fixture
def one_note(make_note_columns):
    return make_note_columns([(0.17, 0.3, 61, 127, 73, False), (0.2, 0.3, 38, 90, 0, True)])


def test_what_is_right_costs_next_to_nothing(one_note):
    measured = cost(perfect(one_note), one_note)
    for name in ("active", "is_note", "program", "velocity", "cents"):
        assert measured[f"{name}_loss"] == pytest.approx(0.0, abs=1e-5), name
    assert measured["note_f1"] == measured["class_accuracy"] == 1.0
    # Targets between 0 and 1 cost something whatever is predicted; nothing costs less than the right logits.
    assert 0 < measured["onset_loss"] < 0.25 and 0 < measured["drum_loss"] < 0.25


def test_a_program_is_read_while_its_note_sounds_and_only_there(one_note):
    features = np.full((1, FRAMES // 2, 88, 1), -1.0, np.float32)
    features[0, 6:9, 40] = 1.0  # 0.17 to 0.3 s; a frame has 32 ms
    measured = cost(perfect(one_note)._replace(features=jnp.asarray(features)), one_note)
    assert measured["sounding_loss"] == pytest.approx(0.0, abs=1e-5)
    unsure = cost(perfect(one_note), one_note)  # features are 0: all programs are as likely
    assert unsure["sounding_loss"] == pytest.approx(np.log(128), abs=1e-5)


def test_a_note_outside_the_segment_teaches_no_program(make_note_columns):
    before = make_note_columns([(-0.5, -0.1, 61, 127, 73, False)])
    assert cost(perfect(before), before)["sounding_loss"] == 0.0


def test_no_roll_can_be_better_than_the_right_one(one_note):
    detected = perfect(one_note)

    def total(rolls, drums):
        return frame_loss(CONFIG, WEIGHTS, PARAMS, detected._replace(rolls=rolls, drums=drums), one_note)[0]

    slopes = jax.jit(jax.grad(total, argnums=(0, 1)))(detected.rolls, detected.drums)
    assert all(np.abs(slope).max() < 1e-6 for slope in jax.tree.leaves(slopes))


def test_each_mistake_costs(one_note):
    right, classified = cost(perfect(one_note), one_note), perfect(one_note).classified
    wrong = {
        "is_note": classified._replace(is_note=-classified.is_note),
        "program": classified._replace(programs=jnp.roll(classified.programs, 8, axis=-1)),
        "velocity": classified._replace(velocity=-classified.velocity),
    }
    for name, changed in wrong.items():
        measured = cost(perfect(one_note)._replace(classified=changed), one_note)
        assert measured[f"{name}_loss"] == pytest.approx(30.0, rel=0.01)
        weight = getattr(WEIGHTS, f"{name}_weight")
        assert measured["loss"] - right["loss"] == pytest.approx(30 * weight, rel=0.01)
    assert cost(perfect(one_note)._replace(classified=wrong["is_note"]), one_note)["note_f1"] == 0.0
    assert cost(perfect(one_note)._replace(classified=wrong["program"]), one_note)["class_accuracy"] == 0.0


def test_the_loss_is_the_weighted_sum_of_its_parts(one_note):
    weights = dataclasses.replace(WEIGHTS, onset_weight=3.0, drum_weight=0.0)
    measured = cost(detected_of(onset=0.0, drums=0.0, candidates=[(10.0, 40)]), one_note, weights)
    parts = [name for name in measured if name.endswith("_loss")]
    assert len(parts) == 9
    expected = sum(
        getattr(weights, f"{name.removesuffix('_loss')}_weight") * measured[name] for name in parts
    )
    assert measured["loss"] == pytest.approx(expected, rel=1e-5)


def test_padding_and_pitches_off_the_keyboard_change_nothing(make_note_columns, one_note):
    notes = [(0.17, 0.3, 61, 127, 73, False), (0.2, 0.3, 38, 90, 0, True)]
    detected = perfect(one_note)
    padded = make_note_columns([*notes, (0.17, 0.3, -1, 99, 5, False), (0.2, 0.3, -1, 1, 0, True)], places=9)
    assert cost(detected, padded) == pytest.approx(cost(detected, one_note), abs=1e-6)
    others = [(0.17, 0.3, 20, 99, 5, False), (0.17, 0.3, 109, 99, 5, False), (0.2, 0.3, 34, 99, 0, True)]
    strange = make_note_columns([*notes, *others, (0.2, 0.3, 82, 99, 0, True)], places=9)
    assert cost(detected, strange) == pytest.approx(cost(detected, one_note), abs=1e-6)


def test_a_batch_without_notes_and_candidates_has_a_finite_loss(make_note_columns):
    measured = cost(detected_of(), make_note_columns([]))
    assert measured["loss"] == pytest.approx(0.0, abs=1e-6)
    assert measured["note_f1"] == measured["class_accuracy"] == 0.0


@pytest.mark.parametrize("field", [field.name for field in dataclasses.fields(FrameLossConfig)])
def test_negative_weights_are_refused(field):
    with pytest.raises(ValueError, match=f"{field} is -0.1; it must be at least 0"):
        FrameLossConfig(**{field: -0.1})


def test_a_positive_weight_below_one_is_refused():
    with pytest.raises(ValueError, match="positive_weight is 0.5; it must be at least 1"):
        FrameLossConfig(positive_weight=0.5)


def test_the_pedal_costs_by_its_state_in_the_middle_of_each_trunk_frame(make_note_columns):
    notes = make_note_columns([(0.1, 0.3, 61, 100, 0, False)])
    pedal = np.zeros((1, 3, 2), np.float32)
    # Middles at 16, 48, 80, ... ms: down in frames 1 and 2, then from 9 on; the third row pads.
    pedal[0, :2] = (0.047, 0.081), (0.3, 9.0)
    logits = np.full((1, FRAMES // 2), -2.0, np.float32)
    logits[0, [1, 2]] = 1.0
    detected = detected_of()
    detected = detected._replace(rolls=detected.rolls._replace(pedal=jnp.asarray(logits)))
    measured = cost(detected, {**notes, "pedal": pedal})
    right_down, right_up, wrong = np.log1p(np.exp(-1)), np.log1p(np.exp(-2)), np.log1p(np.exp(2))
    expected = (2 * right_down + 7 * wrong + 7 * right_up) / 16
    assert measured["pedal_loss"] == pytest.approx(expected, rel=1e-5)
    assert measured["pedal_f1"] == pytest.approx(2 * 2 / (2 + 9))
    without = cost(detected, notes)
    assert measured["loss"] - without["loss"] == pytest.approx(WEIGHTS.pedal_weight * expected, rel=1e-4)


def test_a_pedal_costs_nothing_where_none_is_given_or_read(make_note_columns):
    notes = make_note_columns([(0.1, 0.3, 61, 100, 0, False)])
    read = detected_of()
    read = read._replace(rolls=read.rolls._replace(pedal=jnp.zeros((1, FRAMES // 2))))
    given = {**notes, "pedal": np.array([[[0.0, 1.0]]], np.float32)}
    for measured in (cost(read, notes), cost(detected_of(), given)):
        assert not {"pedal_loss", "pedal_f1"} & set(measured)
