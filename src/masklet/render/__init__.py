"""Effects on images and videos: cut-outs, other backgrounds, highlighted and removed objects.

composition = Composition.from_dict({"background": {"effect": "blur"}, "objects": {"*": [{"effect": "outline"}]}})
render_frame(rgb, {1: mask}, composition)
render_video(medium, composition, "out.mp4")
"""

from masklet.media.gif import GifOptions
from masklet.render.composition import EFFECTS, Composition, Edges, Effect, find_effect
from masklet.render.frame import Renderer, render_frame
from masklet.render.video import CONTAINERS, Container, Rendered, render_preview, render_video

__all__ = [
    "CONTAINERS",
    "EFFECTS",
    "Composition",
    "Container",
    "Edges",
    "Effect",
    "GifOptions",
    "Rendered",
    "Renderer",
    "find_effect",
    "render_frame",
    "render_preview",
    "render_video",
]
