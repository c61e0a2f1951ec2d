"""Settings of a server: folders, addresses, logins and limits."""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass, field
from pathlib import Path

from masklet.errors import ConfigError

API_BASE = "/api/v1"

LOOPBACK = frozenset({"127.0.0.1", "::1", "localhost"})


@dataclass(frozen=True, kw_only=True, slots=True)
class Limits:
    """Budgets that keep one request, one file or one user from taking the whole machine. See docs/guides/limits.md."""

    # Requests.
    max_url_bytes: int = 8 * 2**10
    """Bytes of an address with its query; longer ones are refused with 414."""
    max_json_bytes: int = 256 * 2**10
    """Bytes of a request's body, except for the next two; more are refused with 413, before they are read."""
    max_mask_bytes: int = 2 * 2**20
    """Bytes of a request that brings a mask: a drawn one, or one that the page has decoded."""
    max_login_bytes: int = 4 * 2**10
    """Bytes of a request from someone who has not logged in."""
    body_seconds: float = 60.0
    """Time within which a body that is no upload must arrive, and after which an upload that has stopped is dropped."""
    requests_per_user: int = 24
    """Requests of one user that are worked on at the same time; more are refused with 429."""
    connections: int = 1000
    """Open connections; more are refused with 503."""

    # Uploads.
    max_bytes: int = 20 * 2**30
    """Bytes in one upload."""
    max_files: int = 20_000
    """Files in one upload."""
    max_pixels: int = 50_000_000
    """Pixels of one image, page or slice: width x height."""
    max_video_pixels: int = 9_500_000
    """Pixels of one frame of a video: 4K. A decoder may have to keep seventeen frames, and the same number again if the
    video is tracked while it is looked at."""
    max_video_bytes: int = 450 * 2**20
    """Memory in which the first frames of a video must be decoded, where the system (Linux) tells it."""
    max_frames: int = 1_000_000
    """Frames of one video: about nine hours at 30 frames per second."""
    max_seconds: float = 6 * 3600.0
    """Duration of one video."""
    max_objects: int = 1000
    """Objects in one medium."""

    # Imports of annotations.
    import_bytes: int = 2**30
    """Bytes in one import, as sent."""
    import_unpacked_bytes: int = 2 * 2**30
    """Bytes of the files of one import, with all .zip files unpacked."""
    import_files: int = 20_000
    """Files in one import, with all .zip files unpacked."""
    import_masks: int = 200_000
    """Masks in one import."""
    import_seconds: float = 300.0
    """Time within which an import must be read."""

    # Processes that check uploads and read imports.
    processes: int = 2
    """Processes at the same time."""
    queued_checks: int = 64
    """Uploads and imports that are checked or wait for it; more are refused with 503."""
    checks_per_user: int = 8
    """The same for one user; more are refused with 429."""
    process_bytes: int = 2**30
    """Memory of one process, beyond its libraries."""
    process_file_bytes: int = 2 * 2**30
    """Size of each file that a process writes."""
    probe_seconds: float = 60.0
    """Time within which the probe of a file must finish."""

    # Jobs and open media.
    queued_jobs: int = 32
    """Waiting jobs of all users together; more are refused with 503."""
    jobs_per_user: int = 8
    """Waiting and running jobs per user; more are refused with 429."""
    open_media: int = 8
    """Media with a tracker in memory; the one idle for longest is closed first."""
    idle_seconds: float = 900.0
    """Idle time after which an open medium is closed and its memory freed."""
    frame_cache_bytes: int = 256 * 2**20
    """Memory for decoded frames of all open media together."""
    jpeg_cache_bytes: int = 2 * 2**30
    """Disk space for JPEGs of frames."""
    spare_bytes: int = 256 * 2**20
    """Free space of the data folder below which the server says that it is not ready."""

    # Live streams.
    live_streams: int = 4
    """Live streams at the same time."""
    live_streams_per_user: int = 2
    """The same for one user."""
    live_idle_seconds: float = 30.0
    """Time without a frame after which a live stream is closed; other messages do not keep it open."""
    live_pixels: int = 8_300_000
    """Pixels of a live frame as it is sent: 4K."""
    live_message_bytes: int = 8 * 2**20
    """Bytes of one message of a live stream: a frame. Text is bounded by `max_json_bytes`."""

    # Answers.
    answer_masks: int = 40_000
    """Masks in one answer: 40 frames of 1,000 objects."""
    answer_mask_bytes: int = 32 * 2**20
    """Bytes of run-length codes in one answer with masks."""

    # Logins and what is kept.
    logins_per_minute: int = 10
    """Wrong tokens per minute from one address before it must wait; attempts that are under way count."""
    login_days: float = 30.0
    """Days until a browser must log in again."""
    result_days: float = 7.0
    """Days until a finished export or rendering is removed."""
    trash_days: float = 30.0
    """Days until a medium in the trash is deleted for good."""

    def __post_init__(self) -> None:
        for name in self.__slots__:
            value = getattr(self, name)
            if not value > 0:
                raise ConfigError(f"{name} must be above 0, got {value!r}")


@dataclass(frozen=True, kw_only=True, slots=True)
class Settings:
    """Settings of one server."""

    data: Path
    """Folder of all data: the database, uploads, masks, results."""
    database: str = ""
    """SQLAlchemy address of a database other than the one in `data`, such as postgresql+psycopg://user@host/name."""
    host: str = "127.0.0.1"
    port: int = 8100
    needs_login: bool = False
    """True if every request needs a token or a login; otherwise everyone who reaches the server is the local user."""
    allowed_hosts: frozenset[str] = frozenset()
    """Host names by which browsers may reach the server, besides this machine's own; if empty and a login is required,
    any name."""
    is_https: bool = False
    """True behind an HTTPS proxy: cookies are then sent over HTTPS only."""
    proxies: frozenset[str] = frozenset()
    """Addresses of proxies whose X-Forwarded-For and X-Forwarded-Proto headers are believed. None by default: anybody
    can write these headers, and logins are limited by address."""
    stream_hosts: frozenset[str] = frozenset()
    """Hosts whose RTSP streams the server may open for users. None by default: a server that opens any address gives
    access to its network."""
    limits: Limits = field(default_factory=Limits)

    def __post_init__(self) -> None:
        for proxy in self.proxies:
            _check_network(proxy)

    @property
    def database_url(self) -> str:
        return self.database or f"sqlite:///{(self.data / 'studio.db').resolve()}"

    @property
    def is_loopback(self) -> bool:
        return self.host in LOOPBACK


def _check_network(proxy: str) -> None:
    try:
        ipaddress.ip_network(proxy)
    except ValueError as error:
        raise ConfigError(
            f"proxy must be an address such as 127.0.0.1 or a network such as 10.0.0.0/8, got {proxy!r}"
        ) from error
