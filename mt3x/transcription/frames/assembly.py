"""Makes notes of what is predicted of segments, and gives them out as they become final.

Segments overlap: each one decides in its own part, away from its edges, where what comes before and after is
seen too. The first one begins with silence in front. A note ends where its pitch sounds no more, where its
end peaks, or where the pitch begins again.
"""

import dataclasses

import numpy as np

from mt3x.model.trunk import DRUM_KEYS, FRAMES_PER_TRUNK_FRAME, LOWEST_PITCH, NUM_PITCHES
from mt3x.music.instruments import is_piano
from mt3x.music.notes import empty_notes, make_notes, note_order
from mt3x.tokens.report import DecodeReport
from mt3x.transcription.frames.config import FrameConfig, Thresholds
from mt3x.transcription.frames.instrument_prior import InstrumentPrior, fold_strays
from mt3x.transcription.frames.network import REACH_FRAMES, FramePredictions
from mt3x.transcription.frames.pedal import PedalFollower
from mt3x.transcription.recogniser import NOTES_ALONE, Collected, Request
from mt3x.transcription.segment import Segment

DRUM_SECONDS = 0.01
"""The length of a drum hit, as MT3 writes it."""

DRUM_GROUPS: tuple[tuple[str, tuple[int, ...]], ...] = (
    ("kick", (35, 36)),
    ("snare", (38, 40)),
    ("snare", (37,)),
    ("drum", (39,)),
    ("cymbal", (42, 44, 46)),
    ("cymbal", (51, 53, 59)),
    ("cymbal", (49, 52, 55, 57)),
    ("drum", (41, 43)),
    ("drum", (45, 47)),
    ("drum", (48, 50)),
    ("drum", (54,)),
    ("drum", (56,)),
    ("drum", (58,)),
    *(("drum", (key,)) for key in range(60, 82)),
)
"""Keys that sound alike: their probabilities add up, and one hit is the likeliest of them. Each has the name
of its threshold."""

_IS_IN_GROUP = np.array([[key in keys for _, keys in DRUM_GROUPS] for key in DRUM_KEYS], np.float32)
"""float32 [47, groups]."""

_DRUM_GAP_SECONDS = 0.03
"""Two hits of a group lie at least so far apart: flams and rolls are closer than notes."""

SUNG_PROGRAMS = range(52, 55)
"""Choirs and voices of General MIDI."""

_FIRST_END_FRAMES = 2  # a note sounds in the frames after its onset; earlier ones say nothing of its end

_Row = tuple[float, float, int, int, int, bool]
"""Start, end, pitch, velocity, program, is_drum."""


@dataclasses.dataclass
class _OpenNote:
    start: float
    velocity: int
    program: int
    logits: np.ndarray
    """float16 [128], of all programs."""
    sounds_from: int
    """The first frame of the recording in which it may end."""


