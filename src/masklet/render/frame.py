"""Renders one frame with its effects: their order, and the state kept between frames.

a) Removed objects are painted over. b) Effects change the pixels of their objects (blur, pixelate, grey, colour).
c) The cut-out objects are put in front of the background. d) Spotlights darken the rest. e) Tints, lines and trails are
painted on top. Small objects come after large ones.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import cv2
import numpy as np

from masklet.errors import DataError
from masklet.masks.drawing import Color
from masklet.records import BoolArray, ByteArray, FloatArray
from masklet.render import paint
from masklet.render.backdrop import Asset, open_backdrop
from masklet.render.composition import (
    BlurBackground,
    BlurObject,
    ColorBackground,
    ColorObject,
    Composition,
    Effect,
    GrayBackground,
    GrayObject,
    Highlight,
    KeepBackground,
    Outline,
    PixelateBackground,
    PixelateObject,
    Remove,
    Spotlight,
    Trail,
)
from masklet.render.matte import Matte, blend, blurred, own_colors, soft_matte, union, unit_of, window_around
from masklet.render.plate import CleanPlate, fill_from_surroundings
from masklet.tracking.masklets import ObjectInfo, parse_color

_BLUR = 32.0
"""Sigma of the background's blur at full strength, units."""


@dataclass(frozen=True, slots=True, eq=False)
class _Layer:
    """One object on one frame."""

    object_id: int
    mask: BoolArray
    matte: Matte
    effects: tuple[Effect, ...]
    color: Color


