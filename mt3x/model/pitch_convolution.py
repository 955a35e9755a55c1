"""Convolutions over time and pitch whose weight gradients are fast on a CPU.

XLA's CPU backend runs convolutions forward at 80 to 130 GFLOP/s a core, and their gradient for the kernel at
20 to 35. Written as matrix products of shifted copies for each example, that gradient is up to twice as fast
and agrees to 1e-5; so both convolutions here bring their own. Accelerators take XLA's: they would go through
the examples one after the other.

The harmonic layer reads, for each pitch, the pitches at the distances of its harmonics and of those tones
whose harmonic it may be, all mixed by one matrix (after HPPNet, arXiv 2208.14819, and Harmonica, arXiv
2609.04640).

B examples, T frames, P pitches, C channels in, N channels out; outside the array is zero.
"""

import functools
from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp

_HARMONIC_GROUPS = (tuple(range(-36, 37, 12)), (19, 31), (-31, -19), (28, 34), (-34, -28))
"""Distances in semitones, in groups of even spacing: each is one dilated convolution."""

HARMONIC_SHIFTS = tuple(shift for group in _HARMONIC_GROUPS for shift in group)
"""Octaves, twelfths, double octaves with third and with seventh, both ways: harmonics 1 to 8."""


def _spacing(shifts: Sequence[int]) -> int:
    return shifts[1] - shifts[0] if len(shifts) > 1 else 1


def _taps(x: jax.Array, kernel: jax.Array, in_time: Sequence[int], in_pitch: Sequence[int]) -> jax.Array:
    """The sum of shifted copies through a kernel [len(in_time), len(in_pitch), C, N]: [B, T, P, N].

    Shifts are rising and evenly spaced: tap (i, j) reads x[t + in_time[i], p + in_pitch[j]].
    """
    padding = (-in_time[0], in_time[-1]), (-in_pitch[0], in_pitch[-1])
    return jax.lax.conv_general_dilated(
        x,
        kernel,
        (1, 1),
        padding,
        rhs_dilation=(_spacing(in_time), _spacing(in_pitch)),
        dimension_numbers=("NHWC", "HWIO", "NHWC"),
    )


def _shifted(x: jax.Array, shift: int, axis: int) -> jax.Array:
    """x[i + shift] along an axis, zeros outside."""
    if shift == 0:
        return x
    padding = [(0, 0)] * x.ndim
    padding[axis] = (max(-shift, 0), max(shift, 0))
    start = max(shift, 0)
    return jax.lax.slice_in_dim(jnp.pad(x, padding), start, start + x.shape[axis], axis=axis)


def convolve(x: jax.Array, kernel: jax.Array, dilation: int = 1) -> jax.Array:
    """A 3 x 3 convolution, dilated in time: float32 [B, T, P, N].

    Args:
      x: float32 [B, T, P, C]; kernel: float32 [3, 3, C, N].
    """
    result: jax.Array = _convolve(x, kernel, dilation)
    return result


def _kernel_gradient(
    x: jax.Array,
    kernel: jax.Array,
    gradient: jax.Array,
    plain: Callable[[jax.Array, jax.Array], jax.Array],
    on_cpu: Callable[[jax.Array, jax.Array], jax.Array],
) -> jax.Array:
    """The gradient for the kernel of `plain(x, kernel)`, on a CPU by `on_cpu(x, gradient)`."""

    def elsewhere(x: jax.Array, gradient: jax.Array) -> jax.Array:
        return jax.vjp(lambda kernel: plain(x, kernel), kernel)[1](gradient)[0]

    result: jax.Array = jax.lax.platform_dependent(x, gradient, cpu=on_cpu, default=elsewhere)
    return result


@functools.partial(jax.custom_vjp, nondiff_argnums=(2,))
def _convolve(x: jax.Array, kernel: jax.Array, dilation: int) -> Any:
    return _plain_convolve(x, kernel, dilation)


def _plain_convolve(x: jax.Array, kernel: jax.Array, dilation: int) -> jax.Array:
    return _taps(x, kernel, (-dilation, 0, dilation), (-1, 0, 1))


