"""Finds models: inside the package, in the user's folder, or on the Hugging Face hub.

Any name that a user may give for a model is resolved to a path here, once. Downloads use huggingface_hub (the `hub`
extra), with its cache, progress bars and offline mode; its exceptions become one line that says which file to put
where.

For the eight official models, the `.pt` of the release is used, not the `model.safetensors` of transformers next to
it: it is the authors' own file, the same whether it comes from the hub or from Meta's server, it needs no
config.json, and many users have it already. Either is read without running code.
"""

from __future__ import annotations

import os
import re
import socket
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple, TypeVar
from urllib.parse import urlsplit
from urllib.request import getproxies

from masklet.errors import CheckpointError
from masklet.model.config import OFFICIAL_CONFIGS
from masklet.output import cache_folder

EMBEDDED = ("nano",)
"""Models inside the package, as exported folders."""
MODELS_VARIABLE = "MASKLET_MODELS"
"""Environment variable with the folder of the user's own copies; see `models_folder`."""
SUFFIXES = (".pt", ".pth", ".safetensors", ".onnx", ".torch", ".ckpt", ".bin")
"""Suffixes by which a name is a file, not a repository."""

T = TypeVar("T")


class HubFile(NamedTuple):
    """A file on the hub."""

    repository: str
    """Repository id, "user/name"."""
    name: str
    revision: str | None = None

    @property
    def url(self) -> str:
        return f"https://huggingface.co/{self.repository}/resolve/{self.revision or 'main'}/{self.name}"


def _official(name: str) -> HubFile:
    version, size = name.split("-", 1)
    return HubFile(f"facebook/{version}-hiera-{size}", f"{version}_hiera_{size.replace('-', '_')}.pt")


OFFICIAL: Mapping[str, HubFile] = {name: _official(name) for name in OFFICIAL_CONFIGS}
"""The eight released models, and their files."""
_OFFICIAL_REPOSITORIES = {file.repository: name for name, file in OFFICIAL.items()}


def embedded_folder(name: str) -> Path:
    """Return the folder of a model of `EMBEDDED`."""
    return Path(__file__).resolve().parent.parent / "models" / name


def models_folder() -> Path:
    """Return the folder of the user's official files: the one that MASKLET_MODELS names, else ~/.cache/masklet."""
    named = os.environ.get(MODELS_VARIABLE)
    if named:
        return Path(named).expanduser()
    return cache_folder()


def official_name(name: str | Path) -> str | None:
    """Return the official model of this name or hub repository; None for other names, and for any `Path`."""
    names = _OFFICIAL_REPOSITORIES.get(name, name) if isinstance(name, str) else None
    return names if names in OFFICIAL else None


def locate(name: str | Path) -> Path:
    """Return the file or folder of a model; download it if necessary.

    Args:
        name: a name of `EMBEDDED` or `OFFICIAL`; an existing path; or "user/repository" on the hub, followed
            by ":path/in/it.pt" if it holds several models, and by "@revision" for one that is not the newest. A
            `Path` is never a name.

    Raises:
        CheckpointError: the name is unknown; or the model is not on this machine and cannot be downloaded.
    """
    if name in EMBEDDED:
        return embedded_folder(str(name))
    official = official_name(name)
    if official is not None:
        return find_official(official) or _download_official(official)
    path = Path(name).expanduser()
    if path.exists():
        weights = path / "ema.pt"  # in a folder of `masklet train`
        return weights if weights.is_file() else path
    return _from_hub(str(name))


def find_official(name: str) -> Path | None:
    """Return a copy of an official model on this machine: in `models_folder`, else in huggingface_hub's cache."""
    file = OFFICIAL[name]
    for path in (models_folder() / file.name, models_folder() / Path(file.name).with_suffix(".safetensors")):
        if path.is_file():
            return path
    try:
        from huggingface_hub import try_to_load_from_cache
    except ImportError:
        return None
    cached = try_to_load_from_cache(file.repository, file.name)
    return Path(cached) if isinstance(cached, str) else None


def _download_official(name: str) -> Path:
    file = OFFICIAL[name]
    return _asking_hub(
        lambda: _download(file),
        f"model {name} is not on this machine",
        f"download {file.url} into {models_folder()}, or give the path of your copy",
    )


_HUB_ID = re.compile(r"(?P<repository>[\w.-]+/[\w.-]+)(@(?P<revision>[\w./-]+))?(:(?P<file>[^:]+))?")


