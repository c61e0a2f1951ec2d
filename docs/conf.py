"""Sphinx configuration of the documentation: `make docs` builds it into docs/_build/html, without a network."""

from __future__ import annotations

import re
import sys
from pathlib import Path
from typing import Any

from masklet import __version__

sys.path.insert(0, str(Path(__file__).parent))
from command_reference import write_command_reference

project = "masklet"
author = "the masklet authors"
copyright = "2026, the masklet authors"
version = release = __version__

extensions = [
    "myst_parser",
    "sphinx.ext.autodoc",
    "sphinx.ext.autosummary",
    "sphinx.ext.napoleon",
    "sphinx.ext.viewcode",
]
exclude_patterns = ["_build", "_templates"]
templates_path = ["_templates"]

# Markdown: links to headings work as on GitHub.
myst_heading_anchors = 3
myst_enable_extensions = ["deflist", "fieldlist"]

# The API reference is made from the docstrings. Their single backticks are code, as in Markdown.
default_role = "code"
autosummary_generate = True
autodoc_member_order = "bysource"
autodoc_typehints = "signature"
autodoc_typehints_format = "short"
autodoc_default_options = {"members": True, "show-inheritance": False}
napoleon_google_docstring = True
napoleon_numpy_docstring = False
napoleon_use_rtype = False
napoleon_custom_sections = [("Yields", "returns_style")]

html_theme = "furo"
html_title = f"masklet {__version__}"
html_static_path: list[str] = []
html_show_sourcelink = False
pygments_style = "friendly"
pygments_dark_style = "native"


# Docstrings are plain text with backticks, not strict reStructuredText: what would be read as markup is escaped, and
# indented examples and lists get the blank lines that docutils wants around them.

_SECTION = re.compile(r"\s*(Args|Attributes|Example|Examples|Raises|Returns|Yields):$")
_LIST_ITEM = re.compile(r"\s*([-*+]|\w{1,2}[.)]) ")
_attribute_docs: dict[str, list[str]] = {}
_CODE = re.compile(r"(`+[^`]*`+)")


def _escaped(line: str) -> str:
    parts = _CODE.split(line)
    parts[1::2] = [f"``{part.strip('`')}``" for part in parts[1::2]]
    parts[::2] = [re.sub(r"(?<!\\)([*|]|(?<=\w)_(?!\w))", r"\\\1", part) for part in parts[::2]]
    parts[2::2] = [re.sub(r"^(?=\w)", r"\\ ", part) for part in parts[2::2]]  # as in `Prompt`s
    bullet = re.match(r"(\s*)\\\* ", parts[0])
    if bullet:
        parts[0] = f"{bullet[1]}* {parts[0][bullet.end() :]}"
    return "".join(parts)


def _indent(line: str) -> int:
    return len(line) - len(line.lstrip())


def plain_docstring(app: Any, what: str, name: str, obj: object, options: Any, lines: list[str]) -> None:
    """Make reStructuredText of one docstring, in place, before napoleon reads its sections."""
    written: list[str] = []
    in_prose = True
    item_indent: int | None = None  # of the list that the previous line belongs to
    for line in lines:
        in_prose = in_prose and not _SECTION.match(line)
        before = written[-1] if written else ""
        is_item = bool(_LIST_ITEM.match(line))
        continues_item = not is_item and item_indent is not None and _indent(line) > item_indent
        if in_prose and before and line.strip():
            list_begins_or_ends = (is_item or continues_item) != (item_indent is not None)
            if list_begins_or_ends or (_indent(line) != _indent(before) and not (is_item or continues_item)):
                written.append("")
        if not continues_item:
            item_indent = _indent(line) if is_item else None
        written.append(_escaped(line))
    lines[:] = written
    if what in ("attribute", "data", "property") and in_prose:
        _attribute_docs[name] = written


def whole_attribute_doc(app: Any, what: str, name: str, obj: object, options: Any, lines: list[str]) -> None:
    """Undo napoleon on an attribute, where it takes everything before a colon for a type."""
    if name in _attribute_docs:
        lines[:] = _attribute_docs[name]


def setup(app: Any) -> None:
    write_command_reference()
    app.connect("autodoc-process-docstring", plain_docstring, priority=400)
    app.connect("autodoc-process-docstring", whole_attribute_doc, priority=600)
