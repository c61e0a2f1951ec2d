"""Options as records: each field declares its allowed values, from which checks, JSON and JSON schema are derived."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import Field, dataclass, field, fields
from typing import TYPE_CHECKING, Any, ClassVar, TypedDict, TypeVar

from masklet.checks import check_number, check_whole, plain
from masklet.errors import ConfigError

if TYPE_CHECKING:
    from typing_extensions import Unpack

Schema = dict[str, Any]

T = TypeVar("T", bound="Options")


class FormHints(TypedDict, total=False):
    """What a form needs to know of a field beyond its values; the checks ignore it."""

    hint: str
    """A sentence below the field."""
    only_if: Mapping[str, Sequence[str]]
    """The field matters only while other fields have one of these values."""
    only_for: str
    """The kind of medium for which the field matters: "image" or "video"."""


def number_field(default: float, low: float, high: float, title: str, **hints: Unpack[FormHints]) -> Any:
    """Return a field for a float from `low` to `high`."""
    return _option(default, title, hints, type="number", minimum=low, maximum=high)


def integer_field(default: int | None, low: int, high: int, title: str, **hints: Unpack[FormHints]) -> Any:
    """Return a field for an int from `low` to `high`; None is allowed if it is the default."""
    return _option(default, title, hints, type=_kinds("integer", default), minimum=low, maximum=high)


def color_field(default: str | None, title: str = "Colour", **hints: Unpack[FormHints]) -> Any:
    """Return a field for "#rrggbb"; None is allowed if it is the default."""
    pattern = "^#[0-9a-fA-F]{6}$"
    return _option(default, title, hints, type=_kinds("string", default), format="color", pattern=pattern)


def choice_field(default: str, choices: Mapping[str, str], title: str, **hints: Unpack[FormHints]) -> Any:
    """Return a field for one of several words, each with a name for forms."""
    return _option(default, title, hints, type="string", enum=list(choices), **{"x-names": dict(choices)})


def switch_field(default: bool, title: str, **hints: Unpack[FormHints]) -> Any:
    """Return a field for yes or no."""
    return _option(default, title, hints, type="boolean")


def asset_field(title: str) -> Any:
    """Return a field for the id of a file that is passed separately; paths are never used here."""
    return _option(None, title, {}, type=["string", "null"], format="asset")


def _option(default: Any, title: str, hints: FormHints, **schema: Any) -> Any:
    for_form: Schema = {}
    if "hint" in hints:
        for_form["description"] = hints["hint"]
    if "only_if" in hints:
        for_form["x-only-if"] = {name: list(values) for name, values in hints["only_if"].items()}
    if "only_for" in hints:
        for_form["x-only-for"] = hints["only_for"]
    return field(default=default, metadata={"schema": {"title": title, **schema, **for_form}})


def _kinds(kind: str, default: object) -> str | list[str]:
    return kind if default is not None else [kind, "null"]


@dataclass(frozen=True, kw_only=True, slots=True)
class Options:
    """Base of records whose fields are made by the functions above."""

    label: ClassVar[str] = "options"
    """Name of the record in messages."""

    def __post_init__(self) -> None:
        for option in fields(self):
            object.__setattr__(self, option.name, _checked(option, getattr(self, option.name), self.label))

    @classmethod
    def of(cls: type[T], values: Mapping[str, Any] | None) -> T:
        """Create the options from JSON; missing ones have their defaults.

        Raises:
            ConfigError: an option is unknown, or a value is not allowed.
        """
        check_names(values or {}, tuple(option.name for option in fields(cls)), cls.label)
        return cls(**(values or {}))

    def values(self) -> dict[str, Any]:
        """Return the options as JSON, with defaults."""
        return {option.name: getattr(self, option.name) for option in fields(self)}

    @classmethod
    def schema(cls) -> Schema:
        """Return the JSON schema of the options."""
        properties = {option.name: {**option.metadata["schema"], "default": option.default} for option in fields(cls)}
        return {"type": "object", "properties": properties, "additionalProperties": False}


def check_names(values: Any, names: tuple[str, ...], where: str) -> None:
    """Refuse a value that is not a JSON object, and unknown names.

    Raises:
        ConfigError: see above.
    """
    if not isinstance(values, Mapping):
        raise ConfigError(f"{where} must be a JSON object, got {type(values).__name__}")
    if unknown := set(values) - set(names):
        raise ConfigError(f"{where}: unknown {min(map(str, unknown))!r}, known are {', '.join(names) or 'no options'}")


def _checked(option: Field[Any], value: Any, where: str) -> Any:
    """Return the value of an option, checked and converted by its schema."""
    schema = option.metadata["schema"]
    kind, *others = schema["type"] if isinstance(schema["type"], list) else [schema["type"]]
    where = f"{where}: {option.name}"
    if value is None and "null" in others:
        return None
    value = plain(value)
    if kind == "boolean":
        if not isinstance(value, bool):
            raise ConfigError(f"{where} must be true or false, got {value!r}")
        return value
    if kind == "integer":
        return check_whole(where, value, least=schema["minimum"], most=schema["maximum"])
    if kind == "number":
        return check_number(where, value, least=schema["minimum"], most=schema["maximum"])
    if not isinstance(value, str):
        raise ConfigError(f"{where} must be text, got {value!r}")
    if "enum" in schema and value not in schema["enum"]:
        raise ConfigError(f"{where} must be {', '.join(schema['enum'])}, got {value!r}")
    if "pattern" in schema and re.fullmatch(schema["pattern"], value) is None:
        raise ConfigError(f'{where} must be "#rrggbb", such as "#ff8800", got {value!r}')
    return value
