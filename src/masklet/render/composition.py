"""What a picture is to look like: an effect for the background, and effects for each object.

Every effect is one frozen record. Its fields say what they may be, and out of that come the checks, the JSON that the
server and session files speak, and the JSON schema from which the page builds its sliders.

Lengths are in units: 1 unit is a pixel at 854 x 480, so that an effect looks alike at every size.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import Field, dataclass, field, fields
from typing import Any, ClassVar, Literal, TypeVar

from masklet.errors import ConfigError
from masklet.masklets import parse_color

Schema = dict[str, Any]


def _option(default: Any, title: str, **schema: Any) -> Any:
    """A field of an effect with its JSON schema. With `nullable`, None is allowed and the default means "by itself"."""
    return field(default=default, metadata={"schema": {"title": title, **schema}})


def _number(default: float, low: float, high: float, title: str, **more: Any) -> Any:
    return _option(default, title, type="number", minimum=low, maximum=high, **more)


def _color(default: str | None, title: str = "Colour") -> Any:
    kind = "string" if default is not None else ["string", "null"]
    return _option(default, title, type=kind, format="color", pattern="^#[0-9a-fA-F]{6}$")


def _choice(default: str, choices: tuple[str, ...], title: str) -> Any:
    return _option(default, title, type="string", enum=list(choices))


def _asset(title: str) -> Any:
    return _option(None, title, type=["string", "null"], format="asset")


_FITS = ("cover", "contain", "stretch")


@dataclass(frozen=True, kw_only=True, slots=True)
class Effect:
    """One effect with its options."""

    id: ClassVar[str] = ""
    title: ClassVar[str] = ""
    target: ClassVar[Literal["object", "background"]] = "object"

    def __post_init__(self) -> None:
        for one in fields(self):
            checked = _checked(one, getattr(self, one.name), f"effect {self.id}")
            object.__setattr__(self, one.name, checked)

    def to_dict(self) -> dict[str, Any]:
        return {"effect": self.id} | {one.name: getattr(self, one.name) for one in fields(self)}

    @classmethod
    def schema(cls) -> Schema:
        """JSON schema of the options."""
        properties = {one.name: {**one.metadata["schema"], "default": one.default} for one in fields(cls)}
        return {"type": "object", "properties": properties, "additionalProperties": False}


# Backgrounds


@dataclass(frozen=True, kw_only=True, slots=True)
class KeepBackground(Effect):
    """The background as it is."""

    id, title, target = "none", "As it is", "background"


@dataclass(frozen=True, kw_only=True, slots=True)
class BlurBackground(Effect):
    """Out of focus; the objects do not bleed into it."""

    id, title, target = "blur", "Blur", "background"
    strength: float = _number(0.4, 0, 1, "Strength")


@dataclass(frozen=True, kw_only=True, slots=True)
class ColorBackground(Effect):
    """One colour in its place."""

    id, title, target = "color", "Colour", "background"
    color: str = _color("#00b140")


@dataclass(frozen=True, kw_only=True, slots=True)
class ImageBackground(Effect):
    """An image in its place."""

    id, title, target = "image", "Image", "background"
    asset_id: str | None = _asset("Image")
    fit: str = _choice("cover", _FITS, "Fit")
    color: str = _color("#000000", "Bars")


@dataclass(frozen=True, kw_only=True, slots=True)
class VideoBackground(Effect):
    """A video in its place, from its beginning, again and again where it is shorter; its sound is left out."""

    id, title, target = "video", "Video", "background"
    asset_id: str | None = _asset("Video")
    fit: str = _choice("cover", _FITS, "Fit")
    color: str = _color("#000000", "Bars")


@dataclass(frozen=True, kw_only=True, slots=True)
class GrayBackground(Effect):
    """Without colour."""

    id, title, target = "gray", "Grey", "background"
    amount: float = _number(1.0, 0, 1, "Amount")


@dataclass(frozen=True, kw_only=True, slots=True)
class PixelateBackground(Effect):
    """Large squares."""

    id, title, target = "pixelate", "Pixelate", "background"
    block: float = _number(14, 2, 80, "Size of a square")


@dataclass(frozen=True, kw_only=True, slots=True)
class TransparentBackground(Effect):
    """Nothing: needs a format with alpha."""

    id, title, target = "transparent", "Transparent", "background"


# Objects


@dataclass(frozen=True, kw_only=True, slots=True)
class Highlight(Effect):
    """A tint in the object's colour."""

    id, title = "highlight", "Highlight"
    opacity: float = _number(0.4, 0, 1, "Opacity")
    color: str | None = _color(None)


@dataclass(frozen=True, kw_only=True, slots=True)
class Outline(Effect):
    """A line along the edge, in the object's colour."""

    id, title = "outline", "Outline"
    width: float = _number(2.5, 0.5, 16, "Width")
    color: str | None = _color(None)


