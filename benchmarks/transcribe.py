"""Times transcription: real time factor, CPU seconds, decoder steps, cold start, memory; with a roofline.

    python benchmarks/transcribe.py [--models default,small] [--searches greedy,beam] [--dtypes float32]
                                    [--seconds 60] [--batches 1,8,32,128] [--batch-size N] [--repeats 3]
                                    [--cold-starts 3] [--hour] [--mt3 PATH [--t5x PYTHON] [--mt3-segments 8]]
                                    [--json FILE]

On music drawn and rendered here (decoding_work.py): by the model inside the package ("default"), a frame
recogniser, and by networks of MT3's sizes with weights by a rule, whose segments end where reference ids end:
150 ids a segment in the mean. `--seconds 600` gives ten minutes; on a GPU `--dtypes float32,bfloat16,int8`.

    transcription   recordings as `Transcriber.transcribe` takes them, front end to notes, compiled before;
                    steps are those of all groups, added up, row steps these times the slots of the group
    decoder steps   the engine's own `advance`, at several numbers of slots, all taken: greedy search, the
                    shortest cache; without encoder, and without filling slots
    cold start      a fresh process, ten seconds of audio, default batch size and dtype: first ones compile
                    all, later ones find what the first has compiled; `--hour` also a first one for an hour
    original        with `--mt3`: MT3's network and T5X's search, in a Python that can import t5x, from public
                    sources; without its front end and notes, and the same ids or not

Times are medians of `--repeats` after one that is not counted. FLOPs are those of step_costs.py, forward
only, at the steps that each segment's own rule needs; bytes those that a step must read: weights once for all
slots, keys and values of each row up to its position. Peaks are one device's, measured here; what fits a
processor's caches may exceed that of bytes.
"""

import argparse
import dataclasses
import json
import os
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jax
import numpy as np
from cold_start import measure
from decoding_work import (
    SAMPLE_RATE,
    Model,
    cache_bytes,
    decoder_flops,
    draw_music,
    encoder_flops,
    make_model,
    make_steps,
    render,
    rule_filled,
    stored_lengths,
    watch,
    weight_bytes,
    write_model,
    write_recording,
)
from training import Peak, Seconds, measure_peak, time_calls

import mt3x
from mt3x.audio.logmel import log_mel
from mt3x.audio.segments import Segments, split_segments
from mt3x.model.config import PRESETS as NETWORKS
from mt3x.transcription.segment import Segment
from mt3x.transcription.tokens.config import TranscriptionConfig
from mt3x.transcription.tokens.engine import DTYPES, Engine
from mt3x.transcription.tokens.recogniser import TokenRecogniser
from mt3x.transcription.transcriber import Transcriber

COLD_SECONDS, HOUR_SECONDS = 10.0, 3600.0
ORIGINAL_BATCH_SIZE = 8


def main() -> None:
    arguments = parse_arguments()
    device = jax.devices()[0]
    print(f"{jax.device_count()} x {device.device_kind}, {os.cpu_count()} cores")
    peaks: dict[str, Peak] = {}
    result: dict[str, Any] = {"transcription": [], "steps": [], "cold_start": [], "original": []}
    samples = render(draw_music(arguments.seconds), arguments.seconds)
    for name in arguments.models.split(","):
        if name == "default":
            result["transcription"].append(time_default(samples, arguments))
            result["cold_start"] += start_processes(None, arguments)
            continue
        searches = arguments.searches.split(",")
        for dtype in arguments.dtypes.split(","):
            models = [make_model(name, search, dtype) for search in searches]
            computed = models[0].config.network.dtype
            if computed not in peaks:
                peaks[computed] = measure_peak(computed, device.platform)
                show_peak(computed, peaks[computed])
            for model in models:
                result["transcription"].append(time_transcription(model, samples, arguments, peaks[computed]))
            for batch in (int(size) for size in arguments.batches.split(",") if size):
                result["steps"].append(time_steps(models[-1], batch, arguments.repeats, peaks[computed]))
        result["cold_start"] += start_processes(make_model(name, searches[0], "float32"), arguments)
        if arguments.mt3:
            models = [make_model(name, search, "float32") for search in searches]
            result["original"] += [time_original(model, arguments) for model in models]
    if arguments.json:
        about = {**vars(arguments), "json": None, "device": device.device_kind, "devices": jax.device_count()}
        about |= {
            "cores": os.cpu_count(),
            "peaks": {name: dataclasses.asdict(p) for name, p in peaks.items()},
        }
        arguments.json.write_text(json.dumps({**about, **result}, indent=1) + "\n")


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--models", default="default,small", help=f"of default, {', '.join(NETWORKS)}")
    parser.add_argument("--searches", default="greedy,beam", help="of networks with weights by a rule")
    parser.add_argument("--dtypes", default="float32", help=f"of {', '.join(DTYPES)}")
    parser.add_argument("--seconds", type=float, default=60.0, help="of audio that is transcribed")
    parser.add_argument("--batches", default="1,8,32,128", help="slots, for one step; '' for none")
    parser.add_argument("--batch-size", type=int, help="of the engine; its own by default")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--cold-starts", type=int, default=3, help="processes; 0 for none")
    parser.add_argument("--hour", action="store_true", help="also the memory for an hour of audio")
    parser.add_argument("--mt3", help="folder that holds MT3's `mt3` package")
    parser.add_argument("--t5x", default=sys.executable, metavar="PYTHON", help="one that can import t5x")
    parser.add_argument("--mt3-segments", type=int, default=8, help="that the original decodes")
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    batch_size = original_batch_size(arguments)
    if arguments.mt3 and arguments.mt3_segments % batch_size:
        parser.error(f"--mt3-segments is {arguments.mt3_segments}: give a multiple of {batch_size}")
    return arguments


