"""Excerpts of band music: human drummers under bass, chords and a melody, arranged from lead sheets.

Conventions: as `draw_excerpt`. Notes lie in a region that begins at 0 s in the middle of the music; notes
that sound on from before start at 0; every note starts before `seconds` and may end later. Drum hits last
`HIT_SECONDS`. Music is written in quarters from a bar line, one to two bars before the region.
"""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from mt3x.data.synthetic.band_archive import BandMusic, BandPackReport, load_bands, pack_bands, save_bands
from mt3x.data.synthetic.band_harmony import Song, Style, cut_sheet, draw_progression, draw_riff
from mt3x.data.synthetic.band_parts import draw_accompaniment, draw_bass, draw_melody
from mt3x.data.synthetic.drums import HIT_SECONDS
from mt3x.data.synthetic.grooves import Groove, vary_keys
from mt3x.data.synthetic.lead_sheets import MELODY_NOTE_DTYPE, LeadSheet
from mt3x.music.checks import check_shares
from mt3x.music.notes import empty_notes, make_notes, trim_overlapping_notes, validate_notes

__all__ = [
    "BandMusic",
    "BandPackReport",
    "BandSettings",
    "draw_band",
    "load_bands",
    "pack_bands",
    "save_bands",
]

SHORTEST_NOTE_SECONDS = 0.02
VOICE_PROGRAM = 53
_EARLY_QUARTERS = 0.1
"""A hit this little before a bar line belongs to the bar that follows."""
_KICK_KEYS = (35, 36)
_BPM_LIMITS = (45.0, 260.0)
_STYLES = tuple(Style)

# Beginnings of the grooves' styles that fit.
_GROOVE_STYLES: dict[Style, tuple[str, ...]] = {
    Style.ROCK: ("rock", "punk", "blues"),
    Style.POP: ("pop", "soul", "dance", "hiphop", "gospel", "rock/indie", "rock/folk", "rock/halftime"),
    Style.FUNK: ("funk", "hiphop", "neworleans", "soul", "jazz/funk", "afrobeat"),
    Style.JAZZ: ("jazz", "neworleans/shuffle", "blues"),
    Style.METAL: ("rock", "punk"),
    Style.LATIN: ("latin", "afrocuban", "reggae", "highlife", "middleeastern", "funk/latin"),
    Style.COUNTRY: ("country", "rock/folk", "rock/rockabilly", "rock/shuffle", "blues", "pop/soft", "soul"),
}
_BASS_PROGRAMS: dict[Style, tuple[int, ...]] = {
    Style.ROCK: (33, 33, 34, 34),
    Style.POP: (33, 33, 33, 34, 35, 38),
    Style.FUNK: (33, 33, 34, 36, 37, 38),
    Style.JAZZ: (32, 32, 32, 33, 35),
    Style.METAL: (33, 34, 34, 34),
    Style.LATIN: (32, 33, 33, 35),
    Style.COUNTRY: (32, 33, 33, 34),
}
_CHORD_PROGRAMS: dict[Style, tuple[int, ...]] = {
    Style.ROCK: (24, 25, 26, 27, 28, 29, 29, 29, 30, 30, 0, 16, 18),
    Style.POP: (24, 25, 25, 26, 27, 0, 0, 0, 1, 4, 5, 16, 48, 50, 88, 89, 90),
    Style.FUNK: (26, 27, 27, 28, 28, 4, 4, 5, 16, 17, 18),
    Style.JAZZ: (0, 0, 0, 26, 26, 24, 4, 16, 17),
    Style.METAL: (29, 29, 30, 30, 30, 30, 28, 48),
    Style.LATIN: (24, 24, 24, 25, 0, 0, 0, 4, 48),
    Style.COUNTRY: (25, 25, 25, 24, 26, 27, 0, 0, 49),
}
_ANY_CHORD_PROGRAMS = (*range(6), 16, 17, 18, *range(24, 32), *range(48, 52), *range(88, 96))
_GUITARS = (24, 24, 25, 25, 26, 27)
_MELODY_PROGRAMS: dict[Style, tuple[int, ...]] = {
    Style.ROCK: (26, 27, 29, 29, 30, 30, 65, 66, 80, 81, 0),
    Style.POP: (0, 0, 26, 40, 64, 65, 73, 80, 81),
    Style.FUNK: (56, 56, 65, 65, 66, 67, 27, 80, 81),
    Style.JAZZ: (56, 56, 64, 65, 65, 66, 66, 67, 26, 26, 73, 0, 0, 40),
    Style.METAL: (29, 29, 30, 30, 30, 81),
    Style.LATIN: (56, 56, 73, 73, 40, 66, 26, 0),
    Style.COUNTRY: (40, 40, 40, 26, 27, 73, 0),
}


