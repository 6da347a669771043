"""What the service counts, for Prometheus."""

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

_BATCHES = (1, 2, 4, 8, 16, 32, 64, 128, 256)


class Metrics:
    """Counters of one service, in a registry of their own."""

    def __init__(self) -> None:
        self._registry = registry = CollectorRegistry()
        self._seconds = Histogram(
            "bitcodes_request_seconds",
            "Time of requests by what they asked for and by status",
            ["route", "status"],
            registry=registry,
            buckets=(0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 10),
        )
        self.batches = Histogram(
            "bitcodes_batch_size",
            "Searches in a scan, and images in a batch of the encoder",
            ["kind"],
            registry=registry,
            buckets=_BATCHES,
        )
        self.waiting = Gauge(
            "bitcodes_waiting", "Searches and images that wait", ["kind"], registry=registry
        )
        self.codes = Gauge("bitcodes_codes", "Codes of a set", ["set"], registry=registry)
        self.reopened = Counter(
            "bitcodes_reopened", "How often a set was opened again", ["set"], registry=registry
        )

        self._parts: dict[tuple[str, int], Histogram] = {}

    def observe(self, route: str, status: int, seconds: float) -> None:
        """Count a request."""
        part = self._parts.get((route, status))
        if part is None:
            part = self._parts[route, status] = self._seconds.labels(route, str(status))
        part.observe(seconds)

    def text(self) -> bytes:
        """All values as Prometheus reads them."""
        return generate_latest(self._registry)
