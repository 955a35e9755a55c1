"""Times the real training step: steps, examples and CPU seconds, and the share of the device's peak it uses.

    python benchmarks/training.py [--model small] [--batch 8] [--targets 256,512,1024] [--dtype float32]
                                  [--attention plain] [--optimizer adafactor] [--remat] [--steps 3]
                                  [--t5x PYTHON [--mt3 PATH_TO_MT3_CHECKOUT]] [--json FILE]

It runs the jitted step of `mt3x train` (log-mel, network, loss, gradients, update) on all devices that JAX
has, once for each length that targets are padded to, on batches of random music (training_batches.py). On a
GPU: `--dtype bfloat16 --attention fused --batch 256 --steps 20`.

Times are medians of `--steps` steps after one that is not counted. FLOPs are counted by hand in
step_costs.py, XLA's own count stands beside them; "useful" counts each example at its own length, padding not
at all. The peak is that of a large matrix product, measured here; bandwidth that of reading a large array, or
of adding one to it in place. The roofline is the longer of the times that FLOPs and bytes take at these.

`--t5x` names a Python in which `t5x` can be imported, from its public source: it times T5X's own step on the
batch of the longest length (t5x_step.py).
"""

import argparse
import dataclasses
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh
from step_costs import moved_bytes, parameter_count, training_flops
from training_batches import Batches, Example, batch_of, draw_examples, make_batch, padding_policies

from mt3x.audio.logmel import log_mel
from mt3x.data.pipeline.augmentation import make_prepare
from mt3x.model.config import ATTENTIONS, DTYPES
from mt3x.model.config import PRESETS as NETWORKS
from mt3x.training.adafactor import AdafactorConfig
from mt3x.training.config import LossConfig, OptimizerConfig, TrainConfig
from mt3x.training.initialization import fresh_start
from mt3x.training.mesh import make_mesh, place, replicate, split_batch, state_shardings
from mt3x.training.optimizer import make_optimizer
from mt3x.training.state import new_state
from mt3x.training.step import make_train_step
from mt3x.transcription.tokens.config import TranscriptionConfig

POOL_BATCHES = 16
MOMENTS = {"adafactor": 0, "muon": 1, "adamw": 2}
DATA_SHEETS = {  # bfloat16 FLOP/s without sparsity and memory bytes/s, by a part of JAX's name of the device
    "H100": (989e12, 3.35e12),  # NVIDIA H100 Tensor Core GPU data sheet, SXM
    "H200": (989e12, 4.8e12),  # NVIDIA H200 Tensor Core GPU data sheet
    "v5 lite": (197e12, 819e9),  # Cloud TPU documentation, TPU v5e
}


class Seconds(NamedTuple):
    """Of one call: wall time, and CPU time of all threads."""

    wall: float
    cpu: float


@dataclasses.dataclass(frozen=True)
class Peak:
    """What the device reaches here: operations and bytes a second, operations a CPU second."""

    flops: float
    bytes: float
    flops_cpu: float


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--model", choices=tuple(NETWORKS), default="small")
    parser.add_argument("--batch", type=int, default=8)
    parser.add_argument("--targets", help="lengths, rising, such as 256,512,1024; the last holds the longest")
    parser.add_argument("--dtype", choices=DTYPES, default="float32")
    parser.add_argument("--attention", choices=ATTENTIONS, default="plain")
    parser.add_argument("--optimizer", choices=MOMENTS, help="adafactor without")
    parser.add_argument("--remat", action="store_true")
    parser.add_argument("--steps", type=int, default=3)
    parser.add_argument("--t5x", metavar="PYTHON", help="one that can import t5x, and MT3's mt3 or with")
    parser.add_argument("--mt3", help="folder that holds MT3's `mt3` package")
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    optimizer = arguments.optimizer or "adafactor"
    config, training = settings(arguments, optimizer)
    usual = "256,512,1024"
    lengths = [int(length) for length in (arguments.targets or usual).split(",")]
    config = dataclasses.replace(config, max_target_length=lengths[-1])

    device = jax.devices()[0]
    peak = measure_peak(config.network.dtype, device.platform)
    words = [arguments.model, f"{parameter_count(config.network) / 1e6:.1f} M parameters", arguments.dtype]
    words += [f"{arguments.attention} attention", optimizer, f"batch {arguments.batch}"]
    print(", ".join([*words, f"{config.segment_frames} frames"]))
    words = [f"{jax.device_count()} x {device.device_kind}", f"{os.cpu_count()} cores"]
    words += [
        f"{peak.flops / 1e12:.2f} TFLOP/s in a matrix product",
        f"{peak.bytes / 1e9:.0f} GB/s in memory",
    ]
    print(", ".join(words))

    examples = draw_examples(config, POOL_BATCHES * arguments.batch)
    pools = padding_policies(examples, arguments.batch, lengths)
    rows = time_lengths(
        config, training, pools["sorted pools"], lengths, arguments.steps, peak, MOMENTS[optimizer]
    )
    result: dict[str, Any] = {"lengths": rows, "padding": compare_policies(config, pools, rows, peak)}
    if arguments.t5x:
        batch = batch_of(pools["sorted pools"], lengths[-1])
        result["t5x"] = time_t5x(arguments, config, batch, rows[-1])
    if arguments.json:
        about = {**vars(arguments), "json": None, "device": device.device_kind, "devices": jax.device_count()}
        result = {**about, "cores": os.cpu_count(), "peak": dataclasses.asdict(peak), **result}
        arguments.json.write_text(json.dumps(result, indent=1) + "\n")


