"""The one exception of this package: whatever is wrong with a checkpoint, its text says what and where."""


class CheckpointError(ValueError):
    """A checkpoint that cannot be read or written as asked; the text names the path or the array."""