@dataclass(frozen=True, kw_only=True, slots=True)
class Spotlight(Effect):
    """Everything but the objects with a spotlight is darker."""

    id, title = "spotlight", "Spotlight"
    dim: float = _number(0.65, 0, 1, "How much darker")
    feather: float = _number(10, 0, 60, "Softness")


@dataclass(frozen=True, kw_only=True, slots=True)
class Trail(Effect):
    """The way that the object's centre has come, fading."""

    id, title = "trail", "Trail"
    seconds: float = _number(1.5, 0.1, 10, "Seconds")
    width: float = _number(4, 0.5, 20, "Width")
    color: str | None = _color(None)


@dataclass(frozen=True, kw_only=True, slots=True)
class Remove(Effect):
    """The object is painted over: with what other frames show behind it, else with its surroundings."""

    id, title = "remove", "Remove"
    grow: float = _number(5, 0, 40, "Margin")
    fill: str = _choice("auto", ("auto", "surroundings"), "Fill with")


@dataclass(frozen=True, kw_only=True, slots=True)
class BlurObject(Effect):
    """Beyond recognition, at full strength."""

    id, title = "blur", "Blur"
    strength: float = _number(0.6, 0, 1, "Strength")


@dataclass(frozen=True, kw_only=True, slots=True)
class PixelateObject(Effect):
    """Large squares."""

    id, title = "pixelate", "Pixelate"
    block: float = _number(14, 2, 80, "Size of a square")


@dataclass(frozen=True, kw_only=True, slots=True)
class GrayObject(Effect):
    """Without colour."""

    id, title = "gray", "Grey"
    amount: float = _number(1.0, 0, 1, "Amount")


@dataclass(frozen=True, kw_only=True, slots=True)
class ColorObject(Effect):
    """One colour in its place."""

    id, title = "color", "Colour"
    color: str | None = _color(None)
    opacity: float = _number(1.0, 0, 1, "Opacity")


EFFECTS: tuple[type[Effect], ...] = (
    KeepBackground,
    BlurBackground,
    ColorBackground,
    ImageBackground,
    VideoBackground,
    GrayBackground,
    PixelateBackground,
    TransparentBackground,
    Highlight,
    Outline,
    Spotlight,
    Trail,
    Remove,
    BlurObject,
    PixelateObject,
    GrayObject,
    ColorObject,
)
"""All effects, backgrounds first: each has `id`, `title`, `target` and `schema()`."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Edges:
    """How the objects' edges become soft."""

    refine: bool = True
    """Let the picture decide, within a band along the outline, how much of a pixel belongs to the object."""
    feather: float = 0.0
    """Blur of the edge beyond that, units."""
    decontaminate: bool = True
    """Before another background, replace the old one's colour in half-covered pixels by that of the object."""

    def __post_init__(self) -> None:
        for name in ("refine", "decontaminate"):
            if not isinstance(getattr(self, name), bool):
                raise ConfigError(f"edges: {name} must be true or false, got {getattr(self, name)!r}")
        feather = self.feather
        if isinstance(feather, bool) or not isinstance(feather, int | float) or not 0 <= feather <= 40:
            raise ConfigError(f"edges: feather must be from 0 to 40, got {feather!r}")


E = TypeVar("E", bound=Effect)

EVERY_OBJECT = "*"


