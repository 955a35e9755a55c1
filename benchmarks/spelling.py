"""Scores pitch spelling and key signatures, by composer.

    python benchmarks/spelling.py --asap asap_scores --ps13 ps13.json --out spelling.json
    python benchmarks/spelling.py --openscore spelled.npz

The first scores the ASAP scores (`.npz` with a note array `na`), the second the held-out pieces of an archive
of `mt3x.data.spelling.scores`. With `--ps13 FILE`, partitura's ps13s1 and its key estimation are scored
beside it; they take minutes, and FILE keeps their results.

Exact: the share of notes with the score's name. Forgiven: the same, after a shift of the whole piece by 0 or
+-12 on the line of fifths, whichever is best (so that a piece in G flat written in F sharp counts as right).
Key: the share of notes that stand under the score's key signature.
"""

import argparse
import json
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from mt3x.data.spelling.scores import load_spelled_scores
from mt3x.data.synthetic.scores import is_held_out
from mt3x.music.files import write_whole
from mt3x.score.io.partitura_import import import_partitura
from mt3x.score.spelling.answers import SpellingModel
from mt3x.score.spelling.names import positions_of, shipped_model, spell

METRICS = ("exact", "forgiven", "key")
QUOTED = {"exact": 85.9, "forgiven": 92.3, "key": 68.5}
"""Percent that ps13s1 and partitura's key reach on 188 scores (467,219 notes) of ASAP, from another run."""


@dataclass(frozen=True, eq=False)
class Piece:
    """A piece with what is right: positions on the line of fifths and fifths of the signature, int [N]."""

    name: str
    composer: str
    onset: np.ndarray
    duration: np.ndarray
    pitch: np.ndarray
    position: np.ndarray
    fifths: np.ndarray


def asap_pieces(folder: Path) -> Iterator[Piece]:
    """The pieces of a folder, with the composer in front of the file's name."""
    for path in sorted(folder.glob("*.npz")):
        with np.load(path, allow_pickle=False) as archive:
            notes = archive["na"]
        yield Piece(
            name=path.stem,
            composer=path.stem.split("_")[0],
            onset=notes["onset_quarter"].astype(float),
            duration=np.maximum(notes["duration_quarter"].astype(float), 0),
            pitch=notes["pitch"],
            position=positions_of(notes["step"], notes["alter"]),
            fifths=notes["ks_fifths"],
        )


def openscore_pieces(archive: Path) -> Iterator[Piece]:
    """The held-out pieces of an archive."""
    for score in load_spelled_scores(archive):
        if is_held_out(score.name):
            n = score.notes
            onset, duration = n["onset_quarters"].astype(float), n["duration_quarters"].astype(float)
            yield Piece(
                score.name,
                score.composer,
                onset,
                duration,
                n["pitch"].astype(int),
                n["position"].astype(int),
                n["fifths"],
            )


def count_right(piece: Piece, position: np.ndarray, fifths: np.ndarray) -> dict[str, int]:
    """Notes, and how many of them are right by each metric."""
    off = position - piece.position
    return {
        "notes": len(off),
        "exact": int((off == 0).sum()),
        "forgiven": max(int((off == shift).sum()) for shift in (-12, 0, 12)),
        "key": int((fifths == piece.fifths).sum()),
    }


def ours(piece: Piece, model: SpellingModel) -> dict[str, int]:
    spelling = spell(piece.onset, piece.duration, piece.pitch, model)
    return count_right(piece, positions_of(spelling.step, spelling.alter), spelling.fifths)


