"""Groups of options: declared once, as a class, and used by any number of commands.

    class ModelChoice(OptionGroup):
        model: ModelOption = "nano"

    @with_groups
    def command(path: Path, *, choice: ModelChoice) -> int: ...

Typer sees `command(path, *, model="nano")`, and the function gets a `ModelChoice`.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from typing import Any, get_type_hints


class OptionGroup:
    """Base of a class whose attributes are options, annotated as Typer's parameters are; each has a default.

    A subclass lists the options of its bases before its own. (Not a dataclass: with twenty groups, generating their
    code would take a tenth of the time of `masklet --help`.)
    """

    def __init__(self, **values: Any) -> None:
        self.__dict__.update(values)

    @classmethod
    @functools.cache
    def options(cls) -> list[inspect.Parameter]:
        """Return the options as parameters of a function, in the order of their declaration."""
        parameters = []
        for name, hint in get_type_hints(cls, include_extras=True).items():
            assert hasattr(cls, name), f"{cls.__name__}.{name} has no default"
            kind = inspect.Parameter.KEYWORD_ONLY
            parameters.append(inspect.Parameter(name, kind, default=getattr(cls, name), annotation=hint))
        return parameters


def with_groups(function: Callable[..., int]) -> Callable[..., int]:
    """Return the function as a command: each parameter that is an `OptionGroup` is replaced by the group's options."""
    groups: dict[str, type[OptionGroup]] = {}
    parameters: list[inspect.Parameter] = []
    # Not `get_type_hints`: up to Python 3.10 it wraps `Annotated` in `Optional` if the default is None, and Typer then
    # no longer recognises an argument.
    for name, parameter in inspect.signature(function, eval_str=True).parameters.items():
        kind = parameter.annotation
        if isinstance(kind, type) and issubclass(kind, OptionGroup):
            groups[name] = kind
            parameters += kind.options()
        else:
            parameters.append(parameter.replace(kind=inspect.Parameter.KEYWORD_ONLY))

    @functools.wraps(function)
    def command(**values: Any) -> int:
        for name, kind in groups.items():
            values[name] = kind(**{option.name: values.pop(option.name) for option in kind.options()})
        return function(**values)

    del command.__wrapped__  # otherwise Typer would see the groups, not their options
    command.__signature__ = inspect.Signature(parameters, return_annotation=int)  # type: ignore[attr-defined]
    command.__annotations__ = {parameter.name: parameter.annotation for parameter in parameters}
    return command
