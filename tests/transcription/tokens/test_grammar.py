"""The grammatical search: what each sentence allows next, by hand and for all that `encode` writes."""

import jax
import jax.numpy as jnp
import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from mt3x.music.instruments import Granularity
from mt3x.music.notes import make_notes, trim_overlapping_notes
from mt3x.tokens.codec import Event
from mt3x.tokens.decode import decode_segments
from mt3x.tokens.encode import encode_segment
from mt3x.tokens.spec import NoteSpec
from mt3x.tokens.vocabulary import EOS_ID, VocabularyConfig, build_codec, trim_eos, vocabulary_from_codec
from mt3x.transcription.tokens.grammar import Grammatical

CODEC = build_codec(VocabularyConfig())
VOCABULARY = vocabulary_from_codec(CODEC)
VOCAB_SIZE = 1536
SEGMENT_STEPS = 200


GRAMMAR = Grammatical(CODEC, NoteSpec.NOTES_WITH_TIES, SEGMENT_STEPS, VOCAB_SIZE)
READ = jax.jit(GRAMMAR.read)
ALLOWED = jax.jit(GRAMMAR.allowed_ids)


def id_of(event_type, value=0):
    return int(VOCABULARY.encode(CODEC.encode_event(Event(event_type, value))))


def allowed_after(*events, grammar=GRAMMAR):
    """The set of ids that may follow events such as ("shift", 5)."""
    sentence = grammar.start(1, 8).sentence
    for event in events:
        sentence = grammar.read(sentence, jnp.array([id_of(*event)]))
    return set(np.flatnonzero(grammar.allowed_ids(sentence)[0]).tolist())


TIE, ON, OFF = ("tie", 0), ("velocity", 1), ("velocity", 0)


def test_a_segment_opens_with_held_notes_and_a_tie():
    allowed = allowed_after()
    assert {id_of("program", 40), id_of("pitch", 60), id_of(*TIE)} <= allowed
    assert not {EOS_ID, 0, id_of("shift", 1), id_of(*ON), id_of("drum", 38)} & allowed


def test_only_a_note_that_sounds_ends():
    held = (("program", 40), ("pitch", 60), TIE)
    assert id_of(*OFF) in allowed_after(*held)
    after_off = allowed_after(*held, ("shift", 3), OFF)
    assert id_of("pitch", 60) in after_off and id_of("pitch", 61) not in after_off
    assert id_of(*OFF) not in allowed_after(*held, ("program", 0))


def test_a_note_is_struck_or_ended_once_in_a_step():
    struck = (TIE, ("shift", 10), ("program", 0), ON, ("pitch", 60))
    assert id_of("pitch", 60) not in allowed_after(*struck)
    assert {id_of("pitch", 60), id_of(*OFF)} <= allowed_after(*struck, ("shift", 11))
    assert id_of("pitch", 60) in allowed_after(*struck, ("program", 40))
    ended = (*struck, ("shift", 11), OFF, ("pitch", 60))
    assert id_of("pitch", 60) not in allowed_after(*ended)
    assert id_of("pitch", 60) in allowed_after(*ended, ON)


def test_within_a_step_ends_come_before_beginnings():
    held = (("program", 0), ("pitch", 60), TIE, ("shift", 10))
    assert id_of(*OFF) in allowed_after(*held)
    assert id_of(*OFF) not in allowed_after(*held, ON, ("pitch", 72))
    assert id_of(*OFF) not in allowed_after(*held, ON, ("drum", 38))
    assert id_of(*OFF) in allowed_after(*held, ON, ("pitch", 72), ("shift", 11))


def test_shifts_rise_and_end_with_the_segment():
    allowed = allowed_after(TIE, ("shift", 10), ON, ("drum", 38))
    shifts = [id_of("shift", step) in allowed for step in (9, 10, 11, SEGMENT_STEPS, SEGMENT_STEPS + 1)]
    assert shifts == [False, False, True, True, False]


def test_a_shift_is_not_the_last_word():
    assert EOS_ID in allowed_after(TIE)
    assert EOS_ID not in allowed_after(TIE, ("shift", 10))
    assert id_of("shift", 11) not in allowed_after(TIE, ("shift", 10))


def test_onsets_alone_may_repeat_a_pitch():
    onsets = Grammatical(CODEC, NoteSpec.ONSETS, SEGMENT_STEPS, VOCAB_SIZE)
    assert id_of("pitch", 60) in allowed_after(("shift", 5), ("pitch", 60), grammar=onsets)


@st.composite
def music(draw):
    """Notes on the tokens' grid, each at least 2 steps long."""
    size = draw(st.integers(0, 25))
    columns = st.tuples(
        st.integers(0, 249), st.integers(2, 120), st.integers(58, 63), st.sampled_from([0, 40]), st.booleans()
    )
    first, length, pitch, program, is_drum = (
        np.array(draw(st.lists(columns, min_size=size, max_size=size)), int).reshape(size, 5).T
    )
    program = np.where(is_drum, 0, program)
    notes = make_notes(first / 100, (first + length) / 100, pitch, 100, program, is_drum.astype(bool))
    notes = trim_overlapping_notes(notes)
    return notes[notes["end"] - notes["start"] > 0.015]


@given(music())
def test_all_that_is_written_from_notes_is_allowed(notes):
    indexes = encode_segment(notes, 0.5, 2.5, CODEC, NoteSpec.NOTES_WITH_TIES, Granularity.FULL)
    ids = np.append(VOCABULARY.encode(indexes), EOS_ID)
    sentence = GRAMMAR.start(1, 8).sentence
    for place, token in enumerate(ids):
        assert ALLOWED(sentence)[0, token], f"id {token} at {place} of {ids.tolist()}"
        sentence = READ(sentence, jnp.array([token]))


def test_whatever_the_network_says_the_events_are_valid():
    num_rows, length = 6, 120
    hypotheses = GRAMMAR.start(num_rows, length)
    extend = jax.jit(GRAMMAR.extend)
    for position in range(length):
        key = jax.random.fold_in(jax.random.key(0), position)
        logits = 3 * jax.random.normal(key, (num_rows, 1, VOCAB_SIZE))
        if position == 0:  # nothing is held: what decoding would not believe of a first segment
            logits = logits.at[..., id_of(*TIE)].set(100.0)
        hypotheses = extend(hypotheses, logits, jnp.full(num_rows, position)).hypotheses
    segments = list(VOCABULARY.decode(np.asarray(GRAMMAR.result(hypotheses)[0][:, 0])))
    assert sum((segment >= 0).sum() for segment in segments) > 100
    for segment in segments:
        _, report = decode_segments([trim_eos(segment)], np.zeros(1), CODEC, NoteSpec.NOTES_WITH_TIES)
        assert (report.invalid_events, report.dropped_events) == (0, 0)
