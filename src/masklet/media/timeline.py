"""When each frame of a video file is shown, and where decoding can start: from its packets, or by decoding it once.

Packets tell it without decoding, if their time stamps are those of the frames. Whether they are is tried on the first
packets of the file (`StreamProbe`) and checked on all others. If they are not, decoding decides: the frames are what a
pass from the start delivers, and are then found by counting.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from fractions import Fraction

import av
import numpy as np
from av.container import InputContainer
from av.packet import Packet
from av.stream import Stream
from numpy.typing import NDArray

from masklet.media.containers import decode_in_parallel
from masklet.media.stream_probe import StreamProbe, decode, is_shown, video_stream, whole_packets

OTHER_STREAMS = frozenset({"video", "audio", "subtitle"})
"""Streams that are read along with the video, to find where reading ends."""


@dataclass(frozen=True, slots=True, eq=False)
class FrameTimeline:
    """All frames of a file, in order of presentation."""

    time_base: Fraction
    """Seconds per unit of the time stamps."""
    stamps: NDArray[np.int64]
    """(F,) time of each frame, ascending."""
    key_stamps: NDArray[np.int64]
    """(G,) time stamps of key frames, ascending: decoding can start there. Those before an edited file's first frame
    are included."""
    can_seek: bool
    """True if the decoder's frames carry these time stamps. If not, frame k is the k-th that a decoder delivers."""
    last_duration: int = 0
    """How long the last frame is shown, in the same units; 0 if unknown."""
    read_bytes: int = 0
    """Where the last packet of any stream ends in the file."""
    read_s: float = 0.0
    """Time stamp of the latest packet of any stream."""

    def __len__(self) -> int:
        return len(self.stamps)

    def index_of(self, pts: int) -> int | None:
        """Return the number of the frame with this time stamp, or None."""
        index = int(np.searchsorted(self.stamps, pts))
        return index if index < len(self.stamps) and self.stamps[index] == pts else None

    def keys_before(self, index: int) -> list[int]:
        """Return the time stamps of the key frames at or before a frame, nearest first."""
        count = int(np.searchsorted(self.key_stamps, self.stamps[index], side="right"))
        return [int(pts) for pts in self.key_stamps[:count][::-1]]

    def key_index(self, index: int) -> int:
        """Return the number of the key frame at or before a frame; 0 if decoding has to start at the beginning."""
        keys = self.keys_before(index)
        return int(np.searchsorted(self.stamps, keys[0])) if keys else 0

    def time_s(self, index: int) -> float:
        """Return the time of a frame, seconds after the first one."""
        return float(int(self.stamps[index] - self.stamps[0]) * self.time_base)


@dataclass(slots=True)
class _Packets:
    """What a file's packets say, in the order of decoding."""

    pts: list[int | None] = field(default_factory=list)
    """Of the packets that are shown."""
    order: list[int | None] = field(default_factory=list)
    """Their decoding time stamps, or `pts` where the container has none."""
    keys: list[int] = field(default_factory=list)
    """Time stamps of all key frames."""
    keys_follow: bool = True
    """True if every key frame is later than all packets before it."""
    latest: int | None = None
    last_duration: int = 0
    read_bytes: int = 0
    read_s: float = 0.0

    def add(self, packet: Packet[Stream]) -> None:
        pts = packet.pts
        if packet.is_keyframe and pts is not None:
            self.keys.append(pts)
            self.keys_follow &= self.latest is None or pts > self.latest
        if is_shown(packet):
            self.pts.append(pts)
            self.order.append(packet.dts if packet.dts is not None else pts)
        if pts is not None and (self.latest is None or pts > self.latest):
            self.latest, self.last_duration = pts, packet.duration or 0


def read_timeline(open_file: Callable[[], InputContainer], probe: StreamProbe, name: str) -> FrameTimeline:
    """Read the packets of a file and, if they do not tell when its frames are shown, decode it.

    Args:
        open_file: opens the file.
        probe: facts known after decoding its first frames.
        name: of the file, for messages.
    """
    packets = _read_packets(open_file, name)
    stamps, can_seek = _stamps(packets, open_file, probe, name)
    keys = np.unique(np.array(packets.keys if can_seek else [], np.int64))
    last_duration = packets.last_duration if can_seek else 0
    return FrameTimeline(probe.time_base, stamps, keys, can_seek, last_duration, packets.read_bytes, packets.read_s)


def _stamps(
    packets: _Packets, open_file: Callable[[], InputContainer], probe: StreamProbe, name: str
) -> tuple[NDArray[np.int64], bool]:
    """Return the time stamps of the frames, and whether the decoder's frames carry them."""
    first = probe.first_pts
    shown = [pts for pts in packets.pts if pts is not None and (first is None or pts >= first)]
    is_unique = packets.pts.count(None) == probe.num_unstamped and len(set(shown)) == len(shown)
    if probe.is_ordered and packets.keys and packets.keys_follow and is_unique and first in shown:
        return np.sort(np.array(shown, np.int64)), True
    order = [stamp for stamp in packets.order if stamp is not None]
    if probe.is_one_to_one and len(order) == len(packets.order) and (np.diff(order) > 0).all():
        # Stamps in the order of decoding (AVI, ASF) are the times of the frames, but of others than their packets'.
        return np.array(order, np.int64), False
    if probe.is_one_to_one and all(pts is None for pts in packets.pts):
        return _even(len(packets.pts), probe), False
    return _decoded_stamps(open_file, probe, name), False


def _read_packets(open_file: Callable[[], InputContainer], name: str) -> _Packets:
    packets = _Packets()
    with open_file() as container:
        stream = video_stream(container, name)
        # An error here occurs again when frames are decoded, and is reported there.
        with suppress(av.FFmpegError):
            others = [
                other for other in container.streams if other.type in OTHER_STREAMS and other.index != stream.index
            ]
            for packet in whole_packets(container, stream, *others):
                if packet.pos is not None:
                    packets.read_bytes = max(packets.read_bytes, packet.pos + packet.size)
                if packet.pts is not None and packet.time_base:
                    packets.read_s = max(packets.read_s, float(packet.pts * packet.time_base))
                if packet.size and packet.stream.index == stream.index:
                    packets.add(packet)
    return packets


def _decoded_stamps(open_file: Callable[[], InputContainer], probe: StreamProbe, name: str) -> NDArray[np.int64]:
    stamps: list[int | None] = []
    with open_file() as container:
        stream = video_stream(container, name)
        decode_in_parallel(stream)
        with suppress(av.FFmpegError):
            stamps.extend(frame.pts for frame in decode(whole_packets(container, stream)))
    return _ascending(stamps, _even(2, probe)[1])


def _ascending(stamps: Sequence[int | None], step: int) -> NDArray[np.int64]:
    """Continue with `step` where stamps are missing, or where a clock goes back and starts again."""
    times: list[int] = []
    shift = 0
    for pts in stamps:
        if not times:
            times.append(pts or 0)
            continue
        time = times[-1] + step if pts is None else pts + shift
        if time <= times[-1]:
            shift += times[-1] + step - time
            time = times[-1] + step
        times.append(time)
    return np.array(times, np.int64)


def _even(count: int, probe: StreamProbe) -> NDArray[np.int64]:
    step = 1 / (Fraction(probe.rates[0]).limit_denominator(100_000) * probe.time_base)
    return np.array([round(index * step) for index in range(count)], np.int64)
