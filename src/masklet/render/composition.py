"""The description of a rendered picture: one effect for the background, and effects for each object.

Every effect is one frozen record. Its fields declare their allowed values, from which the checks, the JSON of the
server and the command line, and the JSON schema for the page's form are derived.

Lengths are in units: 1 unit is one pixel at 854 x 480, so that an effect looks the same at every size.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, ClassVar, Final, Literal, TypeVar

from masklet.errors import ConfigError
from masklet.schema import Options, asset_field, check_names, choice_field, color_field, number_field, switch_field

_FITS = {"cover": "Fill the frame, cut off the rest", "contain": "Show all of it, with borders", "stretch": "Stretch"}


@dataclass(frozen=True, kw_only=True, slots=True)
class Effect(Options):
    """One effect with its options."""

    id: ClassVar[str] = ""
    title: ClassVar[str] = ""
    target: ClassVar[Literal["object", "background"]] = "object"
    kinds: ClassVar[tuple[str, ...]] = ("image", "video")
    """Kinds of media that it makes sense for."""

    def to_dict(self) -> dict[str, Any]:
        return {"effect": self.id} | self.values()


# Backgrounds


@dataclass(frozen=True, kw_only=True, slots=True)
class KeepBackground(Effect):
    """The unchanged background."""

    id, title, target, label = "none", "As it is", "background", "effect none"


@dataclass(frozen=True, kw_only=True, slots=True)
class BlurBackground(Effect):
    """The background out of focus; objects do not bleed into it."""

    id, title, target, label = "blur", "Blur", "background", "effect blur"
    strength: float = number_field(0.4, 0, 1, "Strength")


@dataclass(frozen=True, kw_only=True, slots=True)
class ColorBackground(Effect):
    """One colour in place of the background."""

    id, title, target, label = "color", "Colour", "background", "effect color"
    color: str = color_field("#00b140")


@dataclass(frozen=True, kw_only=True, slots=True)
class ImageBackground(Effect):
    """An image in place of the background."""

    id, title, target, label = "image", "Image", "background", "effect image"
    asset_id: str | None = asset_field("Image")
    fit: str = choice_field("cover", _FITS, "Size")
    color: str = color_field("#000000", "Colour of the borders", only_if={"fit": ["contain"]})


@dataclass(frozen=True, kw_only=True, slots=True)
class VideoBackground(Effect):
    """A video in place of the background, from its beginning, repeated where it is shorter; its sound is left out."""

    id, title, target, label = "video", "Video", "background", "effect video"
    kinds = ("video",)
    asset_id: str | None = asset_field("Video")
    fit: str = choice_field("cover", _FITS, "Size")
    color: str = color_field("#000000", "Colour of the borders", only_if={"fit": ["contain"]})


@dataclass(frozen=True, kw_only=True, slots=True)
class GrayBackground(Effect):
    """The background without colour."""

    id, title, target, label = "gray", "Grey", "background", "effect gray"
    amount: float = number_field(1.0, 0, 1, "Amount")


@dataclass(frozen=True, kw_only=True, slots=True)
class PixelateBackground(Effect):
    """The background as large squares."""

    id, title, target, label = "pixelate", "Pixelate", "background", "effect pixelate"
    block: float = number_field(14, 2, 80, "Size of a square")


@dataclass(frozen=True, kw_only=True, slots=True)
class TransparentBackground(Effect):
    """No background: needs a file format with alpha."""

    id, title, target, label = "transparent", "Transparent", "background", "effect transparent"


# Objects


@dataclass(frozen=True, kw_only=True, slots=True)
class Highlight(Effect):
    """A tint in the object's colour."""

    id, title, label = "highlight", "Highlight", "effect highlight"
    opacity: float = number_field(0.4, 0, 1, "Opacity")
    color: str | None = color_field(None)


@dataclass(frozen=True, kw_only=True, slots=True)
class Outline(Effect):
    """A line along the edge, in the object's colour."""

    id, title, label = "outline", "Outline", "effect outline"
    width: float = number_field(2.5, 0.5, 16, "Width")
    color: str | None = color_field(None)


@dataclass(frozen=True, kw_only=True, slots=True)
class Spotlight(Effect):
    """Darkness around all objects that have a spotlight."""

    id, title, label = "spotlight", "Spotlight", "effect spotlight"
    dim: float = number_field(0.65, 0, 1, "Darkness")
    feather: float = number_field(10, 0, 60, "Softness")


@dataclass(frozen=True, kw_only=True, slots=True)
class Trail(Effect):
    """The path of the object's centre, fading out."""

    id, title, label = "trail", "Trail", "effect trail"
    kinds = ("video",)
    seconds: float = number_field(1.5, 0.1, 10, "Seconds")
    width: float = number_field(4, 0.5, 20, "Width")
    color: str | None = color_field(None)


