"""Scores beats, quantisation and hands on performances generated from scores, beside other beat trackers.

    python benchmarks/rhythm.py --openscore FOLDER [--asap FOLDER] [--pieces 40] [--seconds 40]

OpenScore: .mxl scores, those held out from training only (`mt3x.data.synthetic.scores.is_held_out`). ASAP:
note arrays (.npz, as partitura reads them) of piano scores, none of which is trained on; no recorded
performance is read. Every piece is performed once (`mt3x/data/beats/performances.py`), the same in every run.

beat, downbeat: F-measure at 70 ms (mir_eval), mean over pieces; "any level" is the best of the beats found,
twice and half as many. metre: share of pieces with the right number of beats in a bar and kind of beat.
onset, value: of notes quantised with true or with found beats, F-measure of (place, pitch), and share of the
right ones with the right note value; the score may be shifted as a whole. hand: share of notes on their
staff, read from the score's own onsets and ends.
librosa's tracker is given the strength of onsets at 50 frames a second, as there is no audio.

Measured with 10 pieces of 25 s from each (few: a piece more or less moves a mean by some hundredths):

| | librosa | pretty_midi | mt3x | any level | downbeat | metre | onset, value: true beats | found beats |
| --- | --- | --- | --- | --- | --- | --- | --- | --- |
| OpenScore | .692 | .283 | .857 | .929 | .834 | .500 | .972, .731 | .480, .355 |
| ASAP scores | .467 | .280 | .919 | .919 | .716 | .400 | .988, .719 | .793, .621 |

Hands of the ASAP scores: .897. Note values can be heard in part only: pedal and staccato are drawn at random.

More performances of 40 s: three of each OpenScore piece held out, if it has so many (245), and one of each
second ASAP score (93). `METRE_WEIGHT` was chosen on the OpenScore ones, nothing on ASAP. "Before": a network
of 40 channels with fewer and narrower distances (up to 2.4 s), without a metre head. "On notes": onset, value
with found beats of 82 of the performances.

| | beat | any level | downbeat | metre | on notes |
| --- | --- | --- | --- | --- | --- |
| OpenScore, before | .855 | .930 | .811 | .543 | .635, .518 |
| OpenScore | .901 | .953 | .857 | .678 | .743, .581 |
| ASAP scores, before | .807 | .906 | .686 | .538 | |
| ASAP scores | .860 | .927 | .682 | .505 | |

The weights are those of two runs, .3 of the first and .7 of one that went on from it for 24 minutes with a
fifth of single parts: alone, the first has downbeat .852 and metre .678 on OpenScore, the second .861 and
.694. Single parts of held-out scores (156): downbeat .553 with the first, .601 with the second, .585 as it
is; metre .519, .538, .519. The mixture was taken for simple tunes: scales, waltzes and jigs of
`tests/score/performances.py` at five tempos, each exact, with jitter and with rubato, get their metre in
.844, .867 and .889 of 45; a jig's melody alone (The Irish Washerwoman) in 5, 1 and 5 of 15 performances.

The commonest mistakes: 2/4 taken for 4/4, 4/4 for 6/8, 3/4 for 4/4, 6/8 for 9/8; a melody alone in 6/8 for
2/4 or 4/4. Told 6/8, that jig gets its beats in 13 of 15 (3 before `writing._beats` tried longer ones).

Tried and left out. F is that of downbeats unless said otherwise, their beats found as now:

(Measured with the network of before; the last two with the first run of today's, before its last 11 minutes.)

- A change of metre at a bar line, at a cost. F of 99 pieces of one metre and of 38 that change it: without,
  .713 and .521; cost 8, .713 and .510; cost 6, .707 and .511; cost 4, .693 and .534.
- Other priors of 2, 3 and 4 beats in a bar, other weights of downbeats: on 82 pieces within .02 of today's F.
- The network's mean over five transpositions and tempos, at five times the cost: on the 99 pieces F goes from
  .713 to .722, metre from .616 to .626.
- Onset strength of the audio (librosa) as a salience of beats where no note begins; 12 pieces rendered by
  FluidSynth, F of beats. From what an older default model found in them .850 without it and .851 with it,
  from the notes themselves .871 and .871, from a random 40 % of the notes .654 and .726. librosa's own
  tracker: .684.
- The network's mean over three or five transpositions: held-out loss of beats .2086, .2084 and
  .2080 for one, three and five, of downbeats .402, .415 and .415.
- Metre and threes chosen together from the paths of each bar, the metre head and `reading_cost`: downbeat and
  metre of the 245 performances .864 and .718 with the best of ten settings, .858 and .678 without.
"""