@dataclass(frozen=True, slots=True)
class Composition:
    """Effects put together. Objects are removed first, then changed, set before the background, and drawn on."""

    background: Effect = field(default_factory=KeepBackground)
    objects: Mapping[int | Literal["*"], tuple[Effect, ...]] = field(default_factory=dict)
    """By object id; "*" holds for those that have no effects of their own."""
    cutout: tuple[int, ...] | None = None
    """The objects that stand before the background; None means all."""
    edges: Edges = field(default_factory=Edges)

    def __post_init__(self) -> None:
        if self.background.target != "background":
            raise ConfigError(f"background: {self.background.id} is an effect for objects")
        for object_id, effects in self.objects.items():
            for effect in effects:
                if effect.target != "object":
                    raise ConfigError(f"object {object_id}: {effect.id} is an effect for backgrounds")

    @classmethod
    def from_dict(cls, document: Mapping[str, Any]) -> Composition:
        """Read what `to_dict` writes; everything may be left out.

        Args:
            document: `{"background": {"effect": "blur", "strength": 0.5}, "objects": {"1": [{"effect": "outline"}],
                "*": []}, "cutout": [1, 2], "edges": {"feather": 2}}`.

        Raises:
            ConfigError: an effect or option is unknown, or a value is out of its range.
        """
        _known(document, ("background", "objects", "cutout", "edges"), "composition")
        background = _effect(document.get("background") or {"effect": "none"}, "background", "background")
        objects: dict[int | Literal["*"], tuple[Effect, ...]] = {}
        given = document.get("objects") or {}
        if not isinstance(given, Mapping):
            raise ConfigError(f'composition: objects must be {{"<id>": [effects]}}, got {type(given).__name__}')
        for key, effects in given.items():
            if isinstance(effects, Mapping) or not isinstance(effects, Iterable):
                raise ConfigError(f"object {key}: expected a list of effects, got {type(effects).__name__}")
            objects[_object_key(key)] = tuple(_effect(one, "object", f"object {key}") for one in effects)
        edges = document.get("edges") or {}
        _known(edges, tuple(one.name for one in fields(Edges)), "edges")
        return cls(background, objects, _ids(document.get("cutout")), Edges(**edges))

    def to_dict(self) -> dict[str, Any]:
        """JSON, whole: defaults too."""
        return {
            "background": self.background.to_dict(),
            "objects": {str(key): [one.to_dict() for one in effects] for key, effects in self.objects.items()},
            "cutout": None if self.cutout is None else list(self.cutout),
            "edges": {one.name: getattr(self.edges, one.name) for one in fields(Edges)},
        }

    @property
    def is_transparent(self) -> bool:
        """Whether what comes out has alpha."""
        return isinstance(self.background, TransparentBackground)

    @property
    def asset_ids(self) -> tuple[str, ...]:
        """The assets that must be given with it.

        Raises:
            ConfigError: the background is an image or video, and none is named.
        """
        if not isinstance(self.background, ImageBackground | VideoBackground):
            return ()
        if not self.background.asset_id:
            kind = self.background.id
            raise ConfigError(f"background {kind}: asset_id must name the {kind} to show")
        return (self.background.asset_id,)

    def effects_of(self, object_id: int) -> tuple[Effect, ...]:
        """The effects of one object."""
        own = self.objects.get(object_id)
        return self.objects.get(EVERY_OBJECT, ()) if own is None else own

    def effect_of(self, object_id: int, kind: type[E]) -> E | None:
        """The last effect of a kind that an object has."""
        found = [one for one in self.effects_of(object_id) if isinstance(one, kind)]
        return found[-1] if found else None

    def uses(self, kind: type[Effect]) -> bool:
        """Whether any object has an effect of this kind."""
        return any(isinstance(one, kind) for effects in self.objects.values() for one in effects)


def find_effect(effect_id: str, target: str) -> type[Effect]:
    """The effect of this name for "object" or "background".

    Raises:
        ConfigError: there is none; the message lists those that are.
    """
    for one in EFFECTS:
        if one.id == effect_id and one.target == target:
            return one
    choices = ", ".join(one.id for one in EFFECTS if one.target == target)
    raise ConfigError(f"there is no {target} effect {effect_id!r}: choose from {choices}")


def _effect(document: Any, target: str, where: str) -> Effect:
    if not isinstance(document, Mapping) or "effect" not in document:
        raise ConfigError(f'{where}: an effect must be {{"effect": name, ...options}}, got {str(document)[:80]}')
    kind = find_effect(document["effect"], target)
    options = {name: value for name, value in document.items() if name != "effect"}
    _known(options, tuple(one.name for one in fields(kind)), f"{where}, effect {kind.id}")
    return kind(**options)


def _known(document: Any, names: tuple[str, ...], where: str) -> None:
    if not isinstance(document, Mapping):
        raise ConfigError(f"{where} must be a JSON object, got {type(document).__name__}")
    if unknown := set(document) - set(names):
        raise ConfigError(f"{where}: unknown {min(map(str, unknown))!r}, known are {', '.join(names) or 'no options'}")


def _object_key(key: Any) -> int | Literal["*"]:
    if key == EVERY_OBJECT:
        return "*"
    try:
        return int(key)
    except (TypeError, ValueError):
        raise ConfigError(f'objects: a key must be an object\'s id or "*", got {key!r}') from None


def _ids(given: Any) -> tuple[int, ...] | None:
    if given is None:
        return None
    if not isinstance(given, list | tuple) or not all(isinstance(one, int) for one in given):
        raise ConfigError(f"cutout must be a list of object ids, or null for all, got {given!r}")
    return tuple(given)


def _checked(one: Field[Any], value: Any, where: str) -> Any:
    """The value of an option as its schema wants it."""
    schema = one.metadata["schema"]
    kinds = schema["type"] if isinstance(schema["type"], list) else [schema["type"]]
    where = f"{where}: {one.name}"
    if value is None and "null" in kinds:
        return None
    if kinds[0] in ("number", "integer"):
        low, high = schema["minimum"], schema["maximum"]
        is_number = isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
        if not is_number or not low <= value <= high or (kinds[0] == "integer" and value != int(value)):
            raise ConfigError(f"{where} must be from {low} to {high}, got {value!r}")
        return int(value) if kinds[0] == "integer" else float(value)
    if not isinstance(value, str):
        raise ConfigError(f"{where} must be text, got {value!r}")
    if "enum" in schema and value not in schema["enum"]:
        raise ConfigError(f"{where} must be {', '.join(schema['enum'])}, got {value!r}")
    if schema.get("format") == "color":
        try:
            parse_color(value)
        except ConfigError as error:
            raise ConfigError(f"{where}: {error}") from None
    return value
