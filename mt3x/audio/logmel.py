"""The one front end: samples to log-mel frames, in JAX, inside whatever jitted function calls it.

Conventions: frame f of a segment looks at its samples [f * hop, f * hop + fft_size), zeros past the
segment's end. Magnitudes (not powers) are weighted by triangles on the HTK mel scale, then the natural
logarithm is taken. Rows past `num_frames` are exactly 0.0.

Source: MT3 `spectrograms.py` and `spectral_ops.py`, whose numbers the default configuration reproduces.
Window and mel matrix are computed in float32, as TensorFlow does: quiet sidelobes of loud tones show it.
"""

import dataclasses
import functools

import jax
import jax.numpy as jnp
import numpy as np

from mt3x.music.checks import check_at_least

_EPSILON = 1e-5  # what MT3 puts in the place of magnitudes <= 0 before the logarithm
_MEL_BLOCKS = 4  # the mel matrix is a band: a product in 4 blocks of columns skips 76 % of the work


@dataclasses.dataclass(frozen=True)
class SpectrogramConfig:
    """The front end's numbers; the defaults are MT3's.

    Attributes:
      sample_rate: of the samples, Hz.
      hop_width: samples from frame to frame.
      num_mel_bins: columns M of the output.
      fft_size: samples that a frame looks at.
      mel_lo_hz, mel_hi_hz: lower edge of the first triangle, upper edge of the last.
      log_floor: magnitudes below it are raised to it. None: as MT3, only those <= 0 are replaced (by 1e-5),
        so that tiny ones reach far below log(1e-5).
      input_offset, input_scale: the output is (log-mel + input_offset) * input_scale.

    Raises:
      ValueError: a number that makes no front end.
    """

    sample_rate: int = 16000
    hop_width: int = 128
    num_mel_bins: int = 512
    fft_size: int = 2048
    mel_lo_hz: float = 20.0
    mel_hi_hz: float = 7600.0
    log_floor: float | None = None
    input_offset: float = 0.0
    input_scale: float = 1.0

    def __post_init__(self) -> None:
        check_at_least(
            1,
            sample_rate=self.sample_rate,
            hop_width=self.hop_width,
            num_mel_bins=self.num_mel_bins,
            fft_size=self.fft_size,
        )
        if self.hop_width > self.fft_size:
            raise ValueError(
                f"hop_width is {self.hop_width}, more than fft_size {self.fft_size}: samples between frames "
                "would be skipped; choose a smaller hop_width."
            )
        if not 0.0 <= self.mel_lo_hz < self.mel_hi_hz <= self.sample_rate / 2:
            raise ValueError(
                f"The mel range is {self.mel_lo_hz} to {self.mel_hi_hz} Hz; it must rise and lie within 0 to "
                f"half the sample rate, {self.sample_rate / 2} Hz."
            )
        if self.log_floor is not None and not self.log_floor > 0.0:
            raise ValueError(f"log_floor is {self.log_floor}; it must be positive, or None for no floor.")
        if self.input_scale == 0.0:
            raise ValueError("input_scale is 0, which would erase the input; choose 1.0 for no scaling.")

    @property
    def frames_per_second(self) -> float:
        return self.sample_rate / self.hop_width


def hann_window(size: int) -> np.ndarray:
    """The periodic Hann window: float32 [size]."""
    # size 4 -> [0, 0.5, 1, 0.5]
    angles = np.float32(2 * np.pi) * np.arange(size, dtype=np.float32) / np.float32(size)
    return 0.5 - 0.5 * np.cos(angles)


def mel_matrix(config: SpectrogramConfig) -> np.ndarray:
    """Weights from FFT bins to mel columns: float32 [fft_size // 2 + 1, M].

    Triangles whose corners are equally spaced in mels. At MT3's sizes columns 1 and 10 are empty: their
    triangles fit between two bins.
    """
    f32 = np.float32
    num_bins = config.fft_size // 2 + 1
    bins_hz = np.linspace(0.0, config.sample_rate / 2, num_bins).astype(f32)
    lo_mel, hi_mel = _hertz_to_mel(np.array([config.mel_lo_hz, config.mel_hi_hz], f32))
    corners = np.linspace(lo_mel, hi_mel, config.num_mel_bins + 2).astype(f32)
    lower, center, upper = corners[:-2], corners[1:-1], corners[2:]
    bins_mel = _hertz_to_mel(bins_hz)[:, None]
    rising = (bins_mel - lower) / (center - lower)
    falling = (upper - bins_mel) / (upper - center)
    weights = np.maximum(f32(0), np.minimum(rising, falling))
    weights[0] = 0.0  # the constant component never counts
    return weights


