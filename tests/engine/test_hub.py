"""Names to files: the user's own folder, huggingface_hub's cache, and a fake hub."""

from __future__ import annotations

import socket
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from masklet.engine.hub import OFFICIAL, choose_files, embedded_folder, find_official, locate, models_folder
from masklet.engine.open import find_model, is_exported, open_engine
from masklet.errors import CheckpointError, EngineError
from masklet.model.config import OFFICIAL_CONFIGS

huggingface_hub = pytest.importorskip("huggingface_hub", reason="needs huggingface_hub: pip install huggingface-hub")
constants = pytest.importorskip("huggingface_hub.constants")
errors = pytest.importorskip("huggingface_hub.errors")

COMMIT = "0123456789abcdef0123456789abcdef01234567"


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Hide this machine's models, cache, proxy and network."""

    def no_network(*_: Any) -> Any:
        raise socket.gaierror(-2, "Name or service not known")

    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.delenv("MASKLET_MODELS", raising=False)
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "hub"))
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    monkeypatch.setattr("masklet.engine.hub.getproxies", dict)
    monkeypatch.setattr(socket, "getaddrinfo", no_network)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def put_in_cache(home: Path, repository: str, *files: str) -> Path:
    """Create a cache in huggingface_hub's layout and return the snapshot."""
    folder = home / "hub" / f"models--{repository.replace('/', '--')}"
    snapshot = folder / "snapshots" / COMMIT
    for number, file in enumerate(files):
        blob = folder / "blobs" / f"{number:040x}"
        blob.parent.mkdir(parents=True, exist_ok=True)
        blob.write_text(file, encoding="utf-8")
        (snapshot / file).parent.mkdir(parents=True, exist_ok=True)
        (snapshot / file).symlink_to(blob)
    (folder / "refs").mkdir()
    (folder / "refs" / "main").write_text(COMMIT, encoding="utf-8")
    return snapshot


@pytest.fixture
def hub(home: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., list[str]]:
    """Fake a hub with one repository; return the list of downloads."""

    def put(repository: str, *files: str) -> list[str]:
        downloaded: list[str] = []

        def download(repo_id: str, filename: str, *, revision: str | None, local_files_only: bool) -> str:
            assert not local_files_only
            if repo_id != repository or filename not in files:
                raise errors.EntryNotFoundError(f"404 {filename}")
            downloaded.append(filename if revision is None else f"{filename}@{revision}")
            path = home / "downloads" / filename
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(b"")
            return str(path)

        def list_files(_: Any, repo_id: str, *, revision: str | None) -> list[str]:
            if repo_id != repository:
                raise repository_not_found()
            return list(files)

        monkeypatch.setattr(socket, "getaddrinfo", lambda *_: [])
        monkeypatch.setattr(huggingface_hub, "hf_hub_download", download)
        monkeypatch.setattr(huggingface_hub.HfApi, "list_repo_files", list_files)
        return downloaded

    return put


def repository_not_found() -> Exception:
    """Create the error without a server's response, which differs between versions."""
    kind: type[Exception] = errors.RepositoryNotFoundError
    error = kind.__new__(kind)
    Exception.__init__(error, "401")
    return error


def test_official_names_are_those_of_the_release() -> None:
    assert OFFICIAL.keys() == OFFICIAL_CONFIGS.keys()
    assert OFFICIAL["sam2-base-plus"].url == (
        "https://huggingface.co/facebook/sam2-hiera-base-plus/resolve/main/sam2_hiera_base_plus.pt"
    )
    assert OFFICIAL["sam2.1-tiny"][:2] == ("facebook/sam2.1-hiera-tiny", "sam2.1_hiera_tiny.pt")


def test_without_a_network_one_line_says_which_file_to_put_where(home: Path) -> None:
    with pytest.raises(CheckpointError) as caught:
        locate("sam2.1-tiny")
    assert str(caught.value) == (
        "model sam2.1-tiny is not on this machine, and cannot be downloaded (no connection to huggingface.co): "
        "download https://huggingface.co/facebook/sam2.1-hiera-tiny/resolve/main/sam2.1_hiera_tiny.pt into "
        f"{home / 'cache' / 'masklet'}, or give the path of your copy"
    )