@dataclass(frozen=True, kw_only=True, slots=True)
class Remove(Effect):
    """The object painted over with its background from other frames, or else with its surroundings."""

    id, title, label = "remove", "Remove", "effect remove"
    grow: float = number_field(5, 0, 40, "Margin")
    fill: str = choice_field(
        "auto",
        {"auto": "What other frames show there", "surroundings": "What is around it"},
        "Fill with",
        only_for="video",
    )


@dataclass(frozen=True, kw_only=True, slots=True)
class BlurObject(Effect):
    """The object blurred; beyond recognition at full strength."""

    id, title, label = "blur", "Blur", "effect blur"
    strength: float = number_field(0.6, 0, 1, "Strength")


@dataclass(frozen=True, kw_only=True, slots=True)
class PixelateObject(Effect):
    """The object as large squares."""

    id, title, label = "pixelate", "Pixelate", "effect pixelate"
    block: float = number_field(14, 2, 80, "Size of a square")


@dataclass(frozen=True, kw_only=True, slots=True)
class GrayObject(Effect):
    """The object without colour."""

    id, title, label = "gray", "Grey", "effect gray"
    amount: float = number_field(1.0, 0, 1, "Amount")


@dataclass(frozen=True, kw_only=True, slots=True)
class ColorObject(Effect):
    """One colour in place of the object."""

    id, title, label = "color", "Colour", "effect color"
    color: str | None = color_field(None)
    opacity: float = number_field(1.0, 0, 1, "Opacity")


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
class Edges(Options):
    """Softness of the objects' edges."""

    label = "edges"
    refine: bool = switch_field(
        True, "Soft edges", hint="Follow the picture to the pixel, also along hair; off cuts along the mask"
    )
    """Estimate by colour, within a band along the outline, the fraction of each pixel that belongs to the object."""
    shrink: float = number_field(0, 0, 20, "Move the edge inwards")
    """Distance by which the edge is moved inwards, units: against a rim of the old background."""
    feather: float = number_field(0, 0, 40, "Extra blur of the edges")
    """Additional blur of the edge, units."""
    decontaminate: bool = switch_field(
        True, "Remove colour fringes", hint="Take the colour of the old background out of the edges"
    )
    """Remove the old background's colour from pixels that the object covers partly."""
    stabilise: str = choice_field(
        "auto",
        {"auto": "For cut-outs", "on": "Always", "off": "Never"},
        "Steady edges",
        hint="Against edges that flicker from frame to frame",
        only_for="video",
    )
    """Filter the outlines over time against flicker; "auto": where objects are put on another background."""


E = TypeVar("E", bound=Effect)

EVERY_OBJECT: Final = "*"


