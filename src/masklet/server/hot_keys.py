"""Hot keys of classes in the studio."""

from __future__ import annotations

HOT_KEYS = "123456789djqsuvw"
"""Keys that a class can have: digits, and the letters that are not shortcuts of the page."""