def test_offline_mode_is_reported(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    with pytest.raises(CheckpointError, match=r"HF_HUB_OFFLINE is set.*sam2_hiera_large\.pt into"):
        locate("facebook/sam2-hiera-large")
    with pytest.raises(CheckpointError, match=r"HF_HUB_OFFLINE is set.*check the name"):
        locate("someone/thing")


def test_a_missing_extra_is_reported(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "huggingface_hub", None)
    with pytest.raises(CheckpointError, match=r'pip install "masklet\[hub\]"\): download https'):
        locate("sam2.1-tiny")


@pytest.mark.parametrize("file", ["sam2.1_hiera_base_plus.pt", "sam2.1_hiera_base_plus.safetensors"])
def test_the_users_own_folder(home: Path, monkeypatch: pytest.MonkeyPatch, file: str) -> None:
    for folder in (home / "cache" / "masklet", home / "mine"):
        folder.mkdir(parents=True)
        (folder / file).write_bytes(b"x")
        assert locate("sam2.1-base-plus") == folder / file
        monkeypatch.setenv("MASKLET_MODELS", str(home / "mine"))
    assert models_folder() == home / "mine"
    assert find_official("sam2.1-tiny") is None


def test_cached_downloads_are_found_without_a_network(home: Path) -> None:
    snapshot = put_in_cache(home, "facebook/sam2.1-hiera-tiny", "sam2.1_hiera_tiny.pt", "model.safetensors")
    for name in ("sam2.1-tiny", "facebook/sam2.1-hiera-tiny"):
        assert locate(name) == snapshot / "sam2.1_hiera_tiny.pt"
    put_in_cache(home, "someone/fine-tune", "README.md", "config.json", "model.safetensors")
    assert locate("someone/fine-tune").name == COMMIT
    assert locate("someone/fine-tune:model.safetensors").read_text() == "model.safetensors"
    with pytest.raises(CheckpointError, match="no connection"):
        locate("someone/fine-tune@v2")
    with pytest.raises(CheckpointError, match=r"no connection.*resolve/main/other\.pt"):
        locate("someone/fine-tune:other.pt")


def test_a_download(hub: Callable[..., list[str]]) -> None:
    downloaded = hub("facebook/sam2-hiera-small", "sam2_hiera_small.pt", "model.safetensors", "config.json")
    assert locate("sam2-small").name == "sam2_hiera_small.pt"
    assert downloaded == ["sam2_hiera_small.pt"]


def test_another_users_repository(hub: Callable[..., list[str]]) -> None:
    downloaded = hub("someone/tuned", "README.md", "model.safetensors", "config.json", "training.bin")
    assert (locate("someone/tuned@v2") / "model.safetensors").is_file()
    assert downloaded == ["config.json@v2", "model.safetensors@v2"]
    with pytest.raises(CheckpointError, match="the repository does not exist, or is private: log in"):
        locate("someone/else")
    with pytest.raises(CheckpointError, match="the repository has no such file"):
        locate("someone/tuned:best.pt")


def test_an_exported_folder_on_the_hub(hub: Callable[..., list[str]]) -> None:
    hub("someone/exported", "README.md", "model.json", "decode.onnx", "old/decode.onnx")
    assert is_exported(locate("someone/exported"))


@pytest.mark.parametrize(
    ("files", "chosen"),
    [
        (["a.pt", "README.md"], ("a.pt",)),
        (["a.pt", "b.pt", "c.safetensors"], ("c.safetensors",)),
        (["a.pt", "model.safetensors"], ("model.safetensors",)),
        (["deep/a.pth"], ("deep/a.pth",)),
    ],
)
def test_files_chosen_from_a_repository(files: list[str], chosen: tuple[str, ...]) -> None:
    assert choose_files(files, "a/b") == chosen


@pytest.mark.parametrize(
    ("files", "words"),
    [
        (["README.md", "data.csv"], "a/b holds no model: none of its 2 files is a checkpoint"),
        ([f"{i}.pt" for i in range(7)], r"holds 7 checkpoints, choose one: a/b:0\.pt, :1\.pt.*:4\.pt and 2 more"),
    ],
)
def test_a_repository_without_one_model(files: list[str], words: str) -> None:
    with pytest.raises(CheckpointError, match=words):
        choose_files(files, "a/b")


@pytest.mark.parametrize("name", ["sam2.1-tinny", "model.pt", "runs/best.pt", "a/b/c", "/no/where", "a b/c", ""])
def test_unknown_names(name: str) -> None:
    with pytest.raises(CheckpointError, match=r"known name \(nano, sam2.1-tiny|holds no model"):
        is_exported(locate(name))


def test_existing_paths_are_themselves(home: Path) -> None:
    (home / "user" / "model").mkdir(parents=True)
    assert locate("user/model") == Path("user/model")
    assert locate(home / "user") == home / "user"
    assert locate("nano") == embedded_folder("nano")


def test_a_path_is_not_a_name(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(home)
    for name in ("nano", "sam2.1-tiny", "facebook/sam2.1-hiera-tiny"):
        Path(name).mkdir(parents=True)
        assert locate(Path(name)) == Path(name)


def test_folders_and_files_that_are_not_models(home: Path) -> None:
    (home / "empty").mkdir()
    with pytest.raises(CheckpointError, match=r"holds no model: expected model\.json and graphs"):
        open_engine(home / "empty")
    (home / "half").mkdir()
    (home / "half" / "config.json").write_text("{}")
    with pytest.raises(CheckpointError, match=r"config\.json is there, the weights are not"):
        open_engine(home / "half")
    (home / "decode.onnx").write_bytes(b"x")
    with pytest.raises(CheckpointError, match="one file of an exported model: give its folder"):
        open_engine(home / "decode.onnx")


@pytest.mark.parametrize("name", ["sam2-small", "facebook/sam2-hiera-small"])
def test_nothing_is_downloaded_for_a_missing_torch(
    hub: Callable[..., list[str]], monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    downloaded = hub("facebook/sam2-hiera-small", "sam2_hiera_small.pt")
    monkeypatch.setitem(sys.modules, "torch", None)
    with pytest.raises(EngineError, match=rf'{name} needs torch: pip install "masklet\[torch\]"'):
        find_model(name)
    assert not downloaded
