"""Which notes of an estimate may stand for which of a reference, and as many such pairs as can be.

Distances of times are rounded to 4 decimals before they are compared, and a limit is within reach: what is 50
ms late in decimals is 50 ms late, whatever the floats say. Times are seconds.

Source: the rules and the matching are those of mir_eval `transcription.match_notes`, found without comparing
every note with every other: pairs are looked up in sorted onsets, pairs that compete with none are taken at
once, and Hopcroft and Karp's algorithm settles the rest. It tries notes in mir_eval's order, so that of
several largest matchings it finds mir_eval's, which scores that look at velocities depend on.
"""

from collections.abc import Iterator

import numpy as np

_DECIMALS = 4


def candidate_pairs(
    reference: np.ndarray,
    estimate: np.ndarray,
    reference_keys: np.ndarray,
    estimate_keys: np.ndarray,
    onset_tolerance_seconds: float,
    offset_ratio: float | None,
    offset_min_tolerance_seconds: float,
) -> np.ndarray:
    """All pairs of notes that agree: int64 [P, 2] of (position in the reference, in the estimate), sorted.

    Args:
      reference: notes [N].
      estimate: notes [M].
      reference_keys, estimate_keys: int [N] and [M], 0 or more; must be equal in a pair.
      offset_ratio: of the reference's length, how far offsets may be apart; None: they may end anywhere.
    """
    # One sorted column of (key, rank of the onset) serves the windows of all keys.
    num_ranks = len(estimate) + 1
    by_onset = np.argsort(estimate["start"], kind="stable")
    onsets = estimate["start"][by_onset]
    ranked_keys = estimate_keys[by_onset].astype(np.int64) * num_ranks + np.arange(len(estimate))
    order = np.argsort(ranked_keys, kind="stable")
    ranked_keys, positions = ranked_keys[order], by_onset[order]
    reach = onset_tolerance_seconds + 10.0**-_DECIMALS
    earliest = np.searchsorted(onsets, reference["start"] - reach, side="left")
    latest = np.searchsorted(onsets, reference["start"] + reach, side="right")
    base = reference_keys.astype(np.int64) * num_ranks
    first, last = (np.searchsorted(ranked_keys, base + rank) for rank in (earliest, latest))
    num_found = last - first
    ours = np.repeat(np.arange(len(reference)), num_found)
    within = np.arange(len(ours)) - np.repeat(np.cumsum(num_found) - num_found, num_found)
    theirs = positions[first[ours] + within]

    agree = _distances(reference["start"][ours], estimate["start"][theirs]) <= onset_tolerance_seconds
    if offset_ratio is not None:
        lengths = reference["end"] - reference["start"]
        tolerances = np.maximum(offset_ratio * lengths, offset_min_tolerance_seconds)
        agree &= _distances(reference["end"][ours], estimate["end"][theirs]) <= tolerances[ours]
    pairs = np.stack([ours[agree], theirs[agree]], axis=1)
    return pairs[np.lexsort((pairs[:, 1], pairs[:, 0]))]


def largest_matching(pairs: np.ndarray) -> np.ndarray:
    """As many pairs as possible without one position on either side twice: int64 [K, 2], sorted.

    >>> largest_matching(np.array([[0, 0], [0, 1], [1, 0]])).tolist()
    [[0, 1], [1, 0]]

    Args:
      pairs: int64 [P, 2], sorted, none twice.
    """
    if not len(pairs):
        return np.zeros((0, 2), np.int64)
    is_alone = (np.bincount(pairs[:, 0])[pairs[:, 0]] == 1) & (np.bincount(pairs[:, 1])[pairs[:, 1]] == 1)
    contested: dict[int, list[int]] = {}
    for ours, theirs in pairs[~is_alone].tolist():
        contested.setdefault(theirs, []).append(ours)
    settled = np.array(sorted(_match(contested).items()), np.int64).reshape(-1, 2)
    matching = np.concatenate([pairs[is_alone], settled])
    return matching[np.argsort(matching[:, 0])]


def _distances(times: np.ndarray, others: np.ndarray) -> np.ndarray:
    return np.around(np.abs(times - others), _DECIMALS)


def _match(choices: dict[int, list[int]]) -> dict[int, int]:
    """Our note -> theirs, as many as possible, from the notes of ours that each of theirs may stand for."""
    taken: dict[int, int] = {}
    free = []
    for theirs, wanted in choices.items():
        ours = next((ours for ours in wanted if ours not in taken), None)
        if ours is None:
            free.append(theirs)
        else:
            taken[ours] = theirs
    while free:
        reached_by: dict[int, int | None] = dict.fromkeys(free)
        sources, ends = _search(choices, taken, free, reached_by)
        if not ends:
            break
        for end in ends:
            taken.update(_path(end, sources, reached_by))
        matched = set(taken.values())
        free = [theirs for theirs in free if theirs not in matched]
    return taken


def _search(
    choices: dict[int, list[int]],
    taken: dict[int, int],
    free: list[int],
    reached_by: dict[int, int | None],
) -> tuple[dict[int, list[int]], list[int]]:
    """Goes from their free notes to our notes and on to those that hold these, until some of ours are free.

    Returns:
      for each of our notes that was reached, theirs by which it was; and our free notes, all equally far.
      `reached_by` takes up our notes by which their notes were reached.
    """
    sources: dict[int, list[int]] = {}
    layer, ends = free, []
    while layer and not ends:
        found: dict[int, list[int]] = {}
        for theirs in layer:
            for ours in choices[theirs]:
                if ours not in sources:
                    found.setdefault(ours, []).append(theirs)
        sources.update(found)
        ends = [ours for ours in found if ours not in taken]
        held = [ours for ours in found if ours in taken]
        layer = [taken[ours] for ours in held]
        reached_by.update(zip(layer, held, strict=True))
    return sources, ends


def _path(
    end: int, sources: dict[int, list[int]], reached_by: dict[int, int | None]
) -> Iterator[tuple[int, int]]:
    """Pairs (ours, theirs) that replace others along a way back to a free note of theirs; none if blocked.

    Notes that were tried are taken out of `sources` and `reached_by`: a way crosses no other.
    """
    steps = [(end, iter(sources.pop(end)))]
    chosen: list[int] = []
    while steps:
        for theirs in steps[-1][1]:
            if theirs not in reached_by:
                continue
            before = reached_by.pop(theirs)
            if before is None:
                return zip((ours for ours, _ in steps), [*chosen, theirs], strict=True)
            if before in sources:
                chosen.append(theirs)
                steps.append((before, iter(sources.pop(before))))
                break
        else:
            steps.pop()
            if chosen:
                chosen.pop()
    return iter(())
