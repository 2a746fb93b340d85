"""Choose the backbone of a run and fetch its weights."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from harness.backbones import backbone as backbones
from harness.backbones.find import find
from harness.backbones.found import Found
from harness.datasets.digests import DigestIndex
from harness.datasets.image_bytes import large_file_digest
from harness.errors import DataError
from harness.hookspecs import BackboneOffer
from harness.progress import Reporter
from harness.registry import Plugin
from harness.runner.data_source import DataSource
from harness.runner.request import Request
from harness.runner.resolve_plugins import resolve_backbone

DEFAULT_BACKBONE = ("ViT-B-16", "laion400m_e32")
"""The paper's backbone, used unless the data name another one."""


@dataclass(frozen=True)
class ChosenBackbone:
    """A backbone that was found by its name, and the plugin that offers it, if one does."""

    found: Found
    plugin: Plugin[BackboneOffer] | None


def choose_backbone(request: Request, source: DataSource, report: Reporter) -> ChosenBackbone:
    """The requested backbone, or the default of the data; its weights are not fetched yet.

    Raises:
        HarnessError: there is none of that name, or its plugin is broken.
    """
    name, pretrained = request.backbone, request.pretrained
    if name is None and source.offer is not None:
        name = source.offer.backbone
    if name is None:
        name, pretrained = DEFAULT_BACKBONE[0], pretrained or DEFAULT_BACKBONE[1]
    plugin = resolve_backbone(name, report)
    offer = plugin.value if plugin else None
    return ChosenBackbone(find(name, pretrained, request.preprocessing, offer), plugin)


def fetch_backbone(found: Found, request: Request, index: DigestIndex, report: Reporter) -> backbones.ResolvedBackbone:
    """The backbone with its weights file and its record.

    Raises:
        HarnessError: the weights are not available.
    """

    def digest(path: Path) -> str:
        (found,) = index.digests([path], workers=1, digest_of=large_file_digest)
        if isinstance(found, DataError):
            raise found
        return found

    resolved = backbones.resolve(found, request.precision, digest, request.compiled)
    if found.source == "unchecked":
        taken = found.preprocessing.summary
        report.note(
            f"{resolved.weights.name} does not say how images are prepared: assuming {taken} (see --preprocessing)"
        )
    return resolved
