"""Segment and track anything in images and videos, by click, box or mask."""

from masklet._version import __version__

__all__ = ["__version__"]
