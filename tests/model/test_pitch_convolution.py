"""Convolutions over time and pitch against plain loops, and their gradients against JAX's own."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mt3x.model.pitch_convolution import HARMONIC_SHIFTS, convolve, mix_harmonics

SIZES = {
    "batch": st.integers(1, 2),
    "frames": st.integers(1, 7),
    "pitches": st.integers(1, 5),
    "channels": st.integers(1, 3),
    "outputs": st.integers(1, 3),
    "seed": st.integers(0, 2**16),
}
FEW = settings(max_examples=5, deadline=None)  # each example compiles its own sizes


def arrays(seed, *shapes):
    random = np.random.default_rng(seed)
    return [random.standard_normal(shape).astype(np.float32) for shape in shapes]


def convolve_by_loops(x, kernel, dilation):
    """result[t, p] = sum over i, j of x[t + (i - 1) dilation, p + j - 1] kernel[i, j]; zeros outside."""
    batch, frames, pitches, _ = x.shape
    result = np.zeros((batch, frames, pitches, kernel.shape[-1]))
    for t, p, i, j in np.ndindex(frames, pitches, 3, 3):
        at, pitch = t + (i - 1) * dilation, p + j - 1
        if 0 <= at < frames and 0 <= pitch < pitches:
            result[:, t, p] += x[:, at, pitch] @ kernel[i, j]
    return result


def mix_by_loops(x, kernel):
    """result[p] = sum over k of x[p + HARMONIC_SHIFTS[k]] kernel[k]; zeros outside."""
    pitches = x.shape[2]
    result = np.zeros((*x.shape[:3], kernel.shape[-1]))
    for p in range(pitches):
        for k, shift in enumerate(HARMONIC_SHIFTS):
            if 0 <= p + shift < pitches:
                result[:, :, p] += x[:, :, p + shift] @ kernel[k]
    return result


def plain_convolve(x, kernel, dilation):
    """As `convolve`, with JAX's own gradients."""
    padded = jnp.pad(x, ((0, 0), (dilation, dilation), (1, 1), (0, 0)))
    frames, pitches = x.shape[1:3]
    return sum(
        (
            padded[:, i * dilation : i * dilation + frames, j : j + pitches] @ kernel[i, j]
            for i, j in np.ndindex(3, 3)
        ),
        jnp.zeros(()),
    )


def plain_mix(x, kernel):
    """As `mix_harmonics`, with JAX's own gradients."""
    padded = jnp.pad(x, ((0, 0), (0, 0), (36, 36), (0, 0)))
    pitches = x.shape[2]
    copies = [padded[:, :, 36 + shift : 36 + shift + pitches] for shift in HARMONIC_SHIFTS]
    return sum((copy @ part for copy, part in zip(copies, kernel, strict=True)), jnp.zeros(()))


def assert_near(found, expected):
    scale = max(np.abs(expected).max(), 1e-3)
    np.testing.assert_allclose(found, expected, atol=1e-4 * scale, rtol=0)


def assert_same_gradients(function, plain, x, kernel, gradient):
    """The function's result, which is the plain one's too."""

    @jax.jit
    def both(x, kernel, gradient):
        results, pulls = zip(*(jax.vjp(one, x, kernel) for one in (function, plain)), strict=True)
        return results, [pull(gradient) for pull in pulls]

    results, gradients = both(x, kernel, gradient)
    assert_near(*results)
    for found, true in zip(*gradients, strict=True):
        assert found.dtype == jnp.float32
        assert_near(found, true)
    return results[0]


@FEW
@given(dilation=st.integers(1, 4), **SIZES)
def test_a_convolution_and_its_gradients_equal_plain_ones(
    dilation, batch, frames, pitches, channels, outputs, seed
):
    x, kernel, gradient = arrays(
        seed,
        (batch, frames, pitches, channels),
        (3, 3, channels, outputs),
        (batch, frames, pitches, outputs),
    )
    result = assert_same_gradients(
        lambda x, kernel: convolve(x, kernel, dilation),
        lambda x, kernel: plain_convolve(x, kernel, dilation),
        *(x, kernel, gradient),
    )
    assert_near(result, convolve_by_loops(x, kernel, dilation))


@FEW
@given(**{**SIZES, "pitches": st.sampled_from((1, 20, 88))})
def test_mixed_harmonics_and_their_gradients_equal_plain_ones(
    batch, frames, pitches, channels, outputs, seed
):
    x, kernel, gradient = arrays(
        seed,
        (batch, frames, pitches, channels),
        (len(HARMONIC_SHIFTS), channels, outputs),
        (batch, frames, pitches, outputs),
    )
    result = assert_same_gradients(mix_harmonics, plain_mix, x, kernel, gradient)
    assert_near(result, mix_by_loops(x, kernel))


@pytest.mark.parametrize("frames", [11, 16, 18])
def test_all_frames_teach_the_kernel_however_they_divide_into_parts(frames):
    x, kernel, gradient = arrays(frames, (2, frames, 40, 2), (len(HARMONIC_SHIFTS), 2, 3), (2, frames, 40, 3))
    assert_same_gradients(mix_harmonics, plain_mix, x, kernel, gradient)


def test_the_dilation_is_one_where_it_is_not_given():
    x, kernel = arrays(0, (1, 5, 4, 2), (3, 3, 2, 2))
    np.testing.assert_array_equal(convolve(x, kernel), convolve(x, kernel, dilation=1))


def test_shifts_are_those_of_harmonics_both_ways():
    assert sorted(HARMONIC_SHIFTS) == sorted(-shift for shift in HARMONIC_SHIFTS)
    assert len(set(HARMONIC_SHIFTS)) == len(HARMONIC_SHIFTS)
    harmonics = {round(12 * np.log2(number)) for number in range(1, 9)}
    assert harmonics <= set(HARMONIC_SHIFTS) and max(HARMONIC_SHIFTS) == 36


@pytest.mark.parametrize(
    ("layer", "taps"), [(convolve, (3, 3)), (mix_harmonics, (len(HARMONIC_SHIFTS),))], ids=["convolve", "mix"]
)
def test_accelerators_take_no_example_after_the_other(layer, taps):
    x, kernel = arrays(0, (2, 8, 5, 3), (*taps, 3, 4))
    slope = jax.jit(jax.grad(lambda kernel, x: jnp.sum(layer(x, kernel)))).trace(kernel, x)
    assert "while" not in slope.lower(lowering_platforms=("cuda",)).as_text()
    assert "while" in slope.lower(lowering_platforms=("cpu",)).as_text()


def test_both_gradients_of_a_kernel_are_the_same(monkeypatch):
    x, wide, long = arrays(1, (2, 8, 40, 3), (3, 3, 3, 4), (len(HARMONIC_SHIFTS), 3, 4))
    kernels = {"wide": wide, "long": long}

    def total(kernels):
        return jnp.sum(convolve(x, kernels["wide"], 2) ** 2) + jnp.sum(mix_harmonics(x, kernels["long"]) ** 2)

    on_cpu = jax.jit(jax.grad(total))(kernels)
    asked = []
    monkeypatch.setattr(
        jax.lax, "platform_dependent", lambda *args, cpu, default: asked.append(cpu) or default(*args)
    )
    elsewhere = jax.jit(jax.grad(total))(kernels)
    assert asked  # it was traced again
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=2e-4), on_cpu, elsewhere)