def settings(arguments: argparse.Namespace, optimizer: str) -> tuple[TranscriptionConfig, TrainConfig]:
    """Those of run/train.gin with task/mt3.gin."""
    config = TranscriptionConfig(network=NETWORKS[arguments.model])
    network = dataclasses.replace(config.network, dtype=arguments.dtype, attention=arguments.attention)
    training = TrainConfig(
        has_alignment_prior=False,
        has_remat=arguments.remat,
        average_decay=0.0,
        optimizer=AdafactorConfig() if optimizer == "adafactor" else OptimizerConfig(name=optimizer),  # pyright: ignore
        loss=LossConfig(frame_weight=0.0),
    )
    return dataclasses.replace(config, network=network), training


def time_lengths(
    config: TranscriptionConfig,
    training: TrainConfig,
    batches: Batches,
    lengths: Sequence[int],
    steps: int,
    peak: Peak,
    moments: int,
) -> list[dict[str, float]]:
    """A row for each length, of the middle one of its batches; the longest in any case."""
    mesh = make_mesh()
    step, state, key = prepare_step(config, training, mesh)
    network, frames, rows = config.network, config.segment_frames, []
    for length in lengths:
        if length != lengths[-1] and all(padded != length for padded, _ in batches):
            continue
        examples = batch_of(batches, length)
        batch = split_batch(make_batch(config, examples, length), mesh)
        compiled = step.lower(state, batch, key, None).compile()

        def work(compiled: Any = compiled, batch: Any = batch) -> None:
            nonlocal state
            state, measured = compiled(state, batch, key, None)
            jax.block_until_ready((state, measured))

        seconds = time_calls(work, steps)
        size = len(examples)
        padded = size * sum(training_flops(network, frames, length).values())
        row = {
            "length": length,
            "useful_ids": sum(len(example.targets) for example in examples) / size,
            "step_seconds": seconds.wall,
            "examples_per_second": size / seconds.wall,
            "cpu_seconds_per_example": seconds.cpu / size,
            "gflop_per_example": padded / size / 1e9,
            "gflop_useful": useful_flops(config, examples) / size / 1e9,
            **roofline(padded, moved_bytes(network, frames, length, size, moments), seconds.wall, peak),
            **xla_counts(compiled, size),
        }
        rows.append(row)
        show_length(row, peak)
    return rows


def prepare_step(
    config: TranscriptionConfig, training: TrainConfig, mesh: Mesh
) -> tuple[Any, Any, jax.Array]:
    """The jitted step, a fresh state and a key on their devices, as `training.loop` makes them."""
    point = fresh_start(config, training)
    sizes = [leaf.size for leaf in jax.tree.leaves(point.params["network"])]
    assert sum(sizes) == parameter_count(config.network), "step_costs counts another network"
    optimizer = make_optimizer(training)
    state = new_state(point.params, optimizer)
    placement = state_shardings(state, point.params, mesh)
    prepare = make_prepare(config.segment_samples, config.spectrogram.sample_rate)
    step = make_train_step(config, training, optimizer, prepare, mesh, placement)
    return step, place(state, placement), replicate(jax.random.key(1), mesh)


