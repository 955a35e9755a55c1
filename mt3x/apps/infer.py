r"""`mt3x infer`: transcribes whole data sets, one JSON line a piece as MT3 does, and scores them if asked to.

    mt3x infer --gin_file=run/infer.gin --gin_file=task/mt3.gin --gin.CHECKPOINT_PATH="'runs/mt3'" \
        --gin.DATA_DIR="'records'" --gin.INFER_OUTPUT_DIR="'inferences'"

writes, for each task (a split of a data set, or an evaluation task of seqio),

    inferences/TASK.jsonl                         {"id": ..., "est_notes": [{"start_time": ..., ...}, ...]}
    inferences/infer.json                         which weights and settings made these files

and with `run/eval.gin`, whose folder is EVAL_OUTPUT_DIR, also

    .../inference_eval/TASK-scores.jsonl          {"id": ..., "Onset F1": ..., ...}
    .../inference_eval/TASK-metrics.jsonl         {"step": ..., "Onset F1": ..., ...}, means over pieces

Lines are in the data set's order. A file appears when it is complete; until then its lines are kept in
`TASK.jsonl.part`, from which the same command goes on. Of several processes, number i of n takes pieces i,
i + n, ... and writes `TASK.jsonl-0000i-of-0000n`, as T5X does; whichever completes the last of these files
writes the means. They share nothing but the folder.

Source: MT3 `inference.py` (the lines), T5X `infer.py` and `eval.py` (the files' names).
"""

import argparse
import dataclasses
import functools
import json
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mt3x.apps.console import gin_files, processes
from mt3x.music.checks import check_at_least

if TYPE_CHECKING:
    from mt3x.training.evaluation import Piece
    from mt3x.training.sources.pieces import BuiltPieces, TaskPieces
    from mt3x.transcription.transcriber import Transcriber


