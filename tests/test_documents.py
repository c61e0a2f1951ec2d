"""Every code block of README.md and docs/ runs, on small inputs; what cannot is marked in the source and says why.

A block is fenced and names its language. ``python`` and ``bash`` blocks run in the order of their document, in one
folder and with one set of Python names. ``console`` blocks show commands after ``$`` with their output; the commands
run. ``text``, ``json`` and ``yaml`` blocks are only shown. A comment above a block leaves it out::

    <!-- skip: needs a download -->

`tests.document_inputs.prepare_inputs` makes the files that the blocks name.
"""

from __future__ import annotations

import os
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, fields, is_dataclass
from pathlib import Path
from typing import get_args, get_type_hints

import pytest

from masklet.cli import main as masklet_command
from masklet.engine.onnx_engine import SPEC_FILE
from masklet.engine.open import embedded_folder
from tests.document_inputs import prepare_inputs
from tests.serving import Server

ROOT = Path(__file__).parent.parent
DOCUMENTS = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", ROOT / "CHANGELOG.md"]
DOCUMENTS += sorted(path for path in (ROOT / "docs").rglob("*.md") if not {"_build", "generated"} & set(path.parts))
RUN_LANGUAGES = ("python", "bash", "console")
SHOWN_LANGUAGES = ("text", "json", "yaml", "{eval-rst}", "{toctree}", "{include}")
STUDIO_ADDRESS = "127.0.0.1:8100"

needs_nano = pytest.mark.skipif(
    not (embedded_folder("nano") / SPEC_FILE).is_file(), reason="the embedded model is not in the package yet"
)
_BLOCK = re.compile(
    r"^(?:<!-- skip: (?P<reason>[^\n]+) -->\n)?(?P<indent> *)```(?P<language>[^\n`]*)\n(?P<code>.*?)^(?P=indent)```$",
    re.MULTILINE | re.DOTALL,
)


@dataclass(frozen=True)
class Block:
    """One fenced block of a document."""

    document: Path
    line: int
    """Line of the opening fence, from 1."""
    language: str
    code: str
    skip_reason: str | None

    @property
    def name(self) -> str:
        return f"{self.document.relative_to(ROOT)}:{self.line}"


def read_blocks(document: Path) -> list[Block]:
    """Return the fenced blocks of a document, in order."""
    text = document.read_text(encoding="utf-8")
    return [
        Block(
            document=document,
            line=text.count("\n", 0, match.start("language")) + 1,
            language=(match["language"].split() or [""])[0],
            code=match["code"],
            skip_reason=match["reason"],
        )
        for match in _BLOCK.finditer(text)
    ]


BLOCKS = {document: read_blocks(document) for document in DOCUMENTS}
TO_RUN = {
    document: [block for block in blocks if block.language in RUN_LANGUAGES and block.skip_reason is None]
    for document, blocks in BLOCKS.items()
}
SKIPPED = [block for blocks in BLOCKS.values() for block in blocks if block.skip_reason is not None]


def name_of(document: Path) -> str:
    return str(document.relative_to(ROOT))


@pytest.fixture(scope="module")
def inputs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with every input that the documents name; see `prepare_inputs`."""
    folder = tmp_path_factory.mktemp("inputs")
    prepare_inputs(folder)
    return folder


@pytest.fixture
def studio_address(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """Yield the address of a running studio, where the document talks to one; else the address as it is printed."""
    if not any(STUDIO_ADDRESS in block.code for block in TO_RUN[request.getfixturevalue("document")]):
        yield STUDIO_ADDRESS
        return
    server = Server(tmp_path / "studio")
    server.start()
    try:
        yield server.address.removeprefix("http://")
    finally:
        server.stop()


@needs_nano
@pytest.mark.parametrize("document", [path for path in DOCUMENTS if TO_RUN[path]], ids=name_of)
def test_the_code_of_a_document_runs(
    document: Path,
    inputs: Path,
    studio_address: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    folder = tmp_path / "work"
    shutil.copytree(inputs, folder)
    monkeypatch.chdir(folder)
    monkeypatch.setenv("COLUMNS", "200")
    names: dict[str, object] = {"__name__": "__main__"}
    for block in TO_RUN[document]:
        code = block.code.replace(STUDIO_ADDRESS, studio_address)
        if block.language == "python":
            # Blank lines in front make a traceback name the line of the document.
            exec(compile("\n" * block.line + code, str(document), "exec"), names)
        else:
            for command in commands_of(block.language, code):
                run_command(command, block, capsys)


def commands_of(language: str, code: str) -> list[str]:
    """Return the commands of a block: one a line of `masklet` commands, or a shell script as a whole."""
    code = code.replace("\\\n", " ")
    if language == "console":
        return [line.removeprefix("$ ") for line in code.splitlines() if line.startswith("$ ")]
    lines = [line for line in code.splitlines() if line.strip() and not line.startswith("#")]
    return lines if all(line.startswith("masklet ") for line in lines) else [code]


def run_command(command: str, block: Block, capsys: pytest.CaptureFixture[str]) -> None:
    """Run a command in this process if it is masklet's own, else in a shell; it must succeed."""
    if command.startswith("masklet "):
        status = masklet_command(shlex.split(command, comments=True)[1:])
        error = capsys.readouterr().err
    else:
        if os.name == "nt" or shutil.which("curl") is None:
            pytest.skip(f"{block.name} needs a POSIX shell and curl")
        shell = f'PATH="{Path(sys.executable).parent}:$PATH"\n{command}'
        run = ["bash", "-euo", "pipefail", "-c", shell]
        done = subprocess.run(run, check=False, capture_output=True, text=True, timeout=120)
        status, error = done.returncode, done.stderr
    assert status == 0, f"{block.name}: {command}\n{error}"


