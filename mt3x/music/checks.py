"""Checks of numbers that a caller sets: configs, options, arguments. None means not set, and passes.

check_at_least(1, total_steps=self.total_steps, log_every=self.log_every)
"""


def check_at_least(least: float, /, **values: float | None) -> None:
    """Raises ValueError for the first of the named values that is below `least`, or not a number."""
    for name, value in values.items():
        if value is not None and not value >= least:
            raise ValueError(f"{name} is {value}; it must be at least {least}")


def check_positive(**values: float | None) -> None:
    """Raises ValueError for the first of the named values that is not above 0."""
    for name, value in values.items():
        if value is not None and not value > 0:
            raise ValueError(f"{name} is {value}; it must be positive")


def check_shares(**values: float | None) -> None:
    """Raises ValueError for the first of the named probabilities or shares that is not within 0 to 1."""
    for name, value in values.items():
        if value is not None and not 0 <= value <= 1:
            raise ValueError(f"{name} is {value}; it must be within 0..1")