def add_parser(subparsers: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Adds the command."""
    parser = subparsers.add_parser(
        "infer",
        help="transcribe and score data sets",
        description="Transcribes whole data sets from gin files; goes on where a stopped command left off.",
    )
    gin_files.add_arguments(parser)
    processes.add_arguments(parser)


def run(args: argparse.Namespace) -> int:
    """0 when all is written, 1 when something failed, 2 for wrong settings or a model that can't be used."""
    try:
        import gin.config  # noqa: F401  (plain `import gin` finds a checkout's folder of gin files)
    except ImportError:
        print("mt3x infer: gin is missing; pip install 'mt3x[train]'", file=sys.stderr)
        return 2
    try:
        processes.join(args)
        settings = read_settings(args.gin_file, args.gin)
        model = open_model(settings)
    except (*gin_files.ERRORS, RuntimeError) as error:
        print(f"mt3x infer: {gin_files.one_line(error)}", file=sys.stderr)
        return 2
    try:
        infer(settings, model)
    except ImportError as error:
        print(f"mt3x infer: {error}; install mt3x with its extra `train` or `train-grain`", file=sys.stderr)
        return 1
    except (ValueError, RuntimeError, OSError) as error:
        print(f"mt3x infer: {gin_files.one_line(error)}", file=sys.stderr)
        return 1
    return 0


@dataclasses.dataclass(frozen=True)
class Settings:
    """What gin files set under the name `infer`.

    Attributes:
      checkpoint_path: a model's folder, of which the newest checkpoint is taken; "default" is the model in
        the package.
      output_dir: where files go; source: what is transcribed.
      preset: the settings of a checkpoint that carries none: "mt3" or "ismir2021".
      batch_size: segments that are decoded together, shared by this process's devices.
      has_scores: score the notes, too.
      shard_id, num_shards: which part of the pieces this process takes, from 0; None: as many parts as the
        run has processes.
      mt3_compatible: repeat what MT3 does where it errs (`Transcriber`).

    Raises:
      ValueError: the batch is empty, or there is no such part.
    """

    checkpoint_path: str
    output_dir: str
    source: "BuiltPieces | TaskPieces"
    preset: str | None = None
    batch_size: int = 32
    has_scores: bool = False
    shard_id: int | None = None
    num_shards: int | None = None
    mt3_compatible: bool = False

    def __post_init__(self) -> None:
        check_at_least(1, batch_size=self.batch_size)
        given = self.shard_id, self.num_shards
        if given != (None, None) and (None in given or not 0 <= given[0] < given[1]):  # pyright: ignore
            raise ValueError(
                f"shard_id is {self.shard_id} of num_shards {self.num_shards}; give both, shard_id from 0 to "
                "num_shards - 1, or neither"
            )

    def shard(self) -> tuple[int, int]:
        """This process's part of the pieces, and how many parts there are."""
        from mt3x.training.mesh import this_process

        if self.shard_id is None or self.num_shards is None:
            return this_process()
        return self.shard_id, self.num_shards


def read_settings(files: Sequence[str], bindings: Sequence[str]) -> Settings:
    """What the gin files and the bindings after them say.

    Raises:
      as `gin_files.parse`, and ValueError for values that make no sense.
    """
    make_settings = _register()
    gin_files.parse(files, bindings)
    return make_settings()


@functools.cache
def _register() -> Callable[..., Settings]:
    from mt3x.training.sources.pieces import BuiltPieces, TaskPieces

    return gin_files.register(Settings, "infer", (BuiltPieces, TaskPieces))


@dataclasses.dataclass(frozen=True)
class Model:
    """What transcribes; the checkpoint's folder and its training step (None where its name tells none)."""

    transcriber: "Transcriber"
    checkpoint: str
    step: int | None


def open_model(settings: Settings) -> Model:
    """The model that the settings name.

    Raises:
      ValueError: there is none, or it is broken (`CheckpointError`) or carries no settings.
    """
    from mt3x.checkpoints import find_checkpoint
    from mt3x.transcription.models import DEFAULT_MODEL, resolve_model
    from mt3x.transcription.process import settle_process
    from mt3x.transcription.transcriber import Transcriber

    settle_process()
    path, step = settings.checkpoint_path, None
    if path != DEFAULT_MODEL:
        found = find_checkpoint(path)
        path, step = found.folder.path, found.named_step
    config, params, name = resolve_model(path, settings.preset)
    transcriber = Transcriber(config, params, name, settings.batch_size, settings.mt3_compatible)
    return Model(transcriber, path, step)


def infer(settings: Settings, model: Model) -> None:
    """Transcribes this process's part of all tasks, and writes what is complete.

    Raises:
      ValueError: a data set or task is not there, or the folder holds what other weights or settings made.
      ImportError: what reads the data, or scores, is not installed.
    """
    from mt3x.apps.results.inference_files import TaskFiles, claim_folder

    tasks = settings.source.open()
    output = Path(settings.output_dir)
    made_by = {
        "checkpoint": model.checkpoint,
        "data_dir": settings.source.data_dir,
        "has_scores": settings.has_scores,
        "mt3_compatible": settings.mt3_compatible,
        "config": json.loads(model.transcriber.config.to_json()),
    }
    claim_folder(output, made_by)
    shard, num_shards = settings.shard()
    for task in tasks:
        files = TaskFiles(output, task, shard, num_shards, settings.has_scores)
        if not files.are_complete:
            begin = shard + files.num_done * num_shards
            pieces = settings.source.pieces(task, begin, num_shards)
            for line in _transcribe(task, pieces, model.transcriber, settings.has_scores):
                files.add(line)
            files.complete()
        if settings.has_scores and files.write_means(model.step):
            print(f"{task}: wrote {files.means_path}", file=sys.stderr)


def _transcribe(
    task: str, pieces: "Iterable[Piece]", transcriber: "Transcriber", has_scores: bool
) -> Iterator[dict[str, Any]]:
    """One object a piece: `id`, `est_notes` and, if asked for, `scores`."""
    from mt3x.training.evaluation import piece_scores
    from mt3x.transcription.result import note_objects

    for piece in pieces:
        found = transcriber.transcribe(piece.samples, piece.sample_rate)
        line = {"id": piece.id, "est_notes": list(note_objects(found.notes))}
        if has_scores:
            line["scores"] = piece_scores(piece, found, transcriber.config.spec)
        print(f"{task}: {piece.id}: {len(found.notes)} notes", file=sys.stderr)
        yield line


if __name__ == "__main__":
    from mt3x.apps.cli import main

    sys.exit(main(["infer", *sys.argv[1:]]))