class NoteAssembler:
    """The notes of one recording, from its segments in order.

    Segments are `segment_frames` long, share `lead_frames` and `tail_frames` with their neighbours, and begin
    `lead_frames` before the recording.

    A bend that is asked for is float32 [K, 2], seconds and cents above the note's pitch, in rising order of
    time; nothing of a drum hit. Who takes notes before the end asks to keep all instruments: it is known only
    then which ones others explain (`instrument_prior.fold_strays`).
    """

    def __init__(self, config: FrameConfig, request: Request = NOTES_ALONE):
        self._config, self._thresholds = config, config.thresholds
        self._fps = config.spectra.frames_per_second
        self._decided = 0  # frames of the recording about which nothing changes any more
        self._last: tuple[Segment, FramePredictions | None] | None = None
        self._open: dict[int, _OpenNote] = {}  # by row
        self._prior = InstrumentPrior(config.programs)
        self._began = np.full(NUM_PITCHES, -np.inf)  # by row: seconds of the last onset
        self._struck = np.full(len(DRUM_GROUPS), -np.inf)
        self._rows: list[_Row] = []
        self._bends: list[np.ndarray] = []  # of the rows
        self._folds = not request.keep_all and not config.instruments
        self._logits: list[np.ndarray] = []  # of the rows that are pitched, where strays are folded
        self._follows_bends = request.bends
        self._cents: list[tuple[np.ndarray, np.ndarray]] = []  # seconds [n], cents [n, 88] of late
        knows_pedal = config.network.pedal_width > 0
        self._pedal = PedalFollower(self._thresholds) if request.pedal and knows_pedal else None

    def add(self, segment: Segment, predicted: FramePredictions | None) -> None:
        """Adds the next segment; nothing is found in a silent one, for which there are no predictions."""
        self._last = segment, predicted
        self._decide(segment.first_frame + segment.num_frames - self._config.tail_frames)

    def take_final(self) -> np.ndarray:
        """The notes that have ended since the last call, sorted; more segments may follow."""
        return self._take()[0]

    def finish(self) -> Collected:
        """All notes that were not taken, with what was asked for beside them; no segment may follow."""
        if self._last is not None:
            segment = self._last[0]
            self._decide(segment.first_frame + segment.num_frames)
        for row in list(self._open):
            self._end(row, self._decided / self._fps)
        if self._folds:
            self._fold_strays()
        notes, bends = self._take()
        pedal = None
        if self._pedal is not None and is_piano(notes).any():
            self._pedal.lift(self._decided / self._fps)
            pedal = self._pedal.spans()
        return Collected(notes, DecodeReport(0, 0), tuple(bends) if self._follows_bends else None, pedal)

    def _fold_strays(self) -> None:
        pitched = [i for i, row in enumerate(self._rows) if not row[5]]
        if not pitched:
            return
        chosen = np.array([self._rows[i][4] for i in pitched])
        folded = fold_strays(np.array(self._logits, np.float32), chosen)
        for i, program in zip(pitched, folded.tolist(), strict=True):
            start, end, pitch, velocity, _, is_drum = self._rows[i]
            self._rows[i] = start, end, pitch, velocity, program, is_drum

    def _take(self) -> tuple[np.ndarray, list[np.ndarray]]:
        (rows, self._rows), (bends, self._bends) = (self._rows, []), (self._bends, [])
        notes = make_notes(*zip(*rows, strict=True)) if rows else empty_notes()
        order = note_order(notes)
        return notes[order], [bends[i] for i in order.tolist()] if bends else []

    def _decide(self, end: int) -> None:
        """Decides on the recording's frames up to `end` by the last segment."""
        assert self._last is not None
        segment, predicted = self._last
        if end <= self._decided:
            return
        if predicted is None:
            for row in list(self._open):
                self._end(row, self._decided / self._fps)
            if self._pedal is not None:
                self._pedal.lift(self._decided / self._fps)
        else:
            if self._pedal is not None:
                self._follow_pedal(self._pedal, predicted, segment.first_frame, end)
            if self._config.has_drums:
                self._strike_drums(predicted, segment.first_frame, end)
            if self._config.programs:
                if self._follows_bends:
                    self._keep_cents(predicted, segment.first_frame, end)
                self._follow_pitches(predicted, segment.first_frame, end)
        self._decided = end

    def _strike_drums(self, predicted: FramePredictions, first_frame: int, end: int) -> None:
        hits = find_drum_hits(predicted.drums, self._thresholds)
        for group, frame, key in hits:
            place = first_frame + frame / 2
            if not self._decided - 1 <= place < end:
                continue
            start = max(place / self._fps, 0.0)
            if start - self._struck[group] < _DRUM_GAP_SECONDS:
                continue
            self._struck[group] = start
            self._rows.append((start, start + DRUM_SECONDS, key, 100, 0, True))
            if self._follows_bends:
                self._bends.append(np.zeros((0, 2), np.float32))

    def _follow_pitches(self, predicted: FramePredictions, first_frame: int, end: int) -> None:
        """Begins and ends notes in frames `_decided` to `end`."""
        place = first_frame + predicted.onset
        begins = (predicted.probability >= self._thresholds.onset) & (
            predicted.is_note >= self._thresholds.note
        )
        begins &= (place >= self._decided - 1) & (place < end)
        begun = np.flatnonzero(begins)
        begun = begun[np.argsort(predicted.onset[begun], kind="stable")]
        starts = np.maximum(place / self._fps, 0.0)
        begun = np.array([i for i in begun.tolist() if self._is_new(predicted.row[i], starts[i])], np.int64)
        chosen = self._prior.choose(predicted.programs[begun]).tolist()
        programs = dict(zip(begun.tolist(), chosen, strict=True))
        ends = self._ends(predicted)  # [F, 88]
        for row in sorted({*self._open, *predicted.row[begun].tolist()}):
            may_end = first_frame + np.flatnonzero(ends[:, row])
            may_end = may_end[(may_end >= self._decided) & (may_end < end)]
            for index in begun[predicted.row[begun] == row].tolist():
                start, frame = float(starts[index]), int(place[index])
                self._end_before(row, may_end, frame, start)
                if programs[index] in SUNG_PROGRAMS:
                    start += self._config.sung_delay_seconds
                velocity = int(np.clip(np.rint(predicted.velocity[index]), 1, 127))
                logits = predicted.programs[index].astype(np.float16)
                sounds_from = frame + _FIRST_END_FRAMES
                self._open[row] = _OpenNote(start, velocity, programs[index], logits, sounds_from)
            self._end_before(row, may_end, end, None)

    def _is_new(self, row: int, start: float) -> bool:
        """Whether this is not the row's last onset once more; then it is the last one now."""
        if start - self._began[row] < self._config.merge_seconds:
            return False
        self._began[row] = start
        return True

    def _follow_pedal(
        self, pedal: PedalFollower, predicted: FramePredictions, first_frame: int, end: int
    ) -> None:
        start = first_frame + FRAMES_PER_TRUNK_FRAME * np.arange(len(predicted.pedal))
        is_decided = (start >= self._decided) & (start < end)
        pedal.add(start[is_decided] / self._fps, predicted.pedal[is_decided])

    def _keep_cents(self, predicted: FramePredictions, first_frame: int, end: int) -> None:
        """Keeps what is decided on from `_decided` to `end`, as long as an open note needs it."""
        oldest = min((note.start for note in self._open.values()), default=np.inf)
        self._cents = [part for part in self._cents if part[0][-1] >= oldest]
        middle = first_frame + FRAMES_PER_TRUNK_FRAME * (np.arange(len(predicted.cents)) + 0.5)
        is_decided = (middle >= self._decided) & (middle < end)
        if is_decided.any():
            self._cents.append((middle[is_decided] / self._fps, predicted.cents[is_decided]))

    def _bend(self, row: int, start: float, end: float) -> np.ndarray:
        """How a row bends from `start` to `end`, its jitter smoothed: float32 [K, 2]."""
        parts = [(seconds, cents[:, row]) for seconds, cents in self._cents]
        if not parts:
            return np.zeros((0, 2), np.float32)
        seconds, cents = (np.concatenate(column) for column in zip(*parts, strict=True))
        sounds = (seconds >= start) & (seconds < end)
        return np.stack([seconds[sounds], _smooth(cents[sounds])], axis=1).astype(np.float32)

    def _ends(self, predicted: FramePredictions) -> np.ndarray:
        """bool [F, 88]: frames in which a note that sounded before may end."""
        silent = predicted.active < self._thresholds.active
        offset = predicted.offset
        return silent | (_is_peak(offset) & (offset >= self._thresholds.offset))

    def _end_before(self, row: int, may_end: np.ndarray, limit: int, next_start: float | None) -> None:
        """Ends the row's open note in the first frame before the limit in which it may, else at the next."""
        if row not in self._open:
            return
        frames = may_end[(may_end >= self._open[row].sounds_from) & (may_end < limit)]
        if len(frames):
            self._end(row, int(frames[0]) / self._fps)
        elif next_start is not None:
            self._end(row, next_start)

    def _end(self, row: int, seconds: float) -> None:
        note = self._open.pop(row)
        end = max(seconds, note.start + 0.5 / self._fps)
        self._rows.append((note.start, end, row + LOWEST_PITCH, note.velocity, note.program, False))
        if self._folds:
            self._logits.append(note.logits)
        if self._follows_bends:
            self._bends.append(self._bend(row, note.start, end))


