"""This project beside basic-pitch and, on a piano, transkun: the same recordings, in one run, scored alike.

    python benchmarks/peers.py --scores openscore.npz --work FOLDER [--real FOLDER] [--clips FOLDER]
                               [--pieces N] [--json FILE] [--peers mt3x,basic-pitch,transkun]
                               [--model FOLDER] [--minutes N]

Each peer gets its own virtual environment below the work folder, made at the first run with pip as it is
configured here, and one process for each set: recordings in, MIDI files out (`peer_runner.py`). Everything is
scored by `mt3x.metrics`; `accuracy.py` says how, and what the sets, columns and rows are. basic-pitch and
transkun name no instrument: their notes are a piano's, so that columns that look at instruments mean
something of a piano only. A peer that can't be installed, fails or takes too long is a row that says so; in
the second table, of `--clips` and first notes, it has dashes, and the error stream says why.

`--torch` is what transkun's environment gets as torch. Where the package index has builds for the CPU alone,
ask for one ("torch==2.13.0+cpu"): others bring gigabytes of libraries for GPUs.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import venv
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

from accuracy import (
    COLUMNS,
    Clip,
    add_set_options,
    cells,
    markdown,
    prepare_clips,
    print_clip_table,
    print_head,
    real_first_notes,
    score,
)
from clips import ClipScores, LabelledClip, clips_entry, read_clips, score_clip, table_rows

from mt3x.metrics.report import Decoding
from mt3x.metrics.summary import summarize
from mt3x.music.midi import read_midi

RUNNER = Path(__file__).with_name("peer_runner.py")
INSTALLED = "installed"

AnyClip = TypeVar("AnyClip", Clip, LabelledClip)


class Peer(NamedTuple):
    """A program to compare with.

    Attributes:
      installs: arguments of one `pip install` after another; none for this project itself.
      sets: beginnings of the names of the sets that it is for; "" is all.
    """

    installs: tuple[tuple[str, ...], ...] = ()
    sets: tuple[str, ...] = ("",)


def make_peers(torch: str) -> dict[str, Peer]:
    """The peers by name."""
    return {
        "mt3x": Peer(),
        # With its dependencies pip would install TensorFlow 2.15, which is not needed for ONNX.
        "basic-pitch": Peer(
            (
                ("--no-deps", "basic-pitch==0.4.0"),
                ("onnxruntime", "numpy<2", "librosa>=0.10,<0.11", "resampy<0.4.3", "setuptools<80"),
                ("pretty_midi", "mir_eval", "scikit-learn", "soundfile", "typing_extensions"),
            )
        ),
        # torchaudio has no build that goes with each torch; the runner has the one function that is needed.
        "transkun": Peer(
            (
                ("--no-deps", "transkun==2.0.1"),
                (torch, "numpy", "scipy", "setuptools<80"),
                ("moduleconf", "ncls", "pretty_midi", "mir_eval", "soxr", "soundfile", "tqdm"),
            ),
            sets=("piano", "real"),
        ),
    }


class PeerError(Exception):
    """A peer gives no scores; the message is its row."""


def install(name: str, peer: Peer, work: Path) -> Path:
    """The Python to run the peer with; its environment is made where it isn't there.

    Raises:
      PeerError: pip failed.
    """
    if not peer.installs:
        return Path(sys.executable)
    folder = work / "environments" / name
    python = folder / ("Scripts" if os.name == "nt" else "bin") / "python"
    recipe = json.dumps(peer.installs)
    mark = folder / INSTALLED
    if mark.exists() and mark.read_text() == recipe:
        return python
    print(f"installing {name}", file=sys.stderr)
    venv.create(folder, with_pip=True, clear=True)
    for words in peer.installs:
        done = subprocess.run(
            [python, "-m", "pip", "install", "--quiet", *words], capture_output=True, text=True
        )
        if done.returncode:
            raise PeerError(f"can't be installed: {_last_line(done.stderr)}")
    mark.write_text(recipe)
    return python


def transcribe(
    python: Path, peer: str, recordings: Sequence[Path], folder: Path, minutes: float
) -> dict[str, Any]:
    """Writes folder/NAME.mid for each recording; returns the timing.

    Raises:
      PeerError: it failed, or took longer than `minutes`.
    """
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as temporary:
        told = Path(temporary) / "timing.json"
        try:
            done = subprocess.run(
                [python, RUNNER, peer, folder, told, *recordings],
                capture_output=True,
                text=True,
                timeout=60 * minutes,
            )
        except subprocess.TimeoutExpired as error:
            raise PeerError(f"took longer than {minutes:g} minutes") from error
        if done.returncode:
            raise PeerError(f"failed: {_last_line(done.stderr)}")
        return json.loads(told.read_text(encoding="utf-8"))


def run_peer(
    python: Path, peer: str, clips: Sequence[Clip], folder: Path, minutes: float
) -> tuple[dict[str, Any], dict[str, Any]]:
    """Transcribes and scores a set; returns (timing, reports by name).

    Raises:
      PeerError: it failed, or took longer than `minutes`.
    """
    timing = transcribe(python, peer, [clip.audio for clip in clips], folder, minutes)
    reports = {}
    for clip in clips:
        result = timing["results"][clip.name]
        estimate = read_midi(folder / f"{clip.name}.mid")
        reports[clip.name] = score(clip.notes, estimate, Decoding(*result) if result else None)
    return timing, reports


def run_peer_on_labelled(
    python: Path, peer: str, clips: Sequence[LabelledClip], folder: Path, minutes: float
) -> tuple[dict[str, Any], dict[str, ClipScores]]:
    """Transcribes and scores labelled clips; returns (timing, scores by name).

    Raises:
      PeerError: it failed, or took longer than `minutes`.
    """
    timing = transcribe(python, peer, [clip.audio for clip in clips], folder, minutes)
    return timing, {clip.name: score_clip(clip, read_midi(folder / f"{clip.name}.mid")) for clip in clips}


def _last_line(text: str) -> str:
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return lines[-1].replace("|", "/")[:200] if lines else "it says nothing"


def make_parser() -> argparse.ArgumentParser:
    """The options of this program."""
    parser = argparse.ArgumentParser(description="Compares with other transcribers on the same recordings.")
    add_set_options(parser, pieces=0)
    parser.add_argument(
        "--work", type=Path, required=True, help="folder for sets and environments; it is kept"
    )
    parser.add_argument(
        "--peers", default=",".join(make_peers("")), help="which, with commas between; all without"
    )
    parser.add_argument(
        "--model", default="", help="folder of a checkpoint of ours; the default model without"
    )
    parser.add_argument("--minutes", type=float, default=60, help="longest time for a set (60)")
    parser.add_argument("--torch", default="torch", help="requirement of transkun's environment (torch)")
    return parser


def compare_set(
    set_name: str, clips: Sequence[Clip], pythons: Mapping[str, Path | PeerError], args: argparse.Namespace
) -> dict[str, Any]:
    """What the peers make of a set, by peer; prints a row for each."""
    entries: dict[str, Any] = {}
    for name, python in pythons.items():
        try:
            timing, reports = run_peer(*_run_arguments(set_name, name, python, clips, args))
        except PeerError as error:
            entries[name] = {"error": str(error)}
            print(markdown([set_name, name, "0", str(error), *[""] * (len(COLUMNS) + 1)]), flush=True)
            continue
        summary = summarize(list(reports.values()))
        seconds = timing["audio_seconds"]
        entries[name] = {"summary": summary, "pieces": reports, "timing": timing}
        speed = [f"{timing['cpu_seconds'] / seconds:.4f}", f"{seconds / timing['wall_seconds']:.1f}"]
        print(markdown([set_name, name, str(len(clips)), *cells(summary), *speed]), flush=True)
    return entries


def compare_labelled(
    clips: Sequence[LabelledClip],
    pythons: Mapping[str, Path | PeerError],
    real: Mapping[str, Any],
    args: argparse.Namespace,
) -> dict[str, Any]:
    """What the peers make of labelled clips, by peer; prints the second table.

    Args:
      real: what `compare_set` gave of the recordings of `--real`; empty without them.
    """
    entries: dict[str, Any] = {}
    columns: dict[str, dict[str, tuple[int, str]]] = {}
    for name, python in pythons.items():
        scores: dict[str, ClipScores] = {}
        if clips:
            try:
                timing, scores = run_peer_on_labelled(*_run_arguments("clips", name, python, clips, args))
                entries[name] = {**clips_entry(scores), "timing": timing}
            except PeerError as error:
                entries[name] = {"error": str(error)}
                print(f"clips, {name}: {error}", file=sys.stderr)
        columns[name] = table_rows(list(scores.values()), real_first_notes(real.get(name)))
    print_clip_table(columns)
    return entries


def _run_arguments(
    set_name: str, name: str, python: Path | PeerError, clips: Sequence[AnyClip], args: argparse.Namespace
) -> tuple[Path, str, Sequence[AnyClip], Path, float]:
    """The arguments of `run_peer`; raises the error of a peer that could not be installed."""
    if isinstance(python, PeerError):
        raise python
    option = f"{name}={args.model}" if name == "mt3x" and args.model else name
    return python, option, clips, args.work / "transcriptions" / set_name / name, args.minutes


def main() -> int:
    parser = make_parser()
    args = parser.parse_args()
    peers = make_peers(args.torch)
    chosen = args.peers.split(",")
    if unknown := set(chosen) - set(peers):
        parser.error(f"there is no peer {min(unknown)}; the peers are {', '.join(peers)}")
    try:
        sets = prepare_clips(args, args.work / "sets")
        labelled = read_clips(args.clips) if args.clips else []
    except ValueError as error:
        parser.error(str(error))

    pythons: dict[str, Path | PeerError] = {}
    for name in chosen:
        try:
            pythons[name] = install(name, peers[name], args.work)
        except PeerError as error:
            pythons[name] = error

    def peers_of(set_name: str) -> dict[str, Path | PeerError]:
        return {name: pythons[name] for name in chosen if set_name.startswith(peers[name].sets)}

    table: dict[str, dict[str, Any]] = {}
    if sets:
        print_head(["set", "peer", "pieces"], ["CPU s / audio s", "x real time"])
    for set_name, clips in sets.items():
        table[set_name] = compare_set(set_name, clips, peers_of(set_name), args)
    if labelled or "real" in table:
        of_clips = compare_labelled(labelled, peers_of("clips"), table.get("real", {}), args)
        table |= {"clips": of_clips} if labelled else {}
    if args.json:
        args.json.write_text(json.dumps(table, indent=1) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
