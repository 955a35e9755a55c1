"""Whether the engine writes the ids of the reference search, segment by segment.

    python benchmarks/same_tokens.py [--models small] [--searches grammar,greedy] [--minutes 2]
                                     [--dtype float32] [--batch-size N] [--shuffle SEED] [--json FILE]

The music is drawn and rendered by decoding_work.py; silent segments are left out. The reference is
tests/model/reference_search.py in batches of 8 with the same policy. A model is the folder of a checkpoint,
or MT3's settings with sizes by name and weights by a rule, whose ends are forced alike in both. `--shuffle`
gives segments to the engine in another order.

Both compute in float32, but add in another order. Where ids differ, the first that does must be a tie: the
reference network (`Transformer.decode`, all positions at once) gives both candidates, after what they share,
logits less than `TIE` apart; their log-probabilities are then as near. The exit status is 1 if one is not, or
if ties are more than `MOST_TIES` of the segments (a single one is always allowed).

Other dtypes (`bfloat16`, `int8`) don't keep the ids: then it is the onset F1 of the engine's notes against
those that it finds in float32, and the exit status is 0. Trained models only: what others write by a rule is
as good as drawn.
"""

import argparse
import functools
import json
import sys
from pathlib import Path
from typing import Any

import jax
import numpy as np
from decoding_work import SAMPLE_RATE, Forced, Model, draw_music, make_model, render, stored_lengths, watch

from mt3x.audio.logmel import log_mel
from mt3x.audio.segments import split_segments
from mt3x.metrics.notes import note_scores
from mt3x.model.config import PRESETS as NETWORKS
from mt3x.model.transformer import Transformer, shift_right
from mt3x.tokens.vocabulary import EOS_ID
from mt3x.transcription.process import return_freed_memory
from mt3x.transcription.recording import SILENCE_PEAK
from mt3x.transcription.segment import Segment
from mt3x.transcription.tokens.config import TranscriptionConfig
from mt3x.transcription.tokens.engine import DTYPES, Engine
from mt3x.transcription.transcriber import Transcriber

BATCH_SIZE = 8
TIE, MOST_TIES = 1e-4, 0.002


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--models", default="small", help=f"folders, or of {', '.join(NETWORKS)}")
    parser.add_argument("--searches", default="grammar,greedy", help="of greedy, beam, grammar")
    parser.add_argument("--minutes", type=float, default=2.0, help="of music")
    parser.add_argument("--dtype", choices=DTYPES, default="float32", help="of the engine")
    parser.add_argument("--batch-size", type=int, help="of the engine; its own by default")
    parser.add_argument("--shuffle", type=int, metavar="SEED")
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    by_rule = [name for name in arguments.models.split(",") if name in NETWORKS]
    if arguments.dtype != "float32" and by_rule:
        parser.error(f"--models has {by_rule[0]}: give only trained models with --dtype {arguments.dtype}")
    return_freed_memory()
    if arguments.dtype == "float32":
        # An accelerator would round factors to fewer bits.
        jax.config.update("jax_default_matmul_precision", "highest")
    samples = render(draw_music(60 * arguments.minutes), 60 * arguments.minutes)
    rows = []
    for name in arguments.models.split(","):
        for search_name in arguments.searches.split(","):
            model = make_model(name, search_name, "float32")
            measured = (
                compare_ids(model, samples, arguments)
                if arguments.dtype == "float32"
                else compare_notes(model, samples, arguments)
            )
            row = {"model": name, "search": model.config.search, "minutes": arguments.minutes, **measured}
            print(json.dumps(row, indent=1), flush=True)
            rows.append(row)
    if arguments.json:
        arguments.json.write_text(json.dumps(rows, indent=1) + "\n")
    return int(not all(row.get("is_same", True) for row in rows))


