"""How long `mt3x transcribe` takes in a fresh process, from the command to the written MIDI file.

Prints medians over several processes of wall-clock and CPU seconds (user and system) and the peak memory, for
a recording of ten seconds, and the time that `import mt3x` takes. A first start finds an empty folder for
compiled programs, a later one what the first has left there.

    python benchmarks/cold_start.py [--model FOLDER] [--runs 5] [--seconds 10]

Without --model it is the model inside the package; `--model random` stands for random weights of width 192
with 4 encoder and 3 decoder layers, which write until the longest length: an upper limit for that size.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
import soundfile

SAMPLE_RATE = 16000

LAUNCHER = """
import json, os, subprocess, sys, time
started = time.perf_counter()
process = subprocess.Popen(sys.argv[1:], stdout=subprocess.DEVNULL)
_, status, usage = os.wait4(process.pid, 0)
seconds = time.perf_counter() - started
print(json.dumps([status, seconds, usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1024]))
"""
"""Runs a command. What its parent holds when it starts counts as its peak in Linux: here 10 MB."""


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--model", default="default", help="a checkpoint folder, or `random`")
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=10.0, help="of audio")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        recording = Path(folder) / "recording.wav"
        soundfile.write(recording, chords(args.seconds), SAMPLE_RATE)
        model = write_random_model(Path(folder) / "model") if args.model == "random" else args.model
        command = [
            sys.executable,
            "-m",
            "mt3x",
            "transcribe",
            str(recording),
            "--overwrite",
            "--model",
            model,
        ]
        caches = [Path(folder) / f"cache{number}" for number in range(args.runs)]
        runs = {"first": [measure(command, cache) for cache in caches]}
        runs["later"] = [measure(command, caches[0]) for _ in range(args.runs)]
        imports = [import_seconds() for _ in range(args.runs)]
    print(f"{args.seconds:g} s of audio, {args.runs} processes, {os.cpu_count()} cores:")
    for name, measured in runs.items():
        wall, cpu, memory = (statistics.median(column) for column in zip(*measured, strict=True))
        fastest = min(run[0] for run in measured)
        print(f"  {name} start: {wall:.2f} s (fastest {fastest:.2f}), CPU {cpu:.2f} s, {memory:.0f} MB")
    print(f"  import mt3x {1000 * statistics.median(imports):.1f} ms")


def chords(seconds: float) -> np.ndarray:
    """A plucked triad every half second: float64 [N]."""
    times = np.arange(int(seconds * SAMPLE_RATE)) / SAMPLE_RATE
    decay = np.exp(-4 * (times % 0.5))
    roots = 220 * 2 ** (np.array([0, 5, 7, 3, 10])[(times // 0.5).astype(int) % 5] / 12)
    return 0.2 * decay * sum(np.sin(2 * np.pi * roots * ratio * times) for ratio in (1.0, 1.25, 1.5))


def write_random_model(folder: Path) -> str:
    """A checkpoint of the size of a compact model."""
    from mt3x.audio.logmel import SpectrogramConfig
    from mt3x.checkpoints import CONFIG_FILE, unflatten, write_t5x
    from mt3x.model.config import TransformerConfig
    from mt3x.transcription.tokens.config import TranscriptionConfig
    from mt3x.transcription.tokens.parameters import parameter_shapes

    config = TranscriptionConfig(
        spectrogram=SpectrogramConfig(hop_width=256, log_floor=1e-5, input_offset=3.0, input_scale=1 / 3),
        network=TransformerConfig(
            emb_dim=192, num_heads=3, mlp_dim=512, num_encoder_layers=4, num_decoder_layers=3
        ),
        segment_frames=128,
        max_target_length=256,
    )
    random = np.random.default_rng(0)
    arrays = {
        name: (random.standard_normal(shape) / shape[0] ** 0.5).astype(np.float32)
        for name, shape in parameter_shapes(config.network).items()
    }
    write_t5x(folder, unflatten(arrays), step=0, inline=True)
    (folder / CONFIG_FILE).write_text(config.to_json())
    return str(folder)


def measure(command: list[str], cache: Path) -> tuple[float, float, float]:
    """Wall-clock seconds, CPU seconds and peak megabytes of one process, which keeps things in `cache`."""
    environment = {key: value for key, value in os.environ.items() if key != "JAX_COMPILATION_CACHE_DIR"}
    environment["XDG_CACHE_HOME"] = str(cache)
    launcher = [sys.executable, "-S", "-c", LAUNCHER, *command]
    launched = subprocess.run(launcher, env=environment, stdout=subprocess.PIPE, check=True)
    status, *measured = json.loads(launched.stdout)
    if status:
        sys.exit(f"the command failed with status {os.waitstatus_to_exitcode(status)}: {' '.join(command)}")
    seconds, cpu_seconds, megabytes = measured
    return seconds, cpu_seconds, megabytes


def import_seconds() -> float:
    """Seconds that `import mt3x` takes in a fresh process."""
    code = "import time; started = time.perf_counter(); import mt3x; print(time.perf_counter() - started)"
    return float(
        subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    )


if __name__ == "__main__":
    main()
