"""Times making score graphs and sampling batches from them, beside GraphMuse.

    python benchmarks/score_graphs.py [--notes 200,1000,5000,20000] [--sampling 100x8,300x8,500x16]
                                      [--repeats 20] [--graphmuse PYTHON] [--json FILE]

    edges       the note edges alone; of GraphMuse its C function `compute_edge_list`
    graph       `create_score_graph`, notes and their inverse edges
    metrical    the same with beats and measures
    sampling    batches of `MuseNeighborLoader`, notes x pieces, three hops of at most 3 neighbours a type, on
                graphs of 500 to 3000 notes with beats and measures; padded, ready for a jitted function

Notes are random, in four voices. CPU time of this process, medians of `--repeats` for graphs and the mean of
an epoch for sampling; the loader's one-time work (its store and first sizes) is printed by itself.

`--graphmuse` names a Python in which GraphMuse can be imported: it is timed on the same notes
(graphmuse_graphs.py). Without it, figures of GraphMuse are those of another run, on a 2-core machine with one
thread at commit 0227aca, and the table says so.
"""

import argparse
import json
import statistics
import subprocess
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from mt3x.score.graphs.edges import note_edges
from mt3x.score.graphs.graph import ScoreGraph, create_random_music_graph, create_score_graph
from mt3x.score.graphs.sampling import MuseNeighborLoader

SEED = 2026
SHORTEST, LONGEST, BAR_DIVS = 1, 20, 16
FEATURES = 25
NUM_NEIGHBORS = (3, 3, 3)
GRAPHS, FEWEST_NOTES, MOST_NOTES = 40, 500, 3000
MOST_BATCHES = 100
ANOTHER_RUN = "GraphMuse: another run, on another day (a 2-core machine, one thread)"
THIS_RUN = "GraphMuse: this run, the same notes"
QUOTED: dict[str, dict[str, float]] = {  # CPU milliseconds, and batches a CPU second
    "edges": {"200": 0.007, "1000": 0.050, "5000": 0.253, "20000": 1.33},
    "graph": {"200": 0.16, "1000": 0.29, "5000": 1.14, "20000": 4.32},
    "metrical": {"200": 0.87, "1000": 3.4, "5000": 15.8, "20000": 63.6},
    "sampling": {"100x8": 10.2, "300x8": 6.1, "500x16": 2.8},
}


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--notes", default="200,1000,5000,20000")
    parser.add_argument("--sampling", default="100x8,300x8,500x16")
    parser.add_argument("--repeats", type=int, default=20)
    parser.add_argument("--graphmuse", metavar="PYTHON", help="a Python that can import graphmuse")
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    notes = [int(count) for count in arguments.notes.split(",")]
    settings = [tuple(map(int, each.split("x"))) for each in arguments.sampling.split(",")]
    found = measure(notes, settings, arguments.repeats, arguments.graphmuse)
    print_table(found)
    if arguments.json:
        arguments.json.write_text(json.dumps(found, indent=1))


def measure(
    notes: list[int], settings: list[tuple[int, ...]], repeats: int, graphmuse: str | None
) -> dict[str, Any]:
    """Times by system, kind of work and size; `note` says where GraphMuse's are from.

    Args:
      notes: how many, for edges and graphs.
      settings: notes and pieces of a batch, for sampling.
      graphmuse: a Python that can import it; None: its figures are `QUOTED`.
    """
    pieces = {count: draw_piece(count, SEED) for count in notes}
    ours, corpus = time_graphs(pieces, repeats), draw_corpus()
    ours["sampling"] = {f"{size}x{batch}": time_loader(corpus, size, batch) for size, batch in settings}
    if graphmuse is None:
        return {"mt3x": ours, "graphmuse": QUOTED, "note": ANOTHER_RUN}
    theirs = run_graphmuse(graphmuse, pieces, corpus, settings, repeats)
    return {"mt3x": ours, "graphmuse": theirs, "note": THIS_RUN}


def draw_piece(notes: int, seed: int) -> ScoreGraph:
    """A random piece with beats and measures of `BAR_DIVS` divs."""
    graph = create_random_music_graph(notes, SHORTEST, LONGEST, FEATURES, seed=seed)
    return create_score_graph(
        graph.features["note"], graph.note_array, measures=bars(graph.note_array), add_beats=True
    )


def bars(notes: np.ndarray) -> np.ndarray:
    starts = np.arange(0, notes["onset_div"].max() + 1, BAR_DIVS)
    return np.stack((starts, starts + BAR_DIVS), axis=1)


