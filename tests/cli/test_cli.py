"""Behaviour shared by all subcommands: start, errors, exit status, and the list of options."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import typer

import masklet
from masklet.cli import app, main
from masklet.errors import CheckpointError, OutputError
from tests.cli.conftest import Run

EVALUATED_DATA = ["--layout", "--split", "--resolution", "--limit", "--max-images"]
EVALUATION_RUN = ["--json", "--out", "--worst", "--worst-count", "--processes", "-p", "--force", "-f"]
EVALUATED_MODEL = ["--model", "-m", "--device", "--precision", "--speed"]

OPTIONS = {
    "": ["--version", "--debug"],
    "segment": [
        "images", "--point", "--negative", "--box", "--mask", "--object", "--prompts", "--detections",
        "--everything", "--points-per-side", "--min-iou", "--min-stability", "--crop-layers", "--min-region-area",
        "--refine", "--out", "-o", "--format", "--all-candidates", "--refine-edges", "--model", "-m", "--device",
        "--precision", "--force", "-f", "--json",
    ],
    "track": [
        "video", "--point", "--negative", "--box", "--mask", "--object", "--frame", "--prompts", "--everything",
        "--detections", "--level", "--every", "--max-objects", "--min-score", "--first-frame", "--out", "-o",
        "--format", "--per-object", "--window", "--direction", "--start", "--stop", "--resume", "--save",
        "--accept", "--policy", "--stabilise", "--refine-edges", "--non-overlap", "--model", "-m", "--device",
        "--precision", "--speed", "--force", "-f", "--json",
    ],
    "render": [
        "source", "masks", "--background", "--effect", "--cutout", "--feather", "--shrink", "--hard-edges",
        "--stabilise", "--no-stabilise", "--composition", "--asset", "--start", "--stop", "--out", "-o",
        "--force", "-f", "--json",
    ],
    "export-masks": [
        "source", "masks", "--format", "--option", "--out", "-o", "--object", "--accepted", "--class", "--name",
        "--force", "-f", "--json",
    ],
    "count": [
        "source", "masks", "--line", "--region", "--anchor", "--margin", "--level", "--fps", "--out", "-o",
        "--crossings", "--force", "-f", "--json",
    ],
    "serve": [
        "--data", "--host", "--port", "--token", "--database", "--allow-host", "--allow-stream", "--https", "--proxy",
        "--max-upload", "--max-hours", "--browser", "--no-browser", "--sample", "--log-level", "--model", "-m",
        "--device", "--precision",
    ],
    "users": [],
    "users add": ["name", "--data", "--database"],
    "users list": ["--data", "--database"],
    "users revoke": ["name", "--data", "--database"],
    "models": ["--inspect", "--json"],
    "convert": ["model", "out", "--layout", "--image-size", "--force", "-f", "--json"],
    "export": ["model", "folder", "--precision", "--calibrate", "--force", "-f", "--json"],
    "train": [
        "recipe", "--data", "--out", "-o", "--clips", "--validation", "--model", "-m", "--init", "--steps",
        "--processes", "--set", "--tensorboard",
    ],
    "doctor": ["--json"],
    "bench": [
        "parts", "--model", "-m", "--against", "--device", "--precision", "--compiled", "--speed", "--random-weights",
        "--exported", "--objects", "--clip", "--frames", "--repeats", "--threads", "--out", "-o",
    ],
    "evaluate": [],
    "evaluate clicks": [
        "root", "--clicks", "--box", "--no-box", "--noc", "--sources", "--max-objects", "--min-area", *EVALUATED_DATA,
        *EVALUATION_RUN, *EVALUATED_MODEL,
    ],
    "evaluate vos": [
        "root", "--prompt", "--benchmark", "--skip-last", "--non-overlap", "--overlap", "--policy", "--save-masks",
        "--clips", *EVALUATED_DATA, *EVALUATION_RUN, *EVALUATED_MODEL,
    ],
    "evaluate masks": [
        "results", "truth", "--benchmark", "--skip-last", "--clips", *EVALUATED_DATA, *EVALUATION_RUN,
    ],
    "evaluate interactive": [
        "root", "--mode", "--frames", "--clicks", "--policy", "--clips", *EVALUATED_DATA, *EVALUATION_RUN,
        *EVALUATED_MODEL,
    ],
    "evaluate everything": [
        "root", "--points-per-side", "--sources", *EVALUATED_DATA, *EVALUATION_RUN, *EVALUATED_MODEL,
    ],
    "evaluate discovery": [
        "root", "--method", "--every", "--level", "--max-objects", "--direction", "--frames", "--policy", "--clips",
        *EVALUATED_DATA, *EVALUATION_RUN, *EVALUATED_MODEL,
    ],
    "evaluate calibration": [
        "--images", "--clips", "--write", "--processes", "-p", "--json", *EVALUATED_MODEL,
    ],
    "evaluate compare": ["before", "after", "--items", "--json"],
    "data": [],
    "data check": ["root", "--layout", "--split", "--sheet", "--count", "--strict", "--json", "--force", "-f"],
    "data convert": ["root", "out", "--to", "--layout", "--split"],
}  # fmt: skip
"""All options: adding one is a decision, so this list must be updated."""


def commands(command: Any, name: str = "") -> dict[str, Any]:
    found = {name: command}
    for child, subcommand in getattr(command, "commands", {}).items():
        found |= commands(subcommand, f"{name} {child}".strip())
    return found


def test_options_are_frozen() -> None:
    found = {
        name: [option for parameter in command.params for option in (*parameter.opts, *parameter.secondary_opts)]
        for name, command in commands(typer.main.get_command(app)).items()
    }
    assert found == OPTIONS


def test_help_pages_name_what_is_registered() -> None:
    from masklet.cli.options import LIVE_FORMATS, POLICY_NAMES
    from masklet.formats import live_formats
    from masklet.memory.policies import POLICIES

    assert live_formats() == LIVE_FORMATS
    assert tuple(POLICIES) == POLICY_NAMES


def test_help_pages_list_panels_in_the_order_in_which_users_need_them(run: Run) -> None:
    page = run("track", "--help").out
    panels = [page.index(f" {name} ───") for name in ("Prompts", "Results", "Tracking", "Sessions", "Model", "Help")]
    assert panels == sorted(panels)
    assert "<bool>" not in page


@pytest.mark.parametrize("name", list(OPTIONS))
def test_every_command_has_a_help_page_with_a_help_for_every_option(name: str, run: Run) -> None:
    assert run(*name.split(), "--help").status == 0
    for parameter in commands(typer.main.get_command(app))[name].params:
        assert parameter.help, f"{name}: {parameter.name}"


@pytest.mark.parametrize("arguments", [["--version"], ["--help"], ["track", "--help"], ["evaluate", "vos", "--help"]])
def test_help_loads_nothing_heavy(arguments: list[str]) -> None:
    heavy = ("torch", "onnxruntime", "cv2", "av", "numpy")
    code = (
        f"import sys; from masklet.cli import main; main({arguments}); "
        f"sys.exit([name for name in {heavy} if name in sys.modules] or 0)"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr


def test_runs_as_a_module() -> None:
    result = subprocess.run([sys.executable, "-m", "masklet", "--version"], capture_output=True, text=True, check=True)
    assert result.stdout == f"masklet {masklet.__version__}\n"


def test_no_arguments_show_the_help(run: Run) -> None:
    result = run()
    assert result.status == 0
    assert "segment" in result.out


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["sgement"], "No such command 'sgement'"),
        (["segment", "a.png", "--pont", "1,2"], "--point"),
        (["segment", "a.png", "--point"], "--point"),
        (["track"], "see masklet track --help"),
        (["track", "a.mp4", "--stop", "soon"], "--stop"),
        (["evaluate"], "see masklet evaluate --help"),
    ],
)
def test_usage_errors_are_one_line(arguments: list[str], said: str, run: Run) -> None:
    run(*arguments).fails_with(said)


def raising(error: BaseException, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    def load(name: str, **options: str) -> None:
        raise error

    monkeypatch.setattr("masklet.api.load", load)
    return ["segment", "photo.png", "--point", "1,2"]


def test_errors_of_masklet_are_one_line(photo: Path, monkeypatch: pytest.MonkeyPatch, run: Run) -> None:
    run(*raising(CheckpointError("keys missing:\n  a\n  b"), monkeypatch)).fails_with("keys missing: a b")


def test_bugs_in_masklet_are_reported_as_such(photo: Path, monkeypatch: pytest.MonkeyPatch, run: Run) -> None:
    run(*raising(KeyError("x"), monkeypatch)).fails_with("KeyError: 'x': a bug in masklet; --debug", status=1)


def test_running_out_of_memory_is_reported(photo: Path, monkeypatch: pytest.MonkeyPatch, run: Run) -> None:
    run(*raising(MemoryError(), monkeypatch)).fails_with("out of memory")


@pytest.mark.parametrize("place", [0, 1, 4])
def test_debug_shows_the_traceback_at_any_position(place: int, photo: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    arguments = raising(OutputError("no"), monkeypatch)
    arguments.insert(place, "--debug")
    with pytest.raises(OutputError, match="no"):
        main(arguments)


def test_ctrl_c_while_loading_is_one_line(photo: Path, monkeypatch: pytest.MonkeyPatch, run: Run) -> None:
    result = run(*raising(KeyboardInterrupt(), monkeypatch))
    assert (result.status, result.out, result.err) == (130, "", "interrupted: nothing was finished\n")