def compare_ids(model: Model, samples: np.ndarray, arguments: argparse.Namespace) -> dict[str, Any]:
    """Of every segment, the engine's ids and those of the reference."""
    sys.path.insert(0, str(Path(__file__).parents[1]))
    from tests.model.reference_search import search

    config = model.config
    segments = sounding_segments(samples, config)
    lengths = stored_lengths(segments[-1].first_frame // config.segment_frames + 1)
    engine = Engine(config, model.params, arguments.batch_size, "float32")
    policy = engine._search.policy
    if model.is_forced:
        watch(engine, lengths)
    order = np.arange(len(segments))
    if arguments.shuffle is not None:
        order = np.random.default_rng(arguments.shuffle).permutation(order)
    decoded = engine.decode(segments[number] for number in order)
    found = {segment.first_frame: ids for segment, ids in decoded}
    transformer, told = Transformer(config.network), np.zeros(BATCH_SIZE, np.int32)
    if model.is_forced:
        policy = Forced(policy, True, told.copy)
    gaps, params = [], jax.device_put(model.params)
    for start in range(0, len(segments), BATCH_SIZE):
        batch = segments[start : start + BATCH_SIZE]
        encoded = encode(transformer, config, params, batch)
        told[: len(batch)] = [lengths[segment.first_frame // config.segment_frames] for segment in batch]
        result = search(transformer, params, encoded, policy, config.max_target_length)
        theirs = np.asarray(result.ids)
        ours = np.array([with_end(found[segment.first_frame], theirs.shape[1]) for segment in batch])
        if not np.array_equal(ours, theirs[: len(batch)]):
            logits = np.asarray(decode(transformer, params, encoded, theirs))
            gaps += first_gaps(ours, theirs, logits)
    excused = sum(gap < TIE for gap in gaps)
    return {
        "segments": len(segments),
        "batch_size": engine.batch_size,
        "equal": len(segments) - len(gaps),
        "gaps": gaps,
        "ties": excused,
        "is_same": excused == len(gaps) <= max(1, MOST_TIES * len(segments)),
    }


def sounding_segments(samples: np.ndarray, config: TranscriptionConfig) -> list[Segment]:
    cut = split_segments(samples, config.segment_frames, config.spectrogram.hop_width)
    columns = zip(cut.samples, cut.num_frames.tolist(), cut.first_frames.tolist(), strict=True)
    return [Segment(*row) for row in columns if np.abs(row[0]).max() > SILENCE_PEAK]


def encode(
    model: Transformer, config: TranscriptionConfig, params: dict[str, Any], batch: list[Segment]
) -> jax.Array:
    """Encoder output [`BATCH_SIZE`, F, D]; copies of the last segment fill the batch."""
    batch = batch + batch[-1:] * (BATCH_SIZE - len(batch))
    samples = np.stack([segment.samples for segment in batch])
    num_frames = np.array([segment.num_frames for segment in batch], np.int32)
    return _encode(model, config, params, samples, num_frames)


@functools.partial(jax.jit, static_argnums=(0, 1))
def _encode(
    model: Transformer, config: TranscriptionConfig, params: Any, samples: jax.Array, num_frames: jax.Array
) -> Any:
    frames = log_mel(samples, num_frames, config.spectrogram)
    return model.apply({"params": params}, frames, method="encode")


@functools.partial(jax.jit, static_argnums=0)
def decode(model: Transformer, params: Any, encoded: jax.Array, ids: jax.Array) -> Any:
    """Logits float32 [B, T, V] of the ids [B, T] and of what else might have stood in their places."""
    return model.apply({"params": params}, encoded, shift_right(ids), method="decode")


def with_end(ids: np.ndarray, length: int) -> np.ndarray:
    """Ids before the end -> int32 [length], the end and zeros behind them as far as there is room."""
    return np.pad(np.append(ids, EOS_ID)[:length], (0, max(length - len(ids) - 1, 0)))


def first_gaps(ours: np.ndarray, theirs: np.ndarray, logits: np.ndarray) -> list[float]:
    """Of each row that differs: between the logits of both candidates where it first does."""
    gaps = []
    for mine, other, scores in zip(ours, theirs, logits, strict=False):
        if not np.array_equal(mine, other):
            first = int(np.argmax(mine != other))
            gaps.append(abs(float(scores[first, mine[first]] - scores[first, other[first]])))
    return gaps


def compare_notes(model: Model, samples: np.ndarray, arguments: argparse.Namespace) -> dict[str, Any]:
    """Notes in the dtype asked for against those in float32, both by the engine."""
    exact, rounded = (
        Transcriber(model.config, model.params, model.name, arguments.batch_size, dtype=dtype)
        .transcribe(samples, SAMPLE_RATE)
        .notes
        for dtype in ("float32", arguments.dtype)
    )
    scores = note_scores(exact, rounded)
    return {"dtype": arguments.dtype, "notes": [len(exact), len(rounded)], "onset_f1": scores.f1}


if __name__ == "__main__":
    sys.exit(main())
