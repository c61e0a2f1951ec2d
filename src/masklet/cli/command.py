"""What a subcommand is, beyond a function with options."""

from __future__ import annotations

from typing import Any

from typer.core import TyperCommand

from masklet.cli.prompts import with_scope
from masklet.errors import Cancelled


class MaskletCommand(TyperCommand):
    """A subcommand that ends in one line when Ctrl-C is pressed."""

    def invoke(self, ctx: Any) -> Any:
        try:
            return super().invoke(ctx)
        except KeyboardInterrupt as stop:
            raise Cancelled("nothing was finished") from stop


class PromptCommand(MaskletCommand):
    """A subcommand in which `--object` and `--frame` hold for the prompts after them."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        return super().parse_args(ctx, with_scope(args))
