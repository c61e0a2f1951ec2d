"""Default colours of objects and classes."""

from __future__ import annotations

from collections.abc import Iterable

COLORS = (
    "#4f8cff",
    "#ff7a59",
    "#2fbf71",
    "#c86bff",
    "#ffc233",
    "#17b8c4",
    "#ff5fa2",
    "#8fbf3f",
    "#9a7bff",
    "#e0604c",
)
"""Colours in the order in which they are given; repeated when used up."""


def default_color(number: int) -> str:
    """Return the colour of the object or class with this number, from 0."""
    return COLORS[number % len(COLORS)]


def least_used_color(used: Iterable[str]) -> str:
    """Return the first of the colours that are used least."""
    taken = list(used)
    return min(COLORS, key=taken.count)