def useful_flops(config: TranscriptionConfig, examples: list[Example]) -> int:
    """Of each example at its own length."""
    return sum(
        sum(training_flops(config.network, config.segment_frames, len(example.targets)).values())
        for example in examples
    )


def roofline(flops: float, moved: float, seconds: float, peak: Peak) -> dict[str, float]:
    """The least time of a step by operations and by bytes, and the share of the longer in what it took."""
    by_flops, by_bytes = flops / (jax.device_count() * peak.flops), moved / (jax.device_count() * peak.bytes)
    bound = max(by_flops, by_bytes)
    return {"flops_seconds": by_flops, "bytes_seconds": by_bytes, "share_of_roofline": bound / seconds}


def xla_counts(compiled: Any, size: int) -> dict[str, float]:
    """XLA's numbers, of one device's program: it counts every operation, and bytes as without caches."""
    costs, memory = compiled.cost_analysis() or {}, compiled.memory_analysis()
    devices = jax.device_count()
    return {
        "xla_gflop_per_example": devices * costs.get("flops", float("nan")) / size / 1e9,
        "xla_moved_gb": costs.get("bytes accessed", float("nan")) / 1e9,
        "xla_temporary_gb": getattr(memory, "temp_size_in_bytes", float("nan")) / 1e9,
    }


def time_calls(
    work: Callable[[], None], times: int, pick: Callable[[list[float]], float] = statistics.median
) -> Seconds:
    """One of so many calls, the medians without `pick`, after one that is not counted."""
    work()
    wall, cpu = [], []
    for _ in range(times):
        begin = time.perf_counter(), time.process_time()
        work()
        wall.append(time.perf_counter() - begin[0])
        cpu.append(time.process_time() - begin[1])
    return Seconds(pick(wall), pick(cpu))


def measure_peak(dtype: str, platform: str) -> Peak:
    """One device's at its best: in a product of square matrices, and in memory.

    Memory's is the higher of two: an array far larger than the caches is read as the matrix of a product with
    a vector, or read and written in place, both counted. A result in fresh memory would measure page faults.
    """
    size = 2048 if platform == "cpu" else 8192
    matrix = jnp.ones((size, size), dtype)
    product = jax.jit(lambda x: x @ x)
    multiplied = time_calls(lambda: jax.block_until_ready(product(matrix)), 5, min)
    numbers = jnp.zeros((2**13, 2**13 if platform == "cpu" else 2**15), jnp.float32)
    times_vector = jax.jit(lambda x, y: x @ y)
    vector = jnp.ones(numbers.shape[1], jnp.float32)
    read = time_calls(lambda: jax.block_until_ready(times_vector(numbers, vector)), 5, min)
    plus_one = jax.jit(lambda x: x + 1, donate_argnums=0)

    def write() -> None:
        nonlocal numbers
        numbers = jax.block_until_ready(plus_one(numbers))

    moved = max(numbers.nbytes / read.wall, 2 * numbers.nbytes / time_calls(write, 5, min).wall)
    flops = 2 * size**3
    return Peak(flops / multiplied.wall, moved, flops / multiplied.cpu)


def shares_of_peak(flops: float, seconds: Seconds, peak: Peak) -> str:
    """FLOP utilisation against what was measured, by wall and CPU time, and against the data sheet."""
    devices, device = jax.device_count(), jax.devices()[0]
    words = [f"{flops / seconds.wall / (devices * peak.flops):.1%} of the measured peak"]
    if device.platform == "cpu":
        words.append(f"{flops / seconds.cpu / peak.flops_cpu:.1%} by CPU time")
    words += [
        f"{flops / seconds.wall / (devices * sheet):.1%} of the data sheet's"
        for name, (sheet, _) in DATA_SHEETS.items()
        if name in device.device_kind
    ]
    return ", ".join(words)


