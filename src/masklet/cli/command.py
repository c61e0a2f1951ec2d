"""Command classes: switches are listed without types, Ctrl-C ends in one line, prompts have scopes."""

from __future__ import annotations

from typing import Any

from typer.core import TyperCommand, TyperGroup

from masklet.cli.prompts import with_scope
from masklet.errors import Cancelled

HELP_PANEL = "Help"
"""The panel of `--help` for commands whose other options are all in panels."""


class MaskletGroup(TyperGroup):
    """A command with subcommands. Its help page shows switches without a type."""

    def get_params(self, ctx: Any) -> list[Any]:
        return _without_types_of_switches(super().get_params(ctx))


class MaskletCommand(TyperCommand):
    """A subcommand that exits with a one-line message on Ctrl-C."""

    def get_params(self, ctx: Any) -> list[Any]:
        params = _without_types_of_switches(super().get_params(ctx))
        *options, last = [param for param in params if param.param_type_name == "option"]
        # Typer lists options without a panel first: a panel with nothing but --help would precede the useful ones.
        if options and last.name == "help" and all(getattr(param, "rich_help_panel", None) for param in options):
            last.rich_help_panel = HELP_PANEL
        return params

    def invoke(self, ctx: Any) -> Any:
        try:
            return super().invoke(ctx)
        except KeyboardInterrupt as stop:
            raise Cancelled("nothing was finished") from stop


def _without_types_of_switches(params: list[Any]) -> list[Any]:
    """Make the help page list `--force` instead of `--force <bool>`."""
    for param in params:
        if getattr(param, "is_flag", False) and param.metavar is None:
            param.metavar = ""
    return params


class PromptCommand(MaskletCommand):
    """A subcommand in which `--object` and `--frame` apply to the prompts after them."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        return super().parse_args(ctx, with_scope(args))
