"""Checks of values that users pass in: each returns the value as a plain Python object or array, or raises an error.

Scalars and arrays of numpy, PyTorch and pandas are accepted and converted, so that an `np.int64` never becomes a
dictionary key or JSON. True and False are no numbers, and text is none.
"""

from __future__ import annotations

import math
import operator
from collections.abc import Callable, Iterable
from dataclasses import fields
from decimal import Decimal
from fractions import Fraction
from os import PathLike, fspath
from typing import TYPE_CHECKING, Any

from masklet.errors import ConfigError, MaskletError

if TYPE_CHECKING:  # the command line's help needs checks, and no arrays
    import numpy as np
    from numpy.typing import NDArray


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
        value: an int, a scalar or 0-d array of numpy or torch, or a float such as 25.0; booleans are refused.
        least: the smallest value allowed.
        most: the largest value allowed.
        error: the class of the error.

    Raises:
        MaskletError: of the class `error`, when the value is not whole or outside the limits.
    """
    number = _as_int(value)
    if number is None or (least is not None and number < least) or (most is not None and number > most):
        raise error(f"{name} must be a whole number{_limits(least, most)}, got {_text(value)}")
    return number


def check_number(
    name: str,
    value: Any,
    *,
    least: float | None = None,
    most: float | None = None,
    error: type[MaskletError] = ConfigError,
) -> float:
    """Return a finite number as a `float`; for the arguments see `check_whole`.

    Raises:
        MaskletError: of the class `error`, when the value is not finite, no number, or outside the limits.
    """
    number = _as_float(value)
    if number is None or (least is not None and number < least) or (most is not None and number > most):
        kind = "" if least is not None and most is not None else " a finite number"
        raise error(f"{name} must be{kind}{_limits(least, most)}, got {_text(value)}")
    return number


def check_fraction(name: str, value: Any, *, below_one: bool = False, error: type[MaskletError] = ConfigError) -> float:
    """Return a number in [0, 1], or in [0, 1) with `below_one`, as a `float`.

    Raises:
        MaskletError: of the class `error`, when the value is not such a number.
    """
    number = _as_float(value)
    if number is None or not 0 <= number <= 1 or (below_one and number == 1):
        raise error(f"{name} must be in [0, 1{')' if below_one else ']'}, got {_text(value)}")
    return number


def check_positive(name: str, value: Any, *, error: type[MaskletError] = ConfigError) -> float:
    """Return a finite number above 0 as a `float`.

    Raises:
        MaskletError: of the class `error`, when the value is not such a number.
    """
    number = _as_float(value)
    if number is None or number <= 0:
        raise error(f"{name} must be above 0, got {_text(value)}")
    return number


def check_flag(name: str, value: Any, *, error: type[MaskletError] = ConfigError) -> bool:
    """Return True or False as a `bool`, from Python, numpy or torch; 0 and 1 are accepted, too.

    Raises:
        MaskletError: of the class `error`, when the value is neither.
    """
    flag = plain(value)
    if isinstance(flag, bool | int | float) and flag in (0, 1):
        return bool(flag)
    raise error(f"{name} must be True or False, got {_text(value)}")


def check_choice(name: str, value: Any, choices: Iterable[str], *, error: type[MaskletError] = ConfigError) -> str:
    """Return a word that is among the choices.

    Raises:
        MaskletError: of the class `error`, when it is not; the message lists the choices.
    """
    choices = tuple(choices)
    if not isinstance(value, str) or value not in choices:
        raise error(f"{name} must be one of {', '.join(choices)}, got {value!r}")
    return str(value)


def check_path(name: str, value: Any, *, error: type[MaskletError] = ConfigError) -> str:
    """Return a path or name, given as text or as any `os.PathLike`, as a `str`.

    Raises:
        MaskletError: of the class `error`, when the value is neither, or is empty.
    """
    path = fspath(value) if isinstance(value, str | PathLike) else value
    if not isinstance(path, str) or not path:
        raise error(f"{name} must be a name or a path, got {_text(value)}")
    return path


def check_numbers(
    name: str, values: Any, form: str, *, with_flags: bool = False, error: type[MaskletError] = ConfigError
) -> NDArray[np.float64]:
    """Return numbers of any shape as a float64 array; NaN and infinity pass, so that callers can say where they are.

    Args:
        name: what the message calls the values.
        values: a number, a list, or an array of numpy, torch (on any device) or pandas; lists of these.
        form: what the message asks for, such as "numbers of shape (P, 2)".
        with_flags: also take arrays of True and False, as 1 and 0.
        error: the class of the error.

    Raises:
        MaskletError: of the class `error`, when they are not numbers of one shape: text, booleans, ragged lists.
    """
    import numpy as np

    try:
        array = host_array(values)
        if array.dtype.kind == "O":  # of pandas, whose columns may have several types
            array = np.array([_as_number(value) for value in array.ravel().tolist()], np.float64).reshape(array.shape)
        if array.dtype.kind not in ("iufb" if with_flags else "iuf") and array.size:
            raise TypeError(f"{array.dtype} is not a type of numbers")
        return array.astype(np.float64)
    except (TypeError, ValueError, RuntimeError, OverflowError) as problem:
        raise error(f"{name} must be {form}, got {_text(values)}") from problem


def set_checked(
    record: Any, names: Iterable[str], check: Callable[..., Any], *, prefix: str = "", **limits: Any
) -> None:
    """Replace fields of a frozen dataclass by their checked and converted values; for its `__post_init__`.

    Args:
        record: the dataclass.
        names: the fields; those that are None stay None where None is their default.
        check: one of the checks above.
        prefix: put before the names in messages, such as "motion.".
        limits: passed on to the check.

    Raises:
        ConfigError: a value does not pass.
    """
    defaults = {item.name: item.default for item in fields(record)}
    for name in names:
        value = getattr(record, name)
        if value is not None or defaults[name] is not None:
            object.__setattr__(record, name, check(f"{prefix}{name}", value, **limits))


def host_array(values: Any) -> NDArray[Any]:
    """Return values as a numpy array: of tensors on any device, of lists of tensors, of pandas, of arrays.

    Raises:
        TypeError, ValueError, RuntimeError: numpy or torch cannot make one array of them.
    """
    import numpy as np

    if isinstance(values, list | tuple) and any(hasattr(value, "detach") for value in values):
        return np.array([host_array(value) for value in values])
    if hasattr(values, "detach"):
        tensor = values.detach().cpu()
        return np.asarray(tensor.float() if tensor.is_floating_point() else tensor)
    if isinstance(values, Iterable) and not hasattr(values, "__array__") and not hasattr(values, "__len__"):
        values = list(values)  # a generator
    return np.asarray(values)


def plain(value: Any) -> Any:
    """Return the Python object of a scalar or 0-d array of numpy, torch and the like; other values as they are."""
    is_scalar = getattr(value, "shape", None) == () and hasattr(value, "item")
    return value.item() if is_scalar else value


def _as_int(value: Any) -> int | None:
    number = plain(value)
    if isinstance(number, bool | str | bytes):
        return None
    if isinstance(number, float):
        return int(number) if number.is_integer() else None
    if hasattr(number, "shape"):
        return None  # an array of several numbers, or of one in a list
    if isinstance(number, Decimal | Fraction):
        return int(number) if math.isfinite(number) and number == int(number) else None
    try:
        return operator.index(number)
    except TypeError:
        return None


def _as_float(value: Any) -> float | None:
    try:
        number = _as_number(value)
    except (TypeError, ValueError, OverflowError):
        return None
    return number if math.isfinite(number) else None


def _as_number(value: Any) -> float:
    value = plain(value)
    if isinstance(value, bool | str | bytes) or (hasattr(value, "shape") and value.shape != ()):
        raise TypeError("not a number")
    return float(value)


def _limits(least: float | None, most: float | None) -> str:
    if least is not None and most is not None:
        return f" from {least} to {most}"
    if least is not None:
        return f" of at least {least}"
    return "" if most is None else f" of at most {most}"


def _text(value: Any) -> str:
    """Return a value as a message shows it: on one line, and short."""
    text = " ".join(repr(value).split())
    return text if len(text) <= 80 else f"{text[:77]}..."
