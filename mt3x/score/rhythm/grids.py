"""Which note of a beat an onset is: the subdivision of every beat that explains best what was played.

Positions are in divs from the first beat, `DIVS_PER_QUARTER` to a quarter; a beat has 24, a dotted one 36.
A beat is divided by the simplest grid that its events fit: a grid costs the more the rarer it is, events cost
the square of their distance from it in units of the player's own unevenness, which is measured on the piece.
"""

from dataclasses import dataclass

import numpy as np

DIVS_PER_QUARTER = 24

_GRACE_SECONDS = 0.11
_SAME_SECONDS = 0.05
_GRACE_COST = 3.0
_COLLISION_COST = 4.0
_CHANGE_COST = 0.7
_ISOLATED_COST = 2.0
_FIRST_SPREAD_SECONDS = 0.02
_FEWEST_FOR_SPREAD = 6
_SPREAD_LIMITS = (0.004, 0.035)


@dataclass(frozen=True)
class Grid:
    """Places in a beat, in divs, and the cost of reading a beat so."""

    divs: tuple[int, ...]
    cost: float
    is_triple: bool = False

    @property
    def step(self) -> int:
        """The shortest distance of two places."""
        return int(np.diff(self.divs).min()) if len(self.divs) > 1 else 0


SIMPLE_GRIDS = (
    Grid((0,), 0.0),
    Grid((0, 12), 0.5),
    Grid((0, 6, 12, 18), 1.5),
    Grid((0, 8, 16), 2.0, True),
    Grid((0, 3, 6, 9, 12, 15, 18, 21), 4.5),
    Grid((0, 4, 8, 12, 16, 20), 4.5, True),
    Grid((0, 8, 12, 16), 4.5, True),
    Grid((0, 6, 8, 12, 16, 18), 7.0, True),
)
"""Of a quarter: whole, 2, 4, 3, 8, 6 parts, two against three, three against four."""

COMPOUND_GRIDS = (
    Grid((0,), 0.0),
    Grid((0, 12, 24), 0.5),
    Grid((0, 6, 12, 18, 24, 30), 1.5),
    Grid((0, 18), 3.0, True),
    Grid(tuple(range(0, 36, 3)), 4.5),
    Grid((0, 9, 18, 27), 5.0, True),
    Grid(tuple(range(0, 36, 4)), 5.5, True),
)
"""Of a dotted quarter: whole, 3, 6, 2, 12, 4, 9 parts."""


def place_events(
    position: np.ndarray, beat_seconds: np.ndarray, length_seconds: np.ndarray, is_compound: bool
) -> tuple[np.ndarray, np.ndarray]:
    """Onsets of events on their grids.

    Args:
      position: float64 [E], in beats since the first one, increasing, none below 0.
      beat_seconds: float64 [E], how long the beat around each event lasts.
      length_seconds: float64 [E], the longest note of each event.
      is_compound: beats are dotted quarters.

    Returns:
      divs int64 [E], and bool [E]: the event is a grace note, at the onset of the event that it leans on.
    """
    if not len(position):
        return np.zeros(0, np.int64), np.zeros(0, bool)
    grids, size = _grids_of(is_compound)
    spread = _FIRST_SPREAD_SECONDS
    for _ in range(2):
        divs, is_grace, _ = _place(position, beat_seconds, length_seconds, grids, size, spread)
        # Beats were put where events are: only events between them tell how even the playing is.
        between = ~is_grace & (divs % size > 0)
        error = np.abs(position - divs / size)[between] * beat_seconds[between]
        if len(error) >= _FEWEST_FOR_SPREAD:
            spread = float(np.clip(1.5 * np.median(error), *_SPREAD_LIMITS))
    divs, is_grace, _ = _place(position, beat_seconds, length_seconds, grids, size, spread)
    # A grace note takes the onset of the next event that is none; the last event never is one.
    following = np.where(is_grace, np.iinfo(np.int64).max, divs)
    following = np.minimum.accumulate(following[::-1])[::-1]
    return following, is_grace


