from __future__ import annotations

import pytest

from masklet.errors import CheckpointError
from masklet.model import kernels
from tests.cli.conftest import Run
from tests.fake_engine import FakeEngine


@pytest.fixture
def nano(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("masklet.engine.open.open_engine", lambda name: FakeEngine())


def without_torch(monkeypatch: pytest.MonkeyPatch) -> None:
    from masklet.cli import doctor

    found = doctor._version
    monkeypatch.setattr(doctor, "_version", lambda name: None if name == "torch" else found(name))


@pytest.mark.usefixtures("nano")
def test_engine_and_precision_with_reasons(monkeypatch: pytest.MonkeyPatch, run: Run) -> None:
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
def test_the_text_report(monkeypatch: pytest.MonkeyPatch, run: Run) -> None:
    without_torch(monkeypatch)
    result = run("doctor")
    assert result.status == 0
    for word in ("CPU: ", "GPU: ", "onnxruntime", "missing", "python, none, int", "nano is in "):
        assert word in result.out


@pytest.mark.usefixtures("nano")
def test_with_torch(run: Run) -> None:
    torch = pytest.importorskip("torch")
    found = run("doctor", "--json").json["checkpoints"]
    assert found["works"]
    assert found["backend"] == f"torch {torch.__version__}"
    assert found["why"].startswith("PyTorch sees ")


@pytest.mark.usefixtures("nano")
def test_whether_the_attention_kernel_is_used_and_what_to_do(monkeypatch: pytest.MonkeyPatch, run: Run) -> None:
    pytest.importorskip("torch")
    have = {
        False: kernels.Look(lambda arguments: None, "compiled into attention.so"),
        True: kernels.Look(None, "get a CPU"),
    }
    monkeypatch.setattr(kernels, "look", have.__getitem__)
    monkeypatch.setattr(kernels, "parallel", lambda: 1)
    out = run("doctor").out
    assert "attention kernel, fp32: in use, compiled into attention.so" in out
    assert "attention kernel, bf16: not in use, get a CPU" in out
    monkeypatch.setattr(kernels, "parallel", lambda: None)
    monkeypatch.setattr("torch.get_num_threads", lambda: 2)
    states = run("doctor", "--json").json["attention_kernel"]
    assert not states["fp32"]["works"]
    assert "OMP_NUM_THREADS=1" in states["fp32"]["why"]
    assert states["bf16"] == {"works": False, "why": "get a CPU"}


def test_without_nano(monkeypatch: pytest.MonkeyPatch, run: Run) -> None:
    def broken(name: str) -> None:
        raise CheckpointError("model nano lacks decode.onnx")

    monkeypatch.setattr("masklet.engine.open.open_engine", broken)
    without_torch(monkeypatch)
    result = run("doctor")
    assert result.status == 2
    assert "lacks decode.onnx" in result.out
    assert "nothing yet" in result.out