def ps13(piece: Piece) -> dict[str, int]:
    """partitura's ps13s1, and its one key (Krumhansl-Kessler profiles) for the whole piece."""
    partitura = import_partitura()
    fields = [
        ("onset_beat", "f4"),
        ("duration_beat", "f4"),
        ("onset_quarter", "f4"),
        ("duration_quarter", "f4"),
    ]
    notes = np.zeros(len(piece.pitch), [*fields, ("pitch", "i4"), ("voice", "i4"), ("id", "U16")])
    for name in ("onset_beat", "onset_quarter"):
        notes[name] = piece.onset
    for name in ("duration_beat", "duration_quarter"):
        notes[name] = piece.duration
    notes["pitch"], notes["voice"] = piece.pitch, 1
    notes["id"] = [f"n{i}" for i in range(len(notes))]
    named = partitura.musicanalysis.estimate_spelling(notes)
    key = partitura.musicanalysis.estimate_key(notes)
    fifths, _ = partitura.utils.key_name_to_fifths_mode(key)
    return count_right(piece, positions_of(named["step"], named["alter"]), np.full(len(notes), fifths))


def ps13_with_cache(pieces: list[Piece], cache: Path) -> dict[str, dict[str, int]]:
    """The baseline of each piece, read from `cache` where it is known, and added to it."""
    known = json.loads(cache.read_text()) if cache.exists() else {}
    for piece in pieces:
        if piece.name not in known:
            known[piece.name] = ps13(piece)
            write_whole(cache, json.dumps(known).encode())
    return known


def count(
    pieces: list[Piece], model: SpellingModel, cache: Path | None
) -> dict[str, dict[str, dict[str, int]]]:
    """Notes, and those that are right, by system and piece; ps13s1's with a file that keeps them."""
    counts = {"mt3x": {piece.name: ours(piece, model) for piece in pieces}}
    return counts if cache is None else counts | {"ps13s1": ps13_with_cache(pieces, cache)}


def by_composer(pieces: list[Piece], counts: dict[str, dict[str, int]]) -> dict[str, dict[str, float]]:
    """Shares of right notes by composer, those with most notes first, and of all."""
    totals: dict[str, dict[str, int]] = {}
    for piece in pieces:
        for group in (piece.composer, "all"):
            total = totals.setdefault(group, {"pieces": 0, "notes": 0, **dict.fromkeys(METRICS, 0)})
            total["pieces"] += 1
            for name, value in counts[piece.name].items():
                total[name] += value
    ordered = sorted(totals.items(), key=lambda item: (item[0] != "all", item[1]["notes"]), reverse=True)
    return {
        group: {"pieces": t["pieces"], "notes": t["notes"], **{m: t[m] / t["notes"] for m in METRICS}}
        for group, t in ordered
    }


def table(systems: dict[str, dict[str, dict[str, float]]]) -> str:
    """Markdown: a row for each composer, the metrics of each system in percent."""
    first = next(iter(systems.values()))
    heads = [f"{system} {metric}" for metric in METRICS for system in systems]
    lines = ["| composer | pieces | notes | " + " | ".join(heads) + " |", "| --- " * (3 + len(heads)) + "|"]
    for group, values in first.items():
        cells = [f"{100 * systems[system][group][metric]:.1f}" for metric in METRICS for system in systems]
        lines.append(f"| {group} | {values['pieces']} | {values['notes']} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    source = parser.add_mutually_exclusive_group(required=True)
    source.add_argument("--asap", type=Path, metavar="FOLDER")
    source.add_argument("--openscore", type=Path, metavar="ARCHIVE")
    parser.add_argument("--model", type=Path, help="weights other than the shipped ones")
    parser.add_argument("--ps13", type=Path, metavar="FILE", help="score the baseline too, kept in this file")
    parser.add_argument("--out", type=Path, help="JSON with all that is counted")
    args = parser.parse_args()
    pieces = list(asap_pieces(args.asap) if args.asap else openscore_pieces(args.openscore))
    model = SpellingModel.load(args.model) if args.model else shipped_model()
    began = time.process_time()
    counts = count(pieces, model, args.ps13)
    seconds = time.process_time() - began
    print(table({system: by_composer(pieces, counted) for system, counted in counts.items()}))
    print(f"\n{seconds:.0f} s of CPU time, compilation included")
    if args.out:
        args.out.write_text(json.dumps(counts, indent=1))


if __name__ == "__main__":
    main()
