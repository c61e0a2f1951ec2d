"""Files of detections on the command line: what is used of them, and how the rest is reported."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from masklet.cli.console import counted, print_error
from masklet.cli.prompts import ObjectPrompt
from masklet.errors import DataError, ImageError, PromptError

if TYPE_CHECKING:
    from masklet.discovery import Detection

MAX_LINES = 10
"""Problems of a file that are listed; the others are counted."""


def print_problems(problems: Iterable[str], notes: Iterable[str] = ()) -> None:
    """Print what was left out of files of detections, and how they were read, on stderr."""
    for note in dict.fromkeys(notes):
        print_error(note, word="note")
    lines = list(dict.fromkeys(problems))
    for line in lines[:MAX_LINES]:
        print_error(line, word="warning")
    if len(lines) > MAX_LINES:
        print_error(f"{counted(len(lines) - MAX_LINES, 'more problem')} of this kind", word="warning")


def detections_of_images(path: Path, images: Sequence[Path]) -> list[tuple[Detection, ...] | PromptError]:
    """Return the detections of each image in a file, or the reason why it has none; print what was left out.

    Detectors write nothing for images on which they found nothing. So an image that is not named in a file of several
    has no detections, unless the file also lists images without any.

    Raises:
        DataError: the file cannot be read, or has no detections for any of the images.
    """
    from masklet.discovery.files import DetectionFile, ImageIndex, read_detections
    from masklet.foreign.documents import reading
    from masklet.foreign.problems import Problems
    from masklet.media.images import image_header

    table = read_detections(path)
    is_one = len(images) == 1
    if not is_one and table.images is None and len(table):
        raise DataError(f"{table.name} has frames of a video, and no names of images: give it with a single image")
    index = None if is_one else ImageIndex(table)
    answers: list[tuple[Detection, ...] | PromptError] = []
    problems = list(table.problems.lines())
    notes: list[str] = []
    unlisted, num_unlisted = Problems(), 0
    for image in images:
        part = table if index is None else index.table_of(str(image.resolve()))
        if part is None and not table.lists_all_images:
            unlisted.add("unlisted", f"{table.name} has no detections for {image.name}")
            num_unlisted += 1
            answers.append(())
            continue
        try:
            header = image_header(image)
        except ImageError:
            header = None
        if header is None:
            answers.append(())  # the reading of the pixels says why
            continue
        try:
            with reading(str(path)):
                file = DetectionFile(
                    part if part is not None and len(table) else table,
                    size_hw=header.size_hw,
                    num_frames=1,
                    file_name=str(image.resolve()),
                )
                answers.append(tuple(file.at(0)))
        except DataError as error:
            answers.append(PromptError(str(error)))
            continue
        problems += file.problems
        notes += file.notes
    if len(table) and num_unlisted == len(images):
        raise DataError(f"{table.name} names none of these {len(images):,} images: {unlisted.lines()[0]}")
    problems += unlisted.lines()
    refused = [answer for answer in answers if isinstance(answer, PromptError)]
    if refused and len(refused) == len(answers):
        raise DataError(str(refused[0]))
    print_problems(problems, notes)
    return answers


def prompts_of_detections(detections: Iterable[Detection]) -> tuple[ObjectPrompt, ...]:
    """Return a prompt per detection, for objects 1, 2, ...: its box, and its mask as a rough one."""
    return tuple(
        ObjectPrompt(
            object_id=number,
            values={"box_xyxy": detection.box_xyxy} | ({"mask": detection.rle} if detection.rle is not None else {}),
        )
        for number, detection in enumerate(detections, start=1)
    )
