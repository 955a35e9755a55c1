"""Who plays a part: chances, stand-ins, drum kits, and that each player says truly what it has."""

import numpy as np
import pytest

from mt3x.data.synthetic.players import LibraryPlayer, Orchestra, SoundfontPlayer, SynthesizerPlayer
from mt3x.music.notes import empty_notes, make_notes
from mt3x.synthesis import inflection
from tests.synthesis.sampled.sine_library import RATE, Recorded, make_library

LIBRARY = make_library(
    [
        Recorded("grand", 0, 60),
        Recorded("grand", 0, 67, articulation="muted"),
        Recorded("steel", 25, 52),
        Recorded("all", 0, 60),
        Recorded("all", 0, 38, is_drum=True),
        *[Recorded("kit", 0, key, is_drum=True) for key in (36, 38, 42, 49, 50, 51)],
    ]
)


class Soundfont:
    """A synthesizer with pitches from 60 on, all drums from 27 to 87, and nothing to hear."""

    def __init__(self):
        self.cents = []

    def sounding_pitches(self, program, is_drum=False):
        keys = np.arange(128)
        return (keys >= 27) & (keys <= 87) if is_drum else keys >= 60

    def render(self, notes, seconds, detune_cents, formant_semitones):
        self.cents.append(detune_cents)
        return np.zeros(round(seconds * RATE), np.float32)


def orchestra(samples=1.0, synthesizers=0.0, library=LIBRARY, bodies=0.0):
    return Orchestra(library, [Soundfont()], RATE, samples, synthesizers, bodies)


def assign(notes, seed=0, **changes):
    return orchestra(**changes).assign(np.random.default_rng(seed), notes)


def drums(keys):
    return make_notes(0.1, 0.2, keys, is_drum=True)


def test_each_program_has_a_player_and_all_notes_that_it_has():
    notes = make_notes(0, 1, [60, 40, 61, 64, 62], program=[0, 73, 73, 0, 40])
    parts = assign(notes, samples=0.0)
    assert [sorted(mine.tolist()) for _, mine in parts] == [[0, 3], [4], [2]]
    for player, mine in parts:
        assert player.sounding(notes[mine]).all()


def test_recordings_play_where_there_are_some():
    notes = make_notes(0, 1, 60, program=[0, 73])
    for seed in range(20):
        kinds = [type(player) for player, _ in assign(notes, seed)]
        assert kinds in ([LibraryPlayer, SoundfontPlayer], [SoundfontPlayer])  # the muted piano has no C
    assert {type(player) for seed in range(20) for player, _ in assign(notes, seed, samples=0.0)} == {
        SoundfontPlayer
    }
    assert {type(player) for player, _ in assign(notes, library=None)} == {SoundfontPlayer}


def test_a_lone_instrument_plays_less_often_than_many():
    notes = make_notes(0, 1, 52, program=24)
    played = [player for seed in range(600) for player, _ in assign(notes, seed, samples=0.6)]
    share = sum(isinstance(player, LibraryPlayer) for player in played) / 600
    assert share == pytest.approx(0.6**3, abs=0.05)


def test_a_share_of_players_has_another_body():
    notes = make_notes(0, 1, 72, program=73)
    drawn = [assign(notes, seed, bodies=0.9)[0][0]._formant_semitones for seed in range(300)]
    assert set(drawn) == set(range(-4, 5))
    assert np.mean(np.array(drawn) != 0) == pytest.approx(0.9 * 8 / 9, abs=0.07)


def test_one_articulation_plays_a_part():
    notes = make_notes(0, 1, np.arange(56, 72))
    heard = {tuple(notes["pitch"][mine].tolist()) for seed in range(40) for _, mine in assign(notes, seed)}
    assert heard == {tuple(range(56, 65)), tuple(range(63, 72))}


