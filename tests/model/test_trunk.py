"""The trunk: shapes, all pitches alike, and how far it reaches along time."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from mt3x.model.trunk import DRUM_KEYS, NUM_PITCHES, DrumNetwork, Trunk, TrunkConfig

TINY = TrunkConfig(
    channels=4,
    num_blocks=1,
    patch_channels=5,
    recurrent_channels=3,
    roll_width=6,
    note_width=8,
    drum_channels=(2, 3),
    drum_width=4,
)
KEY = jax.random.key(0, impl="rbg")  # draws by one operation, which compiles quickly
ROWS = 98
BINS = 3 * ROWS + 6
HARMONIC_REACH = 36 + 2  # rows that a block reads either way: the harmonic layer, then two convolutions


def noise(*shape, seed=0):
    return np.random.default_rng(seed).standard_normal(shape).astype(np.float32)


def some_params(network, x):
    """Parameters of unit gain; quicker than a compiled `init`, and nothing starts as 0."""
    random = np.random.default_rng(1)

    def draw(path, leaf):
        values = random.standard_normal(leaf.shape).astype(np.float32)
        if leaf.ndim == 1:
            return 0.1 * values + np.float32(path[-1].key == "scale")
        return values / np.float32(np.prod(leaf.shape[:-1])) ** np.float32(0.5)

    shapes = jax.eval_shape(network.init, jax.random.key(0), x)
    return jax.tree_util.tree_map_with_path(draw, shapes)


@pytest.fixture(scope="module")
def spectra():
    return noise(1, 24, BINS, 2)


@pytest.fixture(scope="module")
def apply(spectra):
    """The compiled tiny trunk: spectra -> features and rolls."""
    params, compiled = some_params(Trunk(TINY), spectra), jax.jit(Trunk(TINY).apply)
    return lambda spectra: jax.tree.map(np.asarray, compiled(params, spectra))


def test_features_have_half_the_frames_and_rolls_all_of_them(apply, spectra):
    features, rolls = apply(spectra)
    assert features.shape == (1, 12, NUM_PITCHES, TINY.feature_channels) == (1, 12, 88, 10)
    assert rolls.onset.shape == rolls.active.shape == rolls.offset.shape == (1, 24, 88)
    assert rolls.cents.shape == (1, 12, 88) and np.abs(rolls.cents).max() <= 100
    assert rolls.pedal is None
    assert {leaf.dtype for leaf in (features, *rolls[:4])} == {jnp.dtype("float32")}


def test_a_head_for_the_pedal_reads_all_pitches_and_leaves_the_rest_as_it_is(apply, spectra):
    trunk = Trunk(dataclasses.replace(TINY, pedal_width=5))
    params = some_params(trunk, spectra)
    features, rolls = jax.tree.map(np.asarray, trunk.apply(params, spectra))
    assert rolls.pedal.shape == (1, 12) and rolls.pedal.dtype == jnp.float32
    layers = params["params"]
    pooled = np.concatenate([features.mean(axis=2), features.max(axis=2)], axis=-1)
    hidden = np.maximum(pooled @ layers["pedal_hidden"]["kernel"] + layers["pedal_hidden"]["bias"], 0)
    expected = (hidden @ layers["pedal"]["kernel"] + layers["pedal"]["bias"])[..., 0]
    np.testing.assert_allclose(rolls.pedal, expected, atol=1e-4)
    without = {name: layer for name, layer in layers.items() if not name.startswith("pedal")}
    same = Trunk(TINY).apply({"params": without}, spectra)[1]
    np.testing.assert_allclose(rolls.onset, same.onset, atol=1e-4)


def test_a_fresh_trunk_finds_onsets_rarer_than_sounding_notes():
    init = jax.jit(Trunk(TINY).init_with_output)
    (_, rolls), _ = init(KEY, noise(1, 8, BINS, 2))
    assert np.mean(rolls.onset) < -3 and np.mean(rolls.offset) < -3
    assert np.mean(rolls.onset) < np.mean(rolls.active) < 0


def test_spectra_a_semitone_up_give_the_features_of_the_next_row(apply, spectra):
    up = np.concatenate([noise(1, 24, 3, 2, seed=1), spectra[:, :, :-3]], axis=2)
    (features, rolls), (features_up, rolls_up) = apply(spectra), apply(up)
    # Rows whose neighbours in reach, before and after the shift, all lie within the spectra.
    inner = slice(HARMONIC_REACH, ROWS - HARMONIC_REACH - 1)
    outer = slice(inner.start + 1, inner.stop + 1)
    np.testing.assert_allclose(features_up[:, :, outer], features[:, :, inner], atol=1e-5)
    for roll, roll_up in zip(rolls[:4], rolls_up[:4], strict=True):
        np.testing.assert_allclose(roll_up[:, :, outer], roll[:, :, inner], atol=1e-3)  # cents, up to 100
    assert np.abs(features_up[:, :, inner] - features[:, :, inner]).max() > 0.1


def test_a_row_reads_its_harmonics_and_their_neighbours_only(apply, spectra):
    changed = spectra.copy()
    changed[:, :, 3 + 3 * 60 + 1] += 1.0  # the middle bin of row 60, which the patches of rows 59 to 61 read
    difference = np.abs(apply(changed)[0] - apply(spectra)[0]).max(axis=(0, 1, 3))
    touched = set(np.flatnonzero(difference > 1e-6).tolist())
    shifts = {sign * shift for shift in (0, 12, 19, 24, 28, 31, 34, 36) for sign in (-1, 1)}
    assert {60 + shift for shift in shifts if 60 + shift < 88} <= touched
    # The patch and two convolutions spread what is read by three rows.
    assert touched <= {60 + shift + near for shift in shifts for near in range(-3, 4)}


def test_inner_frames_do_not_depend_on_the_length_of_the_segment():
    """Convolutions of three blocks reach 1 + 2 + 3 + 5 trunk frames: patch, then dilations 1, 2 and 4.

    The recurrence reaches without end, but forgets.
    """
    config = dataclasses.replace(TINY, num_blocks=3)
    reach, before = 11, 16
    spectra = noise(1, 160, BINS, 2)
    params, apply = some_params(Trunk(config), spectra), jax.jit(Trunk(config).apply)
    whole = np.asarray(apply(params, spectra)[0])[:, before:-before]
    part = np.asarray(apply(params, spectra[:, 2 * before : -2 * before])[0])
    convolved, recurrent = np.split(np.abs(part - whole), [config.channels], axis=-1)
    assert convolved[:, reach:-reach].max() < 1e-4
    assert convolved[:, 0].max() > 0.01
    by_frame = recurrent.max(axis=(0, 2, 3))
    middle = len(by_frame) // 2
    assert by_frame[0] > 0.1
    assert by_frame[middle] < 0.01 * by_frame[0]


def test_both_ways_along_time_are_read(apply, spectra):
    changed = spectra.copy()
    changed[:, 12:14] += 1.0
    difference = np.abs(apply(changed)[0] - apply(spectra)[0]).max(axis=(0, 2))  # [T, C]
    size = TINY.recurrent_channels
    convolved, forward, backward = np.split(difference, [TINY.channels, TINY.channels + size], axis=1)
    # Trunk frame 6 changed; the patch and two convolutions spread that by three frames.
    assert convolved[:3].max() < 1e-5 and convolved[10:].max() < 1e-5
    assert forward[:3].max() < 1e-5 and forward[10:].max() > 1e-4
    assert backward[:3].max() > 1e-4 and backward[10:].max() < 1e-5


def test_segments_of_a_batch_do_not_touch_each_other(apply, spectra):
    batch = np.concatenate([noise(1, 24, BINS, 2, seed=2), spectra])
    together, alone = apply(batch), apply(spectra)
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a[1:], b, atol=1e-3), together, alone)


@pytest.fixture(scope="module")
def drum_bands():
    return noise(2, 96, 20)


def test_drums_have_a_logit_for_each_key_and_frame(drum_bands):
    hits, _ = jax.jit(DrumNetwork(TINY).init_with_output)(KEY, drum_bands)
    assert hits.shape == (2, 96, len(DRUM_KEYS)) == (2, 96, 47) and hits.dtype == jnp.float32
    assert np.mean(hits) < -4  # hits are rare


def test_a_drum_frame_reads_34_frames_either_way(drum_bands):
    network = DrumNetwork(TINY)
    params, apply = some_params(network, drum_bands), jax.jit(network.apply)
    changed = drum_bands.copy()
    changed[0, 48] += 1.0
    difference = np.abs(apply(params, changed) - apply(params, drum_bands)).max(axis=2)
    touched = np.flatnonzero(difference[0] > 1e-6)
    # 2 and 1 of the convolutions, 1 + 2 + 4 + 8 + 16 of the layers over time.
    assert 48 in touched and touched.min() >= 48 - 34 and touched.max() <= 48 + 34
    assert touched.max() - touched.min() > 40 and not difference[1].any()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"channels": 0}, "channels is 0; it must be at least 1"),
        ({"num_blocks": 0}, "num_blocks is 0; it must be at least 1"),
        ({"patch_channels": -1}, "patch_channels is -1; it must be at least 1"),
        ({"recurrent_channels": 0}, "recurrent_channels is 0; it must be at least 1"),
        ({"roll_width": 0}, "roll_width is 0; it must be at least 1"),
        ({"drum_width": 0}, "drum_width is 0; it must be at least 1"),
        ({"pedal_width": -1}, "pedal_width is -1; it must be at least 0"),
        ({"drum_channels": (4,)}, r"drum_channels is \(4,\); give two sizes of at least 1"),
        ({"drum_channels": [4, 0]}, r"drum_channels is \(4, 0\); give two sizes of at least 1"),
        ({"note_width": 0}, "note_width is 0; it must be a multiple of 4, at least 4"),
        ({"note_width": 6}, "note_width is 6; it must be a multiple of 4, at least 4"),
    ],
)
def test_impossible_sizes_are_refused(change, message):
    with pytest.raises(ValueError, match=message):
        TrunkConfig(**change)


def test_sizes_from_json_equal_those_in_code():
    assert TrunkConfig(drum_channels=[16, 32]) == TrunkConfig()
