import math

import pytest

from mt3x.music.checks import check_at_least, check_positive, check_shares


@pytest.mark.parametrize(
    ("check", "values", "message"),
    [
        (check_at_least, {"a": 1, "b": 0}, "^b is 0; it must be at least 1$"),
        (check_at_least, {"a": math.nan}, "^a is nan; it must be at least 1$"),
        (check_positive, {"a": 0.0, "b": -1}, "^a is 0.0; it must be positive$"),
        (check_positive, {"a": math.nan}, "^a is nan; it must be positive$"),
        (check_shares, {"a": 1.5}, "^a is 1.5; it must be within 0..1$"),
        (check_shares, {"a": 0.5, "b": -0.1}, "^b is -0.1; it must be within 0..1$"),
        (check_shares, {"a": math.nan}, "^a is nan; it must be within 0..1$"),
    ],
)
def test_the_first_value_outside_its_limits_is_named(check, values, message):
    with pytest.raises(ValueError, match=message):
        check(1, **values) if check is check_at_least else check(**values)


def test_limits_belong_to_what_is_allowed_and_what_is_not_set_passes():
    check_at_least(1, a=1, b=1.5, c=None)
    check_positive(a=1e-300, b=None)
    check_shares(a=0, b=1, c=None)
