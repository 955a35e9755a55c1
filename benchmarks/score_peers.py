"""Puts the score room beside its peers in one table: graphs, sampling, training steps, spelling and keys.

    taskset -c 0 python benchmarks/score_peers.py [--asap asap_scores] [--ps13 ps13.json] [--graphmuse PYTHON]
                                                  [--json FILE] [--markdown FILE]

The parts are programs of their own, with more options and more figures: score_graphs.py, score_networks.py
and spelling.py. The peer is GraphMuse for graphs, sampling and training steps, partitura (ps13s1 and its
estimate of the key) for spelling and keys. What was not measured in this run, without `--graphmuse` or
`--ps13`, and for training steps always, is the figure of another run on another machine, with a star.

Times are CPU times of this process. `--asap` names a folder of ASAP's scores (see spelling.py); without it
there is no spelling.
"""

import argparse
import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import score_graphs
import score_networks
import spelling

from mt3x.score.spelling.names import shipped_model

NOTES, SAMPLING, HIDDEN, REGION = (
    [200, 1000, 5000, 20000],
    [(100, 8), (300, 8), (500, 16)],
    [64, 256],
    (300, 8),
)
TINY_NOTES, TINY_SAMPLING, TINY_HIDDEN, TINY_REGION = [200], [(20, 2)], [4], (20, 2)
GRAPH_WORK = {
    "edges": "edges between notes",
    "graph": "graph of notes",
    "metrical": "with beats and measures",
}
HEAD = "| what | size | unit | mt3x | peer | mt3x / peer |\n| --- | --- | --- | --- | --- | --- |"
STAR = " \\*"
FOOTNOTE = "\\* of another run on another machine (2 cores, one thread)."


@dataclass(frozen=True)
class Row:
    """One comparison; `is_given`: the peer's value is of another run."""

    what: str
    size: str
    unit: str
    ours: float
    peer: float | None
    is_given: bool

    def markdown(self) -> str:
        peer, ratio = "-", "-"
        if self.peer is not None:
            peer = _three_digits(self.peer) + (STAR if self.is_given else "")
            ratio = f"{self.ours / self.peer:.2f}"
        cells = (self.what, self.size, self.unit, _three_digits(self.ours), peer, ratio)
        return f"| {' | '.join(cells)} |"


def _three_digits(value: float) -> str:
    """12.3, 0.123 or 1234: three digits, but whole numbers whole."""
    return f"{value:.0f}" if value >= 100 else f"{value:#.3g}"


def graph_rows(found: dict[str, Any]) -> Iterator[Row]:
    """Of what `score_graphs.measure` found."""
    ours, theirs, is_given = found["mt3x"], found["graphmuse"], found["note"] == score_graphs.ANOTHER_RUN
    for kind, what in GRAPH_WORK.items():
        for count, milliseconds in ours[kind].items():
            peer = theirs[kind].get(count)
            yield Row(what, f"{count} notes", "CPU ms", milliseconds, peer, is_given)
    for size, measured in ours["sampling"].items():
        notes, pieces = size.split("x")
        peer = theirs["sampling"].get(size)
        yield Row("batches", f"{notes} notes x {pieces}", "a CPU second", measured["batches"], peer, is_given)


def network_rows(found: list[dict[str, Any]], region: tuple[int, int]) -> Iterator[Row]:
    """Of what `score_networks.measure` found; the peer takes all hops, and regions of `REGION` only."""
    for row in found:
        hops = "needed hops (fast)" if row["fast"] else "all hops"
        peer = score_networks.QUOTED.get(row["hidden"]) if region == REGION else None
        size = f"hidden {row['hidden']}, {region[0]} notes x {region[1]}"
        yield Row(f"training step, {hops}", size, "CPU ms", row["cpu_ms"], peer, True)


def spelling_rows(
    counts: dict[str, dict[str, dict[str, int]]], pieces: list[spelling.Piece]
) -> Iterator[Row]:
    """Of what `spelling.count` found, in percent."""
    shares = {system: spelling.by_composer(pieces, counted)["all"] for system, counted in counts.items()}
    size = f"{shares['mt3x']['notes']} notes"
    for metric in spelling.METRICS:
        what = "key signature" if metric == "key" else f"spelling, {metric}"
        is_given = "ps13s1" not in shares
        peer = spelling.QUOTED[metric] if is_given else 100 * shares["ps13s1"][metric]
        yield Row(what, size, "% of notes", 100 * shares["mt3x"][metric], peer, is_given)


def table(rows: list[Row]) -> str:
    """Markdown."""
    lines = [HEAD, *(row.markdown() for row in rows)]
    if any(row.is_given and row.peer is not None for row in rows):
        lines += ["", FOOTNOTE]
    return "\n".join(lines) + "\n"


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--asap", type=Path, metavar="FOLDER", help="ASAP's scores, to spell")
    parser.add_argument("--ps13", type=Path, metavar="FILE", help="score ps13s1 too, kept in this file")
    parser.add_argument("--graphmuse", metavar="PYTHON", help="a Python that can import graphmuse")
    parser.add_argument("--repeats", type=int, default=20, help="of graphs; the median counts")
    parser.add_argument("--steps", type=int, default=7, help="of training; the median counts")
    parser.add_argument("--tiny", action="store_true", help="small sizes, to see that it works")
    parser.add_argument("--json", type=Path, help="all figures")
    parser.add_argument("--markdown", type=Path, help="the table")
    args = parser.parse_args(arguments)
    notes, sampling, hidden, region = (
        (TINY_NOTES, TINY_SAMPLING, TINY_HIDDEN, TINY_REGION)
        if args.tiny
        else (NOTES, SAMPLING, HIDDEN, REGION)
    )
    rows = list(graph_rows(score_graphs.measure(notes, sampling, args.repeats, args.graphmuse)))
    rows += network_rows(score_networks.measure(hidden, *region, args.steps), region)
    if args.asap:
        pieces = list(spelling.asap_pieces(args.asap))
        rows += spelling_rows(spelling.count(pieces, shipped_model(), args.ps13), pieces)
    text = table(rows)
    print(text, end="")
    if args.markdown:
        args.markdown.write_text(text)
    if args.json:
        args.json.write_text(json.dumps([asdict(row) for row in rows], indent=1) + "\n")


if __name__ == "__main__":
    main()
