"""Video files as people's programs make them: FFmpeg's program writes them from 24 numbered frames."""

from __future__ import annotations

import shlex
import subprocess
from pathlib import Path

import numpy as np

from tests.media.clips import number_of, numbered_frame

NUM_FRAMES, FPS = 24, 24
SIZE_HW = (48, 64)

X264 = "-c:v libx264 -g 8 -bf 3 -pix_fmt yuv420p -sc_threshold 0"
X265 = "-c:v libx265 -pix_fmt yuv420p -x265-params keyint=8:bframes=3:log-level=error"
OPEN = "-x264-params open-gop=1:keyint=8:scenecut=0:bframes=3"
VP9 = "-c:v libvpx-vp9 -g 8"
UNEVEN = """-vf "settb=1/1000,setpts='if(lt(N,6),N,if(lt(N,12),N*N/4,30+N*3))/24/TB'" -fps_mode vfr"""

RECIPES: dict[str, str] = {
    # containers
    **{f"h264.{suffix}": X264 for suffix in ("mp4", "mov", "mkv", "ts", "avi", "flv", "mpg", "asf", "nut", "h264")},
    **{f"hevc.{suffix}": X265 for suffix in ("mp4", "mkv", "ts", "hevc")},
    **{f"mpeg2.{suffix}": "-c:v mpeg2video -g 8 -bf 2 -q:v 2" for suffix in ("mpg", "ts", "m2v")},
    **{f"mpeg4.{suffix}": "-c:v mpeg4 -g 8 -bf 2 -q:v 2" for suffix in ("mp4", "avi")},
    "xvid.avi": "-c:v libxvid -g 8 -bf 2 -q:v 2",
    # codecs
    "vp8.webm": "-c:v libvpx -g 8",
    "vp8 with hidden frames.webm": "-c:v libvpx -g 12 -auto-alt-ref 1 -lag-in-frames 16",
    "vp9.webm": VP9,
    "av1.mp4": "-c:v libsvtav1 -g 8 -preset 12",
    "av1.obu": "-c:v libsvtav1 -g 8 -preset 12",
    "mjpeg.avi": "-c:v mjpeg -q:v 2 -pix_fmt yuvj420p",
    "prores.mov": "-c:v prores_ks",
    "ffv1.mkv": "-c:v ffv1",
    "raw.avi": "-c:v rawvideo -pix_fmt bgr24",
    "palette.avi": "-c:v rawvideo -pix_fmt pal8",
    "raw.y4m": "-pix_fmt yuv420p",
    "theora.ogv": "-c:v libtheora -q:v 8 -g 8",
    "animated.gif": "",
    "animated.apng": "-f apng",
    "10 bit.mp4": "-c:v libx264 -g 8 -pix_fmt yuv420p10le",
    "interlaced.ts": "-c:v libx264 -g 8 -flags +ilme+ildct -x264-params interlaced=1:tff=1 -pix_fmt yuv420p",
    "odd.mkv": "-c:v ffv1 -vf scale=63:47:flags=neighbor",
    "open.mp4": f"{X264} {OPEN}",
    "open.ts": f"{X264} {OPEN}",
    "no key frames.ts": "-c:v libx264 -x264-params intra-refresh=1:keyint=8 -pix_fmt yuv420p",
    # uneven times
    **{f"uneven.{suffix}": f"{UNEVEN} {X264}" for suffix in ("mp4", "mkv", "ts", "flv", "avi")},
    "uneven.webm": f"{UNEVEN} {VP9}",
    # edit lists and cuts without encoding
    "cut.mp4": "-ss 0.2 -i h264.mp4 -c copy",
    "cut later.mov": "-ss 0.5 -i h264.mp4 -c copy",
    "cut on both sides.mp4": "-ss 0.2 -i h264.mp4 -t 0.4 -c copy",
    "cut open.mp4": "-ss 0.35 -i open.mp4 -c copy",
    "cut hevc.mkv": "-ss 0.35 -i hevc.mp4 -c copy",
    "cut mpeg2.ts": "-ss 0.35 -i mpeg2.ts -c copy",
    "cut fragments.mp4": "-ss 0.2 -i h264.mp4 -c copy -movflags frag_keyframe+empty_moov",
    "cut without edit list.mp4": "-ss 0.2 -i h264.mp4 -c copy -use_editlist 0",
    "negative times.mkv": "-ss 0.2 -i h264.mp4 -c copy -avoid_negative_ts disabled",
    "negative start.mp4": "-itsoffset -0.2 -i h264.mp4 -c copy",
    "late start.mp4": "-itsoffset 1.5 -i h264.mp4 -c copy",
    "late start.mkv": "-itsoffset 1.5 -i h264.mp4 -c copy -copyts",
    "huge start.mkv": "-itsoffset 100000 -i h264.mp4 -c copy -copyts",
    "clock wraps.ts": "-itsoffset 95440 -i h264.mp4 -c copy -copyts -muxdelay 0",
    "joined.mp4": "-f concat -safe 0 -i {list:h264.mp4 inpoint 0.2 outpoint 0.7,h264.mp4 inpoint 0.4} -c copy",
    "clock starts again.ts": "{twice:h264.ts}",
    "clock goes back.mkv": """-i h264.mp4 -c copy -bsf:v "setts=ts='if(gte(N,12),TS-8*DURATION,TS)'\"""",
    "times twice.mkv": """-i h264.mp4 -c copy -bsf:v "setts=pts='if(eq(mod(N,5),2),PREV_OUTPTS,PTS)'\"""",
    "times without order.mp4": "-i h264.h264 -c copy",
    # unfinished and streamed
    "fragments.mp4": "-i h264.mp4 -c copy -movflags frag_keyframe+empty_moov",
    "index and fragments.mp4": "-i h264.mp4 -c copy -movflags frag_keyframe",
    "live.webm": "-i vp9.webm -c copy -live 1",
    # other streams
    **{f"long sound.{s}": "-i h264.mp4 -f lavfi -i sine=d=8 -c:v copy" for s in ("mp4", "mkv", "flv", "ts", "avi")},
    **{f"short sound.{s}": "-i h264.mp4 -f lavfi -i sine=d=0.3 -c:v copy" for s in ("mp4", "mkv", "flv")},
    "late video.flv": "-itsoffset 0.7 -i h264.mp4 -f lavfi -i sine=d=2 -c:v copy",
    "cut long sound.mp4": "-ss 0.2 -i {file:long sound.mp4} -c copy",
    "cover.mp4": (
        "-i h264.mp4 -f lavfi -i testsrc=s=32x32:d=0.04 -map 1 -map 0 -c:v:1 copy -c:v:0 png "
        "-disposition:v:0 attached_pic"
    ),
    "latin title.avi": f"{X264} -metadata title=MARK",
    "one.mp4": f"{X264} -frames:v 1",
    "one.webm": f"{VP9} -frames:v 1",
    "one.ts": f"{X264} -frames:v 1",
}