class _Players(NamedTuple):
    """Which parts play besides the drums."""

    has_bass: bool
    num_chords: int
    has_melody: bool


# (weight, players); one accompanist stands for one or two in a full band.
_WITH_DRUMS = (
    (0.5, _Players(True, 1, True)),
    (0.14, _Players(True, 0, False)),
    (0.18, _Players(True, 1, False)),
    (0.06, _Players(True, 0, True)),
    (0.07, _Players(False, 1, True)),
    (0.03, _Players(False, 0, True)),
    (0.02, _Players(False, 1, False)),
)
_WITHOUT_DRUMS = (
    (0.25, _Players(True, 1, True)),
    (0.35, _Players(False, 1, True)),
    (0.2, _Players(False, 1, False)),
    (0.1, _Players(True, 0, False)),
    (0.1, _Players(False, 0, True)),
)


@dataclass(frozen=True)
class BandSettings:
    """What may be drawn; all are probabilities.

    drums_probability: share of excerpts with drums.
    drums_alone_probability: share, of those, with nothing but drums.
    voice_alone_probability: share, of those without drums, with nothing but a voice.
    random_harmony_probability: share of excerpts on chords drawn at random, not from a lead sheet.
    sung_probability: share of melodies that are sung, not played.
    """

    drums_probability: float = 0.67
    drums_alone_probability: float = 0.15
    voice_alone_probability: float = 0.4
    random_harmony_probability: float = 0.35
    sung_probability: float = 0.5

    def __post_init__(self) -> None:
        check_shares(**vars(self))


def draw_band(
    rng: np.random.Generator, seconds: float, music: BandMusic, settings: BandSettings | None = None
) -> np.ndarray:
    """`seconds` seconds of a band's music: `NOTE_DTYPE` [N], sorted.

    No pitch of an instrument overlaps itself, no note is shorter than 20 ms, velocities lie in 20..120. Now
    and then there is no note, as in music.

    Raises:
      ValueError: `seconds` isn't positive and finite.
    """
    if not 0 < seconds < np.inf:
        raise ValueError(f"seconds is {seconds}; it must be positive and finite")
    settings = settings or BandSettings()
    style = _STYLES[int(rng.integers(len(_STYLES)))]
    has_drums = rng.random() < settings.drums_probability
    sheet = None
    if music.sheets and rng.random() >= settings.random_harmony_probability:
        sheet = music.sheets[int(rng.integers(len(music.sheets)))]
    quarters_per_bar = _bar_of(sheet)
    groove = _draw_groove(rng, style, music, quarters_per_bar)
    bpm = _draw_tempo(rng, style, groove)
    num_bars = int(np.ceil(seconds * bpm / 60 / quarters_per_bar)) + 2
    hits = _play_groove(rng, groove, num_bars, quarters_per_bar)
    fills = [g for g in music.grooves if g.is_fill and g.style.startswith(_GROOVE_STYLES[style])]
    hits = _add_fill(rng, hits, fills, num_bars, quarters_per_bar)
    song = _compose(rng, style, sheet, groove, hits, num_bars, quarters_per_bar)
    region = _Region(quarters_per_bar * (1 + rng.random()), bpm, seconds)
    notes = _perform(rng, _arrange(rng, song, settings, has_drums), region)
    if has_drums:
        notes = np.concatenate([notes, _perform_drums(rng, hits, region)])
    notes = trim_overlapping_notes(notes)
    return validate_notes(notes[notes["end"] - notes["start"] >= SHORTEST_NOTE_SECONDS])


class _Region(NamedTuple):
    """Where 0 s lies in the song, and how fast it is played."""

    first_quarter: float
    bpm: float
    seconds: float

    def times(self, quarters: np.ndarray) -> np.ndarray:
        return (quarters - self.first_quarter) * 60 / self.bpm


def _bar_of(sheet: LeadSheet | None) -> float:
    """Bars of three quarters for waltzes and what is like them, else of four."""
    if sheet is None:
        return 4.0
    return 3.0 if sheet.quarters_per_bar % 3 == 0 or sheet.quarters_per_bar == 1.5 else 4.0