def original_batch_size(arguments: argparse.Namespace) -> int:
    return min(arguments.mt3_segments, arguments.batch_size or ORIGINAL_BATCH_SIZE)


def show_peak(dtype: str, peak: Peak) -> None:
    print(
        f"  {dtype}: {peak.flops / 1e9:.0f} GFLOP/s in a matrix product, {peak.flops_cpu / 1e9:.0f} a CPU "
        f"second; {peak.bytes / 1e9:.1f} GB/s in memory"
    )


def time_transcription(
    model: Model, samples: np.ndarray, arguments: argparse.Namespace, peak: Peak
) -> dict[str, Any]:
    """A whole recording by `Transcriber.transcribe`."""
    transcriber = make_transcriber(model, arguments)
    recogniser, config = transcriber._recogniser, model.config
    assert isinstance(recogniser, TokenRecogniser)
    engine = recogniser.engine
    num_segments = len(samples) // config.segment_samples + 1
    watched = watch(engine, stored_lengths(num_segments) if model.is_forced else None)

    def work() -> None:
        watched.clear()
        transcriber.transcribe(samples, SAMPLE_RATE)

    seconds, audio_seconds = time_calls(work, arguments.repeats), len(samples) / SAMPLE_RATE
    row = {
        **label(model),
        "batch_size": engine.batch_size,
        "audio_seconds": audio_seconds,
        "times_real_time": audio_seconds / seconds.wall,
        "wall_seconds": seconds.wall,
        "cpu_seconds_per_audio_second": seconds.cpu / audio_seconds,
        **watched.counts(),
        **least_seconds(model, watched.needed, engine.batch_size, peak),
    }
    shares = row["least_seconds"] / seconds.wall, row["least_cpu_seconds"] / seconds.cpu
    row |= {"share_of_roofline": shares[0], "share_by_cpu": shares[1]}
    print(
        f"\n{model.name}, {config.search}, {model.dtype}, batches of {engine.batch_size}: "
        f"{row['times_real_time']:.1f} x real time, "
        f"{row['cpu_seconds_per_audio_second']:.3f} CPU s an audio second ({audio_seconds:g} s of audio)\n"
        f"    {row['ids_per_segment']:.0f} ids a segment; {row['steps']} steps, "
        f"{row['steps_per_id']:.3f} an id; "
        f"each takes {row['row_steps_per_id']:.2f} steps of a row and needs {row['needed_per_id']:.2f}\n"
        f"    roofline: {row['least_seconds']:.2f} s, share reached {shares[0]:.1%}; by FLOPs alone "
        f"{row['least_cpu_seconds'] / audio_seconds:.3f} CPU s an audio second, share {shares[1]:.1%}",
        flush=True,
    )
    return row


