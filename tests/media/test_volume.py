from __future__ import annotations

import sys
from pathlib import Path

import pytest

from masklet.errors import EngineError
from masklet.media.source import open_source

nibabel = pytest.importorskip("nibabel")
pydicom = pytest.importorskip("pydicom")


@pytest.mark.parametrize(("module", "extra", "name"), [("nibabel", "nifti", "a.nii"), ("pydicom", "dicom", "a.dcm")])
def test_a_missing_extra_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, module: str, extra: str, name: str
) -> None:
    monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(EngineError, match=rf'needs {module}: pip install "masklet\[{extra}\]"'):
        open_source(tmp_path / name)
