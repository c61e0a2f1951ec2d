"""Prompts as typed on the command line or written in a JSON file, and their conversion to `masklet.Prompt`.

On the command line a value may name its object and frame: `[OBJECT[@FRAME]:]X,Y`. `--object` and `--frame` do so for
all values after them: `--object 2 --frame 30 --point 210,350` is `--point 2@30:210,350`.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, get_origin

from masklet.checks import check_whole
from masklet.errors import PromptError
from masklet.foreign.documents import read_json, shown

if TYPE_CHECKING:
    from masklet.prompts import Prompt
    from masklet.records import BoolArray

DEFAULT_OBJECT = 1
MAX_NUMBER = 2**31 - 1
"""Largest object id and frame; other tools store them in 32 bits."""

_SCOPE_OPTIONS = ("--object", "--frame")
_SCOPED = re.compile(r"(?=[\d@])(?P<object>\d+)?(@(?P<frame>\d+))?:(?P<value>.*)", re.DOTALL)
_FORM = 'expected a list of {"object_id": 1, "frame_index": 0, "points_xy": [[210, 350]], ...}'


class PromptOption(NamedTuple):
    """A command-line option that prompts an object, and the field of `masklet.Prompt` that it fills."""

    option: str
    field: str
    metavar: str
    help: str
    num_numbers: int = 0
    """Numbers in a value; 0 for a file."""
    label: int | None = None
    """The label of a point of this option: 1 on the object, 0 not on it."""

    @property
    def name(self) -> str:
        """Name of the option as a parameter of a command."""
        return self.option.removeprefix("--")

    def read(self, text: str) -> dict[str, Any]:
        """Return the fields of a prompt that a value sets.

        Raises:
            PromptError: it does not have the form of `metavar`.
        """
        if not self.num_numbers:
            return {self.field: Path(text)}
        numbers = _numbers(self.option, text, self.metavar, self.num_numbers)
        values: dict[str, Any] = {self.field: [numbers] if _is_list(self.field) else numbers}
        return values if self.label is None else values | {"labels": [self.label]}


PROMPT_OPTIONS = (
    PromptOption(
        "--point", "points_xy", "X,Y", "A pixel on the object, counted from the top left. Repeat for more.", 2, 1
    ),
    PromptOption("--negative", "points_xy", "X,Y", "A pixel that is not on the object.", 2, 0),
    PromptOption("--box", "box_xyxy", "LEFT,TOP,RIGHT,BOTTOM", "The edges of a box around the object, in pixels.", 4),
    PromptOption(
        "--mask",
        "mask",
        "FILE",
        "An image of the same size, bright on the object. In a video it is the object's mask on its frame; in an image "
        "it is a rough mask to start from.",
    ),
)
"""All options that prompt an object. Fields of `masklet.Prompt` without an option can be set in a JSON file of
prompts."""

_VALUE_OPTIONS = tuple(item.option for item in PROMPT_OPTIONS)


@dataclass(frozen=True, kw_only=True, slots=True)
class ObjectPrompt:
    """The prompt of one object on one frame as it was typed, not yet checked against the frame."""

    object_id: int = DEFAULT_OBJECT
    frame_index: int = 0
    values: Mapping[str, Any] = field(default_factory=dict)
    """Values by field of `masklet.Prompt`, as in JSON; a mask may be the path of an image."""

    def __str__(self) -> str:
        return f"object {self.object_id}" + (f" on frame {self.frame_index}" if self.frame_index else "")

    def to_prompt(self, size_hw: tuple[int, int]) -> Prompt:
        """Return the prompt for a frame of this size; it may have a mask with points and a box.

        Raises:
            PromptError: see `Prompt.create`, here with the object's number; or the mask cannot be read.
        """
        from masklet.prompts import Prompt

        try:
            mask = self.values.get("mask")
            values = {**self.values, "mask": None if mask is None else _read_mask(mask, size_hw)}
            return Prompt.create(**values, size_hw=size_hw, refine=True)
        except PromptError as error:
            raise PromptError(f"{self}: {error}") from error


@dataclass(frozen=True, slots=True)
class PromptFile:
    """A `--prompts` file: one list for every image or video, or lists by file."""

    common: tuple[ObjectPrompt, ...]
    by_file: Mapping[Path, tuple[ObjectPrompt, ...]]

    def for_file(self, path: Path) -> tuple[ObjectPrompt, ...]:
        """Return the prompts for one image: by its path, or else by its name alone.

        Raises:
            PromptError: the file has no prompts for this image.
        """
        if not self.by_file:
            return self.common
        named = [value for key, value in self.by_file.items() if key.name == path.name]
        prompts = self.by_file.get(path.resolve()) or (named[0] if len(named) == 1 else None)
        if prompts is None:
            names = ", ".join(map(str, self.by_file))
            raise PromptError(f"the prompts file has no prompts for {path}: it has prompts for {names}")
        return prompts


def with_scope(arguments: Sequence[str]) -> list[str]:
    """Write `--object` and `--frame` into the values after them, because parsers do not keep the order of options.

    Unknown arguments are left as they are: the parser reports them.

    Raises:
        PromptError: an `--object` or `--frame` is not a whole number from 0, or no value comes after it.
    """
    scope = {"--object": str(DEFAULT_OBJECT), "--frame": "0"}
    unused: dict[str, str] = {}
    scoped: list[str] = []
    for option, value in _options(arguments):
        if value is None:
            scoped.append(option)
            continue
        if option in _SCOPE_OPTIONS:
            _check_scope(option, value)
            if option in unused:
                break
            scope[option] = unused[option] = value
        elif option in _VALUE_OPTIONS:
            unused.clear()
            match = _SCOPED.fullmatch(value)
            parts = match.groupdict() if match else {"value": value}
            object_id, frame_index = (
                parts.get("object") or scope["--object"],
                parts.get("frame") or scope["--frame"],
            )
            scoped += [option, f"{object_id}@{frame_index}:{parts['value']}"]
            continue
        scoped += [option, value]
    if unused:
        option, value = next(iter(unused.items()))
        raise PromptError(
            f"{option} {value} has no prompt after it: it applies to the prompts after it, so put it first"
        )
    return scoped


def _check_scope(option: str, value: str) -> None:
    if not re.fullmatch("[0-9]+", value) or int(value) > MAX_NUMBER:
        raise PromptError(f"{option} must be a whole number from 0 to {MAX_NUMBER}, got {value!r}")


def _options(arguments: Sequence[str]) -> Iterator[tuple[str, str | None]]:
    """Yield options that scopes apply to, or that set one, with their values; everything else with None."""
    remaining = iter(arguments)
    for argument in remaining:
        if argument == "--":
            yield argument, None
            yield from ((rest, None) for rest in remaining)
            return
        option, joined, value = argument.partition("=")
        if option not in _VALUE_OPTIONS + _SCOPE_OPTIONS:
            yield argument, None
        else:
            yield option, value if joined else next(remaining, None)


def prompts_from_options(typed: Mapping[str, Iterable[str]]) -> tuple[ObjectPrompt, ...]:
    """Return the typed prompts, one record per object and frame.

    Args:
        typed: values of each option of `PROMPT_OPTIONS`, with scopes, as `with_scope` returns them.

    Raises:
        PromptError: a value does not have the form; an object has two boxes or masks on a frame.
    """
    entries: list[ObjectPrompt] = []
    for item in PROMPT_OPTIONS:
        for value in typed.get(item.option, ()):
            entry, text = _scoped(value)
            entries.append(replace(entry, values=item.read(text)))
    return _merged(entries)


def _scoped(value: str) -> tuple[ObjectPrompt, str]:
    match = _SCOPED.fullmatch(value)
    if match is None:
        return ObjectPrompt(), value
    object_id, frame_index = int(match["object"] or DEFAULT_OBJECT), int(match["frame"] or 0)
    if max(object_id, frame_index) > MAX_NUMBER:
        raise PromptError(f"objects and frames are numbered from 0 to {MAX_NUMBER}, got {value!r}")
    return ObjectPrompt(object_id=object_id, frame_index=frame_index), match["value"]


def _numbers(option: str, text: str, form: str, count: int) -> tuple[float, ...]:
    try:
        numbers = tuple(float(part) for part in text.split(","))
    except ValueError:
        numbers = ()
    if len(numbers) != count:
        example = ",".join(("210", "350", "480", "600")[:count])
        raise PromptError(f"{option} must be {form} in pixels, as in {example}, got {text!r}")
    return numbers


def _merged(entries: Iterable[ObjectPrompt]) -> tuple[ObjectPrompt, ...]:
    merged: dict[tuple[int, int], ObjectPrompt] = {}
    for entry in entries:
        key = (entry.object_id, entry.frame_index)
        values = dict(merged[key].values) if key in merged else {}
        for name, value in entry.values.items():
            if name in values and not _is_list(name):
                noun = name.split("_")[0]
                raise PromptError(
                    f"{entry} has two {noun}{'es' if noun.endswith('x') else 's'}: for two objects, write "
                    f"--object {entry.object_id + 1} before the second"
                )
            values[name] = [*values.get(name, ()), *value] if _is_list(name) else value
        merged[key] = replace(entry, values=values)
    return tuple(sorted(merged.values(), key=lambda prompt: (prompt.object_id, prompt.frame_index)))


def _is_list(name: str) -> bool:
    """Return True if values of this field of a prompt are lists, which are concatenated."""
    from masklet.prompts import TYPED_FIELDS

    return any(item.name == name and get_origin(item.json_type) is list for item in TYPED_FIELDS)


def read_prompt_file(path: Path) -> PromptFile:
    """Read a JSON file of prompts.

    A list, for every file or for the one video, of {"object_id": 1, "frame_index": 0, "points_xy": [[x, y], ...],
    "labels": [1, ...], "box_xyxy": [left, top, right, bottom], "mask": "path" or a COCO RLE}, all optional; or an
    object of such lists by image file. Paths are relative to the JSON file.

    Raises:
        PromptError: the file cannot be read, or does not have this form.
    """
    json_document = read_json(path, PromptError, f"the prompts file {path}")
    document = json_document.value
    if isinstance(document, dict):
        by_file: dict[Path, tuple[ObjectPrompt, ...]] = {}
        for name, entries in document.items():
            key = _resolved(path.parent, name)
            if key in by_file:
                raise PromptError(f"{path} has prompts for {key} twice: put them into one list")
            by_file[key] = _from_json(entries, f"{path}, {name!r}", path.parent)
        if by_file:
            return PromptFile((), by_file)
    return PromptFile(_from_json(document, str(path), path.parent), {})


def _resolved(folder: Path, name: str) -> Path:
    try:
        return (folder / name).resolve()
    except (OSError, ValueError) as error:  # a NUL, half of a surrogate pair, or a name that is too long
        raise PromptError(f"{name!r} is not the name of a file") from error


def _from_json(entries: Any, where: str, folder: Path) -> tuple[ObjectPrompt, ...]:
    if not isinstance(entries, list) or not entries or not all(isinstance(entry, dict) for entry in entries):
        raise PromptError(f"{where}: {_FORM}, got {json.dumps(entries)[:60]}")
    return _merged(_entry(entry, f"{where}, entry {number}", folder) for number, entry in enumerate(entries))


def _entry(entry: Mapping[str, Any], where: str, folder: Path) -> ObjectPrompt:
    from masklet.prompts import FILE_NAMES

    scope = ("object_id", "frame_index")
    if unknown := [key for key in entry if key not in (*scope, *FILE_NAMES)]:
        raise PromptError(f"{where}: unknown key {unknown[0]!r}, expected {', '.join((*scope, *FILE_NAMES))}")
    for key in scope:
        value = entry.get(key, 0)
        check_whole(f"{where}: {key}", value, least=0, most=MAX_NUMBER, error=PromptError)
    values = {key: value for key, value in entry.items() if key in FILE_NAMES and value is not None}
    for key, value in values.items():
        if _is_list(key) and not isinstance(value, list):
            raise PromptError(f"{where}: {key} must be a list, got {shown(value)}")
    mask = values.get("mask")
    if isinstance(mask, str):
        values["mask"] = _resolved(folder, mask)
    elif mask is not None and not isinstance(mask, dict):
        raise PromptError(f"{where}: mask must be a path or a COCO RLE, got {shown(mask)}")
    num_points = len(values.get("points_xy", ()))
    if num_points:  # entries of one object are merged, so each has labels for its own points
        values.setdefault("labels", [1] * num_points)
    if len(values.get("labels", ())) != num_points:
        raise PromptError(f"{where}: labels must be {num_points}, got {len(values['labels'])}: one per point")
    if not any(values.values()):
        raise PromptError(f"{where} is empty: give {', '.join(FILE_NAMES)}")
    return ObjectPrompt(
        object_id=int(entry.get("object_id", DEFAULT_OBJECT)),
        frame_index=int(entry.get("frame_index", 0)),
        values=values,
    )


def _read_mask(mask: Path | Mapping[str, Any], size_hw: tuple[int, int]) -> BoolArray:
    """Return the mask of a file or an RLE; see `read_object_mask` for what a file may hold."""
    from masklet.datasets.label_images import read_object_mask
    from masklet.errors import DataError
    from masklet.masks.rle import decode_rle

    try:
        return decode_rle(mask, size_hw) if isinstance(mask, Mapping) else read_object_mask(mask)
    except DataError as error:
        raise PromptError(f"mask: {error}") from error
