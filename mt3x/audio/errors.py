"""The one error of recordings."""


class AudioError(ValueError):
    """A recording that cannot be used. One line: the file, what was found, the limit, and what to do."""
