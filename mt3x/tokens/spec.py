"""What of each note is written as tokens: one table.

| spec       | a pitched note is                          | a drum hit is  | a segment opens with |
| ---------- | ------------------------------------------ | -------------- | -------------------- |
| onsets     | pitch, at its onset                        | pitch          |                      |
| notes      | program, velocity, pitch; velocity 0: ends | velocity, drum |                      |
| notes_ties | as notes                                   | velocity, drum | held notes, tie      |

Source: MT3 `note_sequences.py` (its three encoding specs); arXiv 2107.09142 (onsets, notes) and 2111.03017
(ties).
"""

import enum


class NoteSpec(enum.Enum):
    """Which rows of the table above hold; the values are the words in MT3's task names."""

    ONSETS = "onsets"
    NOTES = "notes"
    NOTES_WITH_TIES = "notes_ties"

    @property
    def has_offsets(self) -> bool:
        """Whether offsets, velocities, programs and drums are written, not only the pitches of onsets."""
        return self is not NoteSpec.ONSETS

    @property
    def has_ties(self) -> bool:
        """Whether each segment opens with the notes that are held over its start."""
        return self is NoteSpec.NOTES_WITH_TIES
