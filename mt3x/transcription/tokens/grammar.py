"""Greedy search that writes only what can be true: a policy (`model.policies`) that knows the grammar.

A network that is not sure repeats itself: it strikes a note again 10 ms later, ends notes that do not sound,
goes back in time. Most of that is against the rules that `tokens.encode` writes by:

- The tie section is programs and pitches, and ends with the tie token; none comes later.
- Then come groups: shift, program, velocity and pitch or drum, each but the last left out where it is the
  same as before; so a program is followed by a velocity or a note, a velocity by a note.
- Shifts rise, and end with the segment. Within a step, ends come before beginnings.
- Only a note that sounds ends, and not in the step in which it was struck; none is struck twice in a step. A
  strike of a note that sounds is allowed: decoding takes it as the end of that note and a new one.

Of the ids that keep these, the likeliest is taken. It is no part of MT3, and no default for its weights.

Tried and left out: forbidding strikes of notes that sound, or of notes struck less than 0.1 s ago (what
`merge_restrikes` mends afterwards). A network that wants such a note then writes the second likeliest pitch,
which is wrong: the onset F1 of the example fell from 0.73 to 0.62.
"""

import dataclasses
import enum
from typing import NamedTuple

import jax
import jax.numpy as jnp

from mt3x.model.policies import EOS_ID, Choice, Greedy, Path
from mt3x.tokens.codec import Codec
from mt3x.tokens.spec import NoteSpec
from mt3x.tokens.vocabulary import NUM_SPECIAL_IDS

_NUM_PITCHES = _NUM_PROGRAMS = 128


class _After(enum.IntEnum):
    """What the last id was, as far as it limits the next."""

    NOTE = 0  # or the tie token, or nothing yet
    SHIFT = 1
    PROGRAM = 2
    VELOCITY = 3


class Sentence(NamedTuple):
    """Where each row's sentence stands; arrays [B] but for `sounding`.

    Attributes:
      after: int32, an `_After`.
      in_ties: bool, still in the tie section.
      shift: int32, steps since the segment's start.
      program: int32, the last one named; 0 before any.
      is_onset: bool, the last velocity was not 0.
      has_begun: bool, a note began in this step.
      sounding: bool [B, 128, 128], by program and pitch.
      onset_shift: int32 [B, 128, 128], `shift` when that note was last struck; -1 for never.
    """

    after: jax.Array
    in_ties: jax.Array
    shift: jax.Array
    program: jax.Array
    is_onset: jax.Array
    has_begun: jax.Array
    sounding: jax.Array
    onset_shift: jax.Array


class _Hypotheses(NamedTuple):
    path: Path
    sentence: Sentence