class Recordings:
    """Makes the files of `RECIPES` on demand, once, in one folder."""

    def __init__(self, ffmpeg: str, folder: Path) -> None:
        self._ffmpeg = ffmpeg
        self.folder = folder

    def __getitem__(self, name: str) -> Path:
        path = self.folder / name
        if not path.exists():
            recipe = RECIPES[name]
            if recipe.startswith("{twice:"):
                path.write_bytes(self[recipe[7:-1]].read_bytes() * 2)
            else:
                self.make(path, recipe)
            if name == "latin title.avi":  # a name as Windows programs of 2005 wrote it
                path.write_bytes(path.read_bytes().replace(b"MARK", b"\xdcber"))
        return path

    def make(self, path: Path, recipe: str) -> Path:
        """Write a file with FFmpeg's arguments; numbered frames are the input unless they name another."""
        numbered = f"-f rawvideo -pix_fmt rgb24 -s {SIZE_HW[1]}x{SIZE_HW[0]} -framerate {FPS} -i -"
        arguments = shlex.split(recipe if " -i " in f" {recipe}" else f"{numbered} {recipe}")
        for at, argument in enumerate(arguments):
            if argument in RECIPES:
                arguments[at] = str(self[argument])
        if "{" in recipe:
            arguments = self._with_files(recipe)
        frames = b"".join(numbered_frame(index, SIZE_HW).tobytes() for index in range(NUM_FRAMES))
        command = [self._ffmpeg, "-hide_banner", "-loglevel", "error", "-y", *arguments, str(path)]
        subprocess.run(command, input=frames, check=True, capture_output=True)
        return path

    def _with_files(self, recipe: str) -> list[str]:
        before, _, rest = recipe.partition("{")
        inside, _, after = rest.partition("}")
        kind, _, names = inside.partition(":")
        if kind == "file":
            path = self[names]
        else:
            path = self.folder / "list.txt"
            lines = []
            for entry in names.split(","):
                name, *words = entry.split(" ")
                lines += [f"file '{self[name]}'", *(" ".join(words[at : at + 2]) for at in range(0, len(words), 2))]
            path.write_text("\n".join(lines))
        return [*shlex.split(before), str(path), *shlex.split(after)]

    def numbers(self, path: Path) -> list[int]:
        """Return the numbers of the frames in the order in which FFmpeg's program shows them."""
        height, width = SIZE_HW
        command = [self._ffmpeg, "-loglevel", "quiet", "-i", str(path), "-map", "0:v:0", "-fps_mode", "passthrough"]
        to_rgb = ["-vf", f"scale={width}:{height}:flags=neighbor", "-f", "rawvideo", "-pix_fmt", "rgb24", "-"]
        result = subprocess.run([*command, *to_rgb], check=False, capture_output=True)
        frames = np.frombuffer(result.stdout, np.uint8).reshape(-1, height, width, 3)
        return [number_of(frame) for frame in frames]
