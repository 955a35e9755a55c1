"""Times transcription: real time factor, CPU seconds, decoder steps, cold start, memory; with a roofline.

    python benchmarks/transcribe.py [--models default,small] [--searches greedy,beam] [--dtypes float32]
                                    [--seconds 60] [--batches 1,8,32,128] [--batch-size 8] [--repeats 3]
                                    [--cold-starts 3] [--hour] [--mt3 PATH [--t5x PYTHON] [--mt3-segments 8]]
                                    [--json FILE]

On music drawn and rendered here (decoding_work.py): by the model inside the package with its own search, and
by networks of MT3's sizes with weights by a rule, whose segments end where reference ids end: 150 ids a
segment in the mean. `--seconds 600` gives ten minutes; on a GPU `--dtypes float32,bfloat16 --batch-size 128`.

    transcription   recordings as `Transcriber.transcribe` takes them, front end to notes, all compiled before
    decoder steps   one step of greedy search at several batches, at ids 8 to 72 or fewer, without encoder
    cold start      a fresh process, no compilation cache, ten seconds of audio; `--hour` also an hour of it
    original        with `--mt3`: MT3's network and T5X's search, in a Python that can import t5x, from public
                    sources; without its front end and notes, and the same ids or not

Times are medians of `--repeats` after one that is not counted. FLOPs are those of step_costs.py, forward
only, at the steps that each segment's own rule needs; bytes those that a step must read: weights once, keys
and values of each row. Peaks are measured here; what fits a processor's caches may exceed that of bytes.
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
    Run,
    Watch,
    cache_bytes,
    decoder_flops,
    draw_music,
    encoder_flops,
    render,
    rule_filled,
    stored_lengths,
    watch,
    weight_bytes,
    write_model,
    write_recording,
)
from training import Peak, Seconds, measure_peak, time_calls

from mt3x.audio.logmel import log_mel
from mt3x.audio.segments import Segments, split_segments
from mt3x.model.config import DTYPES
from mt3x.model.config import PRESETS as NETWORKS
from mt3x.model.policies import Greedy
from mt3x.model.search import search
from mt3x.model.transformer import Transformer
from mt3x.runtime.checkpoints import unflatten
from mt3x.runtime.engine import Segment
from mt3x.runtime.models import resolve_model
from mt3x.runtime.presets import PRESETS, TranscriptionConfig
from mt3x.runtime.transcriber import Transcriber

COLD_SECONDS, HOUR_SECONDS = 10.0, 3600.0
FIRST_ID = 8

Model = tuple[str, TranscriptionConfig, dict[str, Any], bool]
"""Name, settings, parameters, and whether its ends are forced."""


def main() -> None:
    arguments = parse_arguments()
    names, dtypes = arguments.models.split(","), arguments.dtypes.split(",")
    device = jax.devices()[0]
    peaks = {dtype: measure_peak(dtype, device.platform) for dtype in dtypes}
    print(f"{jax.device_count()} x {device.device_kind}, {os.cpu_count()} cores")
    for dtype, peak in peaks.items():
        print(
            f"  {dtype}: {peak.flops / 1e9:.0f} GFLOP/s in a matrix product, "
            f"{peak.flops_cpu / 1e9:.0f} a CPU second; {peak.bytes / 1e9:.1f} GB/s in memory"
        )
    result: dict[str, Any] = {"transcription": [], "steps": [], "cold_start": [], "original": []}
    samples = render(draw_music(arguments.seconds), arguments.seconds)
    for name in names:
        for dtype in dtypes:
            models = [make_model(name, search_name, dtype) for search_name in searches(name, arguments)]
            for model in models:
                row = time_transcription(model, samples, arguments, peaks[dtype])
                result["transcription"].append(row)
            for batch in (int(size) for size in arguments.batches.split(",") if size):
                result["steps"].append(time_steps(models[0], batch, arguments.repeats, peaks[dtype]))
        models = [make_model(name, search_name, dtypes[0]) for search_name in searches(name, arguments)]
        result["cold_start"] += start_processes(models[0], arguments)
        if arguments.mt3 and name != "default":
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
    parser.add_argument("--batches", default="1,8,32,128", help="for one step; '' for none")
    parser.add_argument("--batch-size", type=int, default=8, help="of the engine")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--cold-starts", type=int, default=3, help="processes; 0 for none")
    parser.add_argument("--hour", action="store_true", help="also the memory for an hour of audio")
    parser.add_argument("--mt3", help="folder that holds MT3's `mt3` package")
    parser.add_argument("--t5x", default=sys.executable, metavar="PYTHON", help="one that can import t5x")
    parser.add_argument("--mt3-segments", type=int, default=8, help="that the original decodes")
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    if arguments.mt3_segments % min(arguments.mt3_segments, arguments.batch_size):
        parser.error(f"--mt3-segments is {arguments.mt3_segments}: give a multiple of --batch-size")
    return arguments


def searches(name: str, arguments: argparse.Namespace) -> list[str]:
    return ["own"] if name == "default" else arguments.searches.split(",")


def make_model(name: str, search_name: str, dtype: str) -> Model:
    if name == "default":
        config, params, _ = resolve_model()
    else:
        config = dataclasses.replace(PRESETS["mt3"], network=NETWORKS[name], search=search_name)
        params = unflatten(rule_filled(config))
    network = dataclasses.replace(config.network, dtype=dtype)
    return name, dataclasses.replace(config, network=network), params, name != "default"


def time_transcription(
    model: Model, samples: np.ndarray, arguments: argparse.Namespace, peak: Peak
) -> dict[str, Any]:
    """A whole recording by `Transcriber.transcribe`."""
    name, config, params, is_forced = model
    transcriber = Transcriber(config, params, name, arguments.batch_size)
    num_segments = len(samples) // config.segment_samples + 1
    observer = watch(transcriber, stored_lengths(num_segments) if is_forced else None)

    def work() -> None:
        observer.clear()
        transcriber.transcribe(samples, SAMPLE_RATE)
        jax.effects_barrier()

    seconds, audio_seconds = time_calls(work, arguments.repeats), len(samples) / SAMPLE_RATE
    row = {
        **label(config, name),
        "batch_size": arguments.batch_size,
        "audio_seconds": audio_seconds,
        "times_real_time": audio_seconds / seconds.wall,
        "wall_seconds": seconds.wall,
        "cpu_seconds_per_audio_second": seconds.cpu / audio_seconds,
        **count_steps(observer.runs, observer.num_ids),
        **least_seconds(config, observer.runs, arguments.batch_size, peak),
    }
    shares = row["least_seconds"] / seconds.wall, row["least_cpu_seconds"] / seconds.cpu
    row |= {"share_of_roofline": shares[0], "share_by_cpu": shares[1]}
    print(
        f"\n{name}, {config.search}, {config.network.dtype}, batches of {arguments.batch_size}: "
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


def count_steps(runs: list[Run], num_ids: int) -> dict[str, float]:
    """Of all searches: steps, and by id what rows took part in and what their own rule asked for."""
    segments, steps = sum(len(run.needed) for run in runs), sum(run.num_steps for run in runs)
    return {
        "segments": segments,
        "ids_per_segment": num_ids / segments,
        "steps": steps,
        "steps_per_id": steps / num_ids,
        "row_steps_per_id": sum(run.num_rows * run.num_steps for run in runs) / num_ids,
        "needed_per_id": sum(int(run.needed.sum()) for run in runs) / num_ids,
    }


def least_seconds(config: TranscriptionConfig, runs: list[Run], rows: int, peak: Peak) -> dict[str, float]:
    """What encoding and the steps that segments need would take at the peaks, `rows` in each step."""
    needed = [int(count) for run in runs for count in run.needed]
    encoder = len(needed) * encoder_flops(config)
    decoder = sum(decoder_flops(config, count) for count in needed)
    moved = sum(needed) / rows * weight_bytes(config)
    moved += sum(count * cache_bytes(config, count / 2) for count in needed)
    return {
        "encoder_gflop": encoder / 1e9,
        "decoder_gflop": decoder / 1e9,
        "decoder_moved_gb": moved / 1e9,
        "least_seconds": encoder / peak.flops + max(decoder / peak.flops, moved / peak.bytes),
        "least_cpu_seconds": (encoder + decoder) / peak.flops_cpu,
    }


def label(config: TranscriptionConfig, name: str) -> dict[str, Any]:
    return {"model": name, "search": config.search, "dtype": config.network.dtype}


def time_steps(model: Model, batch: int, repeats: int, peak: Peak) -> dict[str, Any]:
    """Of one decoder step: the difference between a longer and a shorter search on random memory."""
    name, config, params, _ = model
    network = config.network
    count = min(64, max(16, 2048 // batch))
    policy = Watch(Greedy())
    encoded = jax.random.normal(
        jax.random.key(0), (batch, config.segment_frames, network.emb_dim), network.dtype
    )
    params, transformer = jax.device_put(params), Transformer(network)

    def search_until(last: int) -> Seconds:
        policy.lengths = np.full(batch, last)

        def work() -> None:
            found = search(transformer, params, encoded, policy, config.max_target_length)
            jax.block_until_ready(found.ids)

        return time_calls(work, repeats)

    short, long = search_until(FIRST_ID), search_until(FIRST_ID + count)
    seconds = Seconds(*((b - a) / count for a, b in zip(short, long, strict=True)))
    until = FIRST_ID + count
    flops = batch * (decoder_flops(config, until) - decoder_flops(config, FIRST_ID)) / count
    moved = weight_bytes(config) + batch * cache_bytes(config, FIRST_ID + count / 2)
    by_flops, by_bytes = flops / peak.flops, moved / peak.bytes
    row = {
        **{key: value for key, value in label(config, name).items() if key != "search"},
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


def start_processes(model: Model, arguments: argparse.Namespace) -> list[dict[str, Any]]:
    """Fresh processes: ten seconds of audio several times, an hour once."""
    name, config, _, is_forced = model
    rows = []
    with tempfile.TemporaryDirectory() as place:
        folder, recording = Path(place) / "model", Path(place) / "recording.wav"
        if is_forced:
            write_model(folder, config, rule_filled(config))
        program = str(Path(__file__).with_name("decoding_work.py"))
        command = [sys.executable, program, str(recording), str(folder)]
        if not is_forced:
            command = [sys.executable, "-m", "mt3x", "transcribe", str(recording), "--overwrite"]
        for seconds, processes in (
            (COLD_SECONDS, arguments.cold_starts),
            (HOUR_SECONDS, int(arguments.hour)),
        ):
            if processes:
                write_recording(recording, seconds)
                runs = [measure(command) for _ in range(processes)]
                wall, cpu, megabytes = (statistics.median(column) for column in zip(*runs, strict=True))
                rows.append(
                    {
                        **label(config, name),
                        "audio_seconds": seconds,
                        "wall_seconds": wall,
                        "cpu_seconds": cpu,
                        "peak_megabytes": megabytes,
                    }
                )
                print(
                    f"    fresh process, {seconds:g} s of audio: {wall:.2f} s, {cpu:.2f} CPU s, "
                    f"{megabytes:.0f} MB at most",
                    flush=True,
                )
    return rows


def time_original(model: Model, arguments: argparse.Namespace) -> dict[str, Any]:
    """MT3 on the first segments, in batches of the engine's size, and the engine on the same."""
    name, config, params, _ = model
    count = arguments.mt3_segments
    audio_seconds = count * config.segment_seconds
    samples = render(draw_music(audio_seconds), audio_seconds)
    segments = split_segments(samples, config.segment_frames, config.spectrogram.hop_width)
    # A whole number of segments gains one more, of a single frame.
    segments = Segments(segments.samples[:count], segments.num_frames[:count], segments.first_frames[:count])
    theirs = run_original(config, segments, arguments)

    transcriber = Transcriber(config, params, name, arguments.batch_size)
    observer = watch(transcriber, stored_lengths(count))
    listed = [
        Segment(*columns)
        for columns in zip(
            segments.samples, segments.num_frames.tolist(), segments.first_frames.tolist(), strict=True
        )
    ]
    ours: list[np.ndarray] = []

    def decode() -> None:
        observer.clear()
        ours[:] = [ids for _, ids in transcriber._engine.decode(listed)]
        jax.effects_barrier()

    seconds = time_calls(decode, arguments.repeats)
    differing = sum(
        not np.array_equal(mine, row[: np.flatnonzero(row == 1)[0]])
        for mine, row in zip(ours, theirs.pop("ids"), strict=True)
    )
    row = {
        **label(config, name),
        "audio_seconds": audio_seconds,
        "segments_with_other_ids": differing,
        "cpu_seconds_per_audio_second": seconds.cpu / audio_seconds,
        "wall_seconds": seconds.wall,
        "steps": sum(run.num_steps for run in observer.runs),
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
            batch=min(arguments.batch_size, len(segments)),
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
