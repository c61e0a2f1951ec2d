from __future__ import annotations

import pytest

from cli.conftest import Run
from fake_engine import FakeEngine
from masklet.errors import CheckpointError


@pytest.fixture
def nano(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("masklet.engine.open.open_engine", lambda name: FakeEngine())


def without_torch(monkeypatch: pytest.MonkeyPatch) -> None:
    from masklet.cli import doctor

    found = doctor._version
    monkeypatch.setattr(doctor, "_version", lambda name: None if name == "torch" else found(name))


@pytest.mark.usefixtures("nano")
def test_what_will_be_used_and_why(monkeypatch: pytest.MonkeyPatch, run: Run) -> None:
    without_torch(monkeypatch)
    found = run("doctor", "--json").json
    assert found["nano"]["works"]
    assert (found["nano"]["backend"], found["nano"]["precision"]) == ("python", "int")
    assert found["packages"]["numpy"]
    assert found["packages"]["opencv-python-headless"]
    assert found["cpu"]["cores"] >= 1
    assert found["h264_encoder"]["why"]
    assert not found["checkpoints"]["works"]
    assert 'pip install "masklet[torch]"' in found["checkpoints"]["why"]


@pytest.mark.usefixtures("nano")
def test_to_read(monkeypatch: pytest.MonkeyPatch, run: Run) -> None:
    without_torch(monkeypatch)
    result = run("doctor")
    assert result.status == 0
    for word in ("CPU: ", "GPU: ", "onnxruntime", "missing", "python, none, int", "nano is in "):
        assert word in result.out


def test_with_torch(nano: None, run: Run) -> None:
    torch = pytest.importorskip("torch")
    found = run("doctor", "--json").json["checkpoints"]
    assert found["works"]
    assert found["backend"] == f"torch {torch.__version__}"
    assert found["why"].startswith("PyTorch sees ")


def test_without_nano(monkeypatch: pytest.MonkeyPatch, run: Run) -> None:
    def broken(name: str) -> None:
        raise CheckpointError("model nano lacks decode.onnx")

    monkeypatch.setattr("masklet.engine.open.open_engine", broken)
    without_torch(monkeypatch)
    result = run("doctor")
    assert result.status == 2
    assert "lacks decode.onnx" in result.out
    assert "nothing yet" in result.out
