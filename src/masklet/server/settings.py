"""Settings of a server: folders, addresses, logins and limits."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from masklet.errors import ConfigError

API_BASE = "/api/v1"

LOOPBACK = frozenset({"127.0.0.1", "::1", "localhost"})


@dataclass(frozen=True, kw_only=True, slots=True)
class Limits:
    """Limits that keep one upload or one user from taking the whole machine."""

    max_bytes: int = 20 * 2**30
    """Bytes in one upload."""
    max_files: int = 20_000
    """Files in one upload."""
    max_pixels: int = 100_000_000
    """Pixels of one image or frame: width x height."""
    max_frames: int = 1_000_000
    """Frames of one video: about nine hours at 30 frames per second."""
    max_seconds: float = 6 * 3600.0
    """Duration of one video."""
    probe_seconds: float = 60.0
    """Time within which the probe of a file must finish."""
    max_objects: int = 1000
    """Objects in one medium."""
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
    live_streams: int = 4
    """Live streams at the same time."""
    login_days: float = 30.0
    """Days until a browser must log in again."""
    result_days: float = 7.0
    """Days until a finished export or rendering is removed."""

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
    stream_hosts: frozenset[str] = frozenset()
    """Hosts whose RTSP streams the server may open for users. None by default: a server that opens any address gives
    access to its network."""
    limits: Limits = field(default_factory=Limits)

    @property
    def database_url(self) -> str:
        return self.database or f"sqlite:///{(self.data / 'studio.db').resolve()}"

    @property
    def is_loopback(self) -> bool:
        return self.host in LOOPBACK
