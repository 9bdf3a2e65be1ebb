"""What `/metrics` says, read by Prometheus's own parser."""

from __future__ import annotations

import urllib.request

from prometheus_client.parser import text_string_to_metric_families


class Scraped:
    """The samples of one scrape."""

    def __init__(self, text: str) -> None:
        self._samples = {
            (one.name, frozenset(one.labels.items())): one.value
            for family in text_string_to_metric_families(text)
            for one in family.samples
        }

    @classmethod
    def of(cls, url: str) -> Scraped:
        """From a process."""
        with urllib.request.urlopen(f"{url}/metrics", timeout=10) as answer:
            return cls(answer.read().decode())

    @property
    def names(self) -> set[str]:
        return {name for name, _ in self._samples}

    def get(self, name: str, **labels: str) -> float | None:
        return self._samples.get((name, frozenset(labels.items())))

    def value(self, name: str, **labels: str) -> float:
        found = self.get(name, **labels)
        assert found is not None, (name, labels)
        return found

    def sum(self, name: str, **labels: str) -> float:
        """Of all samples with these labels, whatever others they have."""
        return sum(
            value
            for (one, has), value in self._samples.items()
            if one == name and labels.items() <= dict(has).items()
        )
