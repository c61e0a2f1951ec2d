"""Code that `masklet segment` shares with and without `--everything`: images, files, the loop, the COCO document."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Generic, Protocol, TypeVar

from masklet.cli.console import (
    ProgressReport,
    Stopwatch,
    counted,
    describe_outputs,
    print_error,
    print_json,
    print_line,
    show_progress,
)
from masklet.cli.options import ModelChoice, describe_model, refuse_equal_names, refuse_existing_files, split_list
from masklet.errors import Cancelled, ConfigError, ImageError, PromptError
from masklet.output import check_writable

if TYPE_CHECKING:
    from masklet.api import Model
    from masklet.formats import MaskStream
    from masklet.records import ByteArray
    from masklet.tracking.mask_rows import MaskRow
    from masklet.tracking.masklets import ObjectInfo

IMAGE_FORMATS = ("overlay", "masks", "cutout", "coco")
"""The formats of `masklet.formats` that are offered for images."""
COCO_NAME = "coco.json"

K = TypeVar("K")


@dataclass(frozen=True, kw_only=True, slots=True)
class Results:
    """Output folder, formats and model: the options that apply with and without `--everything`."""

    out: Path
    formats: str
    model: ModelChoice
    force: bool
    as_json: bool

    def chosen_formats(self, *, without: str = "", name: str = "--format") -> list[str]:
        """Return the requested formats.

        Args:
            without: a format that is not offered here.
            name: of the option, for messages.

        Raises:
            ConfigError: the list is empty, or has an unknown format.
        """
        offered = tuple(format_id for format_id in IMAGE_FORMATS if format_id != without)
        formats = split_list(self.formats, of=offered, name=name)
        if not formats:
            raise ConfigError(f"--format is empty: choose from {', '.join(offered)}")
        return formats

    def check(self, written: Sequence[Path]) -> None:
        """Check that the results can be written, before anything is loaded.

        Raises:
            OutputError: a file exists and may not be replaced, or the folder cannot be written to.
        """
        refuse_existing_files(list(written), self.force)
        check_writable(self.out / COCO_NAME)


@dataclass(frozen=True, slots=True)
class ImageJob(Generic[K]):
    """One image and the paths of its results."""

    image: Path
    paths: Mapping[K, Path]


class Done(Protocol):
    """The record of an image that has been written."""

    @property
    def image(self) -> Path: ...
    @property
    def size_hw(self) -> tuple[int, int]: ...
    def to_dict(self) -> dict[str, Any]: ...


D = TypeVar("D", bound=Done)


@dataclass(slots=True)
class Batch(Generic[D]):
    """Processes images one after the other; the failure of one does not affect the others."""

    command: str
    """Return the record for the JSON document."""
    model: Model
    coco_path: Path | None = None
    """The COCO document of all images, if requested."""
    done: list[D] = field(default_factory=list)
    failed: list[tuple[Path, str]] = field(default_factory=list)
    outputs: list[Path] = field(default_factory=list)
    _coco: MaskStream | None = None

    def add_rows(
        self,
        image: Path,
        rgb: ByteArray,
        rows: Sequence[MaskRow],
        extras: Sequence[Mapping[str, Any]],
        objects: Iterable[ObjectInfo] = (),
    ) -> None:
        """Add the masks of one image to the COCO document, if there is one.

        Args:
            image: the file.
            rgb: (H, W, 3) its pixels.
            rows: its masks.
            extras: further fields of each mask.
            objects: names and classes, as far as known.
        """
        if self._coco is not None:
            from masklet.formats import FrameRows, image_medium

            self._coco.write(FrameRows(image_medium(image, rgb, objects=objects), 0, 0.0, rows, extras=extras))

    def do(self, job: ImageJob[Any], segment: Callable[[ByteArray], Callable[[float], D]]) -> None:
        """Process one image.

        Args:
            job: the image.
            segment: takes the pixels; returns a function that writes the results, given the seconds it took.
        """
        from masklet.media.images import read_image

        watch = Stopwatch()
        try:
            write = segment(read_image(job.image))
        except (ImageError, PromptError, ConfigError) as error:
            message = str(error) if isinstance(error, ImageError) else f"{job.image}: {error}"
            self.failed.append((job.image, message))
            print_error(message)
            return
        self.done.append(write(watch.seconds))
        self.outputs += job.paths.values()

    def run(
        self,
        jobs: Sequence[ImageJob[Any]],
        do: Callable[[int, ProgressReport], None],
        *,
        unit: str,
        units_each: int,
        as_json: bool,
        print_summary: Callable[[], None],
    ) -> int:
        """Process all images and report.

        Args:
            jobs: one per image.
            do: processes the job with the given index.
            unit: name of the steps of the progress bar, in the plural.
            units_each: steps per image.
            as_json: report as JSON.
            print_summary: report as a table.

        Returns:
            The exit status.

        Raises:
            Cancelled: by Ctrl-C; the results of the images before are complete.
        """
        is_complete = False
        progress = show_progress("segmenting", len(jobs) * units_each, unit)
        with progress as report, self._coco_document(), suppress(KeyboardInterrupt):
            for number in range(len(jobs)):
                do(number, report)
            is_complete = True
        if as_json:
            print_json(self.to_dict())
        elif self.done:
            print_summary()
            print_line(f"wrote {describe_outputs(self.outputs)}")
        if not is_complete:
            raise Cancelled(f"after {len(self.done)} of {len(jobs)} images")
        return 2 if self.failed else 0

    @contextmanager
    def _coco_document(self) -> Iterator[None]:
        """Keep the COCO document open while the images are processed."""
        if self.coco_path is None:
            yield
            return
        from masklet.formats import open_image_stream

        with open_image_stream("coco", self.coco_path) as self._coco:
            yield
        if self.done:
            self.outputs.append(self.coco_path)

    def to_dict(self) -> dict[str, Any]:
        return {
            "command": self.command,
            "model": describe_model(self.model.info),
            "images": [done.to_dict() for done in self.done],
            "failed": [{"image": str(path), "error": message} for path, message in self.failed],
            "outputs": [str(path) for path in self.outputs],
        }


def list_images(paths: Iterable[Path]) -> list[Path]:
    """Return the images, with folders replaced by the images in them, and without results of earlier runs.

    Raises:
        ImageError: there are none, or none in a folder.
        OutputError: the results of two images would have the same name.
    """
    from masklet.media.images import without_results

    listed = list(dict.fromkeys(image for path in paths for image in _expanded(path)))
    if not listed:
        raise ImageError("no image was given")
    images = without_results(listed)
    if results := [path for path in listed if path not in images]:
        print_error(f"{counted(len(results), 'result')} of an earlier run, such as {results[0]}", word="left out")
    refuse_equal_names(images)
    return images


def _expanded(path: Path) -> list[Path]:
    if not path.is_dir():
        return [path]
    from masklet.media.images import image_files

    images = image_files(path)
    if not images:
        raise ImageError(f"{path} holds no images")
    return images
