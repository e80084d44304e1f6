"""`[http]`: health for whoever watches, metrics for Prometheus."""

import logging
from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass

from aiohttp import web
from prometheus_client import CollectorRegistry
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.core import Metric as Family
from prometheus_client.exposition import CONTENT_TYPE_LATEST, generate_latest
from prometheus_client.registry import Collector

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Metric:
    """One value. Those of one name differ in their labels, and stand together."""

    name: str
    help: str
    value: float
    labels: tuple[tuple[str, str], ...] = ()
    counts: bool = False
    """It only grows."""


class Web:
    """`GET /health`: 200 if all works, else 503, with each part's state. `GET /metrics`: the Prometheus text format."""

    def __init__(self, health: Callable[[], Awaitable[Mapping[str, bool]]], metrics: Callable[[], Iterable[Metric]]) -> None:
        self._health = health
        self._registry = CollectorRegistry()
        self._registry.register(_Collector(metrics))
        application = web.Application()
        application.router.add_get("/health", self._get_health)
        application.router.add_get("/metrics", self._get_metrics)
        self._runner = web.AppRunner(application, access_log=None)

    async def start(self, host: str, port: int) -> None:
        """Raises OSError: the address can't be listened on."""
        await self._runner.setup()
        await web.TCPSite(self._runner, host, port).start()
        log.info("http.listening host=%s port=%d", host, port)

    async def stop(self) -> None:
        await self._runner.cleanup()

    async def _get_health(self, _request: web.Request) -> web.Response:
        parts = await self._health()
        return web.json_response({"healthy": all(parts.values()), "parts": dict(parts)}, status=200 if all(parts.values()) else 503)

    async def _get_metrics(self, _request: web.Request) -> web.Response:
        return web.Response(body=generate_latest(self._registry), headers={"Content-Type": CONTENT_TYPE_LATEST})


class _Collector(Collector):
    def __init__(self, metrics: Callable[[], Iterable[Metric]]) -> None:
        self._metrics = metrics

    def collect(self) -> Iterable[Family]:
        families: dict[str, CounterMetricFamily | GaugeMetricFamily] = {}
        for metric in self._metrics():
            kind = CounterMetricFamily if metric.counts else GaugeMetricFamily
            family = families.setdefault(metric.name, kind(metric.name, metric.help, labels=[name for name, _ in metric.labels]))
            family.add_metric([value for _, value in metric.labels], metric.value)
        return families.values()
