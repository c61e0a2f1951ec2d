"""Checks of single values that users pass in: each returns the value as a plain Python object or raises an error.

Numpy and PyTorch scalars are accepted and converted, so that an `np.int64` never becomes a dictionary key or JSON.
"""

from __future__ import annotations

import math
import operator
from collections.abc import Iterable
from typing import Any

from masklet.errors import ConfigError, MaskletError


def check_whole(
    name: str,
    value: Any,
    *,
    least: int | None = None,
    most: int | None = None,
    error: type[MaskletError] = ConfigError,
) -> int:
    """Return a whole number as an `int`; floats without a fraction count as whole.

    Args:
        name: what the message calls the value.
        value: an int, a numpy or torch integer, or a float such as 25.0; booleans are refused.
        least: the smallest value allowed.
        most: the largest value allowed.
        error: the class of the error.

    Raises:
        MaskletError: of the class `error`, when the value is not whole or outside the limits.
    """
    number = _as_int(value)
    if number is None or (least is not None and number < least) or (most is not None and number > most):
        if least is not None and most is not None:
            limits = f" from {least} to {most}"
        elif least is not None:
            limits = f" of at least {least}"
        else:
            limits = "" if most is None else f" of at most {most}"
        raise error(f"{name} must be a whole number{limits}, got {value!r}")
    return number


def check_fraction(name: str, value: Any, *, below_one: bool = False, error: type[MaskletError] = ConfigError) -> float:
    """Return a number in [0, 1], or in [0, 1) with `below_one`, as a `float`.

    Raises:
        MaskletError: of the class `error`, when the value is not such a number.
    """
    number = _as_float(value)
    if number is None or not 0 <= number <= 1 or (below_one and number == 1):
        raise error(f"{name} must be in [0, 1{')' if below_one else ']'}, got {value!r}")
    return number


def check_positive(name: str, value: Any, *, error: type[MaskletError] = ConfigError) -> float:
    """Return a finite number above 0 as a `float`.

    Raises:
        MaskletError: of the class `error`, when the value is not such a number.
    """
    number = _as_float(value)
    if number is None or number <= 0:
        raise error(f"{name} must be above 0, got {value!r}")
    return number


def check_choice(name: str, value: Any, choices: Iterable[str], *, error: type[MaskletError] = ConfigError) -> str:
    """Return a word that is among the choices.

    Raises:
        MaskletError: of the class `error`, when it is not; the message lists the choices.
    """
    choices = tuple(choices)
    if not isinstance(value, str) or value not in choices:
        raise error(f"{name} must be one of {', '.join(choices)}, got {value!r}")
    return value


def _as_int(value: Any) -> int | None:
    if isinstance(value, bool) or type(value).__name__ == "bool_":
        return None
    if isinstance(value, float):
        return int(value) if value.is_integer() else None
    try:
        return operator.index(value)
    except TypeError:
        return None


def _as_float(value: Any) -> float | None:
    if isinstance(value, bool | str | bytes):
        return None
    try:
        number = float(value)
    except (TypeError, ValueError):
        return None
    return number if math.isfinite(number) else None