class Renderer:
    """Renders effects on the frames of one medium, one after another."""

    def __init__(
        self,
        composition: Composition,
        size_hw: tuple[int, int],
        *,
        objects: Iterable[ObjectInfo] = (),
        assets: Mapping[str, Asset] | None = None,
        plate: CleanPlate | None = None,
    ) -> None:
        """Open the background.

        Args:
            composition: the effects.
            size_hw: of the frames.
            objects: the objects, for their colours.
            assets: backgrounds by the composition's `asset_id`.
            plate: the background behind removed objects, collected from other frames.

        Raises:
            ConfigError: an asset is missing.
            ImageError, VideoError: an asset cannot be read.
        """
        self.composition = composition
        self.size_hw = size_hw
        self._unit = unit_of(size_hw)
        self._colors = {info.object_id: info.shown_color for info in objects}
        self._plate = plate
        self._backdrop = open_backdrop(composition, dict(assets or {}), size_hw)

    def close(self) -> None:
        """Close the background video."""
        if self._backdrop is not None:
            self._backdrop.close()

    def __enter__(self) -> Renderer:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    def render(
        self,
        rgb: ByteArray,
        masks: Mapping[int, BoolArray],
        *,
        time_s: float = 0.0,
        trails: Mapping[int, FloatArray] | None = None,
    ) -> ByteArray:
        """Render one frame.

        Args:
            rgb: (H, W, 3), not changed.
            masks: (H, W) by object id; objects without a mask, or with an empty one, are absent.
            time_s: time since the first rendered frame, for a background video.
            trails: (P, 2) positions of each object's centre in pixels, the newest last.

        Returns:
            (H, W, 3), or (H, W, 4) with straight alpha if the background is transparent.

        Raises:
            DataError: a mask does not have the size of the frame.
        """
        if rgb.shape[:2] != self.size_hw:
            raise DataError(f"a frame is {_size(rgb.shape)} (width x height), the first one was {_size(self.size_hw)}")
        layers = self._layers(rgb, masks)
        removed = [layer for layer in layers if _has(layer, Remove)]
        layers = [layer for layer in layers if not _has(layer, Remove)]
        picture = self._without(rgb, removed, masks)
        for layer in layers:
            picture = self._changed(picture, layer)
        canvas = self._before_background(picture, layers, time_s)
        self._spotlight(canvas, layers)
        for layer in layers:
            if self._is_visible(layer.object_id):
                self._paint(canvas, layer)
        for object_id, points_xy in (trails or {}).items():
            if self._is_visible(object_id):
                self._trail(canvas, object_id, points_xy)
        return canvas.finished()

    def _layers(self, rgb: ByteArray, masks: Mapping[int, BoolArray]) -> list[_Layer]:
        """Return the objects that have effects or are cut out, large ones first."""
        layers = []
        needs_all = self.composition.cuts_out
        for object_id, mask in masks.items():
            check_mask_size(object_id, mask, self.size_hw)
            effects = self.composition.effects_of(object_id)
            if not effects and not (needs_all and self._is_cut_out(object_id)):
                continue
            line = max((effect.width for effect in effects if isinstance(effect, Outline)), default=0.0)
            matte = soft_matte(mask, rgb, self.composition.edges, margin=2 * line * self._unit)
            if matte is not None:
                color = self._colors.get(object_id) or ObjectInfo(object_id).shown_color
                layers.append(_Layer(object_id, mask, matte, effects, color))
        return sorted(layers, key=lambda layer: -layer.matte.alpha.size)

    def _is_cut_out(self, object_id: int) -> bool:
        return self.composition.cutout is None or object_id in self.composition.cutout

    def _is_visible(self, object_id: int) -> bool:
        """Return False for an object that is part of the replaced background."""
        shows_old = (KeepBackground, BlurBackground, GrayBackground, PixelateBackground)
        return isinstance(self.composition.background, shows_old) or self._is_cut_out(object_id)

    def _without(self, rgb: ByteArray, removed: list[_Layer], masks: Mapping[int, BoolArray]) -> ByteArray:
        """Paint over the removed objects."""
        if self._plate is not None:
            self._plate.advance(rgb, masks)
        if not removed:
            return rgb
        hole = np.zeros(self.size_hw, np.uint8)
        for layer in removed:
            effect = self.composition.effect_of(layer.object_id, Remove)
            assert effect is not None
            side = 2 * round(effect.grow * self._unit) + 1
            kernel = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (side, side))
            hole |= cv2.dilate(layer.mask.astype(np.uint8), kernel).astype(np.uint8)
        others = np.zeros(self.size_hw, np.bool_)  # remaining objects, from which no background is taken
        removed_ids = {layer.object_id for layer in removed}
        for object_id, mask in masks.items():
            if object_id not in removed_ids:
                others |= mask
        wants_plate = any(
            isinstance(effect, Remove) and effect.fill == "auto" for layer in removed for effect in layer.effects
        )
        if self._plate is not None and wants_plate:
            return self._plate.fill(rgb, hole > 0, others)
        return fill_from_surroundings(rgb, hole > 0, others)

    def _changed(self, picture: ByteArray, layer: _Layer) -> ByteArray:
        """Apply those effects of an object that change its own pixels."""
        window, alpha = layer.matte.window, layer.matte.alpha
        for effect in layer.effects:
            region = picture[window]
            if isinstance(effect, BlurObject):
                size = np.sqrt(np.count_nonzero(layer.mask))
                changed = paint.blur(region, effect.strength * float(2 * self._unit + 0.2 * size))
            elif isinstance(effect, PixelateObject):
                origin = (window[1].start, window[0].start)
                changed = paint.pixelate(region, effect.block * self._unit, origin)
            elif isinstance(effect, GrayObject):
                changed = paint.gray(region, effect.amount)
            elif isinstance(effect, ColorObject):
                color = layer.color if effect.color is None else parse_color(effect.color)
                flat = np.full_like(region, color)
                changed = np.asarray(cv2.addWeighted(flat, effect.opacity, region, 1 - effect.opacity, 0), np.uint8)
            else:
                continue
            picture = picture.copy()
            picture[window] = blend(region, changed, alpha)
        return picture

    def _before_background(self, picture: ByteArray, layers: list[_Layer], time_s: float) -> paint.Canvas:
        composition = self.composition
        if not composition.cuts_out:
            return paint.Canvas(picture.copy())
        mattes = [layer.matte for layer in layers if self._is_cut_out(layer.object_id)]
        alpha = union(mattes, self.size_hw)
        front = picture
        if composition.edges.decontaminate:
            front = picture.copy()
            for matte in mattes:
                front[matte.window] = own_colors(picture, matte, alpha)
        if composition.is_transparent:
            return paint.Canvas(front, alpha)
        canvas = paint.Canvas(self._background(picture, alpha, time_s).copy())
        window = window_around(alpha > 0, 0)
        if window is not None:
            canvas.rgb[window] = blend(canvas.rgb[window], front[window], alpha[window])
        return canvas

    def _background(self, picture: ByteArray, alpha: FloatArray, time_s: float) -> ByteArray:
        effect = self.composition.background
        if isinstance(effect, BlurBackground):
            weights = 1 - alpha if alpha.any() else None
            return paint.blur(picture, effect.strength * _BLUR * self._unit, weights)
        if isinstance(effect, GrayBackground):
            return paint.gray(picture, effect.amount)
        if isinstance(effect, PixelateBackground):
            return paint.pixelate(picture, effect.block * self._unit)
        if isinstance(effect, ColorBackground):
            return np.full_like(picture, parse_color(effect.color))
        assert self._backdrop is not None
        return self._backdrop.at(time_s)

    def _spotlight(self, canvas: paint.Canvas, layers: list[_Layer]) -> None:
        spotlit = [layer for layer in layers if _has(layer, Spotlight)]
        effects = [effect for layer in spotlit for effect in layer.effects if isinstance(effect, Spotlight)]
        if not effects:
            return
        light = union([layer.matte for layer in spotlit], self.size_hw)
        feather = max(effect.feather for effect in effects) * self._unit
        if feather > 0:
            light = np.maximum(light, blurred(light, feather))
        dim = max(effect.dim for effect in effects)
        canvas.dim(np.float32(1 - dim) + np.float32(dim) * light)

    def _paint(self, canvas: paint.Canvas, layer: _Layer) -> None:
        for effect in layer.effects:
            if isinstance(effect, Highlight):
                color = layer.color if effect.color is None else parse_color(effect.color)
                canvas.paint(layer.matte.window, color, layer.matte.alpha * np.float32(effect.opacity))
            elif isinstance(effect, Outline):
                color = layer.color if effect.color is None else parse_color(effect.color)
                canvas.paint(layer.matte.window, color, paint.line_along(layer.matte, effect.width * self._unit))

    def _trail(self, canvas: paint.Canvas, object_id: int, points_xy: FloatArray) -> None:
        effect = self.composition.effect_of(object_id, Trail)
        if effect is None:
            return
        trail = paint.draw_trail(self.size_hw, points_xy, effect.width * self._unit)
        if trail is not None:
            window, opacity = trail
            color = self._colors.get(object_id) or ObjectInfo(object_id).shown_color
            canvas.paint(window, color if effect.color is None else parse_color(effect.color), opacity)