def draw_corpus() -> list[ScoreGraph]:
    sizes = np.random.default_rng(SEED).integers(FEWEST_NOTES, MOST_NOTES, GRAPHS)
    return [draw_piece(int(size), seed) for seed, size in enumerate(sizes)]


def time_graphs(pieces: dict[int, ScoreGraph], repeats: int) -> dict[str, dict[str, Any]]:
    """CPU milliseconds by kind of work and number of notes."""
    times: dict[str, dict[str, Any]] = {"edges": {}, "graph": {}, "metrical": {}}
    for count, piece in pieces.items():
        x, notes, measures = piece.features["note"], piece.note_array, bars(piece.note_array)
        onset, duration = notes["onset_div"].copy(), notes["duration_div"].copy()
        for kind, work in (
            ("edges", partial(note_edges, onset, duration)),
            ("graph", partial(create_score_graph, x, notes)),
            ("metrical", partial(create_score_graph, x, notes, measures=measures, add_beats=True)),
        ):
            times[kind][str(count)] = 1e3 * median_seconds(work, repeats)
    return times


def median_seconds(work: Callable[[], Any], repeats: int) -> float:
    """CPU seconds of a call, after one that is not counted."""
    work()
    seconds = []
    for _ in range(repeats):
        begin = time.process_time()
        work()
        seconds.append(time.process_time() - begin)
    return statistics.median(seconds)


def time_loader(corpus: list[ScoreGraph], size: int, batch_size: int) -> dict[str, float]:
    """Batches a CPU second, CPU seconds before the first one, and how many shapes there were."""
    begin = time.process_time()
    loader = MuseNeighborLoader(corpus, NUM_NEIGHBORS, size, batch_size=batch_size, seed=SEED)
    loader.base_sizes()
    ready = time.process_time()
    count, shapes = 0, set()
    for batch in loader:
        count += 1
        shapes.add(batch.hops)
        if count == MOST_BATCHES:
            break
    seconds = time.process_time() - ready
    return {"batches": count / seconds, "start": ready - begin, "shapes": len(shapes)}


def run_graphmuse(
    python: str,
    pieces: dict[int, ScoreGraph],
    corpus: list[ScoreGraph],
    settings: list[tuple[int, ...]],
    repeats: int,
) -> dict[str, dict[str, float]]:
    """GraphMuse's times, from a process of its own."""
    with tempfile.TemporaryDirectory() as folder:
        stored = Path(folder) / "notes.npz"
        arrays = {f"piece_{count}": piece.note_array for count, piece in pieces.items()}
        arrays |= {f"corpus_{number}": piece.note_array for number, piece in enumerate(corpus)}
        np.savez(stored, allow_pickle=False, **arrays)
        job = {
            "sampling": settings,
            "repeats": repeats,
            "features": FEATURES,
            "bar_divs": BAR_DIVS,
            "num_neighbors": NUM_NEIGHBORS,
            "most_batches": MOST_BATCHES,
        }
        script = Path(__file__).with_name("graphmuse_graphs.py")
        done = subprocess.run(
            [python, script, stored, json.dumps(job)], stdout=subprocess.PIPE, text=True, check=True
        )
    return json.loads(done.stdout.splitlines()[-1])


def print_table(found: dict[str, Any]) -> None:
    ours, theirs = found["mt3x"], found["graphmuse"]
    print(found["note"])
    print(f"\n{'CPU ms':10} {'notes':>7} {'mt3x':>9} {'GraphMuse':>10}")
    for kind in ("edges", "graph", "metrical"):
        for count, milliseconds in ours[kind].items():
            print(f"{kind:10} {count:>7} {milliseconds:9.3f} {_other(theirs, kind, count, 10)}")
    print(f"\n{'batches a CPU s':>18} {'mt3x':>9} {'GraphMuse':>10} {'start, CPU s':>13} {'shapes':>7}")
    for setting, found in ours["sampling"].items():
        print(
            f"{setting:>18} {found['batches']:9.1f} {_other(theirs, 'sampling', setting, 10)}"
            f" {found['start']:13.2f} {found['shapes']:7}"
        )


def _other(theirs: dict[str, dict[str, float]], kind: str, name: str, width: int) -> str:
    value = theirs[kind].get(name)
    return f"{'-':>{width}}" if value is None else f"{value:{width}.3f}"


if __name__ == "__main__":
    main()
