"""Writes the page of all commands from the command line itself, when the site is built."""

from __future__ import annotations

import re
import textwrap
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import typer
from rich.text import Text

from masklet.cli import app

PAGE = Path(__file__).parent / "reference" / "generated" / "commands.md"


def write_command_reference(path: Path = PAGE) -> None:
    """Write one section per command: its purpose, arguments, options and examples."""
    lines = ["# Command line", "", "Every command prints its options with `masklet COMMAND --help`.", ""]
    for name, command in _commands("masklet", typer.main.get_command(app)):
        lines += _section(name, command)
    text = "\n".join(lines)
    path.parent.mkdir(parents=True, exist_ok=True)
    if not path.is_file() or path.read_text(encoding="utf-8") != text:
        path.write_text(text, encoding="utf-8")


def _commands(name: str, command: Any) -> Iterator[tuple[str, Any]]:
    children = getattr(command, "commands", None)
    if children is None:
        yield name, command
        return
    for child_name, child in children.items():
        yield from _commands(f"{name} {child_name}", child)


def _section(name: str, command: Any) -> list[str]:
    lines = [f"## {name}", "", _plain(command.help or ""), ""]
    rows = [_row(parameter) for parameter in command.params if not getattr(parameter, "hidden", False)]
    if rows:
        lines += ["| argument or option | meaning |", "|---|---|", *rows, ""]
    if command.epilog:
        lines += ["```text", *_example_lines(command.epilog), "```", ""]
    return lines


def _row(parameter: Any) -> str:
    if parameter.param_type_name == "argument":
        names = f"`{parameter.metavar or parameter.name}`"
    else:
        value = "" if parameter.is_flag else f" {parameter.metavar or 'VALUE'}"
        names = ", ".join(f"`{name}{value}`" for name in parameter.opts)
    default = parameter.default
    shown = default is not None and default is not False and not callable(default) and default not in ((), [])
    text = _plain(getattr(parameter, "help", None) or "")
    return f"| {names} | {text}{f' Default: `{default}`.' if shown else ''} |".replace("||", "\\|\\|")


def _plain(text: str) -> str:
    """Return help text on one line, without markup of the terminal and safe in a table."""
    return re.sub(r"([|*_<>\[\]])", r"\\\1", " ".join(Text.from_markup(text).plain.split()))


def _example_lines(epilog: str) -> Iterator[str]:
    for line in Text.from_markup(epilog).plain.splitlines():
        yield from textwrap.wrap(line.strip(), 110, break_on_hyphens=False) or [""]
