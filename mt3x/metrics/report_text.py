"""A summary as tables that people read in a terminal.

Source: the numbers are those of `metrics.summary`; docs/evaluation.md says what each means.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from mt3x.metrics.report import SCORES
from mt3x.metrics.summary import PARTS

PIECE_COLUMNS: Mapping[str, str] = {
    "onset": "onset",
    "onset_offset": "+ offset",
    "frame": "frame",
    "drum_onset": "drums",
    "program_full": "+ program",
    "multi_onset": "multi",
}
"""The F1 that `format_pieces` shows, and its headings."""

_NOTHING = "-"
_NAME_WIDTH = 46
_SHORT_NAME_WIDTH = 20
_INTERVAL_WIDTH = 16


def format_summary(summary: Mapping[str, Any]) -> str:
    """All tables, one below the other, for a terminal of 110 columns; tables without content are left out."""
    confidence = f"{summary['settings']['confidence']:.0%} interval".rjust(_INTERVAL_WIDTH)
    blocks = [
        [_headline(summary)],
        _score_lines(summary, confidence),
        _sweep_lines(summary["tolerances"]),
        _class_lines(summary["classes"], confidence),
        _polyphony_lines(summary["polyphony"], confidence),
        _confusion_lines(summary["confusions"]),
        list(_facts(summary)),
    ]
    return "\n\n".join("\n".join(block) for block in blocks if block) + "\n"


def format_pieces(names: Sequence[str], reports: Sequence[Mapping[str, Any]]) -> str:
    """The F1 of each piece in a line, in the order given."""
    width = max(map(len, ["F1 by piece", *names]))
    lines = [_line("F1 by piece", PIECE_COLUMNS.values(), width)]
    for name, report in zip(names, reports, strict=True):
        entries = (report["scores"][key] for key in PIECE_COLUMNS)
        lines.append(_line(name, (_score(entry and entry["f1"]) for entry in entries), width))
    return "\n".join(lines) + "\n"


def _headline(summary: Mapping[str, Any]) -> str:
    settings, notes = summary["settings"], summary["notes"]
    count = summary["pieces"]
    return (
        f"{count} piece{'s' if count != 1 else ''}, {notes['reference']} notes in the reference, "
        f"{notes['estimate']} in the estimate; onsets within {1000 * settings['tolerance_seconds']:g} ms"
        + ("; MT3's faults included" if settings["mt3_compatible"] else "")
    )


def _score_lines(summary: Mapping[str, Any], confidence: str) -> list[str]:
    lines = [_line("mean over pieces", ["precision", "recall", "F1", confidence, "pieces"])]
    for name, title in SCORES.items():
        entry = summary["scores"][name]
        if entry is None:
            nothing = [_NOTHING] * 3
            lines.append(_line(title, [*nothing, _NOTHING.rjust(_INTERVAL_WIDTH), _NOTHING]))
        else:
            cells = [_score(entry[part]["value"]) for part in PARTS]
            lines.append(_line(title, [*cells, _interval(entry["f1"]), str(entry["f1"]["pieces"])]))
    return lines


def _sweep_lines(tolerances: Mapping[str, Any]) -> list[str]:
    entries = {float(name): entry["f1"] for name, entry in tolerances.items() if entry}
    if not entries:
        return []
    return [
        _line("tolerance (ms)", [f"{1000 * seconds:g}" for seconds in entries], _SHORT_NAME_WIDTH),
        _line("Onset + offset F1", [_score(e["value"]) for e in entries.values()], _SHORT_NAME_WIDTH),
    ]


def _class_lines(classes: Mapping[str, Any], confidence: str) -> list[str]:
    if not classes:
        return []
    lines = [_line("class, all pieces pooled", ["precision", "recall", "F1", confidence, "notes"])]
    for name, entry in classes.items():
        f1 = entry["f1"]
        cells = [_score(entry["precision"]), _score(entry["recall"]), _score(f1["value"]), _interval(f1)]
        lines.append(_line(name, [*cells, str(entry["reference"])]))
    return lines


def _polyphony_lines(polyphony: Mapping[str, Any], confidence: str) -> list[str]:
    rows = {number: entry for number, entry in polyphony.items() if entry["recall"]}
    if not rows:
        return []
    lines = [_line("notes at once, onsets", ["recall", confidence, "notes"])]
    last = list(polyphony)[-1]
    for number, entry in rows.items():
        recall = entry["recall"]
        cells = [_score(recall["value"]), _interval(recall), str(entry["reference"])]
        lines.append(_line(f"{number} or more" if number == last else number, cells))
    return lines


def _confusion_lines(confusions: Mapping[str, Mapping[str, int]], most: int = 5) -> list[str]:
    """The commonest ways to be wrong, missed and extra notes among them."""
    wrong = [
        (count, row, column)
        for row, cells in confusions.items()
        for column, count in cells.items()
        if row != column
    ]
    if not wrong:
        return []
    lines = [_line("commonest errors", ["notes"])]
    for count, row, column in sorted(wrong, key=lambda cell: (-cell[0], cell[1:]))[:most]:
        lines.append(_line(f"{row} -> {column}", [str(count)]))
    return lines


def _facts(summary: Mapping[str, Any]) -> Iterator[str]:
    instruments, events = summary["instruments"], summary["events"]
    leakage = instruments["leakage_ratio"]
    if leakage:
        yield (
            f"leakage ratio {leakage['value']:.3f} ({_interval(leakage).strip()}): "
            f"{instruments['estimate']} instruments in the estimates, {instruments['reference']} played"
        )
    if events:
        rate = events["per_minute"]
        yield (
            f"useless tokens per minute {rate['value']:.3f} ({_interval(rate).strip()}): "
            f"{events['invalid']} invalid, {events['dropped']} dropped in {events['minutes']:.1f} minutes"
        )


def _line(name: str, cells: Iterable[str], width: int = _NAME_WIDTH) -> str:
    return f"{name:<{width}}" + "".join(f"{cell:>{max(len(cell) + 2, 11)}}" for cell in cells)


def _score(value: float | None) -> str:
    return _NOTHING if value is None else f"{value:.3f}"


def _interval(entry: Mapping[str, float]) -> str:
    return f"{entry['low']:.3f} to {entry['high']:.3f}".rjust(_INTERVAL_WIDTH)
