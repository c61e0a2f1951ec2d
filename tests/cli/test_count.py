"""`masklet count` as a user types it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from masklet.cli import main


@pytest.fixture
def mot(tmp_path: Path) -> Path:
    """Write two objects that cross x = 100 in opposite directions, one frame apart."""
    lines = [f"{frame},1,{50 + 5 * frame},40,10,10,0.9,-1,-1,-1" for frame in range(1, 21)]
    lines += [f"{frame},2,{140 - 5 * frame},60,10,10,0.6,-1,-1,-1" for frame in range(1, 21)]
    path = tmp_path / "mot.txt"
    path.write_text("\n".join(lines))
    return path


def test_counts_of_a_result_file(mot: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out, crossings = tmp_path / "counts.json", tmp_path / "crossings.csv"
    command = ["count", str(mot), "--line", "gate=100,0,100,100", "--fps", "10", "--out", str(out)]
    assert main([*command, "--crossings", str(crossings)]) == 0
    printed = capsys.readouterr().out
    assert "2 (90% interval 1 to 2) objects on 20 frames; on one frame at most 2 (frame 0)" in printed
    assert "gate: 1 (90% interval 0 to 1) in, 1 (90% interval 0 to 1) out" in printed
    document = json.loads(out.read_text())
    assert document["lines"][0]["in"]["count"] == 1
    assert len(crossings.read_text().splitlines()) == 3


def test_json_is_one_document(mot: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["count", str(mot), "--region", "95,0,105,0,105,100,95,100", "--json"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert document["regions"][0]["name"] == "region 1"
    assert document["regions"][0]["in"]["count"] == 2
    assert document["outputs"] == []


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--line", "1,2,3"], "a line must be"),
        (["--anchor", "top"], "anchor must be one of center, bottom"),
        (["--level", "2"], "level must be from 0.5 to 0.999"),
        (["--margin", "-1"], "margin must be"),
        (["--fps", "0"], "fps must be above 0"),
        (["--out", "counts.xlsx"], "counts are written to .json"),
        (["--crossings", "mot.txt"], "is read, or written twice"),
        (["--out", "a.json", "--out", "a.json"], "is read, or written twice"),
    ],
)
def test_wrong_options_end_in_one_line(
    mot: Path, options: list[str], message: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(mot.parent)
    assert main(["count", "mot.txt", *options]) == 2
    error = capsys.readouterr().err
    assert message in error
    assert error.count("\n") == 1


def test_results_are_not_replaced_without_force(mot: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = mot.parent / "counts.csv"
    assert main(["count", str(mot), "--out", str(out)]) == 0
    assert main(["count", str(mot), "--out", str(out)]) == 2
    assert "use --force" in capsys.readouterr().err
    assert main(["count", str(mot), "--out", str(out), "--force"]) == 0


def test_kinds_of_unusable_lines_are_all_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    bad = ["x,1,0,0,5,5,1", "-2,1,0,0,5,5,1", "2,1,0,0,5,5,7", "2,-1,0,0,5,5,1", "2,1,nan,0,5,5,1", "2,1,0,0,0,5,1"]
    path = tmp_path / "mot.txt"
    path.write_text("\n".join(["1,1,0,0,5,5,1", *bad, "2,1,0,0,5,5,0"]))
    assert main(["count", str(path)]) == 0
    printed = capsys.readouterr().err
    assert [f"line {number}:" in printed for number in range(2, 9)] == [True] * 7


def test_a_session_and_masks_are_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "job.masklet").write_bytes(b"")
    assert main(["count", str(tmp_path / "job.masklet"), str(tmp_path / "masks.json")]) == 2
    assert "has its own masks or boxes: leave" in capsys.readouterr().err.replace("\n", " ")