def time_default(samples: np.ndarray, arguments: argparse.Namespace) -> dict[str, Any]:
    """A whole recording by the model inside the package."""
    transcriber = mt3x.load(batch_size=arguments.batch_size)
    audio_seconds = len(samples) / SAMPLE_RATE

    def work() -> None:
        transcriber.transcribe(samples, SAMPLE_RATE)

    seconds = time_calls(work, arguments.repeats)
    row = {
        **label(None),
        "batch_size": arguments.batch_size,
        "audio_seconds": audio_seconds,
        "times_real_time": audio_seconds / seconds.wall,
        "wall_seconds": seconds.wall,
        "cpu_seconds_per_audio_second": seconds.cpu / audio_seconds,
    }
    print(
        f"\ndefault, frames: {row['times_real_time']:.1f} x real time, "
        f"{row['cpu_seconds_per_audio_second']:.4f} CPU s an audio second ({audio_seconds:g} s of audio)",
        flush=True,
    )
    return row


def make_transcriber(model: Model, arguments: argparse.Namespace) -> Transcriber:
    return Transcriber(model.config, model.params, model.name, arguments.batch_size, dtype=model.dtype)


def least_seconds(model: Model, needed: list[int], rows: int, peak: Peak) -> dict[str, float]:
    """What encoding and the steps that segments need would take at the peaks, `rows` in each step."""
    config = model.config
    encoder = len(needed) * encoder_flops(config)
    decoder = sum(decoder_flops(config, count) for count in needed)
    moved = sum(needed) / rows * weight_bytes(config, model.dtype)
    moved += sum(count * cache_bytes(config, count / 2) for count in needed)
    return {
        "encoder_gflop": encoder / 1e9,
        "decoder_gflop": decoder / 1e9,
        "decoder_moved_gb": moved / 1e9,
        "least_seconds": encoder / peak.flops + max(decoder / peak.flops, moved / peak.bytes),
        "least_cpu_seconds": (encoder + decoder) / peak.flops_cpu,
    }


def label(model: Model | None) -> dict[str, Any]:
    """Of a row; None for the model inside the package."""
    if model is None:
        return {"model": "default", "search": None, "dtype": "float32"}
    return {"model": model.name, "search": model.config.search, "dtype": model.dtype}