@pytest.mark.parametrize("block", SKIPPED, ids=lambda block: block.name)
def test_a_marked_block_is_not_run(block: Block) -> None:
    pytest.skip(block.skip_reason or "")


@pytest.mark.parametrize("document", DOCUMENTS, ids=name_of)
def test_every_block_names_a_language(document: Path) -> None:
    unknown = [block.name for block in BLOCKS[document] if block.language not in (*RUN_LANGUAGES, *SHOWN_LANGUAGES)]
    assert unknown == []
    text = document.read_text(encoding="utf-8")
    fences = [line for line in text.splitlines() if line.lstrip().startswith("```")]
    assert len(fences) == 2 * len(BLOCKS[document])
    assert "<!-- skip" not in _BLOCK.sub("", text)  # a mark stands right above its fence


@pytest.mark.parametrize("document", DOCUMENTS, ids=name_of)
def test_links_have_targets(document: Path) -> None:
    links = re.findall(r"\]\(([^)\s]+)\)", document.read_text(encoding="utf-8"))
    # Pages under reference/generated are made when the site is built, which fails on a link that leads nowhere.
    files = [link.split("#")[0] for link in links if "://" not in link and not link.startswith("generated/")]
    assert [link for link in files if link and not (document.parent / link).exists()] == []


@pytest.mark.parametrize("document", sorted((ROOT / "docs" / "guides").glob("*.md")), ids=name_of)
def test_a_guide_is_short(document: Path) -> None:
    assert len(document.read_text(encoding="utf-8").splitlines()) <= 100


@pytest.mark.parametrize("document", DOCUMENTS, ids=name_of)
def test_lines_are_wrapped(document: Path) -> None:
    lines = document.read_text(encoding="utf-8").splitlines()
    too_long = [
        number
        for number, line in enumerate(lines, start=1)
        if len(line) > 120 and not line.lstrip().startswith("|") and "](" not in line
    ]
    assert too_long == []


def test_settings_of_training_exist() -> None:
    pytest.importorskip("torch", reason="masklet.train needs PyTorch")
    from masklet.train.config import TrainConfig

    known = set(setting_names(TrainConfig))
    documents = [path for path in DOCUMENTS if path.name != "lab-notes.md"]  # which keep the names of their time
    named = {
        name for path in documents for name in re.findall(r"--set '?([a-z_.]+)=", path.read_text(encoding="utf-8"))
    }
    guide = (ROOT / "docs" / "guides" / "training.md").read_text(encoding="utf-8")
    named |= set(re.findall(r"[` ]([a-z_]+(?:\.[a-z_]+)+)=", guide))
    assert len(named) > 5
    assert named - known == set()


def setting_names(config: type, prefix: str = "") -> Iterator[str]:
    """Yield the dotted names of all fields of a dataclass and of the dataclasses in it."""
    hints = get_type_hints(config)
    for field in fields(config):
        yield prefix + field.name
        for part in (hints[field.name], *get_args(hints[field.name])):
            if is_dataclass(part) and isinstance(part, type):
                yield from setting_names(part, f"{prefix}{field.name}.")


def test_the_architecture_names_every_module() -> None:
    text = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
    package = ROOT / "src" / "masklet"
    rooms = {path.stem for path in package.glob("[!_]*.py")}
    rooms |= {f"{path.name}/" for path in package.iterdir() if (path / "__init__.py").is_file()}
    assert {room for room in rooms if f"`{room}`" not in text} == set()
