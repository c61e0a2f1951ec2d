"""Objects that are found, not prompted: detections on key frames, and the rules that turn them into lasting tracks.

Everything here works on masks, boxes and numbers; it knows no model and no video. `Tracker.discover` runs it.
"""

from masklet.discovery.callables import DetectFunction
from masklet.discovery.config import DiscoveryConfig
from masklet.discovery.detections import Detection, Detector
from masklet.discovery.objects import DiscoveredObject

__all__ = ["DetectFunction", "Detection", "Detector", "DiscoveredObject", "DiscoveryConfig"]
