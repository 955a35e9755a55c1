"""Operations and bytes of a training step, counted by hand, and what two machines would make of them.

    python benchmarks/step_costs.py

prints the tables of docs/scaling.md, which also says where the data sheets' numbers are from. Nothing is
measured here: benchmarks/training.py measures, and compares with these counts. Letters: D width,
I heads * head_dim, F frames, T target ids, S source positions. A multiplication with its addition is two
operations. Causal attention counts as a whole [T, T], as is usual for a model's FLOP utilisation.
"""

import dataclasses

from mt3x.model.config import BASE, SMALL, TransformerConfig

FLOAT = 4
"""Bytes of float32, in which weights, gradients, optimizer and logits are in any compute dtype."""


def parameter_count(config: TransformerConfig) -> int:
    """Of the network, without a frame head."""
    width, inner = config.emb_dim, config.num_heads * config.head_dim
    attention, mlp = 4 * width * inner, _mlp_weights(config)
    encoder = config.num_encoder_layers * (attention + mlp + 2 * width) + width
    decoder = config.num_decoder_layers * (2 * attention + mlp + 3 * width) + width
    logits = 0 if config.logits_via_embedding else width * config.vocab_size
    return config.vocab_size * width + config.input_depth * width + encoder + decoder + logits


def _mlp_weights(config: TransformerConfig) -> int:
    return (len(config.mlp_activations) + 1) * config.emb_dim * config.mlp_dim


def training_flops(config: TransformerConfig, frames: int, tokens: int) -> dict[str, int]:
    """Operations of one example's step, by part: its matrix products, forward and twice as many backward.

    Left out: the front end, norms and softmax, a frame head, and the optimizer (for Muon no trifle).
    """
    width, inner, mlp = config.emb_dim, config.num_heads * config.head_dim, _mlp_weights(config)
    products = {
        "encoder": config.num_encoder_layers * frames * (4 * width * inner + mlp),
        "encoder attention": config.num_encoder_layers * 2 * frames * frames * inner,
        "decoder": config.num_decoder_layers
        * (tokens * (6 * width * inner + mlp) + frames * 2 * width * inner),
        "decoder attention": config.num_decoder_layers * 2 * tokens * (tokens + frames) * inner,
        "input and logits": frames * config.input_depth * width + tokens * width * config.vocab_size,
    }
    return {part: 3 * 2 * count for part, count in products.items()}


def kept_bytes(config: TransformerConfig, frames: int, tokens: int) -> int:
    """Of one example, what the forward pass computes and the backward pass reads.

    The inputs of norms, of products and of activations; softmax in float32, and again in the compute dtype.
    """
    element = 2 if config.dtype == "bfloat16" else FLOAT
    width, inner, mlp = config.emb_dim, config.num_heads * config.head_dim, config.mlp_dim
    hidden = (len(config.mlp_activations) + 1) * mlp
    encoder_row = 4 * width + 4 * inner + hidden  # x, norm; q, k, v, attended; x, norm; branches, product
    decoder_row = 6 * width + 6 * inner + hidden
    rows = config.num_encoder_layers * frames * encoder_row
    rows += config.num_decoder_layers * (tokens * decoder_row + frames * 2 * inner)
    weights = config.num_encoder_layers * frames * frames
    weights += config.num_decoder_layers * tokens * (tokens + frames)
    softmax = 0 if config.attention == "fused" else config.num_heads * weights * (FLOAT + element)
    ends = frames * config.input_depth + 2 * tokens * config.vocab_size  # logits and their gradient
    return element * rows + softmax + FLOAT * ends


def state_bytes(config: TransformerConfig, moments: int) -> int:
    """Weights, their average, gradients and `moments` arrays of the weights' shapes that an optimizer keeps.

    moments: 0 for Adafactor, whose factors are too small to count; 1 for Muon; 2 for AdamW.
    """
    return (3 + moments) * FLOAT * parameter_count(config)


def moved_bytes(config: TransformerConfig, frames: int, tokens: int, batch: int, moments: int) -> int:
    """The least that a step reads and writes in memory, caches aside.

    Weights read for each pass and the update, and written; the average and each moment read and written;
    gradients written and read; what is kept of each example written and read.
    """
    passes = 4 + 2 + 2 * moments + 2
    kept = 2 * batch * kept_bytes(config, frames, tokens)
    return passes * FLOAT * parameter_count(config) + kept


@dataclasses.dataclass(frozen=True)
class Machine:
    """Several devices of a kind; numbers of data sheets, for one device.

    Attributes:
      flops: bfloat16 without sparsity, operations a second; memory_bytes, memory_bytes_per_second: of it.
      link_bytes_per_second: to other devices, in one direction, as a ring over all devices uses it.
      attention: what `fused` comes to there.
    """

    name: str
    devices: int
    flops: float
    memory_bytes: float
    memory_bytes_per_second: float
    link_bytes_per_second: float
    attention: str


