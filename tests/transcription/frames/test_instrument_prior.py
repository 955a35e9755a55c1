"""Which program is chosen for a note, by hand."""

import numpy as np
import pytest

from mt3x.transcription.frames.instrument_prior import InstrumentPrior, fold_strays


def logits(**programs):
    values = np.full(128, -10.0)
    for name, value in programs.items():
        values[int(name[1:])] = value
    return values


def one(prior, values):
    """The program chosen for a note alone in its segment."""
    return int(prior.choose(values[None])[0])


def test_the_likeliest_program_of_the_likeliest_class_is_chosen():
    # 40 is the likeliest program, but pianos together are likelier.
    assert one(InstrumentPrior(), logits(p40=2.0, p0=1.9, p4=1.9)) in (0, 4)


def test_what_has_played_plays_on_where_the_evidence_is_close():
    prior = InstrumentPrior()
    for _ in range(8):
        assert one(prior, logits(p73=5.0)) == 73
    assert one(prior, logits(p73=1.0, p68=2.0)) == 73


def test_clear_evidence_brings_in_another_program():
    prior = InstrumentPrior()
    for _ in range(8):
        one(prior, logits(p73=5.0))
    assert one(prior, logits(p73=-5.0, p0=8.0)) == 0


def test_what_came_in_late_is_as_likely_as_what_has_played_for_long():
    prior = InstrumentPrior()
    for _ in range(200):
        one(prior, logits(p0=20.0))
    for _ in range(8):
        one(prior, logits(p40=20.0))
    assert one(prior, logits(p0=9.0, p40=9.1)) == 40


def test_a_piano_that_might_be_a_bright_one_is_a_piano():
    assert one(InstrumentPrior(), logits(p0=5.0, p1=6.0)) == 0
    assert one(InstrumentPrior(), logits(p0=5.0, p1=9.0)) == 1


def test_what_is_known_to_play_needs_no_past():
    prior = InstrumentPrior([40, 41])
    assert [one(prior, logits(p40=9.0)) for _ in range(8)] == [40] * 8
    assert one(prior, logits(p40=9.0, p41=9.5)) == 41


def test_only_programs_that_may_play_are_chosen():
    assert one(InstrumentPrior([40, 41]), logits(p0=20.0, p41=1.0)) == 41


@pytest.mark.parametrize("seed", range(3))
def test_a_choice_is_always_one_that_may_play(seed):
    rng = np.random.default_rng(seed)
    programs = rng.choice(128, 5, replace=False).tolist()
    prior = InstrumentPrior(programs)
    assert all(program in programs for _ in range(5) for program in prior.choose(rng.normal(0, 5, (4, 128))))


def test_the_notes_of_a_segment_are_decided_together():
    # One note might as well be of an oboe; the nine others say that a flute plays.
    unsure, sure = logits(p73=1.0, p68=2.0), logits(p73=3.0)
    assert InstrumentPrior().choose(np.stack([unsure, *[sure] * 9])).tolist() == [73] * 10
    assert one(InstrumentPrior(), unsure) == 68


def test_the_order_of_a_segments_notes_does_not_matter():
    rng = np.random.default_rng(7)
    values, order = rng.normal(0, 3, (12, 128)), rng.permutation(12)
    np.testing.assert_array_equal(
        InstrumentPrior().choose(values)[order], InstrumentPrior().choose(values[order])
    )


def test_two_instruments_that_begin_together_are_both_named():
    values = np.stack([logits(p40=6.0, p42=2.0), logits(p42=6.0, p40=2.0)] * 4)
    assert InstrumentPrior().choose(values).tolist() == [40, 42] * 4


def test_no_notes_have_no_programs():
    assert InstrumentPrior().choose(np.zeros((0, 128))).tolist() == []


def test_a_few_notes_that_another_instrument_explains_go_to_it():
    piano, close = logits(p0=5.0), logits(p0=4.5, p11=5.0)
    notes = np.array([piano] * 20 + [close] * 3)
    assert fold_strays(notes, np.array([0] * 20 + [11] * 3)).tolist() == [0] * 23


def test_a_few_notes_that_nothing_else_explains_stay():
    notes = np.array([logits(p0=5.0)] * 20 + [logits(p0=-3.0, p73=5.0)] * 3)
    programs = np.array([0] * 20 + [73] * 3)
    assert fold_strays(notes, programs).tolist() == programs.tolist()


def test_a_stray_goes_to_the_instrument_that_explains_it_best():
    piano, flute = [logits(p0=9.0)] * 10, [logits(p73=9.0)] * 10
    strays = [logits(p68=5.0, p73=4.5, p0=1.0), logits(p68=5.0, p0=4.5, p73=1.0)]
    programs = np.array([0] * 10 + [73] * 10 + [68] * 2)
    assert fold_strays(np.array(piano + flute + strays), programs)[-2:].tolist() == [73, 0]


def test_more_evidence_is_asked_for_in_a_long_recording():
    def kept(num_piano_notes):
        notes = np.array([logits(p0=9.0)] * num_piano_notes + [logits(p0=2.0, p11=5.0)] * 4)
        return fold_strays(notes, np.array([0] * num_piano_notes + [11] * 4))[-1] == 11

    assert kept(200) and not kept(6000)


def test_one_instrument_and_no_notes_are_left_as_they_are():
    assert fold_strays(np.array([logits(p40=3.0)] * 2), np.array([40, 40])).tolist() == [40, 40]
    assert fold_strays(np.zeros((0, 128)), np.zeros(0, np.int64)).tolist() == []