def _hertz_to_mel(hertz: np.ndarray) -> np.ndarray:
    """HTK's scale, in the precision of its argument."""
    return 1127.0 * np.log(1.0 + hertz / 700.0)


@functools.partial(jax.jit, static_argnames="config")
def log_mel(samples: jax.Array, num_frames: jax.Array, config: SpectrogramConfig) -> jax.Array:
    """Log-mel frames of a batch of segments, each from its own samples alone.

    Over several devices, call it inside `jax.shard_map` with the batch axis split: left to itself, XLA
    gathers the whole batch on every device for the Fourier transform.

    Args:
      samples: float [B, N], mono; N a multiple of the hop. What lies past num_frames * hop is ignored.
      num_frames: int [B], how many frames of each segment count.

    Returns:
      float32 [B, F, M], F = N // hop; rows from num_frames on are 0.0, as MT3 pads.

    Raises:
      ValueError: shapes that do not fit together.
    """
    hop = config.hop_width
    if samples.ndim != 2 or samples.shape[1] % hop:
        raise ValueError(
            f"samples have shape {samples.shape}; expected [B, N] with N a multiple of the hop, {hop}: "
            "pad with zeros."
        )
    if num_frames.shape != samples.shape[:1]:
        raise ValueError(
            f"num_frames has shape {num_frames.shape}; expected {samples.shape[:1]}, one number per segment."
        )
    is_sample = jnp.arange(samples.shape[1])[None, :] < num_frames[:, None] * hop  # [B, N]
    frames = _frame(jnp.where(is_sample, samples.astype(jnp.float32), 0.0), config)  # [B, F, fft_size]
    magnitudes = jnp.abs(jnp.fft.rfft(frames * hann_window(config.fft_size)[None, None, :]))  # [B, F, bins]
    mels = _apply_band(magnitudes, mel_matrix(config))  # [B, F, M]
    if config.log_floor is None:
        mels = jnp.where(mels <= 0.0, _EPSILON, mels)
    else:
        mels = jnp.maximum(mels, config.log_floor)
    outputs = (jnp.log(mels) + config.input_offset) * config.input_scale
    is_frame = jnp.arange(outputs.shape[1])[None, :] < num_frames[:, None]  # [B, F]
    return jnp.where(is_frame[:, :, None], outputs, 0.0)


def _frame(samples: jax.Array, config: SpectrogramConfig) -> jax.Array:
    """Overlapping frames by shifting whole hops, with no gather: [B, N] -> [B, F, fft_size]."""
    hop, batch = config.hop_width, samples.shape[0]
    count = samples.shape[1] // hop
    hops_per_frame = -(-config.fft_size // hop)
    padded = jnp.pad(samples, ((0, 0), (0, (hops_per_frame - 1) * hop)))
    hops = padded.reshape(batch, count + hops_per_frame - 1, hop)
    shifted = [hops[:, i : i + count] for i in range(hops_per_frame)]
    return jnp.concatenate(shifted, axis=-1)[:, :, : config.fft_size]


def _apply_band(magnitudes: jax.Array, weights: np.ndarray) -> jax.Array:
    """`magnitudes @ weights` in full float32, by blocks of columns, each over only the rows that it uses.

    Full float32 also where a GPU would take shorter products by default: the logarithm would show it.
    """
    products = []
    for block in np.array_split(weights, _MEL_BLOCKS, axis=1):
        rows = np.flatnonzero(block.any(axis=1))
        first, last = (rows[0], rows[-1] + 1) if len(rows) else (0, 1)
        part = magnitudes[:, :, first:last]
        products.append(jnp.matmul(part, block[first:last], precision=jax.lax.Precision.HIGHEST))
    return jnp.concatenate(products, axis=-1)