@dataclass(frozen=True, slots=True)
class Composition:
    """All effects of a picture, in this order: remove objects, change them, put them on the background, draw on top."""

    background: Effect = field(default_factory=KeepBackground)
    objects: Mapping[int | Literal["*"], tuple[Effect, ...]] = field(default_factory=dict)
    """Effects by object id; "*" applies to objects without their own effects."""
    cutout: tuple[int, ...] | None = None
    """Ids of the objects that are put in front of the background; None means all."""
    edges: Edges = field(default_factory=Edges)

    def __post_init__(self) -> None:
        if self.background.target != "background":
            raise ConfigError(f"background: {self.background.id} is an effect for objects: choose one for backgrounds")
        for object_id, effects in self.objects.items():
            for effect in effects:
                if effect.target != "object":
                    raise ConfigError(
                        f"object {object_id}: {effect.id} is an effect for backgrounds: choose one for objects"
                    )

    @classmethod
    def from_dict(cls, document: Mapping[str, Any]) -> Composition:
        """Create a composition from the JSON of `to_dict`; all fields are optional.

        Args:
            document: `{"background": {"effect": "blur", "strength": 0.5}, "objects": {"1": [{"effect": "outline"}],
                "*": []}, "cutout": [1, 2], "edges": {"feather": 2}}`.

        Raises:
            ConfigError: an effect or option is unknown, or a value is out of its range.
        """
        check_names(document, ("background", "objects", "cutout", "edges"), "composition")
        background = _effect(document.get("background") or {"effect": "none"}, "background", "background")
        objects: dict[int | Literal["*"], tuple[Effect, ...]] = {}
        by_object = document.get("objects") or {}
        if not isinstance(by_object, Mapping):
            raise ConfigError(f'composition: objects must be {{"<id>": [effects]}}, got {type(by_object).__name__}')
        for key, effects in by_object.items():
            if isinstance(effects, Mapping) or not isinstance(effects, Iterable):
                raise ConfigError(f"object {key}: expected a list of effects, got {type(effects).__name__}")
            objects[_object_key(key)] = tuple(_effect(effect, "object", f"object {key}") for effect in effects)
        return cls(background, objects, _object_ids(document.get("cutout")), Edges.of(document.get("edges")))

    def to_dict(self) -> dict[str, Any]:
        """Return JSON that includes defaults."""
        return {
            "background": self.background.to_dict(),
            "objects": {str(key): [effect.to_dict() for effect in effects] for key, effects in self.objects.items()},
            "cutout": None if self.cutout is None else list(self.cutout),
            "edges": self.edges.values(),
        }

    @property
    def is_transparent(self) -> bool:
        """True if the rendered picture has alpha."""
        return isinstance(self.background, TransparentBackground)

    @property
    def cuts_out(self) -> bool:
        """True if objects are put in front of another background than the picture's own."""
        return not isinstance(self.background, KeepBackground)

    def check_objects(self, object_ids: Iterable[int]) -> None:
        """Refuse effects on objects that do not exist.

        Args:
            object_ids: all objects of the medium.

        Raises:
            ConfigError: naming the objects that do not exist, and those that do.
        """
        existing = set(object_ids)
        mentioned = {key for key in self.objects if isinstance(key, int)} | set(self.cutout or ())
        if missing := sorted(mentioned - existing):
            choices = ", ".join(map(str, sorted(existing))) or "none"
            raise ConfigError(
                f"composition: object {', '.join(map(str, missing))} does not exist: the objects are {choices}"
            )

    def only(self, object_ids: Iterable[int]) -> Composition:
        """Return the composition without the effects on other objects, such as hidden ones."""
        kept = set(object_ids)
        objects = {key: effects for key, effects in self.objects.items() if key == EVERY_OBJECT or key in kept}
        cutout = None if self.cutout is None else tuple(key for key in self.cutout if key in kept)
        return replace(self, objects=objects, cutout=cutout)

    @property
    def asset_ids(self) -> tuple[str, ...]:
        """Ids of the assets that it needs.

        Raises:
            ConfigError: the background is an image or video without an asset id.
        """
        if not isinstance(self.background, ImageBackground | VideoBackground):
            return ()
        if not self.background.asset_id:
            kind = self.background.id
            raise ConfigError(f"background {kind}: asset_id must name the {kind} to show")
        return (self.background.asset_id,)

    def effects_of(self, object_id: int) -> tuple[Effect, ...]:
        """Return the effects of one object."""
        effects = self.objects.get(object_id)
        return self.objects.get(EVERY_OBJECT, ()) if effects is None else effects

    def effect_of(self, object_id: int, kind: type[E]) -> E | None:
        """Return the last effect of a kind that an object has, or None."""
        effects = [effect for effect in self.effects_of(object_id) if isinstance(effect, kind)]
        return effects[-1] if effects else None

    def uses(self, kind: type[Effect]) -> bool:
        """Return True if any object has an effect of this kind."""
        return any(isinstance(effect, kind) for effects in self.objects.values() for effect in effects)


def find_effect(effect_id: str, target: str) -> type[Effect]:
    """Return the effect of this name for the target "object" or "background".

    Raises:
        ConfigError: it does not exist; the message lists those that do.
    """
    for kind in EFFECTS:
        if kind.id == effect_id and kind.target == target:
            return kind
    choices = ", ".join(kind.id for kind in EFFECTS if kind.target == target)
    raise ConfigError(f"unknown {target} effect {effect_id!r}: choose from {choices}")


def _effect(document: Any, target: str, where: str) -> Effect:
    if not isinstance(document, Mapping) or "effect" not in document:
        raise ConfigError(f'{where}: an effect must be {{"effect": name, ...options}}, got {document!r:.80}')
    kind = find_effect(document["effect"], target)
    try:
        return kind.of({name: value for name, value in document.items() if name != "effect"})
    except ConfigError as error:
        raise ConfigError(f"{where}, {error}") from None


def _object_key(key: Any) -> int | Literal["*"]:
    if key == EVERY_OBJECT:
        return "*"
    try:
        return int(key)
    except (TypeError, ValueError):
        raise ConfigError(f'objects: a key must be an object id or "*", got {key!r}') from None


def _object_ids(values: Any) -> tuple[int, ...] | None:
    if values is None:
        return None
    if not isinstance(values, list | tuple) or not all(isinstance(value, int) for value in values):
        raise ConfigError(f"cutout must be a list of object ids, or null for all, got {values!r}")
    return tuple(values)
