"""Prompts as they are typed or written in a JSON file, and what they become.

On the command line a value may say what it belongs to: `[OBJECT[@FRAME]:]X,Y`. `--object` and `--frame` do the same
for all values after them: `--object 2 --frame 30 --point 210,350` is `--point 2@30:210,350`.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from masklet.errors import ImageError, PromptError

if TYPE_CHECKING:
    from masklet.prompts import Prompt
    from masklet.records import BoolArray

DEFAULT_OBJECT = 1

_VALUE_OPTIONS = ("--point", "--negative", "--box", "--mask")
_SCOPE_OPTIONS = ("--object", "--frame")
_SCOPED = re.compile(r"(?=[\d@])(?P<object>\d+)?(@(?P<frame>\d+))?:(?P<value>.*)", re.DOTALL)
_KEYS = ("object_id", "frame_index", "points_xy", "labels", "box_xyxy", "mask")
_FORM = 'expected a list of {"object_id": 1, "frame_index": 0, "points_xy": [[210, 350]], ...}'


@dataclass(frozen=True, kw_only=True, slots=True)
class ObjectPrompt:
    """What is said about one object on one frame, not yet checked against the frame."""

    object_id: int = DEFAULT_OBJECT
    frame_index: int = 0
    points_xy: tuple[Any, ...] = ()
    """(P, 2) source pixels."""
    labels: tuple[Any, ...] = ()
    """(P,) 1 on the object, 0 not on it."""
    box_xyxy: Any = None
    mask: Path | Mapping[str, Any] | None = None
    """An image file, or a COCO RLE."""

    def __str__(self) -> str:
        return f"object {self.object_id}" + (f" on frame {self.frame_index}" if self.frame_index else "")

    def to_prompt(self, size_hw: tuple[int, int]) -> Prompt:
        """The prompt for a frame of this size; it may have a mask beside points and a box.

        Raises:
            PromptError: see `Prompt.create`, here with the object's number; or the mask cannot be read.
        """
        from masklet.prompts import Prompt

        try:
            mask = None
            if self.mask is not None:
                mask = Prompt.create(mask=_read_mask(self.mask), size_hw=size_hw)
                if not self.points_xy and self.box_xyxy is None:
                    return mask
            prompt = Prompt.create(
                points_xy=self.points_xy, labels=self.labels or None, box_xyxy=self.box_xyxy, size_hw=size_hw
            )
        except PromptError as error:
            raise PromptError(f"{self}: {error}") from error
        return prompt if mask is None else replace(prompt, mask=mask.mask)


@dataclass(frozen=True, slots=True)
class PromptFile:
    """A `--prompts` file: one list for every image or video, or lists by file."""

    common: tuple[ObjectPrompt, ...]
    by_file: Mapping[Path, tuple[ObjectPrompt, ...]]

    def for_file(self, path: Path) -> tuple[ObjectPrompt, ...]:
        """What the file says of one image: by its path, or else by its name alone.

        Raises:
            PromptError: it says nothing of it.
        """
        if not self.by_file:
            return self.common
        named = [prompts for key, prompts in self.by_file.items() if key.name == path.name]
        found = self.by_file.get(path.resolve()) or (named[0] if len(named) == 1 else None)
        if found is None:
            raise PromptError(f"the prompts file says nothing of {path}: it has {', '.join(map(str, self.by_file))}")
        return found


def with_scope(arguments: Sequence[str]) -> list[str]:
    """Write `--object` and `--frame` into the values after them, for parsers forget the order.

    What is not understood stays as it is, for the parser to complain about.

    Raises:
        PromptError: no value comes after an `--object` or `--frame`.
    """
    scope = {"--object": str(DEFAULT_OBJECT), "--frame": "0"}
    unused: dict[str, str] = {}
    scoped: list[str] = []
    for option, value in _options(arguments):
        if value is None:
            scoped.append(option)
            continue
        if option in _SCOPE_OPTIONS and value.isdigit():
            if option in unused:
                break
            scope[option] = unused[option] = value
        elif option in _VALUE_OPTIONS:
            unused.clear()
            found = _SCOPED.fullmatch(value)
            own = found.groupdict() if found else {"value": value}
            object_id, frame_index = own.get("object") or scope["--object"], own.get("frame") or scope["--frame"]
            scoped += [option, f"{object_id}@{frame_index}:{own['value']}"]
            continue
        scoped += [option, value]
    if unused:
        option, value = next(iter(unused.items()))
        raise PromptError(f"{option} {value} has no prompt after it: it holds for what follows, so put it first")
    return scoped


def _options(arguments: Sequence[str]) -> Iterator[tuple[str, str | None]]:
    """Options that take part in scoping, with their values; everything else with None."""
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


def prompts_from_options(
    *, points: Iterable[str], negatives: Iterable[str], boxes: Iterable[str], masks: Iterable[str]
) -> tuple[ObjectPrompt, ...]:
    """What was typed, one record an object and frame. The values are as `with_scope` leaves them.

    Raises:
        PromptError: a value is not of the form; an object has two boxes or masks on a frame.
    """
    entries: list[ObjectPrompt] = []
    for option, values, label in (("--point", points, 1), ("--negative", negatives, 0)):
        for value in values:
            entry, text = _scoped(value)
            xy = _numbers(option, text, "X,Y", 2)
            entries.append(replace(entry, points_xy=(xy,), labels=(label,)))
    for value in boxes:
        entry, text = _scoped(value)
        entries.append(replace(entry, box_xyxy=_numbers("--box", text, "LEFT,TOP,RIGHT,BOTTOM", 4)))
    for value in masks:
        entry, text = _scoped(value)
        entries.append(replace(entry, mask=Path(text)))
    return _merged(entries)


def _scoped(value: str) -> tuple[ObjectPrompt, str]:
    found = _SCOPED.fullmatch(value)
    if found is None:
        return ObjectPrompt(), value
    object_id, frame_index = int(found["object"] or DEFAULT_OBJECT), int(found["frame"] or 0)
    return ObjectPrompt(object_id=object_id, frame_index=frame_index), found["value"]


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
        known = merged.get(key)
        if known is None:
            merged[key] = entry
            continue
        for kind, first, second in (("boxes", known.box_xyxy, entry.box_xyxy), ("masks", known.mask, entry.mask)):
            if first is not None and second is not None:
                raise PromptError(
                    f"{entry} has two {kind}: if they are of two objects, write --object {entry.object_id + 1} before "
                    "the second"
                )
        merged[key] = replace(
            known,
            points_xy=known.points_xy + entry.points_xy,
            labels=known.labels + entry.labels,
            box_xyxy=entry.box_xyxy if known.box_xyxy is None else known.box_xyxy,
            mask=entry.mask if known.mask is None else known.mask,
        )
    return tuple(sorted(merged.values(), key=lambda prompt: (prompt.object_id, prompt.frame_index)))


def read_prompt_file(path: Path) -> PromptFile:
    """Read a JSON file of prompts.

    A list, for every file or for the one video, of {"object_id": 1, "frame_index": 0, "points_xy": [[x, y], ...],
    "labels": [1, ...], "box_xyxy": [left, top, right, bottom], "mask": "path" or a COCO RLE}, all optional; or an
    object of such lists by image file. Paths are relative to the JSON file.

    Raises:
        PromptError: the file cannot be read, or says something else.
    """
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        raise PromptError(
            f"cannot read the prompts file {path}: {getattr(error, 'strerror', None) or error}"
        ) from error
    except json.JSONDecodeError as error:
        raise PromptError(f"{path} is not JSON: {error.msg} in line {error.lineno}, column {error.colno}") from error
    if isinstance(document, dict):
        by_file = {
            (path.parent / name).resolve(): _from_json(entries, f"{path}, {name!r}", path.parent)
            for name, entries in document.items()
        }
        if by_file:
            return PromptFile((), by_file)
    return PromptFile(_from_json(document, str(path), path.parent), {})


def _from_json(entries: Any, where: str, folder: Path) -> tuple[ObjectPrompt, ...]:
    if not isinstance(entries, list) or not entries or not all(isinstance(entry, dict) for entry in entries):
        raise PromptError(f"{where}: {_FORM}, got {json.dumps(entries)[:60]}")
    prompts = []
    for number, entry in enumerate(entries):
        if unknown := [key for key in entry if key not in _KEYS]:
            raise PromptError(f"{where}, entry {number}: unknown key {unknown[0]!r}, expected {', '.join(_KEYS)}")
        for key in ("object_id", "frame_index"):
            value = entry.get(key, 0)
            if isinstance(value, bool) or not isinstance(value, int):
                raise PromptError(f"{where}, entry {number}: {key} must be a whole number, got {value!r}")
        for key in ("points_xy", "labels"):
            if not isinstance(entry.get(key, []), list):
                raise PromptError(f"{where}, entry {number}: {key} must be a list, got {entry[key]!r}")
        mask = entry.get("mask")
        if mask is not None and not isinstance(mask, str | dict):
            raise PromptError(f"{where}, entry {number}: mask must be a path or a COCO RLE, got {mask!r}")
        points = tuple(entry.get("points_xy", ()))
        prompt = ObjectPrompt(
            object_id=entry.get("object_id", DEFAULT_OBJECT),
            frame_index=entry.get("frame_index", 0),
            points_xy=points,
            labels=tuple(entry.get("labels", [1] * len(points))),
            box_xyxy=entry.get("box_xyxy"),
            mask=folder / mask if isinstance(mask, str) else mask,
        )
        if len(prompt.labels) != len(points):
            raise PromptError(
                f"{where}, entry {number}: labels must be {len(points)}, got {len(prompt.labels)}: one a point"
            )
        if not points and prompt.box_xyxy is None and mask is None:
            raise PromptError(f"{where}, entry {number} is empty: give points_xy, box_xyxy or mask")
        prompts.append(prompt)
    return _merged(prompts)


def _read_mask(mask: Path | Mapping[str, Any]) -> BoolArray:
    """A mask from a file or an RLE.

    Of a file, foreground is what is opaque where there is transparency, what has a number where it is indexed, and
    else what is brighter than half of the brightest pixel.
    """
    import numpy as np
    from PIL import Image

    from masklet.errors import DataError
    from masklet.masks.operations import decode_rle
    from masklet.media.images import read_image

    if isinstance(mask, Mapping):
        try:
            return decode_rle(mask)
        except DataError as error:
            raise PromptError(f"mask: {error}") from error
    try:
        read_image(mask)  # finds all ways in which a file can be bad
    except ImageError as error:
        raise PromptError(f"mask: {error}") from error
    with Image.open(mask) as image:
        if "A" in image.getbands():
            opaque = np.asarray(image.getchannel("A")) > 127
            if not opaque.all():
                return opaque
        if image.mode in ("P", "1"):
            return np.asarray(image) > 0
        brightness = np.asarray(image if image.mode in ("I", "F", "I;16") else image.convert("L"))
    foreground: BoolArray = brightness > brightness.max() / 2
    return foreground
