from __future__ import annotations

import io
from pathlib import Path

import pytest
from rich.console import Console

from masklet.cli import console


@pytest.mark.parametrize(
    ("count", "text"),
    [
        (0, "0 bytes"),
        (999, "999 bytes"),
        (1000, "1.0 kB"),
        (438_200, "438 kB"),
        (2_100_000, "2.1 MB"),
        (5 * 10**12, "5000 GB"),
    ],
)
def test_bytes(count: int, text: str) -> None:
    assert console.format_bytes(count) == text


@pytest.mark.parametrize(("rate", "text"), [(0.456, "0.46"), (8.13, "8.1"), (131.4, "131")])
def test_rate(rate: float, text: str) -> None:
    assert console.format_rate(rate) == text


def test_descriptions_of_outputs(tmp_path: Path) -> None:
    one = tmp_path / "clip.mp4"
    one.write_bytes(bytes(2_100_000))
    assert console.describe_outputs([one]) == f"{one} (2.1 MB)"
    assert console.describe_outputs([Path("a/1"), Path("b/2")]) == "a/1, b/2"
    assert console.describe_outputs([Path(f"a/{number}") for number in range(9)]) == "9 files in a"


def test_tables_are_plain_without_a_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    console.print_table(("image", "area"), [("a [b].png" + "x" * 150, "3.1 %")] * 50, left=("image",))
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 1 + console.MAX_ROWS + 1
    assert lines[1].split() == ["a", "[b].png" + "x" * 150, "3.1", "%"]
    assert lines[-1] == "... and 10 more rows"


def test_progress_is_silent_without_a_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    with console.show_progress("tracking", 10, "frames") as report, console.show_status("loading ..."):
        report.update(5, "1 0.93")
        report.describe("writing")
    captured = capsys.readouterr()
    assert captured.out == captured.err == ""


def test_progress_on_a_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    screen = io.StringIO()

    def terminal(**options: object) -> Console:
        return Console(file=screen, force_terminal=True, width=120, color_system=None)

    monkeypatch.setattr(console, "Console", terminal)
    with console.show_progress("tracking", None, "frames") as report:
        report.update(5, "1 0.93", total=300)
        report.update(6, "1 0.93", total=300)
    text = screen.getvalue()
    assert "tracking" in text
    assert "6/300 frames" in text
    assert "1 0.93" in text


def test_errors_keep_to_one_line_and_print_brackets(capsys: pytest.CaptureFixture[str]) -> None:
    console.print_error("bad [red]\n\n   file " + "x" * 400)
    assert capsys.readouterr().err == "error: bad [red] file " + "x" * 400 + "\n"
