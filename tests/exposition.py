# SPDX-License-Identifier: Apache-2.0
"""A page of metrics as Prometheus reads it."""

from __future__ import annotations

import urllib.request

from prometheus_client.parser import text_string_to_metric_families

Series = dict[str, float]
"""Value by name and labels, written as in PromQL."""

_HERE = urllib.request.build_opener(urllib.request.ProxyHandler({}))


def parse(page: str) -> Series:
    """Read a page; the process's own figures are left out."""
    samples = [sample for family in text_string_to_metric_families(page) for sample in family.samples]
    return {_spell(sample.name, sample.labels): sample.value for sample in samples if sample.name.startswith("nas_")}


def scrape(address: str) -> Series:
    """Fetch a page from HOST:PORT."""
    with _HERE.open(f"http://{address}/metrics", timeout=20) as response:
        return parse(response.read().decode())


def _spell(name: str, labels: dict[str, str]) -> str:
    inside = ",".join(f'{label}="{value}"' for label, value in sorted(labels.items()))
    return f"{name}{{{inside}}}" if inside else name