def _convolve_forward(x: jax.Array, kernel: jax.Array, dilation: int) -> tuple[jax.Array, Any]:
    return convolve(x, kernel, dilation), (x, kernel)


def _convolve_backward(dilation: int, kept: Any, gradient: jax.Array) -> tuple[jax.Array, jax.Array]:
    x, kernel = kept
    of_x = convolve(gradient, kernel[::-1, ::-1].transpose(0, 1, 3, 2), dilation)
    channels, outputs = x.shape[-1], gradient.shape[-1]

    def add(total: jax.Array, example: tuple[jax.Array, jax.Array]) -> tuple[jax.Array, None]:
        one, slope = example  # [T, P, C], [T, P, N]
        left = jnp.concatenate([_shifted(one, shift, 1) for shift in (-1, 0, 1)], -1)
        right = jnp.concatenate([_shifted(slope, -shift, 0) for shift in (-dilation, 0, dilation)], -1)
        left, right = jax.lax.optimization_barrier(
            (left.reshape(-1, 3 * channels), right.reshape(-1, 3 * outputs))
        )
        return total + left.T @ right, None

    def on_cpu(x: jax.Array, gradient: jax.Array) -> jax.Array:
        products = jax.lax.scan(add, jnp.zeros((3 * channels, 3 * outputs)), (x, gradient))[0]
        return products.reshape(3, channels, 3, outputs).transpose(2, 0, 1, 3)

    plain = functools.partial(_plain_convolve, dilation=dilation)
    return of_x, _kernel_gradient(x, kernel, gradient, plain, on_cpu)


_convolve.defvjp(_convolve_forward, _convolve_backward)


def _harmonic_sum(x: jax.Array, kernel: jax.Array, sign: int) -> jax.Array:
    total, first = jnp.zeros((), x.dtype), 0
    for group in _HARMONIC_GROUPS:
        part = kernel[first : first + len(group)]
        first += len(group)
        if sign < 0:
            group, part = tuple(-shift for shift in group[::-1]), part[::-1]
        total = total + _taps(x, part[None], (0,), group)
    return total


@jax.custom_vjp
def mix_harmonics(x: jax.Array, kernel: jax.Array) -> jax.Array:
    """Copies shifted along pitch by `HARMONIC_SHIFTS`, mixed by one matrix: float32 [B, T, P, N].

    Args:
      x: float32 [B, T, P, C]; kernel: float32 [len(HARMONIC_SHIFTS), C, N].
    """
    return _harmonic_sum(x, kernel, 1)


def _mix_forward(x: jax.Array, kernel: jax.Array) -> tuple[jax.Array, Any]:
    return _harmonic_sum(x, kernel, 1), (x, kernel)


def _mix_backward(kept: Any, gradient: jax.Array) -> tuple[jax.Array, jax.Array]:
    x, kernel = kept
    of_x = _harmonic_sum(gradient, kernel.transpose(0, 2, 1), -1)
    pitches, channels = x.shape[2:]
    outputs = gradient.shape[-1]

    def add(total: jax.Array, example: tuple[jax.Array, jax.Array]) -> tuple[jax.Array, None]:
        one, slope = example  # [T, P, C], [T, P, N]

        def product(shift: int) -> jax.Array:
            """Of the pitches that have a partner at this distance."""
            low, high = max(0, -shift), min(pitches, pitches - shift)
            if low >= high:
                return jnp.zeros((channels, outputs), x.dtype)
            read = one[:, low + shift : high + shift].reshape(-1, channels)
            return read.T @ slope[:, low:high].reshape(-1, outputs)

        return total + jnp.stack([product(shift) for shift in HARMONIC_SHIFTS]), None

    def on_cpu(x: jax.Array, gradient: jax.Array) -> jax.Array:
        return jax.lax.scan(add, jnp.zeros_like(kernel), (x, gradient))[0]

    plain = functools.partial(_harmonic_sum, sign=1)
    return of_x, _kernel_gradient(x, kernel, gradient, plain, on_cpu)


mix_harmonics.defvjp(_mix_forward, _mix_backward)
