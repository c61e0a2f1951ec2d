"""Options that come in groups: declared once, as a dataclass, and taken by any number of commands.

    @dataclass(frozen=True)
    class ModelChoice(OptionGroup):
        model: ModelOption = "nano"

    @with_groups
    def command(path: Path, *, choice: ModelChoice) -> int: ...

Typer sees `command(path, *, model="nano")`, and the function gets the dataclass.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from dataclasses import MISSING, fields
from typing import Any, get_type_hints


class OptionGroup:
    """Base of a dataclass whose fields are options, annotated as Typer's parameters are; each has a default."""


def with_groups(function: Callable[..., int]) -> Callable[..., int]:
    """The function with each parameter that is an `OptionGroup` taken apart into its fields."""
    hints = get_type_hints(function, include_extras=True)
    groups: dict[str, type[OptionGroup]] = {}
    parameters: list[inspect.Parameter] = []
    for name, parameter in inspect.signature(function).parameters.items():
        kind = hints[name]
        if isinstance(kind, type) and issubclass(kind, OptionGroup):
            groups[name] = kind
            parameters += _options(kind)
        else:
            parameters.append(parameter.replace(annotation=kind, kind=inspect.Parameter.KEYWORD_ONLY))

    @functools.wraps(function)
    def command(**given: Any) -> int:
        for name, kind in groups.items():
            given[name] = kind(**{item.name: given.pop(item.name) for item in fields(kind)})  # type: ignore[arg-type]
        return function(**given)

    del command.__wrapped__  # or Typer would look through to the groups
    command.__signature__ = inspect.Signature(parameters, return_annotation=int)  # type: ignore[attr-defined]
    command.__annotations__ = {parameter.name: parameter.annotation for parameter in parameters}
    return command


def _options(kind: type[OptionGroup]) -> list[inspect.Parameter]:
    hints = get_type_hints(kind, include_extras=True)
    options = []
    for item in fields(kind):  # type: ignore[arg-type]
        assert item.default is not MISSING, f"{kind.__name__}.{item.name} has no default"
        options.append(
            inspect.Parameter(
                item.name, inspect.Parameter.KEYWORD_ONLY, default=item.default, annotation=hints[item.name]
            )
        )
    return options
