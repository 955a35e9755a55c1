"""`mt3x train-spelling`: trains a pitch spelling network on spelled scores, from gin files.

    mt3x train-spelling --gin_file=run/spelling.gin --gin.MODEL_DIR="'runs/s'" --gin.SCORES="'openscore'"

The gin file says which: run/spelling.gin sets what is called `train_spelling`, the shipped perceptron, and
run/graph_spelling.gin `train_graph_spelling`, the network on score graphs. SCORES is a folder of MusicXML
files, read once and kept as `spelled.npz` in MODEL_DIR, or such an archive.
"""

import argparse
import dataclasses
import functools
import itertools
import sys
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mt3x.apps.console import gin_files

if TYPE_CHECKING:
    from mt3x.data.spelling.batches import SpellingVariation
    from mt3x.data.spelling.scores import SpelledScore
    from mt3x.score.graphs.graph import ScoreGraph
    from mt3x.score.spelling.graph_spelling import GraphSpellingConfig
    from mt3x.score.spelling.network import SpellingConfig
    from mt3x.training.score_models.run import SpellingTraining

ARCHIVE = "spelled.npz"
EVAL_BATCHES = 6
EVAL_SEED = 1


def add_parser(subparsers: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Adds the command."""
    parser = subparsers.add_parser(
        "train-spelling",
        help="train pitch spelling",
        description="Trains a pitch spelling network on spelled scores, from gin files.",
    )
    gin_files.add_arguments(parser)


def run(args: argparse.Namespace) -> int:
    """Trains; 0 when the run is complete, 1 when it failed, 2 for a wrong configuration."""

    def read() -> Callable[[], None]:
        trainings = _register()
        gin_files.parse(args.gin_file, args.gin)
        make_settings, train = trainings[_chosen(trainings)]
        return functools.partial(train, make_settings())

    return gin_files.train("train-spelling", read)


@dataclasses.dataclass(frozen=True)
class Settings:
    """What gin files set under the name `train_spelling`.

    Attributes:
      network: what is trained; training: how; variation: of the windows it learns from.
      scores: a folder of MusicXML files or an archive of spelled scores.
      model_dir: where the weights and the log go.
      batch_notes: of a batch; batch_seed: of what is drawn.
    """

    network: "SpellingConfig"
    training: "SpellingTraining"
    variation: "SpellingVariation"
    scores: str
    model_dir: str
    batch_notes: int = 4096
    batch_seed: int = 1


@dataclasses.dataclass(frozen=True)
class GraphSettings:
    """What gin files set under the name `train_graph_spelling`.

    Attributes:
      network, training, scores, model_dir: see `Settings`.
      num_notes: of the graphs that it learns from, about; a note takes a kilobyte of memory.
      region_notes, batch_pieces: of a batch: that many regions of about so many notes.
      num_neighbors: most neighbours of a node, for each edge type and layer.
      batch_seed: of keys, pieces, regions and neighbours.
    """

    network: "GraphSpellingConfig"
    training: "SpellingTraining"
    scores: str
    model_dir: str
    num_notes: int = 1_000_000
    region_notes: int = 300
    batch_pieces: int = 8
    num_neighbors: int = 3
    batch_seed: int = 1


@functools.cache
def _register() -> dict[str, tuple[Callable[..., Any], Callable[[Any], None]]]:
    """Tells gin what it may set; returns by name what makes the settings, and what trains by them."""
    from mt3x.data.spelling.batches import SpellingVariation
    from mt3x.score.spelling.graph_spelling import GraphSpellingConfig
    from mt3x.score.spelling.network import SpellingConfig
    from mt3x.training.config import OptimizerConfig
    from mt3x.training.score_models.run import SpellingTraining

    others = (SpellingConfig, OptimizerConfig, SpellingTraining, SpellingVariation)
    perceptron = gin_files.register(Settings, "train_spelling", others)
    graphs = gin_files.register(GraphSettings, "train_graph_spelling", (GraphSpellingConfig,))
    return {"train_spelling": (perceptron, train_from), "train_graph_spelling": (graphs, train_graphs_from)}


def _chosen(names: Iterable[str]) -> str:
    """The one of the names whose network the gin files set.

    Raises:
      ValueError: none is set, or several.
    """
    import gin

    def is_set(name: str) -> bool:
        try:
            gin.query_parameter(f"{name}.network")
        except ValueError:
            return False
        return True

    chosen = [name for name in names if is_set(name)]
    if len(chosen) != 1:
        raise ValueError(
            f"the gin files set {chosen or 'no'} networks; give one of run/spelling.gin and "
            "run/graph_spelling.gin"
        )
    return chosen[0]


def train_from(settings: Settings) -> None:
    """Trains on all scores but the held-out ones, which the log's evaluations are of.

    Raises:
      ValueError: a score can't be read, or there is none to train on or to hold out.
      FloatingPointError: the loss is not finite.
    """
    from mt3x.data.spelling.batches import PLAIN, SpellingBatches
    from mt3x.training.score_models.spelling import train_spelling

    directory = Path(settings.model_dir)
    learned, held_out = _split_scores(settings.scores, directory)
    size, seed = settings.batch_notes, settings.batch_seed
    measured = SpellingBatches(held_out, size, seed, PLAIN, uses=1)
    train_spelling(
        settings.network,
        settings.training,
        SpellingBatches(learned, size, seed, settings.variation),
        [next(measured) for _ in range(EVAL_BATCHES)],
        directory,
        _report,
    )


def train_graphs_from(settings: GraphSettings) -> None:
    """The same with the graph network.

    Raises:
      ValueError: as `train_from`, or numbers that `MuseNeighborLoader` refuses.
      FloatingPointError: the loss is not finite.
    """
    from mt3x.data.spelling.graphs import graphs_in_many_keys, spelled_graph
    from mt3x.score.graphs.sampling import MuseNeighborLoader
    from mt3x.training.score_models.graph_spelling import train_graph_spelling

    directory = Path(settings.model_dir)
    learned, held_out = _split_scores(settings.scores, directory)

    def load(graphs: "Sequence[ScoreGraph]", seed: int) -> MuseNeighborLoader:
        neighbors = [settings.num_neighbors] * settings.network.num_layers
        size, pieces = settings.region_notes, settings.batch_pieces
        return MuseNeighborLoader(graphs, neighbors, size, batch_size=pieces, seed=seed)

    loader = load(graphs_in_many_keys(learned, settings.num_notes, settings.batch_seed), settings.batch_seed)
    measured = load([spelled_graph(score.notes) for score in held_out], EVAL_SEED)
    train_graph_spelling(
        settings.network,
        settings.training,
        itertools.chain.from_iterable(itertools.repeat(loader)),
        list(itertools.islice(measured, EVAL_BATCHES)),
        directory,
        _report,
    )


def _split_scores(scores: str, directory: Path) -> "tuple[list[SpelledScore], list[SpelledScore]]":
    """Scores to learn from, and held-out ones."""
    from mt3x.data.synthetic.scores import is_held_out

    found = _spelled_scores(Path(scores), directory)
    learned = [score for score in found if not is_held_out(score.name)]
    return learned, [score for score in found if is_held_out(score.name)]


def _spelled_scores(scores: Path, directory: Path) -> "list[SpelledScore]":
    from mt3x.data.spelling.scores import load_spelled_scores, read_spelled_score, save_spelled_scores

    if not scores.is_dir():
        return load_spelled_scores(scores)
    archive = directory / ARCHIVE
    if not archive.exists():
        files = sorted(path for path in scores.rglob("*") if path.suffix in (".mxl", ".musicxml", ".xml"))
        if not files:
            raise ValueError(f"{scores} holds no .mxl, .musicxml or .xml file; give a folder of scores")
        directory.mkdir(parents=True, exist_ok=True)
        save_spelled_scores([read_spelled_score(path) for path in files], archive)
    return load_spelled_scores(archive)


def _report(line: dict[str, float]) -> None:
    print("  ".join(f"{name} {value:.6g}" for name, value in line.items()), file=sys.stderr)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(prog="mt3x")
    add_parser(parser.add_subparsers(required=True))
    sys.exit(run(parser.parse_args(["train-spelling", *sys.argv[1:]])))
