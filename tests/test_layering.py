"""Imports read downward, and the runtimes are loaded when they are needed, not before."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

import masklet

PACKAGE = Path(masklet.__file__).parent

LAYERS = (
    ("_version", "checks", "errors", "foreign", "output", "records", "schema"),
    ("masks.foreground", "masks.operations", "masks.rle"),
    ("prompts",),
    ("masks",),
    ("foreign.coco_document", "foreign.coco_frames"),
    ("discovery", "engine.calibration", "engine.protocol", "media", "memory"),
    ("datasets", "model", "segmentation", "tracking"),
    ("engine",),
    ("api", "bench", "compat", "counting", "evaluation", "formats", "render", "train"),
    ("cli", "server", "__main__"),
)
"""Each may import from its own line and from the lines above. A longer name goes before a shorter one."""

TORCH_AT_IMPORT = ("compat", "model", "train", "engine.torch_engine", "engine.export")
"""Modules that may import torch when they are imported; others may do so in a function."""


UPWARD_IN_METHODS = {"records": ("masks.convert", "masks.operations", "masks.plotting")}
"""Modules, by importer, of a higher layer that its methods may import when they are called. `result.to_coco()` is short
for a function on arrays; at import the records still know nothing of it."""


class Import(NamedTuple):
    file: Path
    line: int
    importer: str
    imported: str
    at_import: bool
    """Runs when the module is imported: not in a function, not for type checkers only."""

    def __str__(self) -> str:
        return f"{self.file.relative_to(PACKAGE.parent)}:{self.line}: {self.importer} imports {self.imported}"


def imports() -> Iterator[Import]:
    for file in sorted(PACKAGE.rglob("*.py")):
        parts = file.relative_to(PACKAGE).with_suffix("").parts
        importer = ".".join(part for part in parts if part != "__init__")
        if importer:  # the package itself names everything, lazily
            tree = ast.parse(file.read_text(encoding="utf-8"))
            yield from (Import(file, line, importer, name, now) for line, name, now in _imports(tree, at_import=True))


def _imports(node: ast.AST, *, at_import: bool) -> Iterator[tuple[int, str, bool]]:
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.Import):
            yield from ((child.lineno, alias.name, at_import) for alias in child.names)
        elif isinstance(child, ast.ImportFrom):
            assert child.level == 0, f"line {child.lineno}: imports are absolute here"
            # `from masklet.engine import open` may name a module or something in one.
            yield from ((child.lineno, f"{child.module}.{alias.name}", at_import) for alias in child.names)
        else:
            lazy = isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef) or (
                isinstance(child, ast.If) and "TYPE_CHECKING" in ast.unparse(child.test)
            )
            yield from _imports(child, at_import=at_import and not lazy)


def layer(module: str) -> int | None:
    for name, number in sorted(((name, i) for i, names in enumerate(LAYERS) for name in names), reverse=True):
        if module == name or module.startswith(f"{name}."):
            return number
    return None


def _name(module: str) -> str:
    return module.removeprefix("masklet.")


def test_every_module_has_its_layer() -> None:
    homeless = sorted({str(found.file) for found in imports() if layer(found.importer) is None})
    assert not homeless, f"say in LAYERS where these belong: {homeless}"


def test_imports_read_downward() -> None:
    upward = []
    for found in imports():
        if found.imported.startswith("masklet."):
            own, other = layer(found.importer), layer(_name(found.imported))
            if not found.at_import and _name(found.imported).startswith(UPWARD_IN_METHODS.get(found.importer, ())):
                continue
            if own is not None and other is not None and other > own:
                upward.append(str(found))
    assert not upward, "\n".join(upward)


def test_torch_stays_in_its_rooms() -> None:
    strays = [
        str(found)
        for found in imports()
        if found.imported.split(".")[0] == "torch"
        and found.at_import
        and not any(found.importer == room or found.importer.startswith(f"{room}.") for room in TORCH_AT_IMPORT)
    ]
    assert not strays, "\n".join(strays)


def test_the_walk_sees_every_import() -> None:
    tree = ast.parse(
        "import torch\n"
        "if TYPE_CHECKING:\n    import a.b\n"
        "def f():\n    from c import d\n"
        "class E:\n    import g\n"
        "try:\n    import h\nexcept ImportError:\n    h = None\n"
    )
    assert list(_imports(tree, at_import=True)) == [
        (1, "torch", True),
        (3, "a.b", False),
        (5, "c.d", False),
        (7, "g", True),
        (9, "h", True),
    ]


class Reach(NamedTuple):
    """A private attribute that is read or written through something other than `self` or `cls`."""

    file: Path
    line: int
    code: str
    attribute: str

    def __str__(self) -> str:
        return f"{self.file.relative_to(PACKAGE.parent)}:{self.line}: {self.code}"


def private_reaches(file: Path, tree: ast.Module) -> Iterator[Reach]:
    """Yield accesses to private attributes that no class of the same file defines.

    Classes of one file may share their private fields, as a container and its iterator do.
    """
    own = set(_private_definitions(tree))
    for node in ast.walk(tree):
        if not isinstance(node, ast.Attribute) or not node.attr.startswith("_") or node.attr.startswith("__"):
            continue
        is_own = isinstance(node.value, ast.Name) and node.value.id in ("self", "cls")
        if not is_own and node.attr not in own and node.attr not in NAMED_TUPLE_METHODS:
            yield Reach(file, node.lineno, ast.unparse(node), node.attr)


NAMED_TUPLE_METHODS = frozenset({"_asdict", "_fields", "_make", "_replace"})
"""Public, in spite of their names."""

PRIVATE_OF_LIBRARIES = frozenset(
    {
        *("_C", "_dynamo", "_foreach_lerp_", "_is_mkldnn_bf16_supported", "_linear_pointwise"),
        *("_build_memory_attention_inputs", "_exit", "_process_object_pointers", "_reorder_linear_weight", "_version"),
    }
)
"""Attributes of PyTorch, transformers and os that have no public twin."""


def _private_definitions(tree: ast.Module) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            yield node.name
        elif isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id == "self":
            if isinstance(node.ctx, ast.Store):
                yield node.attr
        elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            yield node.id


def test_no_class_reaches_into_anothers_private_fields() -> None:
    reaches = [
        str(reach)
        for file in sorted(PACKAGE.rglob("*.py"))
        for reach in private_reaches(file, ast.parse(file.read_text(encoding="utf-8")))
        if reach.attribute not in PRIVATE_OF_LIBRARIES
    ]
    assert not reaches, "\n".join(reaches)


def test_private_reaches_are_seen() -> None:
    tree = ast.parse(
        "class A:\n"
        "    _known = 1\n"
        "    def f(self, other, pair):\n"
        "        self._mine = other._known + other._mine\n"
        "        return other._theirs, pair._replace(), other.__class__\n"
    )
    assert [(reach.line, reach.code) for reach in private_reaches(PACKAGE / "a.py", tree)] == [(5, "other._theirs")]


def test_class_names_are_unique() -> None:
    """One name means one thing in the whole package; private classes count, too."""
    places: dict[str, list[str]] = {}
    for file in sorted(PACKAGE.rglob("*.py")):
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            if isinstance(node, ast.ClassDef):
                places.setdefault(node.name, []).append(f"{file.relative_to(PACKAGE)}:{node.lineno}")
    assert not {name: where for name, where in places.items() if len(where) > 1}


def test_the_top_of_the_package_is_small() -> None:
    assert len(list(PACKAGE.glob("*.py"))) <= 10


@pytest.mark.parametrize(
    ("code", "heavy"),
    [
        ("import masklet", ("torch", "onnxruntime", "cv2", "av", "numpy")),
        ("from masklet import Tracker, Segmenter, load", ("torch", "onnxruntime")),
    ],
)
def test_importing_loads_no_runtime(code: str, heavy: tuple[str, ...]) -> None:
    check = f"import sys; {code}; print([name for name in {heavy} if name in sys.modules])"
    result = subprocess.run([sys.executable, "-c", check], capture_output=True, text=True, check=True)
    assert result.stdout.strip() == "[]"


def test_every_public_name_is_there() -> None:
    for name in masklet.__all__:
        assert getattr(masklet, name) is not None
    assert set(masklet.__all__) <= set(dir(masklet))
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        _ = masklet.nothing


PICTURE_OPENERS = {"open": {"Image", "PIL.Image"}, "Parser": {"ImageFile"}, "TiffFile": None} | dict.fromkeys(
    ("imread", "imdecode", "imreadmulti", "imdecodemulti", "memmap_tiff"), None
)
"""Functions that open a picture, and the modules they belong to; None: whatever they are called on."""

PICTURE_ROOMS = ("media/images.py", "train/augment.py")
"""`media.images` opens pictures, by one list of formats and one limit of size; `train.augment` decodes the JPEG that
it has encoded the line before."""


def picture_openings(tree: ast.Module) -> Iterator[tuple[int, str]]:
    for node in ast.walk(tree):
        if not isinstance(node, ast.Call):
            continue
        owner, _, name = ast.unparse(node.func).rpartition(".")
        owners = PICTURE_OPENERS.get(name, set())
        if owners is None or owner in owners:
            yield node.lineno, ast.unparse(node)


def test_pictures_are_opened_in_one_place() -> None:
    strays = [
        f"{file.relative_to(PACKAGE)}:{line}: {code}: use masklet.media.images.open_image"
        for file in sorted(PACKAGE.rglob("*.py"))
        if file.relative_to(PACKAGE).as_posix() not in PICTURE_ROOMS
        for line, code in picture_openings(ast.parse(file.read_text(encoding="utf-8")))
    ]
    assert not strays, "\n".join(strays)


def test_every_way_to_open_a_picture_is_seen() -> None:
    calls = ["Image.open(a)", "PIL.Image.open(a)", "cv2.imread(a)", "cv2.imdecode(a, 1)", "tifffile.TiffFile(a)"]
    assert [code for _, code in picture_openings(ast.parse("\n".join(calls)))] == calls
    assert not list(picture_openings(ast.parse("path.open('rb'); open(a); av.open(a); Image.new('L', (1, 1))")))


CONTAINER_ROOMS = ("media/containers.py",)
"""`media.containers` opens videos for reading, by one list of demuxers and one of protocols."""


def container_openings(tree: ast.Module) -> Iterator[tuple[int, str]]:
    for node in ast.walk(tree):
        if not isinstance(node, ast.Call):
            continue
        code = ast.unparse(node)
        is_writing = any(ast.unparse(argument) == "'w'" for argument in node.args[1:])
        if ast.unparse(node.func) in ("av.open", "av.container.open") and not is_writing:
            yield node.lineno, code
        if ast.unparse(node.func).endswith("VideoCapture") and code != "cv2.VideoCapture(index)":
            yield node.lineno, code


def test_videos_are_opened_in_one_place() -> None:
    strays = [
        f"{file.relative_to(PACKAGE)}:{line}: {code}: use masklet.media.containers"
        for file in sorted(PACKAGE.rglob("*.py"))
        if file.relative_to(PACKAGE).as_posix() not in CONTAINER_ROOMS
        for line, code in container_openings(ast.parse(file.read_text(encoding="utf-8")))
    ]
    assert not strays, "\n".join(strays)


def test_every_way_to_open_a_video_is_seen() -> None:
    calls = ["av.open(a)", "av.open(a, mode='r')", "av.container.open(a, 'r')", "cv2.VideoCapture(path)"]
    assert [code for _, code in container_openings(ast.parse("\n".join(calls)))] == calls
    assert not list(container_openings(ast.parse("av.open(a, 'w'); cv2.VideoCapture(index); open(a)")))
