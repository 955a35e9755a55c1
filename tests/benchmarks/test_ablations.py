"""The comparison of variants, on predictions made by hand."""

import jax.numpy as jnp
import numpy as np
import pytest
from ablations import VARIANTS, score, without_harmonics
from clips import Kind
from one_recording import CONFIG, item
from thresholds import PIANO

from mt3x.model.pitch_convolution import HARMONIC_SHIFTS, mix_harmonics


def test_without_harmonics_a_layer_keeps_what_it_reads_of_its_own_pitch():
    rng = np.random.default_rng(3)
    x = jnp.asarray(rng.normal(size=(1, 2, 50, 3)), jnp.float32)
    kernel = np.zeros((len(HARMONIC_SHIFTS), 3, 4), np.float32)
    kernel[HARMONIC_SHIFTS.index(0)] = rng.normal(size=(3, 4))
    expected = mix_harmonics(x, jnp.asarray(kernel))
    kernel[HARMONIC_SHIFTS.index(12)] = rng.normal(size=(3, 4))
    np.testing.assert_allclose(without_harmonics(x, jnp.asarray(kernel)), expected, rtol=1e-5, atol=1e-6)


def test_a_row_holds_each_kind_of_score():
    items = [item(), *(item()._replace(kind=kind) for kind in (Kind.VOICE, Kind.MIX, PIANO))]
    row = score(CONFIG, items)
    assert row[0] == row[2] == row[4] == pytest.approx(2 / 3)  # a note right, a note too many
    assert row[1] == pytest.approx(1 / 3)  # every kick, nothing else
    assert row[3] == pytest.approx(2 / 3)  # it ends where it should
    assert 0 < row[5] < 1


def test_each_variant_but_the_last_adds_a_source_of_sound():
    *sounds, last = VARIANTS.values()
    assert [has_harmonics for _, has_harmonics in sounds] == [True] * 4 and not last[1]
    assert len({examples for examples, _ in sounds}) == 4 and last[0] == sounds[-1][0]
