"""The few-shot draws that ``harness manifest export`` writes; nothing is run."""

from __future__ import annotations

from collections.abc import Iterator

from harness.datasets.digests import open_index
from harness.datasets.domain import DomainReader
from harness.datasets.read_domains import domain_names, read_domains
from harness.folders import cache_root
from harness.progress import Reporter
from harness.runner.data_source import find_data
from harness.runner.request import Request
from harness.runner.resolve_plugins import resolve_protocol
from harness.runner.run_draws import FewShotDraws
from harness.types.manifest import Manifest


def draws(request: Request, report: Reporter) -> Iterator[Manifest]:
    """The draws that a run of the request would use; they do not depend on its methods and backbone.

    Raises:
        HarnessError: unknown names, or data that cannot be read.
    """
    made = FewShotDraws(request.protocol, resolve_protocol(request, report))
    dataset = find_data(request, report).open(request, report)
    index = open_index(cache_root(request.cache))
    reader = DomainReader(dataset, index, request.workers, made.protocol)
    domains, _ = read_domains(reader, domain_names(dataset, request.domains), report)
    for domain in domains.values():
        for shots in request.shots:
            for seed in request.seeds:
                yield made.of(domain, shots, seed).manifest