def show_length(row: dict[str, float], peak: Peak) -> None:
    size = row["examples_per_second"] * row["step_seconds"]
    seconds = Seconds(row["step_seconds"], row["cpu_seconds_per_example"] * size)
    padded, useful = (1e9 * size * row[name] for name in ("gflop_per_example", "gflop_useful"))
    print(
        f"{row['length']} ids ({row['useful_ids']:.0f} useful): {1 / seconds.wall:.3f} steps/s, "
        f"{row['examples_per_second']:.2f} examples/s, {row['cpu_seconds_per_example']:.3f} CPU s an example"
    )
    print(f"    all FLOPs {shares_of_peak(padded, seconds, peak)}")
    print(f"    useful FLOPs {shares_of_peak(useful, seconds, peak)}")
    print(
        f"    roofline: {row['flops_seconds']:.4f} s by FLOPs, {row['bytes_seconds']:.4f} s by bytes, "
        f"share reached {row['share_of_roofline']:.1%}"
    )
    print(
        f"    GFLOP an example {row['gflop_per_example']:.2f}, by XLA {row['xla_gflop_per_example']:.2f}; "
        f"XLA moves {row['xla_moved_gb']:.2f} GB a step, {row['xla_temporary_gb']:.2f} GB temporary",
        flush=True,
    )


def compare_policies(
    config: TranscriptionConfig, pools: dict[str, Batches], rows: list[dict[str, float]], peak: Peak
) -> dict[str, dict[str, float]]:
    """What each way of padding makes of the times by length."""
    by_length = {row["length"]: row for row in rows}
    table = {}
    print("\npadding")
    for name, batches in pools.items():
        # A length that no sorted batch had was not timed: the next longer one stands for it.
        used = [by_length[min(timed for timed in by_length if timed >= length)] for length, _ in batches]
        examples = [example for _, batch in batches for example in batch]
        size = len(examples)
        ids = sum(row["length"] for row in used) * size / len(batches)
        wall = sum(row["step_seconds"] for row in used)
        cpu = sum(row["cpu_seconds_per_example"] for row in used) * size / len(batches)
        table[name] = {
            "useful_share": sum(len(example.targets) for example in examples) / ids,
            "examples_per_second": size / wall,
            "cpu_seconds_per_example": cpu / size,
            "useful_mfu": useful_flops(config, examples) / wall / (jax.device_count() * peak.flops),
        }
        print(
            f"{name:20} {table[name]['useful_share']:.0%} of ids useful, {size / wall:.2f} examples/s, "
            f"{cpu / size:.3f} CPU s an example; useful FLOPs "
            f"{shares_of_peak(useful_flops(config, examples), Seconds(wall, cpu), peak)}"
        )
    return table


def time_t5x(
    arguments: argparse.Namespace,
    config: TranscriptionConfig,
    examples: list[Example],
    ours: dict[str, float],
) -> dict[str, float]:
    """T5X's own step on the batch that `ours` is the row of, in a process of its own."""
    batch = make_batch(config, examples, config.max_target_length)
    frames = log_mel(jnp.asarray(batch["samples"]), jnp.asarray(batch["num_frames"]), config.spectrogram)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "batch.npz"
        np.savez(path, frames=np.asarray(frames), targets=batch["targets"])
        network = json.dumps(dataclasses.asdict(config.network))
        command = [arguments.t5x, str(Path(__file__).with_name("t5x_step.py")), str(path), network]
        command += [str(arguments.steps), *([arguments.mt3] if arguments.mt3 else [])]
        done = subprocess.run(command, capture_output=True, text=True)  # T5X warns a lot
    if done.returncode:
        sys.exit(f"T5X's step failed: {done.stderr[-2000:]}")
    theirs = json.loads(done.stdout.splitlines()[-1])
    size = len(examples)
    print(
        f"\nT5X, the same batch, {theirs['jax']}: {size / theirs['wall']:.2f} examples/s, "
        f"{theirs['cpu'] / size:.3f} CPU s an example, without its front end; this project's step takes "
        f"{ours['step_seconds'] / theirs['wall']:.2f} times as long, "
        f"{ours['cpu_seconds_per_example'] * size / theirs['cpu']:.2f} times in CPU time; losses "
        f"{', '.join(f'{loss:.3f}' for loss in theirs['losses'])}"
    )
    return theirs


if __name__ == "__main__":
    sys.exit(main())
