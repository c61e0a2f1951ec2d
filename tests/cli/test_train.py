from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import Any

import pytest

import masklet.train
from masklet.cli import train as command
from masklet.cli.console import ProgressReport
from masklet.errors import MaskletError
from tests.cli.conftest import Run
from tests.waiting import wait_until


@pytest.fixture
def data(workdir: Path) -> Path:
    (workdir / "data").mkdir()
    return workdir / "data"


@pytest.fixture
def trained(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """(configuration, folder, typed command) of each training that would have been started."""
    pytest.importorskip("torch")
    runs: list[Any] = []
    monkeypatch.setattr("masklet.train.loop.train", lambda config, out, command: runs.append((config, out, command)))
    return runs


def test_a_recipe(data: Path, trained: list[Any], run: Run) -> None:
    result = run(
        "train", "nano-clips", "--data", data, "--clips", data, "--model", "ema.pt", "--steps", 3, "--out", "run"
    )
    assert result.status == 0
    ((config, out, command),) = trained
    assert (config.images.root, config.clips.clip_root, config.init, config.schedule.steps) == (
        str(data),
        str(data),
        "ema.pt",
        3,
    )
    assert out == Path("run")
    assert command.startswith("masklet train nano-clips")
    assert "wrote run/ema.pt" in result.out


def test_mixtures_validation_and_settings(data: Path, trained: list[Any], run: Run) -> None:
    arguments = ["--data", "a:2", "--data", "b", "--validation", "c", "--set", "optimizer.learning_rate=1e-3"]
    result = run("train", "nano-images", *arguments, "--set", "step.image_clicks=4", "--tensorboard", "--out", "run")
    assert result.status == 0
    config = trained[0][0]
    assert (config.images.root, config.validation.root) == (("a:2", "b"), "c")
    assert (config.optimizer.learning_rate, config.step.image_clicks, config.log.tensorboard) == (1e-3, 4, True)
    run("train", "nano-images", "--data", "a", "--out", "run", "--set", "rate").fails_with("--set must be NAME=VALUE")


def test_the_first_and_the_last_measurement_are_shown(data: Path, trained: list[Any], run: Run, workdir: Path) -> None:
    (workdir / "run").mkdir()
    (workdir / "run" / "validation.jsonl").write_text('{"step": 0, "miou@1": 0.25}\n{"step": 9, "miou@1": 0.5}\n')
    result = run("train", "nano-images", "--data", data, "--out", "run")
    assert "step 0" in result.out
    assert "25.0" in result.out
    assert "50.0" in result.out


def test_several_processes(data: Path, monkeypatch: pytest.MonkeyPatch, trained: list[Any], run: Run) -> None:
    started: list[list[str]] = []
    monkeypatch.setattr(command, "_spawn", lambda processes, arguments: started.append([str(processes), *arguments]))
    assert run("train", "nano-images", "--data", data, "--out", "run", "--processes", 2, "--steps", 5).status == 0
    assert trained == []
    assert started == [["2", "train", "nano-images", f"--data={data}", "--out=run", "--steps=5"]]
    monkeypatch.setenv("MASKLET_TRAIN_COMMAND", "masklet train as it was typed")
    monkeypatch.setenv("LOCAL_RANK", "1")
    assert run(*started[0][1:]).status == 0
    assert trained[0][2] == "masklet train as it was typed"


def test_the_error_of_a_failed_process_is_reported(
    data: Path, monkeypatch: pytest.MonkeyPatch, trained: list[Any], run: Run
) -> None:
    script = "import sys; print('noise\\nerror: no such recipe\\nmore noise', file=sys.stderr); sys.exit(2)"
    monkeypatch.setattr(command, "_torchrun", lambda processes: [sys.executable, "-c", script])
    run("train", "nano-images", "--data", data, "--out", "run", "--processes", 2).fails_with("no such recipe")


def test_ending_the_command_ends_its_processes(
    workdir: Path, data: Path, monkeypatch: pytest.MonkeyPatch, trained: list[Any], run: Run
) -> None:
    script = f"import os, signal, time; os.kill({os.getpid()}, signal.SIGTERM); time.sleep(60)"
    monkeypatch.setattr(command, "_torchrun", lambda processes: [sys.executable, "-c", script])
    with pytest.raises(SystemExit, match="143"):
        run("train", "nano-images", "--data", data, "--out", "run", "--processes", 2)


def test_bad_input(data: Path, trained: list[Any], run: Run) -> None:
    run("train", "nano", "--data", data, "--out", "run").fails_with("recipe must be one of nano-")
    run("train", "nano-images", "--data", data).fails_with("--out")


def test_what_could_not_be_used_is_named(data: Path, monkeypatch: pytest.MonkeyPatch, run: Run) -> None:
    pytest.importorskip("torch")
    from masklet.train.unused import UNUSED, UnusedData

    def leave_out(config: Any, out: Path, command: str) -> None:
        UnusedData(out / UNUSED).clear()
        for number in range(7):
            UnusedData(out / UNUSED).add(f"left out: {number}.png is no image")

    UnusedData(Path("run") / UNUSED).add("left out: a file that has been mended since")
    os.utime(Path("run") / UNUSED, (0, 0))
    monkeypatch.setattr("masklet.train.loop.train", leave_out)
    result = run("train", "nano-images", "--data", data, "--out", "run")
    assert result.status == 0
    assert result.err.splitlines() == [
        *(f"note: left out: {number}.png is no image" for number in range(5)),
        "note: 2 more lines like these are in run/unused_data.txt",
    ]


def test_what_cannot_be_used_is_named_while_training(data: Path, monkeypatch: pytest.MonkeyPatch, run: Run) -> None:
    pytest.importorskip("torch")
    from masklet.train.unused import UNUSED, UnusedData

    printed: list[str] = []

    def train_until_printed(config: Any, out: Path, command: str) -> None:
        UnusedData(out / UNUSED).add("left out: a.png is no image")
        wait_until(lambda: printed, "the note")

    monkeypatch.setattr(command, "_WATCH_EVERY_S", 0.01)
    monkeypatch.setattr(command, "print_error", lambda line, word: printed.append(f"{word}: {line}"))
    monkeypatch.setattr("masklet.train.loop.train", train_until_printed)
    assert run("train", "nano-images", "--data", data, "--out", "run").status == 0
    assert printed == ["note: left out: a.png is no image"]


@pytest.mark.parametrize(("error", "status"), [(KeyboardInterrupt(), 130), (MaskletError("no space"), 2)])
def test_what_could_not_be_used_is_named_however_the_run_ends(
    error: BaseException, status: int, data: Path, monkeypatch: pytest.MonkeyPatch, run: Run
) -> None:
    pytest.importorskip("torch")
    from masklet.train.unused import UNUSED, UnusedData

    def leave_out_and_end(config: Any, out: Path, command: str) -> None:
        UnusedData(out / UNUSED).add("left out: a.png is no image")
        raise error

    monkeypatch.setattr("masklet.train.loop.train", leave_out_and_end)
    result = run("train", "nano-images", "--data", data, "--out", "run")
    assert result.status == status
    assert result.err.splitlines()[0] == "note: left out: a.png is no image"


def test_ctrl_c(data: Path, monkeypatch: pytest.MonkeyPatch, run: Run) -> None:
    pytest.importorskip("torch")

    def stopped(config: Any, out: Path, command: str) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("masklet.train.loop.train", stopped)
    result = run("train", "nano-images", "--data", data, "--out", "run")
    assert result.status == 130
    assert result.err == "interrupted: the same command continues from the last checkpoint\n"


def test_the_extra_is_named(data: Path, monkeypatch: pytest.MonkeyPatch, run: Run) -> None:
    monkeypatch.setitem(sys.modules, "torch", None)
    # The package's attribute would be restored as another module than the one that tests hold.
    monkeypatch.setattr(masklet, "train", masklet.train, raising=False)
    for name in [name for name in sys.modules if name.startswith("masklet.train")]:
        monkeypatch.delitem(sys.modules, name)
    run("train", "nano-images", "--data", data, "--out", "run").fails_with('needs torch: pip install "masklet[train]"')


def test_the_bar_follows_the_log(workdir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Recorded(ProgressReport):
        seen: list[tuple[int, str]] = []  # noqa: RUF012

        def update(self, done: int, status: str = "", total: int | None = None) -> None:
            self.seen.append((done, status))

    monkeypatch.setattr(command, "_WATCH_EVERY_S", 0.001)
    (workdir / "log.jsonl").write_text(
        json.dumps({"step": 25, "loss": 1.5})
        + "\n"
        + json.dumps({"step": 50, "loss": 0.25, "image_click": 0.5, "tracked": 0.75})
        + '\n{"step": 7'
    )
    with command._watching(workdir, Recorded()):
        while not Recorded.seen:
            pass
    assert Recorded.seen[0] == (50, "loss 0.250, IoU click 0.50 tracked 0.75")
