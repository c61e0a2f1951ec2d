"""What the ways of `masklet segment` share: which images, which files, one image after the other, one COCO document."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Generic, Protocol, TypeVar

from masklet.cli.console import (
    Interrupted,
    ProgressReport,
    Stopwatch,
    describe_outputs,
    print_error,
    print_json,
    print_line,
    show_progress,
)
from masklet.cli.options import ModelChoice, describe_model, refuse_equal_names, refuse_existing_files, split_list
from masklet.errors import ConfigError, ImageError, PromptError
from masklet.output import atomic_path, check_writable

if TYPE_CHECKING:
    from masklet.api import Model
    from masklet.records import ByteArray

COCO_NAME = "coco.json"

K = TypeVar("K")


@dataclass(frozen=True, kw_only=True, slots=True)
class Results:
    """Where results go, and the model that makes them: the options that are the same however images are segmented."""

    out: Path
    formats: str
    model: ModelChoice
    force: bool
    as_json: bool

    def chosen_formats(self, of: tuple[str, ...], name: str = "--format") -> list[str]:
        """The formats that were asked for.

        Raises:
            ConfigError: there are none, or an unknown one.
        """
        chosen = split_list(self.formats, of=of, name=name)
        if not chosen:
            raise ConfigError(f"--format is empty: choose from {', '.join(of)}")
        return chosen

    def check(self, written: Sequence[Path]) -> None:
        """Refuse what cannot be written before anything is loaded.

        Raises:
            OutputError: a file exists and may not be replaced, or the folder cannot be written to.
        """
        refuse_existing_files(list(written), self.force)
        check_writable(self.out / COCO_NAME)


@dataclass(frozen=True, slots=True)
class Job(Generic[K]):
    """One image and its results to be."""

    image: Path
    paths: Mapping[K, Path]


class Done(Protocol):
    """What is left of an image when it has been written."""

    @property
    def image(self) -> Path: ...
    @property
    def size_hw(self) -> tuple[int, int]: ...
    def to_dict(self) -> dict[str, Any]: ...
    def annotations(self) -> list[dict[str, Any]]:
        """COCO's, but for the ids."""
        ...


D = TypeVar("D", bound=Done)


@dataclass(slots=True)
class Batch(Generic[D]):
    """Images done one after the other; one that fails costs no other."""

    command: str
    """For the JSON document."""
    model: Model
    done: list[D] = field(default_factory=list)
    failed: list[tuple[Path, str]] = field(default_factory=list)
    outputs: list[Path] = field(default_factory=list)

    def do(self, job: Job[Any], segment: Callable[[ByteArray], Callable[[float], D]]) -> None:
        """One image.

        Args:
            job: the image.
            segment: takes the pixels and answers with what writes the results, given the seconds it all took.
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
        jobs: Sequence[Job[Any]],
        do: Callable[[int, ProgressReport], None],
        *,
        unit: str,
        units_each: int,
        coco_path: Path | None,
        as_json: bool,
        print_summary: Callable[[], None],
    ) -> int:
        """All images, and the report.

        Args:
            jobs: in their order.
            do: does the job of a number.
            unit: of the progress bar.
            units_each: of an image.
            coco_path: where the COCO document goes.
            as_json: report as JSON.
            print_summary: report as a table.

        Returns:
            The exit status.

        Raises:
            Interrupted: by Ctrl-C; what was done until then is complete.
        """
        is_complete = False
        with show_progress("segmenting", len(jobs) * units_each, unit) as report, suppress(KeyboardInterrupt):
            for number in range(len(jobs)):
                do(number, report)
            is_complete = True
        if coco_path is not None and self.done:
            write_coco(coco_path, self.done)
            self.outputs.append(coco_path)
        if as_json:
            print_json(self.to_dict())
        elif self.done:
            print_summary()
            print_line(f"wrote {describe_outputs(self.outputs)}")
        if not is_complete:
            raise Interrupted(f"after {len(self.done)} of {len(jobs)} images")
        return 2 if self.failed else 0

    def to_dict(self) -> dict[str, Any]:
        return {
            "command": self.command,
            "model": describe_model(self.model.info),
            "images": [done.to_dict() for done in self.done],
            "failed": [{"image": str(path), "error": message} for path, message in self.failed],
            "outputs": [str(path) for path in self.outputs],
        }


def list_images(paths: Iterable[Path]) -> list[Path]:
    """The images, with folders replaced by what is in them.

    Raises:
        ImageError: there are none, or none in a folder.
        OutputError: two would have results of one name.
    """
    found = [image for path in paths for image in _expanded(path)]
    if not found:
        raise ImageError("no image was given")
    refuse_equal_names(found)
    return found


def _expanded(path: Path) -> list[Path]:
    if not path.is_dir():
        return [path]
    from masklet.media.images import IMAGE_SUFFIXES

    found = sorted(p for p in path.iterdir() if p.suffix.lower() in IMAGE_SUFFIXES and not p.name.startswith("."))
    if not found:
        raise ImageError(f"{path} holds no images")
    return found


def write_coco(path: Path, images: Sequence[Done]) -> None:
    """One COCO document for all images."""
    numbered = list(enumerate(images, start=1))
    found = [(image_id, own) for image_id, done in numbered for own in done.annotations()]
    document = {
        "images": [
            {"id": number, "file_name": done.image.name, "height": done.size_hw[0], "width": done.size_hw[1]}
            for number, done in numbered
        ],
        "categories": [{"id": 1, "name": "object"}],
        "annotations": [{"id": number, "image_id": i, **own} for number, (i, own) in enumerate(found, start=1)],
    }
    with atomic_path(path) as temporary:
        temporary.write_text(json.dumps(document), encoding="utf-8")
