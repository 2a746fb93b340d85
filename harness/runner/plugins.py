"""Resolve what a run asks plugins for: its methods, and the protocol and the backbone that come from plugins."""

from __future__ import annotations

from dataclasses import replace

from harness import protocols
from harness.backbones.find import known
from harness.method import Method, build, parameters
from harness.miniature import model as miniature
from harness.parameters import require_file_paths
from harness.progress import Reporter
from harness.registry import entry_points
from harness.registry.failures import remember
from harness.runner.request import MethodChoice, Request
from harness.types.cell import MethodRecord


def plugins_of(request: Request, report: Reporter) -> entry_points.Registry:
    """The plugins that a run needs: no other is imported."""
    hooks = {"harness_cell_finished"}
    if request.protocol not in protocols.PROTOCOLS:
        hooks.add("harness_register_protocols")
    if request.backbone not in (None, miniature.NAME):
        hooks.add("harness_register_backbones")
    found = entry_points.load(None if request.all_plugins else [choice.name for choice in request.methods], hooks)
    if not _offers(found, request):
        found = entry_points.load()
    remember(found, request.cache)
    for name in (request.protocol, request.backbone or ""):
        if name not in {**protocols.PROTOCOLS, **found.protocols, **found.backbones}:
            found.blame(name)
    for culprit in found.broken:
        report.note(f"left out: {culprit}")
    for intrusion in found.intrusions:
        report.note(str(intrusion))
    return found


def _offers(found: entry_points.Registry, request: Request) -> bool:
    """Whether somebody offers the protocol and the backbone, so that no other plugin needs to be asked."""
    protocol = request.manifests is not None or request.protocol in {**protocols.PROTOCOLS, **found.protocols}
    backbone = request.backbone is None or request.backbone in found.backbones or known(request.backbone)
    return protocol and backbone


def resolve_methods(
    choices: tuple[MethodChoice, ...], protocol: protocols.Protocol, found: entry_points.Registry
) -> list[tuple[MethodRecord, Method, dict[str, str]]]:
    """Each method with its record, and the versions of what its distribution requires."""
    made = []
    for choice in choices:
        entry = found.get(choice.name)
        preset = choice.preset or (protocol.preset if protocol.preset in entry.method.presets else None)
        method = build(choice.name, entry.method, preset, choice.parameters)
        if protocol.scoring != "names" and "pool" in parameters(method):
            method = replace(method, pool="test-unlabeled")  # type: ignore[type-var]  # what the protocol gives
        require_file_paths(choice.name, parameters(method))
        record = MethodRecord(
            name=choice.name,
            distribution=entry.source.distribution,
            version=entry.source.version,
            code=entry_points.code_digest(entry.source),
            parameters=parameters(method),
            needs=method.needs.declared(),
            seeded=method.seeded,
            pool=method.pool if method.needs.unlabeled else None,
        )
        made.append((record, method, entry_points.requirements(entry.source)))
    return made


def offered_versions(found: entry_points.Registry, protocol: str, backbone: str) -> dict[str, str]:
    """The plugins behind a protocol or a backbone, with their code and what they require: numbers depend on it."""
    sources = {
        f"protocol {protocol}": found.protocols.get(protocol, (None, None))[1],
        f"backbone {backbone}": found.backbones.get(backbone, (None, None))[1],
    }
    offered: dict[str, str] = {}
    for what, source in sources.items():
        if source is not None:
            offered[what] = source.edition
            offered |= entry_points.requirements(source)
    return offered