def _draw_groove(rng: np.random.Generator, style: Style, music: BandMusic, quarters_per_bar: float) -> Groove:
    """A beat of the style whose bars are as long as the music's, or longer; else of any style, else any."""
    beats = [g for g in music.grooves if not g.is_fill]
    beats = [g for g in beats if g.quarters_per_bar >= quarters_per_bar] or beats
    candidates = [g for g in beats if g.style.startswith(_GROOVE_STYLES[style])] or beats
    return candidates[int(rng.integers(len(candidates)))]


def _draw_tempo(rng: np.random.Generator, style: Style, groove: Groove) -> float:
    bpm = groove.bpm * float(np.exp(rng.uniform(-0.15, 0.15)))
    if style is Style.METAL:
        bpm = max(bpm * rng.uniform(1.05, 1.4), rng.uniform(100, 180))
    return float(np.clip(bpm, *_BPM_LIMITS))


def _play_groove(
    rng: np.random.Generator, groove: Groove, num_bars: int, quarters_per_bar: float
) -> np.ndarray:
    """Hits from a random bar of the groove on, from its beginning again after its end, ordered by onset.

    Bars longer than the music's lose their end.
    """
    onset = groove.notes["onset_quarters"].astype(np.float64)
    bar = np.floor((onset + _EARLY_QUARTERS) / groove.quarters_per_bar)
    position = onset - bar * groove.quarters_per_bar
    first = int(rng.integers(groove.num_bars))
    kept = (position < quarters_per_bar - _EARLY_QUARTERS) & (bar < groove.num_bars)
    bar = (bar - first) % groove.num_bars
    kept &= bar < num_bars
    once = groove.notes[kept]
    once["onset_quarters"] = (bar * quarters_per_bar + position)[kept]
    rounds = []
    for first_bar in range(0, num_bars, groove.num_bars):
        again = once.copy()
        again["onset_quarters"] += first_bar * quarters_per_bar
        rounds.append(again)
    hits = np.concatenate(rounds)
    hits = hits[hits["onset_quarters"] < num_bars * quarters_per_bar]
    hits["key"] = vary_keys(rng, hits["key"])
    return hits[np.argsort(hits["onset_quarters"], kind="stable")]


def _add_fill(
    rng: np.random.Generator, hits: np.ndarray, fills: list[Groove], num_bars: int, quarters_per_bar: float
) -> np.ndarray:
    """Now and then a recorded fill, from its first hit to the end of its bar, in place of the beat."""
    fills = [fill for fill in fills if fill.quarters_per_bar == quarters_per_bar]
    if not fills or rng.random() > 0.3:
        return hits
    fill = fills[int(rng.integers(len(fills)))].notes.copy()
    begin = int(rng.integers(num_bars)) * quarters_per_bar
    fill = fill[fill["onset_quarters"] < quarters_per_bar]
    fill["onset_quarters"] += begin
    fill["key"] = vary_keys(rng, fill["key"])
    onset, end = hits["onset_quarters"], begin + quarters_per_bar
    first = fill["onset_quarters"].min(initial=end)
    outside = hits[(onset < first - _EARLY_QUARTERS) | (onset >= end - _EARLY_QUARTERS)]
    joined = np.concatenate([outside, fill])
    return joined[np.argsort(joined["onset_quarters"], kind="stable")]


def _compose(
    rng: np.random.Generator,
    style: Style,
    sheet: LeadSheet | None,
    groove: Groove,
    hits: np.ndarray,
    num_bars: int,
    quarters_per_bar: float,
) -> Song:
    quarters = num_bars * quarters_per_bar
    if sheet is None:
        chords = draw_progression(rng, style, num_bars, quarters_per_bar)
        melody = draw_riff(rng, chords, quarters)
    else:
        # The region begins on a bar line and, where the sheet is long enough, ends before the sheet does.
        last = max(int((sheet.num_bars * sheet.quarters_per_bar - quarters) / quarters_per_bar), 0)
        first_quarter = int(rng.integers(last + 1)) * quarters_per_bar
        chords, melody = cut_sheet(sheet, first_quarter, quarters, int(rng.integers(-6, 7)))
    is_swung = style is Style.JAZZ or "swing" in groove.style or "shuffle" in groove.style
    swing = float(rng.uniform(0.54, 0.67)) if is_swung else 0.5
    kicks = hits["onset_quarters"][np.isin(hits["key"], _KICK_KEYS)].astype(np.float64)
    return Song(style, num_bars, quarters_per_bar, chords, melody.astype(MELODY_NOTE_DTYPE), kicks, swing)


