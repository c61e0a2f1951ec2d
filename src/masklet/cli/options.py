"""Options that several subcommands have, and the model that they load."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from masklet.cli.console import show_status
from masklet.cli.groups import OptionGroup
from masklet.cli.prompts import PROMPT_OPTIONS, ObjectPrompt, prompts_from_options
from masklet.errors import ConfigError, OutputError

if TYPE_CHECKING:
    from masklet.api import Model
    from masklet.records import EngineInfo

PROMPT_PANEL, RESULT_PANEL, MODEL_PANEL = "Prompts", "Results", "Model"
"""Under these the help page lists options."""
DEFAULT_MODEL = "nano"

ModelOption = Annotated[
    str,
    typer.Option(
        "--model",
        "-m",
        help="A name of `masklet models`, a checkpoint, an exported folder, or user/repository on the hub.",
        rich_help_panel=MODEL_PANEL,
    ),
]
DeviceOption = Annotated[str, typer.Option("--device", help="auto, cpu, cuda, ...", rich_help_panel=MODEL_PANEL)]
PrecisionOption = Annotated[
    str, typer.Option("--precision", help="auto, fp32, bf16 or fp16.", rich_help_panel=MODEL_PANEL)
]
SpeedOption = Annotated[
    str | None,
    typer.Option(
        "--speed",
        metavar="NAME",
        help="exact, or fast: less time a frame, masks differ a little, see docs/guides/speed.md. What suits the model "
        "when left out: fast for nano, exact for others.",
        rich_help_panel=MODEL_PANEL,
    ),
]
PolicyOption = Annotated[
    str | None,
    typer.Option(
        "--policy",
        metavar="NAME",
        help="What objects remember: reliable, official, motion, distractor, tree, or several, as motion+distractor; "
        "docs/guides/tracking.md says which for what. What suits the model when left out.",
    ),
]
ForceOption = Annotated[
    bool, typer.Option("--force", "-f", help="Replace results that exist.", rich_help_panel=RESULT_PANEL)
]
JsonOption = Annotated[
    bool, typer.Option("--json", help="Print one JSON document, and nothing else.", rich_help_panel=RESULT_PANEL)
]


def prompt_option(*names: str, metavar: str, help: str) -> Any:
    """An option that says what an object is."""
    return typer.Option(*names, metavar=metavar, help=help, rich_help_panel=PROMPT_PANEL)


def out_option(help: str, metavar: str = "PATH") -> Any:
    """Where results go; each command says what may be there."""
    return typer.Option("--out", "-o", metavar=metavar, help=help, rich_help_panel=RESULT_PANEL)


class PromptChoice(OptionGroup):
    """What the objects are: an option for each of `PROMPT_OPTIONS`, and those that a command adds."""

    def typed(self) -> tuple[ObjectPrompt, ...]:
        """Return what these options say about each object."""
        return prompts_from_options({item.option: getattr(self, item.name) or () for item in PROMPT_OPTIONS})


for _item in PROMPT_OPTIONS:
    PromptChoice.__annotations__[_item.name] = Annotated[
        list[str] | None, prompt_option(_item.option, metavar=_item.metavar, help=_item.help)
    ]
    setattr(PromptChoice, _item.name, None)


class ModelChoice(OptionGroup):
    """Which model, and where it runs."""

    model: ModelOption = DEFAULT_MODEL
    device: DeviceOption = "auto"
    precision: PrecisionOption = "auto"

    def load(self) -> Model:
        return load_model(self.model, self.device, self.precision)


class ModelAndSpeed(ModelChoice):
    """The same, and whether it may be less than exact."""

    speed: SpeedOption = None

    def load(self) -> Model:
        return load_model(self.model, self.device, self.precision, self.speed)


class Switches(OptionGroup):
    """How results are written and told."""

    force: ForceOption = False
    as_json: JsonOption = False


def examples(*titled: tuple[str, str], notes: str = "") -> str:
    """The end of a help page: commands under their titles, then notes, in Rich's markup."""
    # Older versions of Typer join the lines of a paragraph: hence the colon.
    parts = [f"[bold]{title}:[/]\n[cyan]{command}[/]" for title, command in titled]
    return "\n\n".join([*parts, *([notes] if notes else [])])


def load_model(name: str, device: str, precision: str, speed: str | None = None) -> Model:
    """`masklet.load`, behind a spinner, but for downloads, which show their own progress."""
    from masklet import api
    from masklet.engine.open import find_model

    path = find_model(name)
    with show_status(f"loading {name} ..."):
        return api.load(path, device=device, precision=precision, speed=speed or "auto")


def describe_model(info: EngineInfo) -> dict[str, Any]:
    """What `--json` says of the model."""
    return {name: getattr(info, name) for name in ("name", "backend", "device", "precision", "speed")}


def split_list(text: str, *, of: tuple[str, ...] = (), name: str = "--format") -> list[str]:
    """A comma-separated list, each entry once.

    Args:
        text: what was given.
        of: what may be given; anything when empty.
        name: of the option, for the message.

    Raises:
        ConfigError: an entry is not among `of`.
    """
    entries = list(dict.fromkeys(entry.strip() for entry in text.split(",") if entry.strip()))
    if of and (unknown := [entry for entry in entries if entry not in of]):
        raise ConfigError(f"{name} has no {unknown[0]!r}: choose from {', '.join(of)}")
    return entries


def refuse_equal_names(files: Sequence[Path]) -> None:
    """Results are named after their files; two of one name would be written over each other.

    Raises:
        OutputError: two files in different folders, or of different kinds, have one name.
    """
    owners: dict[str, Path] = {}
    for path in files:
        other = owners.setdefault(path.stem, path)
        if other != path:
            raise OutputError(f"{other} and {path} would be written under one name: use a folder for each")


def refuse_existing_files(paths: list[Path], force: bool) -> None:
    """Refuse before the work, and not after it.

    Raises:
        OutputError: some exist and `force` is False.
    """
    existing = [path for path in paths if path.exists()]
    if existing and not force:
        exist = f"and {len(existing) - 1} more exist" if len(existing) > 1 else "exists"
        raise OutputError(f"{existing[0]} {exist}: choose another --out, or use --force to replace")
