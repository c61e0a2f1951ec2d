"""`masklet count`: count objects over time, over lines and in regions."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from masklet.cli.console import Stopwatch, counted, describe_outputs, print_json, print_line, show_status
from masklet.cli.detections import print_problems
from masklet.cli.groups import OptionGroup, with_groups
from masklet.cli.options import RESULT_PANEL, Switches, examples
from masklet.errors import OutputError

if TYPE_CHECKING:
    from masklet.counting import Count, CountConfig, CountReport, Line, Region, ZoneCounts

ZONE_PANEL, RULE_PANEL = "Lines and regions", "Rules"

EPILOG = examples(
    ("How many are visible, and when", "masklet count job.masklet --out counts.png"),
    ("Over a line", "masklet count job.masklet --line gate=100,50,400,60 --out counts.json --crossings crossings.csv"),
    ("Into a region", "masklet count clip.mp4 masks.json --region shelf=10,10,200,10,200,90,10,90"),
    ("Results of another tracker", "masklet count mot.txt --fps 25 --line 0,300,640,300 --anchor bottom"),
    notes="Seen along its arrow, a line's objects go in from the right to the left, and out from the left to the "
    "right. The interval says whether the counted tracks are objects; objects without a track are not in it. "
    "docs/guides/counting.md explains both.",
)


class ZoneChoice(OptionGroup):
    """Lines and regions, in source pixels."""

    line: Annotated[
        list[str] | None,
        typer.Option(
            metavar="[NAME=]X1,Y1,X2,Y2",
            help="Count who crosses this line, per direction. Repeat for more.",
            rich_help_panel=ZONE_PANEL,
        ),
    ] = None
    region: Annotated[
        list[str] | None,
        typer.Option(
            metavar="[NAME=]X1,Y1,...",
            help="Count who enters and leaves this polygon, and who is inside. Repeat for more.",
            rich_help_panel=ZONE_PANEL,
        ),
    ] = None

    def zones(self) -> list[Line | Region]:
        """Return the lines, then the regions."""
        from masklet.counting.zones import line_of_text, region_of_text

        lines = [line_of_text(text, number) for number, text in enumerate(self.line or (), start=1)]
        regions = [region_of_text(text, number) for number, text in enumerate(self.region or (), start=1)]
        return [*lines, *regions]


class CountRules(OptionGroup):
    """How objects are counted."""

    anchor: Annotated[
        str,
        typer.Option(
            help="The point of an object that crosses lines: center of its box, or bottom for the middle of the "
            "lower edge.",
            rich_help_panel=RULE_PANEL,
        ),
    ] = "center"
    margin: Annotated[
        float | None,
        typer.Option(
            metavar="PIXELS",
            help="A crossing counts when the anchor is this far beyond the line, so that trembling is not counted. "
            "Default: a tenth of the object's size.",
            rich_help_panel=RULE_PANEL,
        ),
    ] = None
    level: Annotated[float, typer.Option(help="Probability that the intervals cover.", rich_help_panel=RULE_PANEL)] = (
        0.9
    )
    fps: Annotated[
        float | None,
        typer.Option(help="Frames per second of a result file, for times in seconds.", rich_help_panel=RULE_PANEL),
    ] = None

    def config(self) -> CountConfig:
        from masklet.counting import CountConfig

        return CountConfig(anchor=self.anchor, margin=self.margin, level=self.level)  # type: ignore[arg-type]


class CountFiles(OptionGroup):
    """The files that are written."""

    out: Annotated[
        list[Path] | None,
        typer.Option(
            "--out",
            "-o",
            metavar="PATH",
            help=".json for everything, .csv for the counts over time, .png, .svg or .pdf for a plot. Repeat for more.",
            rich_help_panel=RESULT_PANEL,
        ),
    ] = None
    crossings: Annotated[
        Path | None,
        typer.Option(
            metavar="PATH",
            help="A .csv with a row per crossing and entry, and the frames that show it.",
            rich_help_panel=RESULT_PANEL,
        ),
    ] = None

    def check(self, force: bool, inputs: Sequence[Path | None]) -> None:
        """Check the paths before anything is read.

        Raises:
            ConfigError: a suffix is none of those above.
            OutputError: a file exists and may not be replaced, is an input, or comes twice.
        """
        from masklet.counting.written import check_suffix
        from masklet.output import check_writable, refuse_existing

        taken = [path.resolve() for path in inputs if path is not None]
        for path in (*map(check_suffix, self.out or ()), *([self.crossings] if self.crossings else [])):
            if path.resolve() in taken:
                raise OutputError(f"{path} is read, or written twice: choose another name")
            taken.append(path.resolve())
            check_writable(refuse_existing(path, force))

    def write(self, report: CountReport) -> list[Path]:
        from masklet.counting import write_crossings, write_report

        written = [write_report(report, path) for path in self.out or ()]
        return written if self.crossings is None else [*written, write_crossings(report, self.crossings)]


@with_groups
def count(
    source: Annotated[
        Path,
        typer.Argument(
            metavar="SOURCE",
            help="A session (.masklet) of masklet track --save, COCO .json with track ids, MOT text (.txt), or an "
            "image or a video.",
        ),
    ],
    masks: Annotated[
        Path | None,
        typer.Argument(metavar="MASKS", help="For an image or a video: its masks, as for masklet export-masks."),
    ] = None,
    *,
    zones: ZoneChoice,
    rules: CountRules,
    files: CountFiles,
    switches: Switches,
) -> int:
    """Count objects: visible ones over time, different ones, crossings of lines, entries into regions."""
    from masklet.counting import count_objects, open_trajectories, report_document

    config, chosen_zones = rules.config(), zones.zones()
    files.check(switches.force, (source, masks))
    watch = Stopwatch()
    with show_status(f"counting {source.name}"):
        trajectories, skipped = open_trajectories(source, masks, fps=rules.fps)
        report = count_objects(trajectories, chosen_zones, config=config)
        written = files.write(report)
    if switches.as_json:
        print_json(
            {
                "command": "count",
                "source": str(source),
                "seconds": round(watch.seconds, 3),
                "skipped": list(skipped),
                **report_document(report),
                "outputs": [str(path) for path in written],
            }
        )
        return 0
    print_problems(skipped)
    for line in _summary(report):
        print_line(line)
    if written:
        print_line(f"wrote {describe_outputs(written)}")
    return 0


def _summary(report: CountReport) -> list[str]:
    """Return what a terminal shows: objects, the fullest frame, and two numbers for each line and region."""
    visible, level = report.visible[None], f"{report.config.level:.0%} interval"
    fullest = int(visible.values.argmax())
    peak = f"{visible.values[fullest]} (frame {report.frames[fullest]})"
    lines = [
        f"{_text(report.total(), level)} {'object' if report.total().value == 1 else 'objects'} on "
        f"{counted(len(report.frames), 'frame')}; on one frame at most {peak}"
    ]
    labels = [label for label in report.trajectories.labels if label]
    lines += [f"  {label}: {_text(report.total(label), level)}" for label in labels]
    for counts in report.zones:
        lines.append(f"{counts.zone.name}: {_directions(counts, None, level)}")
        lines += [f"  {label}: {_directions(counts, label, level)}" for label in labels if len(labels) > 1]
    return lines


def _directions(counts: ZoneCounts, label: str | None, level: str) -> str:
    texts = [f"{_text(counts.count('in', label), level)} in", f"{_text(counts.count('out', label), level)} out"]
    if counts.inside is not None and label is None:
        texts.append(f"at most {counts.inside.values.max(initial=0)} inside")
    return ", ".join(texts)


def _text(count: Count, level: str) -> str:
    """Return a count; the interval is left out where it is the count alone."""
    if count.low == count.high == count.value:
        return str(count.value)
    return f"{count.value} ({level} {count.low} to {count.high})"