def _draw_players(
    rng: np.random.Generator, settings: BandSettings, has_drums: bool
) -> tuple[_Players, float]:
    """Who plays besides the drums, and how probably the melody, if any, is sung."""
    if has_drums and rng.random() < settings.drums_alone_probability:
        return _Players(False, 0, False), 0.0
    if not has_drums and rng.random() < settings.voice_alone_probability:
        return _Players(False, 0, True), 1.0
    table = _WITH_DRUMS if has_drums else _WITHOUT_DRUMS
    weights = np.cumsum([weight for weight, _ in table])
    players = table[int(np.searchsorted(weights, rng.random() * weights[-1], side="right"))][1]
    if players.num_chords and players.has_bass and rng.random() < 0.5:
        players = players._replace(num_chords=2)
    return players, settings.sung_probability


def _draw_of(rng: np.random.Generator, programs: tuple[int, ...]) -> int:
    return programs[int(rng.integers(len(programs)))]


def _arrange(
    rng: np.random.Generator, song: Song, settings: BandSettings, has_drums: bool
) -> list[tuple[int, np.ndarray]]:
    """(program, part) of each player but the drummer."""
    players, sung_probability = _draw_players(rng, settings, has_drums)
    parts = []
    if players.has_bass:
        program = _draw_of(rng, _BASS_PROGRAMS[song.style])
        parts.append((program, draw_bass(rng, song, program)))
    for _ in range(players.num_chords):
        programs = _CHORD_PROGRAMS[song.style] if rng.random() < 0.85 else _ANY_CHORD_PROGRAMS
        if not has_drums and not players.has_bass and rng.random() < 0.75:
            programs = _GUITARS
        program = _draw_of(rng, programs)
        parts.append((program, draw_accompaniment(rng, song, program, players.has_bass)))
    if players.has_melody:
        program = _draw_of(rng, _MELODY_PROGRAMS[song.style])
        if rng.random() < sung_probability:
            program = VOICE_PROGRAM
        parts.append((program, draw_melody(rng, song, program)))
    return parts


def _perform(rng: np.random.Generator, parts: list[tuple[int, np.ndarray]], region: _Region) -> np.ndarray:
    """Parts in seconds, with each player's own delay, unsteadiness and level, and dynamics by phrase."""
    parts = [(program, part) for program, part in parts if len(part)]
    if not parts:
        return empty_notes()
    sizes = [len(part) for _, part in parts]
    rows = np.concatenate([part for _, part in parts])
    player = np.repeat(np.arange(len(parts)), sizes)
    program = np.repeat([program for program, _ in parts], sizes)

    jitter = rng.uniform(0.005, 0.015, len(parts))[player]
    late = rng.normal(0, 0.008, len(parts))[player] + rows["delay_seconds"]
    # The strings of one stroke move together: they share the jitter of their onset.
    stroke = np.cumsum(np.diff(rows["onset_quarters"] + 1e4 * player, prepend=-1) != 0)
    late += np.clip(rng.normal(0, 1, len(rows) + 1)[stroke], -2.5, 2.5) * jitter
    late += rng.normal(0, 0.001, len(rows))
    start = region.times(rows["onset_quarters"]) + late
    length = rows["duration_quarters"] * 60 / region.bpm * rng.uniform(0.93, 1.0, len(rows))
    end = start + np.maximum(length, 0.04)

    level = rng.uniform(50, 105) + rng.normal(0, 10, len(parts))[player] + rows["accent"]
    phrase = 2 * np.pi * (rows["onset_quarters"] / rng.uniform(8, 32) + rng.random(len(parts))[player])
    level += rng.uniform(0, 12) * np.sin(phrase) + rng.normal(0, rng.uniform(2, 8), len(rows))
    velocity = np.clip(np.rint(level), 20, 120)
    heard = (start < region.seconds) & (end > 0)
    notes = make_notes(np.maximum(start, 0), end, rows["pitch"], velocity, program)
    return notes[heard]


def _perform_drums(rng: np.random.Generator, hits: np.ndarray, region: _Region) -> np.ndarray:
    start = region.times(hits["onset_quarters"].astype(np.float64))
    velocity = np.clip(np.rint(hits["velocity"] * rng.uniform(0.75, 1.2) + rng.uniform(-5, 12)), 20, 120)
    notes = make_notes(start, start + HIT_SECONDS, hits["key"], velocity, is_drum=True)
    return notes[(start >= 0) & (start < region.seconds)]