def test_recordings_of_other_programs_stand_in():
    for program in (24, 25):
        ((player, _),) = assign(make_notes(0, 1, 52, program=program))
        assert isinstance(player, LibraryPlayer)
    nylon = make_library([Recorded("nylon", 24, 52)])
    for program, kinds in ((24, [LibraryPlayer]), (25, [])):  # what has recordings of its own needs no other
        assert [
            type(player) for player, _ in assign(make_notes(0, 1, 52, program=program), library=nylon)
        ] == kinds


def test_drums_of_an_instrument_never_play_a_pitched_part():
    notes = make_notes(0, 1, [38, 60])
    for seed in range(40):
        for player, mine in assign(notes, seed):
            assert 0 not in mine.tolist() and player.sounding(notes[mine]).all()


def test_synthesisers_play_their_programs_alone():
    notes = make_notes(0, 1, 60, program=[53, 73])
    kinds = [type(player) for player, _ in assign(notes, samples=0.0, synthesizers=1.0)]
    assert kinds == [SynthesizerPlayer, SoundfontPlayer]


@pytest.mark.parametrize("seed", range(30))
def test_every_drum_is_hit_once(seed):
    hits = drums(np.repeat(np.arange(128), 2))
    parts = assign(hits, seed)
    played = np.concatenate([mine for _, mine in parts])
    assert len(np.unique(played)) == len(played)
    assert set(hits["pitch"][played].tolist()) >= set(range(27, 88))
    for player, mine in parts:
        assert player.sounding(hits[mine]).all()


def test_a_kit_plays_keys_that_it_lacks_on_others():
    hits = drums([35, 36, 40, 52, 80])
    kit = orchestra()._kit(LIBRARY.instruments.index("kit"))
    assert kit.sounding(hits).tolist() == [True, True, True, True, False]
    samples = kit.render(np.random.default_rng(0), hits[:1], inflection.none(1), 0.5)
    np.testing.assert_array_equal(
        samples, kit.render(np.random.default_rng(0), hits[1:2], inflection.none(1), 0.5)
    )


def test_a_soundfont_is_detuned_as_a_whole_within_its_range():
    synthesizer = Soundfont()
    player = SoundfontPlayer(synthesizer)
    for cents in (-15.0, 500.0):
        bent = inflection.Inflections(np.full(2, cents), *np.ones((6, 2)))
        player.render(np.random.default_rng(0), make_notes(0, 1, [60, 62]), bent, 0.5)
    player.render(np.random.default_rng(0), empty_notes(), inflection.none(0), 0.5)
    assert synthesizer.cents == [-15.0, 200.0, 0.0]
    assert not player.is_in_tune and not player.is_inflected


def test_a_soundfont_with_another_body_has_the_notes_that_it_plays():
    # It has pitches from 60 on, and plays them four semitones lower.
    notes = make_notes(0, 1, [63, 64, 2], program=40)
    assert SoundfontPlayer(Soundfont(), 4).sounding(notes).tolist() == [False, True, False]
    assert SoundfontPlayer(Soundfont(), -4).sounding(notes).tolist() == [True, True, False]


def test_a_synthesiser_has_every_note_and_plays_it():
    player = SynthesizerPlayer("organ", RATE)
    notes = make_notes(0.1, 0.4, [30, 60, 100])
    assert player.sounding(notes).all() and np.array_equal(player.lasts(notes), notes["end"])
    samples = player.render(np.random.default_rng(0), notes, inflection.none(3), 0.5)
    assert samples.shape == (RATE // 2,) and np.abs(samples).max() > 0.01


def test_nothing_to_play_needs_nobody():
    assert assign(empty_notes()) == []


def test_players_are_the_same_for_a_seed():
    notes = np.concatenate([make_notes(0, 1, 62, program=[0, 25, 53]), drums([36, 38, 42])])
    first, again = assign(notes, 4), assign(notes, 4)
    assert [mine.tolist() for _, mine in first] == [mine.tolist() for _, mine in again]
    assert [type(player) for player, _ in first] == [type(player) for player, _ in again]