def render_frame(
    rgb: ByteArray,
    masks: Mapping[int, BoolArray],
    composition: Composition,
    *,
    objects: Iterable[ObjectInfo] = (),
    assets: Mapping[str, Asset] | None = None,
    time_s: float = 0.0,
    trails: Mapping[int, FloatArray] | None = None,
) -> ByteArray:
    """Render effects on an image; for one frame of a video see `render_preview`.

    Args:
        rgb: (H, W, 3) uint8.
        masks: (H, W) bool by object id.
        composition: the effects.
        objects: the objects, for their colours.
        assets: backgrounds by the composition's `asset_id`: files, or (h, w, 3) images.
        time_s: for a background video.
        trails: (P, 2) positions of each object's centre in pixels, the newest last.

    Returns:
        (H, W, 3), or (H, W, 4) with straight alpha if the background is transparent.

    Raises:
        ConfigError: an asset is missing.
        DataError: a mask does not have the size of the image.
        ImageError, VideoError: a background cannot be read.
    """
    with Renderer(composition, (rgb.shape[0], rgb.shape[1]), objects=objects, assets=assets) as renderer:
        return renderer.render(rgb, masks, time_s=time_s, trails=trails)


def check_mask_size(object_id: int, mask: BoolArray, size_hw: tuple[int, int]) -> None:
    """Refuse an object's mask of another size than its frame.

    Raises:
        DataError: naming the object and both sizes.
    """
    if mask.shape != size_hw:
        raise DataError(
            f"the mask of object {object_id} is {_size(mask.shape)}, its frame {_size(size_hw)} (width x height): "
            "masks must have the size of their frame"
        )


def _has(layer: _Layer, kind: type[Effect]) -> bool:
    return any(isinstance(effect, kind) for effect in layer.effects)


def _size(shape: tuple[int, ...]) -> str:
    return f"{shape[1]} x {shape[0]}"