def find_drum_hits(drums: np.ndarray, thresholds: Thresholds) -> list[tuple[int, float, int]]:
    """The hits in a roll of probabilities, in order of time: group, drum frames from the segment's start,
    key.

    Args:
      drums: float32 [F, 47].
    """
    totals = np.minimum(drums @ _IS_IN_GROUP, 1.0)  # [F, groups]
    least = np.array([getattr(thresholds, kind) for kind, _ in DRUM_GROUPS])
    hits = []
    for frame, group in zip(*np.nonzero(_is_peak(totals) & (totals >= least)), strict=True):
        around = np.arange(max(frame - REACH_FRAMES, 0), min(frame + REACH_FRAMES + 1, len(totals)))
        weight = totals[around, group]
        moment = float(np.sum(weight * (around + 0.5)) / np.sum(weight))
        likelihood = drums[around].sum(axis=0) * _IS_IN_GROUP[:, group]
        hits.append((int(group), moment, DRUM_KEYS[int(np.argmax(likelihood))]))
    return sorted(hits, key=lambda hit: hit[1])


def _is_peak(roll: np.ndarray) -> np.ndarray:
    """bool [F, P]: cells that none within reach along time exceeds, the first of equal ones."""
    padded = np.pad(roll, ((REACH_FRAMES, REACH_FRAMES), (0, 0)), constant_values=-1.0)
    is_peak = np.ones(roll.shape, bool)
    for shift in range(1, REACH_FRAMES + 1):
        before = padded[REACH_FRAMES - shift : len(padded) - REACH_FRAMES - shift]
        after = padded[REACH_FRAMES + shift : len(padded) - REACH_FRAMES + shift]
        is_peak &= (roll > before) & (roll >= after)
    return is_peak


def _smooth(cents: np.ndarray) -> np.ndarray:
    """A running mean over three frames, fewer at the ends: float [K]."""
    if len(cents) < 3:
        return cents
    kernel = np.ones(3)
    return np.convolve(cents, kernel, "same") / np.convolve(np.ones(len(cents)), kernel, "same")
