"""Metrics for Prometheus: requests and their durations, open media, jobs."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from prometheus_client import CollectorRegistry, Counter, Histogram, PlatformCollector, ProcessCollector
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.exposition import generate_latest
from prometheus_client.registry import Collector

if TYPE_CHECKING:
    from masklet.server.studio import StudioState

BUCKETS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)


class Metrics:
    """Counters of one server."""

    def __init__(self, studio: StudioState) -> None:
        self._registry = CollectorRegistry()
        ProcessCollector(registry=self._registry)
        PlatformCollector(registry=self._registry)
        self._registry.register(_Gauges(studio))
        self.requests = Histogram(
            "masklet_request_seconds",
            "Duration of requests, by route and status",
            ("method", "route", "status"),
            buckets=BUCKETS,
            registry=self._registry,
        )
        self.frames = Counter("masklet_tracked_frames", "Frames that were tracked", registry=self._registry)

    def text(self) -> bytes:
        return generate_latest(self._registry)


class _Gauges(Collector):
    """Current numbers of open media and jobs."""

    def __init__(self, studio: StudioState) -> None:
        self._studio = studio

    def describe(self) -> Iterable[Metric]:
        return []

    def collect(self) -> Iterable[Metric]:
        studio = self._studio
        yield GaugeMetricFamily("masklet_open_media", "Media with a workspace in memory", len(studio.workspaces))
        yield GaugeMetricFamily("masklet_jobs_queued", "Jobs waiting", studio.jobs.num_queued)
        yield GaugeMetricFamily("masklet_jobs_running", "Jobs running", studio.jobs.num_running)
        ended = GaugeMetricFamily("masklet_jobs_ended", "Jobs ended since the start", labels=("kind", "state"))
        for (kind, state), count in list(studio.jobs.num_ended.items()):
            ended.add_metric((kind, state), count)
        yield ended
