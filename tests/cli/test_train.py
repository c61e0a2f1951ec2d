from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import Any

import pytest

import masklet.train
from cli.conftest import Run
from masklet.cli import train as command
from masklet.cli.console import ProgressReport


@pytest.fixture
def data(here: Path) -> Path:
    (here / "data").mkdir()
    return here / "data"


@pytest.fixture
def trained(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """(configuration, folder) of each training that would have been."""
    pytest.importorskip("torch")
    runs: list[Any] = []
    monkeypatch.setattr("masklet.train.loop.train", lambda config, out: runs.append((config, out)))
    return runs


def test_a_recipe(data: Path, trained: list[Any], run: Run) -> None:
    result = run(
        "train", "nano-clips", "--data", data, "--clips", data, "--init", "ema.pt", "--steps", 3, "--out", "run"
    )
    assert result.status == 0
    ((config, out),) = trained
    assert (config.image_root, config.clip_root, config.init, config.steps) == (str(data), str(data), "ema.pt", 3)
    assert out == Path("run")
    assert "wrote run/ema.pt" in result.out


def test_several_processes(data: Path, monkeypatch: pytest.MonkeyPatch, trained: list[Any], run: Run) -> None:
    started: list[list[str]] = []
    monkeypatch.setattr(command, "_spawn", lambda processes, arguments: started.append([str(processes), *arguments]))
    assert run("train", "nano-images", "--data", data, "--out", "run", "--processes", 2, "--steps", 5).status == 0
    assert trained == []
    assert started == [["2", "train", "nano-images", f"--data={data}", "--out=run", "--steps=5"]]
    monkeypatch.setenv("LOCAL_RANK", "1")
    assert run(*started[0][1:]).status == 0
    assert len(trained) == 1


def test_a_process_that_fails_says_why(
    data: Path, monkeypatch: pytest.MonkeyPatch, trained: list[Any], run: Run
) -> None:
    script = "import sys; print('noise\\nerror: no such recipe\\nmore noise', file=sys.stderr); sys.exit(2)"
    monkeypatch.setattr(command, "_torchrun", lambda processes: [sys.executable, "-c", script])
    run("train", "nano-images", "--data", data, "--out", "run", "--processes", 2).fails_with("no such recipe")


def test_ending_the_command_ends_its_processes(
    here: Path, data: Path, monkeypatch: pytest.MonkeyPatch, trained: list[Any], run: Run
) -> None:
    script = f"import os, signal, time; os.kill({os.getpid()}, signal.SIGTERM); time.sleep(60)"
    monkeypatch.setattr(command, "_torchrun", lambda processes: [sys.executable, "-c", script])
    with pytest.raises(SystemExit, match="143"):
        run("train", "nano-images", "--data", data, "--out", "run", "--processes", 2)


def test_bad_input(data: Path, trained: list[Any], run: Run) -> None:
    run("train", "nano-images", "--data", "gone", "--out", "run").fails_with("--data gone is not a folder")
    run("train", "nano", "--data", data, "--out", "run").fails_with("recipe must be one of nano-")
    run("train", "nano-images", "--data", data).fails_with("--out")


def test_ctrl_c(data: Path, monkeypatch: pytest.MonkeyPatch, run: Run) -> None:
    pytest.importorskip("torch")

    def stopped(config: Any, out: Path) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("masklet.train.loop.train", stopped)
    result = run("train", "nano-images", "--data", data, "--out", "run")
    assert result.status == 130
    assert result.err == "interrupted: the same command goes on from the last checkpoint\n"


def test_the_extra_is_named(data: Path, monkeypatch: pytest.MonkeyPatch, run: Run) -> None:
    monkeypatch.setitem(sys.modules, "torch", None)
    # The package's own attribute would come back as another module than the one that tests hold.
    monkeypatch.setattr(masklet, "train", masklet.train, raising=False)
    for name in [name for name in sys.modules if name.startswith("masklet.train")]:
        monkeypatch.delitem(sys.modules, name)
    run("train", "nano-images", "--data", data, "--out", "run").fails_with('needs torch: pip install "masklet[train]"')


def test_the_bar_follows_the_log(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Recorded(ProgressReport):
        seen: list[tuple[int, str]] = []  # noqa: RUF012

        def update(self, done: int, status: str = "", total: int | None = None) -> None:
            self.seen.append((done, status))

    monkeypatch.setattr(command, "_WATCH_EVERY_S", 0.001)
    (here / "log.jsonl").write_text(
        json.dumps({"step": 25, "loss": 1.5}) + "\n" + json.dumps({"step": 50, "loss": 0.25}) + "\n"
    )
    with command._watching(here, Recorded()):
        while not Recorded.seen:
            pass
    assert Recorded.seen[0] == (50, "loss 0.250")
