"""FewShotDraws without a run: what ``harness manifest export`` writes."""

from __future__ import annotations

from collections.abc import Iterator

from harness.datasets.digests import DigestIndex
from harness.datasets.layout import open_dataset
from harness.datasets.load_data import domain_names, miniature_data, read_domains
from harness.files import cache_root
from harness.progress import Reporter
from harness.runner.draws import FewShotDraws
from harness.runner.plan import require_valid
from harness.runner.plugins import resolve_protocol
from harness.runner.request import Request
from harness.types.manifest import Manifest


def draws(request: Request, report: Reporter) -> Iterator[Manifest]:
    """The draws that a run would rest on; its methods and backbone play no part.

    Raises:
        HarnessError: unknown names, or data that cannot be read.
    """
    require_valid(request)
    protocol_plugin = resolve_protocol(request, report)
    made = FewShotDraws(request.protocol, {protocol_plugin.name: protocol_plugin.value} if protocol_plugin else {})
    cache = cache_root(request.cache)
    data = request.data.expanduser() if request.data is not None else miniature_data(cache, report, request.workers)
    dataset = open_dataset(data, request.folders)
    names = domain_names(dataset, request.domains)
    domains, _ = read_domains(
        dataset, names, request.workers, DigestIndex(cache / "digests.sqlite"), report, made.protocol
    )
    for domain in domains.values():
        for shots in request.shots:
            for seed in request.seeds:
                yield made.of(domain, shots, seed)
