"""Objects that are found, not prompted: detections on key frames, and the rules that turn them into lasting tracks.

Everything here works on masks, boxes and numbers; it knows no model and no video. `masklet.tracking` runs it.
"""

from masklet.discovery.detections import Detection, Detector

__all__ = ["Detection", "Detector"]
