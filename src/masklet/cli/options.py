"""Options that several subcommands share, and the loading of the model."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from masklet.cli.console import show_status
from masklet.cli.groups import OptionGroup
from masklet.cli.prompts import PROMPT_OPTIONS, ObjectPrompt, prompts_from_options
from masklet.errors import ConfigError, OutputError

if TYPE_CHECKING:
    from masklet.api import Model
    from masklet.memory.bank import MemoryConfig
    from masklet.records import EngineInfo

PROMPT_PANEL, DISCOVERY_PANEL, RESULT_PANEL, TRACKING_PANEL, SESSION_PANEL, MODEL_PANEL = (
    "Prompts",
    "Discovery",
    "Results",
    "Tracking",
    "Sessions",
    "Model",
)
"""Panels of a help page, in the order in which commands list them."""
DEFAULT_MODEL = "nano"
POLICY_NAMES = ("reliable", "official", "motion", "distractor", "tree")
LIVE_FORMATS = ("coco", "masks", "mot", "mots", "csv", "tracks", "overlay", "tiff", "nifti")
"""Names for help pages, which must not import the registries because that is slow; a test compares them."""

ModelOption = Annotated[
    str,
    typer.Option(
        "--model",
        "-m",
        help="A name listed by `masklet models`, a checkpoint, an exported folder, or user/repository on the hub.",
        rich_help_panel=MODEL_PANEL,
    ),
]
DeviceOption = Annotated[str, typer.Option("--device", help="auto, cpu, cuda, ...", rich_help_panel=MODEL_PANEL)]
PrecisionOption = Annotated[
    str,
    typer.Option("--precision", help="auto, fp32, bf16 or fp16; int8 for nano.", rich_help_panel=MODEL_PANEL),
]
SpeedOption = Annotated[
    str | None,
    typer.Option(
        "--speed",
        metavar="NAME",
        help="exact or fast. fast takes less time per frame, and its masks differ a little; see docs/guides/speed.md. "
        "The default is fast for nano and exact for other models.",
        rich_help_panel=MODEL_PANEL,
    ),
]
PolicyOption = Annotated[
    str | None,
    typer.Option(
        "--policy",
        metavar="NAME",
        help=f"Which frames are remembered: {', '.join(POLICY_NAMES)}, or several, such as motion+distractor. "
        "docs/guides/tracking.md says when to use which. The default depends on the model.",
        rich_help_panel=TRACKING_PANEL,
    ),
]
ForceOption = Annotated[
    bool, typer.Option("--force", "-f", help="Replace results that exist.", rich_help_panel=RESULT_PANEL)
]
JsonOption = Annotated[
    bool, typer.Option("--json", help="Print one JSON document, and nothing else.", rich_help_panel=RESULT_PANEL)
]


def prompt_option(*names: str, metavar: str, help: str) -> Any:
    """Return an option that prompts an object."""
    return typer.Option(*names, metavar=metavar, help=help, rich_help_panel=PROMPT_PANEL)


def out_option(help: str, metavar: str = "PATH") -> Any:
    """Return the option for the output path; each command describes its own."""
    return typer.Option("--out", "-o", metavar=metavar, help=help, rich_help_panel=RESULT_PANEL)


class PromptChoice(OptionGroup):
    """Prompts: one option for each of `PROMPT_OPTIONS`, and those that a command adds."""

    def typed(self) -> tuple[ObjectPrompt, ...]:
        """Return the prompts of these options, one per object and frame."""
        return prompts_from_options({item.option: getattr(self, item.name) or () for item in PROMPT_OPTIONS})


for _item in PROMPT_OPTIONS:
    PromptChoice.__annotations__[_item.name] = Annotated[
        list[str] | None, prompt_option(_item.option, metavar=_item.metavar, help=_item.help)
    ]
    setattr(PromptChoice, _item.name, None)


class ModelChoice(OptionGroup):
    """The model, its device and its precision."""

    model: ModelOption = DEFAULT_MODEL
    device: DeviceOption = "auto"
    precision: PrecisionOption = "auto"

    def load(self) -> Model:
        return load_model(self.model, self.device, self.precision)


class ModelAndSpeed(ModelChoice):
    """The model, its device and precision, and its speed setting."""

    speed: SpeedOption = None

    def load(self) -> Model:
        return load_model(self.model, self.device, self.precision, self.speed)


class Switches(OptionGroup):
    """Options for writing and reporting results."""

    force: ForceOption = False
    as_json: JsonOption = False


def examples(*titled: tuple[str, str], notes: str = "") -> str:
    """Return the end of a help page: commands under their titles, then notes, in Rich's markup."""
    # Older versions of Typer join the lines of a paragraph: hence the colon.
    parts = [f"[bold]{title}:[/]\n[cyan]{command}[/]" for title, command in titled]
    return "\n\n".join([*parts, *([notes] if notes else [])])


def load_model(name: str, device: str, precision: str, speed: str | None = None) -> Model:
    """Load a model behind a spinner; downloads show their own progress."""
    from masklet import api
    from masklet.engine.open import find_model

    path = find_model(name)
    with show_status(f"loading {name} ..."):
        return api.load(path, device=device, precision=precision, speed=speed or "auto")


@contextmanager
def named(option: str) -> Iterator[None]:
    """Put the name of an option before the message of an error about its value."""
    try:
        yield
    except ConfigError as error:
        raise ConfigError(f"{option}: {error}") from error


def memory_config(info: EngineInfo, policy: str | None) -> MemoryConfig:
    """Return the memory settings for `--policy`; those that suit the model without one.

    Raises:
        ConfigError: the policy does not exist.
    """
    from masklet.memory.bank import MemoryConfig

    with named("--policy"):
        return MemoryConfig.for_engine(info, policy=policy)


def describe_model(info: EngineInfo) -> dict[str, Any]:
    """Return what `--json` reports about the model."""
    return {name: getattr(info, name) for name in ("name", "backend", "device", "precision", "speed")}


def split_list(text: str, *, of: tuple[str, ...] = (), name: str = "--format") -> list[str]:
    """Return the entries of a comma-separated list, each once.

    Args:
        text: the value of the option.
        of: allowed entries; any if empty.
        name: of the option, for the message.

    Raises:
        ConfigError: an entry is not among `of`.
    """
    entries = list(dict.fromkeys(entry.strip() for entry in text.split(",") if entry.strip()))
    if of and (unknown := [entry for entry in entries if entry not in of]):
        noun = name.split()[0].removeprefix("--").lower().removesuffix("s")
        raise ConfigError(f"{name}: unknown {noun} {unknown[0]!r}, must be one of {', '.join(of)}")
    return entries


def refuse_equal_names(files: Sequence[Path]) -> None:
    """Refuse files of the same name, whose results would overwrite each other.

    Raises:
        OutputError: two files in different folders, or of different kinds, have one name.
    """
    owners: dict[str, Path] = {}
    for path in files:
        other = owners.setdefault(path.stem, path)
        if other != path:
            raise OutputError(f"{other} and {path} would be written under one name: use a folder for each")


def refuse_existing_files(paths: list[Path], force: bool) -> None:
    """Refuse to replace files before any work is done.

    Raises:
        OutputError: some exist and `force` is False.
    """
    existing = [path for path in paths if path.exists()]
    if existing and not force:
        exist = f"and {len(existing) - 1} more exist" if len(existing) > 1 else "exists"
        raise OutputError(f"{existing[0]} {exist}: choose another --out, or use --force to replace")
