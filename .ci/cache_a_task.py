"""Caches a miniature task with seqio's own command, and checks that its examples equal those without cache.

For an environment in which `mt3x[train,beam]` is installed. Prints one line, or what went wrong.
"""

import os
import subprocess
import sys
import tempfile
from pathlib import Path

TASK = "midi_folder_notes_ties_vb1_train_in_step"
TAKES = {"train/long": 17.0, "train/short": 1.0, "train/solo": 2.0, "validation/last": 1.5}
"""Seconds of each pair; the long one is cached as two segments."""
SEGMENTS = {"train": 4, "eval": 1}


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        os.chdir(folder)
        os.environ.update(MT3X_DATA_DIR="records", JAX_PLATFORMS="cpu", TF_CPP_MIN_LOG_LEVEL="2")
        make_takes(Path("takes"))
        run("mt3x", "prepare", "midi_folder", "--source=takes", "--output=records/midi_folder")
        run(
            "seqio_cache_tasks",
            "--module_import=mt3x.tasks.registered",
            f"--tasks={TASK}",
            "--output_cache_dir=cache",
            "--min_shards=1",
            "--pipeline_options=--runner=DirectRunner",
        )
        for split, count in SEGMENTS.items():
            cached, uncached = (read(split, use_cached) for use_cached in (True, False))
            assert len(cached) == count, f"{split}: {len(cached)} segments are cached, not {count}"
            assert cached == uncached, f"{split}: cached examples differ from uncached ones"
        print(f"{TASK}: cached by seqio, {sum(SEGMENTS.values())} examples as without cache")


def make_takes(folder: Path) -> None:
    """Pairs of noise and a scale, as `mt3x prepare midi_folder` reads them."""
    import numpy as np
    import soundfile

    from mt3x.music.midi_writing import write_midi
    from mt3x.music.notes import make_notes

    random = np.random.default_rng(0)
    for name, seconds in TAKES.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        soundfile.write(folder / f"{name}.wav", random.uniform(-0.5, 0.5, int(seconds * 16_000)), 16_000)
        start = np.arange(0.1, seconds - 0.3, 0.25)
        write_midi(make_notes(start, start + 0.2, 48 + np.arange(len(start)) % 24), folder / f"{name}.mid")


def run(command: str, *arguments: str) -> None:
    """Runs a command of this environment; shows what it printed if it fails."""
    program = Path(sys.executable).with_name(command)
    done = subprocess.run([program, *arguments], capture_output=True, text=True)
    if done.returncode:
        sys.exit(f"{done.stdout}{done.stderr}\n{command} failed with exit code {done.returncode}")


def read(split: str, use_cached: bool) -> list[tuple[int, bytes, bytes]]:
    """All examples of a split, sorted; without sequence lengths nothing is cut at random."""
    import seqio
    from mt3x.tasks import registered  # noqa: F401  (registers)

    seqio.set_global_cache_dirs(["cache"])
    task = seqio.get_mixture_or_task(TASK)
    dataset = task.get_dataset(None, split, use_cached=use_cached, shuffle=False)
    return sorted(
        (int(ex["num_frames"]), ex["samples"].tobytes(), ex["targets"].tobytes())
        for ex in dataset.as_numpy_iterator()
    )


main()