MACHINES = (
    Machine("v5e-16", 16, 197e12, 16e9, 819e9, 50e9, "plain"),
    Machine("8xH100", 8, 989e12, 80e9, 3.35e12, 450e9, "fused"),
)
NETWORKS = {"small": SMALL, "base": BASE}
FRAMES, LENGTHS, BATCH, MFU = 256, (256, 512, 1024), 256, 0.4
SCHEDULES = {  # MT3's gin files: steps, examples in a batch
    "mt3.gin": (1_000_000, 256),
    "ismir2022/pretrain.gin": (500_000, 1024),
    "ismir2022/finetune.gin": (150_000, 256),
}
HOST_SECONDS = {"Grain, one stem": 3.1e-3, "Grain, mixed and shifted": 9.9e-3, "seqio's cache": 13.6e-3}
"""CPU time of an example, docs/training.md."""


def all_reduce_seconds(config: TransformerConfig, machine: Machine) -> float:
    """A ring's: each device sends its gradients almost twice."""
    sent = 2 * (machine.devices - 1) / machine.devices * FLOAT * parameter_count(config)
    return sent / machine.link_bytes_per_second


def examples_per_second(config: TransformerConfig, machine: Machine, tokens: int) -> float:
    """Of all devices, at `MFU`."""
    return machine.devices * MFU * machine.flops / sum(training_flops(config, FRAMES, tokens).values())


def main() -> None:
    for print_table in (print_networks, print_examples, print_steps, print_schedules, print_input):
        print_table()
        print()


def print_row(*cells: object) -> None:
    print("| " + " | ".join(str(cell) for cell in cells) + " |")


def print_header(*cells: str) -> None:
    print_row(*cells)
    print_row(*["---"] * len(cells))


def print_networks() -> None:
    times = [f"all-reduce, {machine.name}, ms" for machine in MACHINES]
    print_header("", "parameters, M", "gradients, MB", "state, Adafactor, GB", "state, AdamW, GB", *times)
    for name, config in NETWORKS.items():
        states = [f"{state_bytes(config, moments) / 1e9:.2f}" for moments in (0, 2)]
        times = [f"{1e3 * all_reduce_seconds(config, machine):.1f}" for machine in MACHINES]
        count = parameter_count(config)
        print_row(name, f"{count / 1e6:.1f}", f"{FLOAT * count / 1e6:.0f}", *states, *times)


def print_examples() -> None:
    print_header("", "ids", "GFLOP", "of these attention", "kept, plain, MB", "kept, fused, MB")
    for name, config in NETWORKS.items():
        for tokens in LENGTHS:
            parts = training_flops(config, FRAMES, tokens)
            attention = parts["encoder attention"] + parts["decoder attention"]
            kept = [
                f"{kept_bytes(_as_run(config, how), FRAMES, tokens) / 1e6:.0f}" for how in ("plain", "fused")
            ]
            print_row(name, tokens, f"{sum(parts.values()) / 1e9:.0f}", f"{attention / 1e9:.0f}", *kept)


def print_steps() -> None:
    columns = ("examples/s", "step of 256, ms", "examples that fit a device", "all-reduce hidden from")
    print_header("", "", "ids", *columns, "bytes over FLOPs", "utilisation without overlap")
    for machine in MACHINES:
        for name, network in NETWORKS.items():
            config = _as_run(network, machine.attention)
            for tokens in LENGTHS:
                rate, kept = examples_per_second(config, machine, tokens), kept_bytes(config, FRAMES, tokens)
                fitting = (0.9 * machine.memory_bytes - state_bytes(config, 0)) / kept
                backward = 2 / 3 * machine.devices / rate  # seconds of an example on one device
                flops = sum(training_flops(config, FRAMES, tokens).values())
                size = BATCH // machine.devices
                moved = moved_bytes(config, FRAMES, tokens, size, 0) / machine.memory_bytes_per_second
                ratio = moved / (size * flops / machine.flops)
                hidden = all_reduce_seconds(config, machine) / backward
                cells = f"{rate:,.0f}", f"{1e3 * BATCH / rate:.0f}", f"{fitting:.0f}", f"{hidden:.1f}"
                print_row(machine.name, name, tokens, *cells, f"{ratio:.2f}", f"{1 / (1 + ratio):.0%}")


def print_schedules() -> None:
    print_header("", "examples, M", *(f"{machine.name}, {name}" for machine in MACHINES for name in NETWORKS))
    for schedule, (steps, batch) in SCHEDULES.items():
        hours = []
        for machine in MACHINES:
            for config in NETWORKS.values():
                ends = [
                    steps * batch / examples_per_second(config, machine, ids) / 3600 for ids in (256, 1024)
                ]
                hours.append(f"{ends[0]:.1f} to {ends[1]:.1f} h")
        print_row(schedule, f"{steps * batch / 1e6:.0f}", *hours)


def print_input() -> None:
    print_header(
        "", "ids", "examples/s", "samples, MB/s", "log-mel, MB/s", *(f"{how}, cores" for how in HOST_SECONDS)
    )
    for machine in MACHINES:
        for tokens in (256, 1024):
            rate = examples_per_second(SMALL, machine, tokens)
            samples, mel = (rate * FLOAT * FRAMES * size / 1e6 for size in (128, 512))
            cores = [f"{rate * seconds:.0f}" for seconds in HOST_SECONDS.values()]
            print_row(
                f"{machine.name}, small", tokens, f"{rate:,.0f}", f"{samples:,.0f}", f"{mel:,.0f}", *cores
            )


def _as_run(config: TransformerConfig, attention: str) -> TransformerConfig:
    return dataclasses.replace(config, dtype="bfloat16", attention=attention)


if __name__ == "__main__":
    main()