def reading_cost(position: np.ndarray, beat_seconds: np.ndarray, is_compound: bool) -> float:
    """What it costs to read events, none of them a grace note, as quarters or as dotted quarters divided.

    Arguments are those of `place_events`; events are at least one.
    """
    grids, size = _grids_of(is_compound)
    return _place(position, beat_seconds, np.ones(len(position)), grids, size, _FIRST_SPREAD_SECONDS)[2]


def _grids_of(is_compound: bool) -> tuple[tuple[Grid, ...], int]:
    """Grids, and the divs of a beat."""
    return (COMPOUND_GRIDS, 3 * DIVS_PER_QUARTER // 2) if is_compound else (SIMPLE_GRIDS, DIVS_PER_QUARTER)


def _place(
    position: np.ndarray,
    beat_seconds: np.ndarray,
    length_seconds: np.ndarray,
    grids: tuple[Grid, ...],
    size: int,
    spread: float,
) -> tuple[np.ndarray, np.ndarray, float]:
    """Divs and grace notes of events, and the cost of it all."""
    beat = np.floor(position).astype(np.int64)
    step_after = np.append(np.diff(position), np.inf)
    step_before = np.append(np.inf, step_after[:-1])
    gap = step_after * beat_seconds
    may_be_grace = (gap < _GRACE_SECONDS) & (length_seconds < 1.5 * _GRACE_SECONDS)
    rows = np.split(np.arange(len(position)), np.flatnonzero(np.diff(beat)) + 1)
    total = np.zeros(len(grids))
    origins, placements = [], []
    change = _CHANGE_COST * np.not_equal.outer(*[[grid.is_triple for grid in grids]] * 2)
    for mine in rows:
        phase = position[mine] - beat[mine[0]]
        options = [
            _place_in_beat(
                phase,
                beat_seconds[mine],
                np.stack([step_before[mine], step_after[mine]]),
                may_be_grace[mine],
                grid,
                size,
                spread,
            )
            for grid in grids
        ]
        paths = total[:, None] + change
        origins.append(paths.argmin(0))
        total = paths.min(0) + [cost for cost, _, _ in options]
        placements.append(options)
    divs, is_grace = np.zeros(len(position), np.int64), np.zeros(len(position), bool)
    best, least = int(total.argmin()), float(total.min())
    for mine, origin, options in zip(reversed(rows), reversed(origins), reversed(placements), strict=True):
        _, divs[mine], is_grace[mine] = options[best]
        divs[mine] += size * beat[mine[0]]
        best = int(origin[best])
    return divs, is_grace, least


def _place_in_beat(
    phase: np.ndarray,
    beat_seconds: np.ndarray,
    steps: np.ndarray,
    may_be_grace: np.ndarray,
    grid: Grid,
    size: int,
    spread: float,
) -> tuple[float, np.ndarray, np.ndarray]:
    """Cost of a grid for the events of one beat, their divs from its start, and which are grace.

    A short note value seldom stands alone: off the places of the coarser grid, an event has another one
    a step before or after it. `steps` [2, n] are the distances to these, in beats.
    """
    places = np.array([*grid.divs, size])
    distance = np.abs(phase[:, None] - places / size)
    nearest = distance.argmin(1)
    error = 0.5 * (distance[np.arange(len(phase)), nearest] * beat_seconds / spread) ** 2
    collides = np.append(nearest[1:] == nearest[:-1], False) & (steps[1] * beat_seconds > _SAME_SECONDS)
    error = error + _COLLISION_COST * collides
    if len(grid.divs) > 2:
        is_alone = (np.abs(steps * size / grid.step - 1) > 0.5).all(0)
        error += _ISOLATED_COST * (is_alone & (places[nearest] // grid.step % 2 == 1))
    is_grace = may_be_grace & (error > _GRACE_COST)
    cost = grid.cost + float(np.where(is_grace, _GRACE_COST, error).sum())
    return cost, places[nearest], is_grace
