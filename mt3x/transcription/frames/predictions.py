"""What the frame recogniser predicts of segments: probabilities, not decisions."""

from typing import Any, NamedTuple

import jax

from mt3x.audio.logfrequency import FilterBank
from mt3x.transcription.frames.config import FrameConfig
from mt3x.transcription.frames.network import detect


class FramePredictions(NamedTuple):
    """What is predicted of one segment, or of a batch [B, ...] of them: probabilities, not decisions.

    Attributes:
      onset: float32 [Q], pitch frames from the segment's start, of the onset candidates; row: int32 [Q].
      probability: float32 [Q], of an onset in the roll; 0 for an empty place. is_note: float32 [Q], of a
        note.
      programs: float32 [Q, 128], logits; velocity: float32 [Q], 0 to 127.
      active, offset: float32 [F, 88], of a note that sounds, and that ends.
      cents: float32 [T, 88], how far from its pitch a note sounds.
      drums: float32 [2 F, 47], of hits.
      pedal: float32 [T], of a sustain pedal that is down; None of a network without a head for it.
    """

    onset: Any
    row: Any
    probability: Any
    is_note: Any
    programs: Any
    velocity: Any
    active: Any
    offset: Any
    cents: Any
    drums: Any
    pedal: Any = None


def predict(
    config: FrameConfig, params: Any, bank: FilterBank, samples: jax.Array, detuning: jax.Array
) -> FramePredictions:
    """Predictions of segments float32 [B, N], each read with the bank's filters number `detuning` [B]."""
    detected = detect(config, params, bank, samples, detuning)
    candidates, classified, pedal = detected.candidates, detected.classified, detected.rolls.pedal
    return FramePredictions(
        onset=candidates.onset,
        row=candidates.row,
        probability=jax.nn.sigmoid(candidates.logit),
        is_note=jax.nn.sigmoid(classified.is_note),
        programs=classified.programs,
        velocity=127 * jax.nn.sigmoid(classified.velocity),
        active=jax.nn.sigmoid(detected.rolls.active),
        offset=jax.nn.sigmoid(detected.rolls.offset),
        cents=detected.rolls.cents,
        drums=jax.nn.sigmoid(detected.drums),
        pedal=None if pedal is None else jax.nn.sigmoid(pedal),
    )