import argparse
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from mt3x.data.beats.performances import (
    MetricalScore,
    Performance,
    beats_of_bars,
    perform,
    read_metrical_scores,
)
from mt3x.data.synthetic.scores import is_held_out
from mt3x.score.rhythm.beats import Beats, track_beats
from mt3x.score.rhythm.quantise import quantise
from mt3x.score.rhythm.voices import split_hands
from mt3x.score.score import Score

FRAMES_PER_SECOND = 50


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--openscore", type=Path)
    parser.add_argument("--asap", type=Path)
    parser.add_argument("--pieces", type=int, default=40)
    parser.add_argument("--seconds", type=float, default=40.0)
    arguments = parser.parse_args()
    if arguments.openscore:
        held_out = (path for path in sorted(arguments.openscore.rglob("*.mxl")) if is_held_out(path))
        report(
            "OpenScore, held out", read_metrical_scores(held_out, print), arguments.pieces, arguments.seconds
        )
    if arguments.asap:
        paths = sorted(arguments.asap.glob("*.npz"))
        report(
            "ASAP scores",
            map(read_note_arrays, paths[:: len(paths) // arguments.pieces]),
            arguments.pieces,
            arguments.seconds,
        )


def report(title: str, scores: Iterator[MetricalScore], pieces: int, seconds: float) -> None:
    totals: dict[str, dict[str, list[float]]] = defaultdict(lambda: defaultdict(list))
    rng = np.random.default_rng(0)
    count = 0
    for score in scores:
        performance = next(filter(None, (perform(score, rng, seconds) for _ in range(5))), None)
        if performance is None:
            continue
        for name, values in measure(score, performance).items():
            for column, value in values.items():
                totals[name][column].append(value)
        count += 1
        if count == pieces:
            break
    print(f"\n{title}: {count} performances of {seconds:g} s")
    for name, columns in totals.items():
        row = "  ".join(f"{column} {np.mean(values):.3f}" for column, values in columns.items())
        print(f"{name:14} {row}")


def measure(score: MetricalScore, performance: Performance) -> dict[str, dict[str, float]]:
    notes = performance.notes
    results = {
        "librosa": beat_scores(performance, librosa_beats(notes)),
        "pretty_midi": beat_scores(performance, pretty_midi_beats(notes)),
    }
    found = track_beats(notes)
    metre = (found.beats_per_measure, found.is_compound)
    results["mt3x"] = {
        **beat_scores(performance, found.seconds[found.seconds >= 0]),
        "downbeat": f_measure(
            performance.beats[performance.is_downbeat],
            found.seconds[found.is_downbeat & (found.seconds >= 0)],
        ),
        "metre": float(metre == (performance.beats_per_measure, performance.is_compound)),
    }
    true = Beats(
        performance.beats, performance.is_downbeat, *(performance.beats_per_measure, performance.is_compound)
    )
    for name, beats in (("true beats", true), ("found beats", found)):
        results[name] = quantisation_scores(score, performance, quantise(notes, beats))
    if score.staff is not None:
        onset, end, pitch, _ = score.notes[:2000].T
        staff = split_hands(onset * 24, end * 24, pitch.astype(int))
        results["hands"] = {"hand": float(np.mean(staff == score.staff[:2000]))}
    return results


def f_measure(reference: np.ndarray, estimate: np.ndarray) -> float:
    import mir_eval

    return float(mir_eval.beat.f_measure(reference, estimate)) if len(estimate) else 0.0


def beat_scores(performance: Performance, estimate: np.ndarray) -> dict[str, float]:
    between = (estimate[:-1] + estimate[1:]) / 2
    levels = (estimate, np.sort(np.concatenate([estimate, between])), estimate[::2], estimate[1::2])
    scores = [f_measure(performance.beats, level) for level in levels]
    return {"beat": scores[0], "any level": max(scores)}


def librosa_beats(notes: np.ndarray) -> np.ndarray:
    import librosa

    frames = np.rint(notes["start"] * FRAMES_PER_SECOND).astype(int)
    strength = np.sqrt(np.bincount(frames, notes["velocity"] / 100, frames.max() + FRAMES_PER_SECOND))
    strength = np.convolve(strength, [0.5, 1.0, 0.5], "same")
    _, beats = librosa.beat.beat_track(
        onset_envelope=strength, sr=FRAMES_PER_SECOND, hop_length=1, units="frames", trim=False
    )
    return np.asarray(beats) / FRAMES_PER_SECOND


def pretty_midi_beats(notes: np.ndarray) -> np.ndarray:
    from mt3x.music.midi_writing import to_pretty_midi

    midi = to_pretty_midi(notes)
    tempo = midi.estimate_tempo()
    start = midi.estimate_beat_start()
    return np.arange(start, notes["start"].max() + 1, 60 / tempo)


def quantisation_scores(score: MetricalScore, performance: Performance, written: Score) -> dict[str, float]:
    """Of notes that the score has; where a beat counts for more than a quarter, in its beats."""
    rows = np.unique(performance.rows[performance.rows >= 0])
    onset, end, pitch, _ = score.notes[rows].T
    beat = np.median(np.diff(score.beats))
    unit = 36 if performance.is_compound else 24
    true = {
        (round(o * unit / beat), int(p)): (e - o) * unit / beat
        for o, e, p in zip(onset, end, pitch, strict=True)
    }
    found = {}
    for part in written.parts:
        if not part.is_drum:
            for note in part.notes:
                found[int(note["onset_div"]), int(note["pitch"])] = int(note["duration_div"])
    # Pitches were transposed as a whole, and the excerpt begins anywhere: take the commonest offsets.
    offset, up = best_offsets(np.array(list(true)), np.array(list(found)))
    right = [key for key in true if (key[0] + offset, key[1] + up) in found]
    values = [abs(found[k[0] + offset, k[1] + up] - true[k]) < 1 for k in right]
    return {
        "onset": 2 * len(right) / (len(true) + len(found)),
        "value": float(np.mean(values)) if values else 0.0,
    }


def best_offsets(true: np.ndarray, found: np.ndarray) -> tuple[int, int]:
    """The shift in divs and in semitones that brings most notes together."""
    step = max(len(true) // 150, 1)
    difference = (found[None, :, :] - true[::step, None, :]).reshape(-1, 2)
    shifts, counts = np.unique(difference[np.abs(difference[:, 1]) <= 6], axis=0, return_counts=True)
    offset, up = shifts[counts.argmax()]
    return int(offset), int(up)


def read_note_arrays(path: Path) -> MetricalScore:
    """A score kept as partitura's note array, with its measures."""
    with np.load(path, allow_pickle=False) as archive:
        notes, measures = archive["na"], archive["measures"]
    notes = notes[(notes["is_grace"] == 0) & (notes["duration_div"] > 0)]
    divs = float(notes["divs_pq"][0])
    bars = []
    for start, end in measures.tolist():
        near = notes[min(int(np.searchsorted(notes["onset_div"], start)), len(notes) - 1)]
        bars.append((start / divs, end / divs, int(near["ts_beats"]), int(near["ts_beat_type"])))
    onset = notes["onset_div"] / divs
    rows = np.stack(
        [onset, onset + notes["duration_div"] / divs, notes["pitch"], np.zeros(len(notes))], axis=1
    )
    return MetricalScore(path.stem, rows, *beats_of_bars(bars), staff=notes["staff"].astype(int))


if __name__ == "__main__":
    main()