def _from_hub(name: str) -> Path:
    """Download the model of any other repository."""
    files = _HUB_ID.fullmatch(name)
    if files is None or files["repository"].endswith(SUFFIXES):
        names = ", ".join((*EMBEDDED, *OFFICIAL))
        raise CheckpointError(
            f"model {name!r} does not exist: expected a known name ({names}), the path of a file or folder, or "
            f"user/repository on the Hugging Face hub"
        )
    repository, revision = files["repository"], files["revision"]
    missing = f"model {name!r} is not on this machine"
    remedy = "check the name; or download its weights (and config.json) yourself and give their path"
    if files["file"]:
        file = HubFile(repository, files["file"], revision)
        remedy = f"check the name; or download {file.url} and give its path"
        return _asking_hub(lambda: _download(file), missing, remedy)
    needed = choose_files(_asking_hub(lambda: _list_files(repository, revision), missing, remedy), repository)
    paths = _asking_hub(lambda: [_download(HubFile(repository, file, revision)) for file in needed], missing, remedy)
    return paths[0] if len(paths) == 1 else paths[0].parent


def choose_files(files: Sequence[str], repository: str) -> tuple[str, ...]:
    """Choose the files to download from a repository: one model, in the most self-describing layout.

    Raises:
        CheckpointError: the repository has no model, or several.
    """
    if "model.json" in files:  # an exported folder
        return ("model.json", *(file for file in files if "/" not in file and file.endswith(".onnx")))
    if "model.safetensors" in files:  # of transformers, or of masklet
        return ("config.json", "model.safetensors") if "config.json" in files else ("model.safetensors",)
    weights = [file for file in files if file.endswith(SUFFIXES) and not file.endswith(".onnx")]
    for suffix in (".safetensors", ""):
        candidates = [file for file in weights if file.endswith(suffix)]
        if len(candidates) == 1:
            return (candidates[0],)
    if not weights:
        raise CheckpointError(f"{repository} holds no model: none of its {len(files)} files is a checkpoint")
    more = f" and {len(weights) - 5} more" if len(weights) > 5 else ""
    raise CheckpointError(
        f"{repository} holds {len(weights)} checkpoints, choose one: {repository}:{weights[0]}"
        + "".join(f", :{file}" for file in weights[1:5])
        + more
    )


def _download(file: HubFile) -> Path:
    from huggingface_hub import hf_hub_download

    kept = hf_hub_download(file.repository, file.name, revision=file.revision, local_files_only=not _is_online())
    return Path(kept)


def _list_files(repository: str, revision: str | None) -> list[str]:
    """Return the names of the repository's files; without a connection, of those in the cache."""
    from huggingface_hub import HfApi, constants, scan_cache_dir
    from huggingface_hub.errors import CacheNotFound, LocalEntryNotFoundError

    if _is_online():
        return HfApi().list_repo_files(repository, revision=revision)
    try:
        cached = [info for info in scan_cache_dir(constants.HF_HUB_CACHE).repos if info.repo_id == repository]
    except CacheNotFound:
        cached = []
    snapshots = [snapshot for info in cached for snapshot in info.revisions]
    if revision is not None:
        snapshots = [s for s in snapshots if revision in s.refs or s.commit_hash == revision]
    if not snapshots:
        raise LocalEntryNotFoundError(f"no file of {repository} is in the cache")
    newest = max(snapshots, key=lambda snapshot: snapshot.last_modified)
    return [file.file_path.relative_to(newest.snapshot_path).as_posix() for file in newest.files]


def _is_online() -> bool:
    """Return True if the hub can be reached: huggingface_hub itself tries for half a minute, with several warnings."""
    from huggingface_hub import constants

    if constants.HF_HUB_OFFLINE:
        return False
    if getproxies():
        return True  # names are then resolved elsewhere
    try:
        socket.getaddrinfo(urlsplit(constants.ENDPOINT).hostname, 443)
    except OSError:
        return False
    return True


def _asking_hub(ask: Callable[[], T], missing: str, remedy: str) -> T:
    """Run a function that needs huggingface_hub and perhaps the network; turn its errors into one line.

    Raises:
        CheckpointError: the text says what is missing, the reason, and what to do.
    """
    try:
        return ask()
    except CheckpointError:
        raise
    except Exception as error:  # the errors of its HTTP client differ between versions
        raise CheckpointError(f"{missing}, and cannot be downloaded ({_reason(error)}): {remedy}") from error


def _reason(error: Exception) -> str:
    if isinstance(error, ImportError):
        return 'huggingface_hub is not installed: pip install "masklet[hub]"'
    from huggingface_hub import constants, errors

    if isinstance(error, errors.GatedRepoError | errors.RepositoryNotFoundError):
        return "the repository does not exist, or is private: log in with `hf auth login` if you have access"
    if isinstance(error, errors.RevisionNotFoundError):
        return "the revision does not exist"
    if constants.HF_HUB_OFFLINE:
        return "HF_HUB_OFFLINE is set"
    if isinstance(error, errors.LocalEntryNotFoundError):
        return "no connection to huggingface.co"
    if isinstance(error, errors.EntryNotFoundError):
        return "the repository has no such file"
    lines = str(error).splitlines() or [""]
    return f"{type(error).__name__}: {lines[0]}"