def time_steps(model: Model, batch: int, repeats: int, peak: Peak) -> dict[str, Any]:
    """Of one decoder step, of the first 16 to 64 ids."""
    config, count = model.config, min(64, max(16, 2048 // batch))
    engine = Engine(config, model.params, batch, model.dtype)
    seconds = Seconds(*(total / count for total in time_calls(make_steps(engine, count), repeats)))
    flops = batch * decoder_flops(config, count) / count
    moved = weight_bytes(config, model.dtype) + batch * cache_bytes(config, count / 2)
    by_flops, by_bytes = flops / peak.flops, moved / peak.bytes
    row = {
        **label(model),
        "search": "greedy",
        "batch": batch,
        "step_seconds": seconds.wall,
        "cpu_seconds": seconds.cpu,
        "gflop": flops / 1e9,
        "moved_mb": moved / 1e6,
        "flops_seconds": by_flops,
        "bytes_seconds": by_bytes,
        "share_of_roofline": max(by_flops, by_bytes) / seconds.wall,
    }
    print(
        f"    step at batch {batch}: {1e3 * seconds.wall:.2f} ms, {1e3 * seconds.cpu:.2f} CPU ms; "
        f"{row['moved_mb']:.0f} MB {1e3 * by_bytes:.2f} ms, "
        f"{row['gflop']:.2f} GFLOP {1e3 * by_flops:.2f} ms, share reached {row['share_of_roofline']:.1%}",
        flush=True,
    )
    return row


def start_processes(model: Model | None, arguments: argparse.Namespace) -> list[dict[str, Any]]:
    """Fresh processes: ten seconds of audio several times, first and later ones; an hour once.

    model: None for the one inside the package.
    """
    rows = []
    with tempfile.TemporaryDirectory() as place:
        folder, recording = Path(place) / "model", Path(place) / "recording.wav"
        if model is not None:
            write_model(folder, model.config, rule_filled(model.config))
            program = str(Path(__file__).with_name("decoding_work.py"))
            command = [sys.executable, program, str(recording), str(folder)]
        else:
            command = [sys.executable, "-m", "mt3x", "transcribe", str(recording), "--overwrite"]
        for seconds, processes, is_first in (
            (COLD_SECONDS, arguments.cold_starts, True),
            (COLD_SECONDS, arguments.cold_starts, False),
            (HOUR_SECONDS, int(arguments.hour), True),
        ):
            if processes:
                write_recording(recording, seconds)
                numbers = [number if is_first else 0 for number in range(processes)]
                runs = [measure(command, Path(place) / f"{seconds:g}-{number}") for number in numbers]
                wall, cpu, megabytes = (statistics.median(column) for column in zip(*runs, strict=True))
                rows.append(
                    {
                        **label(model),
                        "dtype": "default",
                        "is_first": is_first,
                        "audio_seconds": seconds,
                        "wall_seconds": wall,
                        "cpu_seconds": cpu,
                        "peak_megabytes": megabytes,
                    }
                )
                print(
                    f"    {'first' if is_first else 'later'} fresh process, {seconds:g} s of audio: "
                    f"{wall:.2f} s, {cpu:.2f} CPU s, {megabytes:.0f} MB at most",
                    flush=True,
                )
    return rows


def time_original(model: Model, arguments: argparse.Namespace) -> dict[str, Any]:
    """MT3 on the first segments, in batches, and the engine on the same, all at once."""
    config, count = model.config, arguments.mt3_segments
    audio_seconds = count * config.segment_seconds
    samples = render(draw_music(audio_seconds), audio_seconds)
    segments = split_segments(samples, config.segment_frames, config.spectrogram.hop_width)
    # A whole number of segments gains one more, of a single frame.
    segments = Segments(segments.samples[:count], segments.num_frames[:count], segments.first_frames[:count])
    theirs = run_original(config, segments, arguments)

    recogniser = make_transcriber(model, arguments)._recogniser
    assert isinstance(recogniser, TokenRecogniser)
    engine = recogniser.engine
    watched = watch(engine, stored_lengths(count))
    listed = [
        Segment(*columns)
        for columns in zip(
            segments.samples, segments.num_frames.tolist(), segments.first_frames.tolist(), strict=True
        )
    ]
    ours: list[np.ndarray] = []

    def decode() -> None:
        watched.clear()
        ours[:] = [ids for _, ids in engine.decode(listed)]

    seconds = time_calls(decode, arguments.repeats)
    differing = sum(
        not np.array_equal(mine, row[: np.flatnonzero(row == 1)[0]])
        for mine, row in zip(ours, theirs.pop("ids"), strict=True)
    )
    row = {
        **label(model),
        "audio_seconds": audio_seconds,
        "segments_with_other_ids": differing,
        "cpu_seconds_per_audio_second": seconds.cpu / audio_seconds,
        "wall_seconds": seconds.wall,
        **watched.counts(),
        "original": {**theirs, "cpu_seconds_per_audio_second": theirs["cpu"] / audio_seconds},
    }
    print(
        f"    original, {config.search}, {count} segments: {theirs['steps']} steps, {theirs['wall']:.2f} s, "
        f"{theirs['cpu'] / audio_seconds:.3f} CPU s an audio second, {theirs['compile']:.1f} s to compile;\n"
        f"        this engine {row['steps']} steps, {seconds.wall:.2f} s, "
        f"{seconds.cpu / audio_seconds:.3f} CPU s an audio second; ids differ in {differing} segments",
        flush=True,
    )
    return row


def run_original(
    config: TranscriptionConfig, segments: Segments, arguments: argparse.Namespace
) -> dict[str, Any]:
    """What mt3_decoding.py prints, and `ids` int32 [S, T]."""
    front_end: Callable[..., jax.Array] = jax.jit(log_mel, static_argnums=2)
    frames = front_end(segments.samples, segments.num_frames, config.spectrogram)
    with tempfile.TemporaryDirectory() as folder:
        np.savez(Path(folder) / "weights.npz", **rule_filled(config))  # pyright: ignore[reportArgumentType]
        np.savez(
            Path(folder) / "segments.npz",
            frames=np.asarray(frames),
            lengths=stored_lengths(len(segments)),
            batch=original_batch_size(arguments),
            max_length=config.max_target_length,
        )
        network = json.dumps(dataclasses.asdict(config.network))
        command = [arguments.t5x, str(Path(__file__).with_name("mt3_decoding.py")), folder, network]
        command += [config.search, str(arguments.repeats), arguments.mt3]
        done = subprocess.run(command, capture_output=True, text=True)  # T5X warns a lot
        if done.returncode:
            sys.exit(f"MT3's decoding failed: {done.stderr[-2000:]}")
        return {**json.loads(done.stdout.splitlines()[-1]), "ids": np.load(Path(folder) / "ids.npz")["ids"]}


if __name__ == "__main__":
    main()