@dataclasses.dataclass(frozen=True)
class Grammatical:
    """The likeliest grammatical id at every position, until the end id.

    Attributes:
      codec: of the network's vocabulary.
      spec: what of a note is written; for onsets alone only the rule on shifts holds.
      segment_steps: the last step that a shift may name.
      vocab_size: V of the logits, padding of the embedding table included.
    """

    codec: Codec
    spec: NoteSpec
    segment_steps: int
    vocab_size: int

    num_beams = 1

    def start(self, batch_size: int, max_length: int) -> _Hypotheses:
        zeros = jnp.zeros(batch_size, jnp.int32)
        sentence = Sentence(
            after=zeros,
            in_ties=jnp.full(batch_size, self.spec.has_ties),
            shift=zeros,
            program=zeros,
            is_onset=jnp.ones(batch_size, bool),
            has_begun=jnp.zeros(batch_size, bool),
            sounding=jnp.zeros((batch_size, _NUM_PROGRAMS, _NUM_PITCHES), bool),
            onset_shift=jnp.full((batch_size, _NUM_PROGRAMS, _NUM_PITCHES), -1, jnp.int32),
        )
        return _Hypotheses(Greedy().start(batch_size, max_length), sentence)

    def extend(self, hypotheses: _Hypotheses, logits: jax.Array, position: jax.Array) -> Choice:
        path, sentence = hypotheses
        allowed = self.allowed_ids(sentence)[:, jnp.newaxis]  # [B, 1, V]
        choice = Greedy().extend(path, jnp.where(allowed, logits, -jnp.inf), position)
        sentence = self.read(sentence, choice.ids[:, 0])
        return Choice(_Hypotheses(choice.hypotheses, sentence), choice.ids, None)

    def is_done(self, hypotheses: _Hypotheses) -> jax.Array:
        return Greedy().is_done(hypotheses.path)

    def result(self, hypotheses: _Hypotheses) -> tuple[jax.Array, jax.Array]:
        return Greedy().result(hypotheses.path)

    def allowed_ids(self, sentence: Sentence) -> jax.Array:
        """bool [B, V]: which ids may come next; never none."""
        after, in_ties, is_onset = sentence.after, sentence.in_ties, sentence.is_onset
        after_note = after == _After.NOTE
        is_free = after_note | (after == _After.SHIFT)
        in_body = ~in_ties
        may_begin, may_end = self._notes_that_may(sentence)
        pitches = jnp.where(is_onset[:, None] | in_ties[:, None], may_begin, may_end)
        if not self.spec.has_offsets:
            pitches = jnp.ones_like(pitches)
        velocities = self._velocities(jnp.any(may_end, axis=1) & ~sentence.has_begun)
        by_type = {
            "shift": (in_body & after_note)[:, None] & self._later_steps(sentence),
            "pitch": pitches,
            "velocity": (in_body & (after != _After.VELOCITY))[:, None] & velocities,
            "tie": (in_ties & is_free)[:, None],
            "program": jnp.repeat(is_free[:, None], _NUM_PROGRAMS, axis=1),
            "drum": jnp.repeat((in_body & is_onset)[:, None], _NUM_PITCHES, axis=1),
        }
        is_end = jnp.arange(NUM_SPECIAL_IDS)[None, :] == EOS_ID
        blocks = [is_end & (after_note & in_body)[:, None]]
        blocks += [by_type[name] for name in ("shift", *(kind.type for kind in self.codec.event_ranges))]
        missing = self.vocab_size - sum(block.shape[1] for block in blocks)
        blocks.append(jnp.zeros((len(after), missing), bool))
        return jnp.concatenate(blocks, axis=1)

    def read(self, sentence: Sentence, ids: jax.Array) -> Sentence:
        """Where the sentences stand after one more id each, int32 [B]."""
        after, in_ties, shift, program, is_onset, has_begun, sounding, onset_shift = sentence
        index = ids - NUM_SPECIAL_IDS
        is_shift, step = self._event("shift", index)
        is_program, named = self._event("program", index)
        is_velocity, velocity = self._event("velocity", index)
        is_pitch, pitch = self._event("pitch", index)
        is_drum, _ = self._event("drum", index)
        is_tie, _ = self._event("tie", index)
        after = jnp.select(
            [is_shift, is_program, is_velocity, is_pitch | is_drum | is_tie],
            [jnp.int32(_After.SHIFT), jnp.int32(_After.PROGRAM), jnp.int32(_After.VELOCITY), jnp.int32(0)],
            after,
        )
        program = jnp.where(is_program, named, program)
        is_onset = jnp.where(is_velocity, velocity > 0, is_onset)
        shift = jnp.where(is_shift, step, shift)
        place = (jnp.arange(len(ids)), program, pitch)
        begins = is_pitch & is_onset & ~in_ties
        has_begun = (has_begun & ~is_shift) | begins | is_drum
        sounding = sounding.at[place].set(jnp.where(is_pitch, is_onset | in_ties, sounding[place]))
        onset_shift = onset_shift.at[place].set(jnp.where(begins, shift, onset_shift[place]))
        in_ties &= ~is_tie
        return Sentence(after, in_ties, shift, program, is_onset, has_begun, sounding, onset_shift)

    def _event(self, event_type: str, index: jax.Array) -> tuple[jax.Array, jax.Array]:
        """Whether each codec index is of the type, and its value, 0 where not."""
        first, last = self.codec.event_type_range(event_type)
        is_type = (index >= first) & (index <= last)
        return is_type, jnp.where(is_type, index - first, 0)

    def _notes_that_may(self, sentence: Sentence) -> tuple[jax.Array, jax.Array]:
        """Which pitches of the current program may begin, and which may end: bool [B, 128] each."""
        program = sentence.program[:, None, None]
        sounding = jnp.take_along_axis(sentence.sounding, program, axis=1)[:, 0]
        onset_shift = jnp.take_along_axis(sentence.onset_shift, program, axis=1)[:, 0]
        is_old = onset_shift < sentence.shift[:, None]
        return is_old, sounding & is_old

    def _later_steps(self, sentence: Sentence) -> jax.Array:
        steps = jnp.arange(self.codec.max_shift_steps + 1)[None, :]
        return (steps > sentence.shift[:, None]) & (steps <= self.segment_steps)

    def _velocities(self, may_end: jax.Array) -> jax.Array:
        """bool [B, bins]: all but 0, and that too where a note may end."""
        first, last = self.codec.event_type_range("velocity")
        is_zero = jnp.arange(last - first + 1)[None, :] == 0
        return may_end[:, None] | ~is_zero
