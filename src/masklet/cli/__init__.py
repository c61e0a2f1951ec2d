"""The `masklet` command. Each subcommand has its own file; this module runs them and maps errors to exit statuses.

Exit status: 0 success; 2 an error, explained in one line on stderr (results finished before it are kept); 130 stopped
by Ctrl-C; 1 a bug in masklet itself. Subcommands import numpy and the runtimes inside their functions,
so that `masklet --help` answers at once.
"""

from __future__ import annotations

import io
import shlex
import sys
from collections.abc import Sequence
from typing import Annotated

import typer

from masklet._version import __version__
from masklet.cli import (
    bench,
    convert,
    count,
    data,
    doctor,
    evaluate,
    export,
    export_masks,
    models,
    render,
    segment,
    serve,
    track,
    train,
)
from masklet.cli.command import MaskletCommand, MaskletGroup, PromptCommand
from masklet.cli.console import command_line, print_error
from masklet.cli.options import examples
from masklet.errors import Cancelled, MaskletError

__all__ = ["app", "main"]

app = typer.Typer(
    name="masklet",
    cls=MaskletGroup,
    help="Segment and track anything in images and videos, by click, box or mask.",
    epilog=examples(
        ("A photo", "masklet segment photo.jpg --point 500,375"),
        ("A video", "masklet track clip.mp4 --point 210,350 --out out/clip.mp4"),
        notes="Exit status: 0 for success, 2 for an error (explained in one line), 130 if stopped by Ctrl-C.",
    ),
    add_completion=False,
    rich_markup_mode="rich",
    pretty_exceptions_enable=False,
)
app.command("segment", cls=PromptCommand, epilog=segment.EPILOG)(segment.segment)
app.command("track", cls=PromptCommand, epilog=track.EPILOG)(track.track)
app.command("render", cls=MaskletCommand, epilog=render.EPILOG)(render.render)
app.command("export-masks", cls=MaskletCommand, epilog=export_masks.EPILOG)(export_masks.export_masks)
app.command("count", cls=MaskletCommand, epilog=count.EPILOG)(count.count)
app.command("models", cls=MaskletCommand, epilog=models.EPILOG)(models.models)
app.command("convert", cls=MaskletCommand, epilog=convert.EPILOG)(convert.convert)
app.command("export", cls=MaskletCommand, epilog=export.EPILOG)(export.export)
app.command("train", cls=MaskletCommand, epilog=train.EPILOG)(train.train)
app.command("doctor", cls=MaskletCommand)(doctor.doctor)
app.command("bench", cls=MaskletCommand, epilog=bench.EPILOG)(bench.bench)
app.command("serve", cls=MaskletCommand, epilog=serve.EPILOG)(serve.serve)
app.add_typer(serve.users_app, name="users")
app.add_typer(evaluate.app, name="evaluate")
app.add_typer(data.app, name="data")


def _print_version(is_requested: bool) -> None:
    if is_requested:
        typer.echo(f"masklet {__version__}")
        raise typer.Exit


@app.callback()
def _common(
    version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version and exit.")
    ] = False,
    debug: Annotated[
        bool, typer.Option("--debug", help="Show the traceback of an error. Can appear anywhere on the command line.")
    ] = False,
) -> None:
    """Declare the options that `main` and the version callback act on."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line.

    Args:
        arguments: without the program's name; by default those of the process.

    Returns:
        The exit status; see the module.
    """
    words = list(sys.argv[1:] if arguments is None else arguments)
    command_line.set(shlex.join(["masklet", *words]))
    debug = "--debug" in words
    words = [argument for argument in words if argument != "--debug"] or ["--help"]
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):  # an unprintable file name must not fail a successful run
            stream.reconfigure(errors="backslashreplace")
    try:
        status = typer.main.get_command(app).main(words, prog_name="masklet", standalone_mode=False)
    except Cancelled as stop:
        print_error(str(stop), word="interrupted")
        return 130
    except Exception as error:
        if debug:
            raise
        return _explain(error)
    return status if isinstance(status, int) else 0


def _explain(error: Exception) -> int:
    if isinstance(error, MaskletError):
        print_error(str(error))
        return 2
    if hasattr(error, "format_message"):  # a usage error: typer brings its own copy of click's classes
        context = getattr(error, "ctx", None)
        hint = f" (see {context.command_path} --help)" if context is not None else ""
        print_error(f"{error.format_message().rstrip('.')}{hint}")
        return 2
    if isinstance(error, MemoryError):
        print_error("out of memory: try a smaller image or fewer objects at once")
        return 2
    print_error(f"{type(error).__name__}: {error}: a bug in masklet; --debug shows where, please report it")
    return 1
