"""Effects on images and videos: cut-outs, other backgrounds, highlighted and removed objects.

composition = Composition.from_dict({"background": {"effect": "blur"}, "objects": {"*": [{"effect": "outline"}]}})
render_frame(rgb, {1: mask}, composition)
render_video(medium, composition, "out.mp4")
"""

from masklet.render.composition import EFFECTS, Composition, Edges, Effect, find_effect
from masklet.render.frame import Renderer, render_frame

__all__ = ["EFFECTS", "Composition", "Edges", "Effect", "Renderer", "find_effect", "render_frame"]
