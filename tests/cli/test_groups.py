from __future__ import annotations

import inspect
from pathlib import Path
from typing import Annotated

import pytest
import typer
from typer.testing import CliRunner

from masklet.cli.groups import OptionGroup, with_groups


class Sizes(OptionGroup):
    width: Annotated[int, typer.Option("--width", "-w", help="Pixels.")] = 3
    height: int = 4


@with_groups
def area(path: Annotated[Path, typer.Argument()], factor: float = 1.0, *, sizes: Sizes) -> int:
    """Multiply."""
    typer.echo(f"{path} {factor * sizes.width * sizes.height:g}")
    return 0


def test_a_command_has_the_options_of_its_groups() -> None:
    app = typer.Typer()
    app.command()(area)
    runner = CliRunner()
    assert runner.invoke(app, ["a.png"]).output == "a.png 12\n"
    assert runner.invoke(app, ["a.png", "-w", "5", "--height", "2", "--factor", "0.5"]).output == "a.png 5\n"
    text = runner.invoke(app, ["--help"]).output
    assert "Multiply." in text
    assert "Pixels." in text
    assert "sizes" not in text


def test_the_order_is_that_of_the_declaration() -> None:
    assert list(inspect.signature(area).parameters) == ["path", "factor", "width", "height"]


@with_groups
def copies(path: Annotated[Path | None, typer.Argument()] = None, *, sizes: Sizes) -> int:
    typer.echo(f"{path} {sizes.width}")
    return 0


def test_an_argument_without_a_value_stays_an_argument() -> None:
    """Python 3.10 wraps `Annotated` in `Optional` where the default is None, and Typer then made it an option."""
    app = typer.Typer()
    app.command()(copies)
    result = CliRunner().invoke(app, ["a.png", "--width", "5"])
    assert (result.exit_code, result.output) == (0, "a.png 5\n")
    assert CliRunner().invoke(app, []).output == "None 3\n"


def test_an_option_without_a_default_is_a_programming_error() -> None:
    class Bare(OptionGroup):
        width: int

    def command(bare: Bare) -> int:
        return 0

    command.__annotations__["bare"] = Bare
    with pytest.raises(AssertionError, match=r"Bare\.width has no default"):
        with_groups(command)
