"""``harness evaluate``: options to a request, an outcome to a table or JSON."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import get_args

from harness.backbones.backbone import Precision
from harness.cli import console
from harness.cli.stdout import only_results
from harness.errors import UserError
from harness.leaderboard.settings import by_setting, by_shots
from harness.leaderboard.words import WORDS, short
from harness.protocols import PROTOCOLS, Protocol
from harness.runner.request import MethodChoice, Outcome, Request
from harness.types.leaderboard import Row, Stat

SHOWN = (
    *("oop_top1", "ip_top1", "h_mean", "joint_h_mean"),
    *("named_acc", "cluster_acc", "coverage", "matching_acc"),
    *("ip_cluster_acc", "oop_cluster_acc", "cluster_gap"),
)
"""Metrics that are worth a line."""

MOST = 10_000
"""Numbers of a range such as 1-3: more are a slip."""


def evaluate(
    plugin: str | None,
    domain: Sequence[str] | None,
    all_domains: bool,
    shots: str,
    seeds: str,
    protocol: str,
    manifests: Path | None,
    preset: str | None,
    param: Sequence[str] | None,
    baseline: str | None,
    data: Path | None,
    folder: Sequence[str] | None,
    backbone: str | None,
    pretrained: str | None,
    device: str,
    precision: str,
    compiled: bool,
    out: Path,
    cache: Path | None,
    workers: int,
    isolate: bool,
    cell_timeout: float | None,
    cell_memory: float | None,
    dry_run: bool,
    json: bool,
) -> int:
    """Run the command; returns the exit code: 0 done, 1 some cells failed."""
    if all_domains and domain:
        raise UserError("--domain and --all-domains exclude each other", "give one of them")
    if not all_domains and not domain:
        raise UserError("no domain is given", "use --all-domains, or --domain Animals")
    if precision not in get_args(Precision):
        raise UserError(f"no precision named {precision!r}", f"use one of {', '.join(get_args(Precision))}")
    _require_limits(isolate, cell_timeout, cell_memory)
    with only_results():  # `all` imports every plugin
        methods = _methods(plugin, preset, param or (), baseline, protocol)
    request = Request(
        methods=methods,
        domains=tuple(dict.fromkeys(split(",".join(domain)))) if domain else None,
        shots=numbers("--shots", shots),
        seeds=numbers("--seeds", seeds),
        protocol=protocol,
        manifests=manifests,
        data=data,
        folders=tuple(folder or ()),
        backbone=backbone,
        pretrained=pretrained,
        precision=precision,  # type: ignore[arg-type]
        compiled=compiled,
        device=device,
        out=out,
        cache=cache,
        workers=workers,
        isolate=isolate,
        cell_seconds=cell_timeout or Request.cell_seconds,
        cell_gib=cell_memory,
    )
    report = console.reporter()
    if dry_run:
        return _dry_run(request, report, json)
    from harness.runner.evaluate import evaluate as run

    with only_results():
        outcome = run(request, report)
    if json:
        print(outcome.leaderboard.text(), end="")
    else:
        _show(outcome)
    return 0 if outcome.whole else 1


def _require_limits(isolate: bool, timeout: float | None, memory: float | None) -> None:
    for option, value, unit in (("--cell-timeout", timeout, "seconds"), ("--cell-memory", memory, "GiB")):
        if value is not None and not isolate:
            raise UserError(f"{option} is a limit of a cell in a process of its own", "add --isolate")
        if value is not None and not value > 0:
            raise UserError(f"{option} is {value:g}", f"give {unit}, more than 0")


def _methods(
    plugin: str | None, preset: str | None, param: Sequence[str], baseline: str | None, protocol: str
) -> tuple[MethodChoice, ...]:
    from harness import registry

    rule = rule_of(protocol)
    names = list(rule.methods) if plugin is None else list(dict.fromkeys(split(plugin)))
    if "all" in names:
        names = sorted({*registry.load().methods, *names} - {"all"})
    if not names:
        raise UserError("--plugin names no method", "for example --plugin fsnl")
    values: dict[str, dict[str, str]] = {name: {} for name in names}
    for text in param:
        key, equals, value = text.partition("=")
        if not equals:
            raise UserError(f"--param {text} has no value", "write it as name=value, for example -p lr=0.002")
        method, dot, rest = key.partition(".")
        if dot and method not in values:
            raise UserError(
                f"--param {text} is for {method!r}, which is not evaluated", f"evaluated: {', '.join(names)}"
            )
        for name in [method] if dot else names:
            values[name][rest if dot else key] = value
    choices = [MethodChoice(name, preset, values[name]) for name in names]
    beside = rule.baseline or "none" if baseline is None else baseline
    if beside not in ("none", *names):
        choices.insert(0, MethodChoice(beside))
    return tuple(choices)


def rule_of(name: str) -> Protocol | type[Protocol]:
    """The protocol, also a plugin's; where there is none (draws from elsewhere, or a slip) what all have in common."""
    from harness import registry

    if name in PROTOCOLS:
        return PROTOCOLS[name]
    offered = registry.load((), {"harness_register_protocols"}).protocols
    return offered[name][0] if name in offered else Protocol


def split(text: str) -> list[str]:
    """The words of a list with commas."""
    return [part.strip() for part in text.split(",") if part.strip()]


def numbers(option: str, text: str) -> tuple[int, ...]:
    """The numbers of a list such as 1,2,4 or 1-3.

    Raises:
        UserError: it is none.
    """
    found: list[int] = []
    for part in split(text):
        match = re.fullmatch(r"(\d{1,18})(?:-(\d{1,18}))?", part)
        if match is None:
            raise UserError(f"{option} {text!r} is no list of numbers", f"for example {option} 1,2,4 or {option} 1-3")
        first, last = int(match[1]), int(match[2] or match[1])
        if not first <= last < first + MOST:
            raise UserError(f"{option} {part} is no range of 1 to {MOST:,} numbers", f"for example {option} 1-3")
        found += range(first, last + 1)
    if not found:
        raise UserError(f"{option} is empty", f"for example {option} 1,2,4")
    return tuple(dict.fromkeys(found))


def _dry_run(request: Request, report: console.BarReporter | console.LineReporter, json: bool) -> int:
    from harness.ledger import Ledger
    from harness.runner.plan import make_plan

    with only_results():
        plan = make_plan(request, report)
    known = Ledger(request.out).known(job.spec.key for job in plan.jobs)
    columns = ("method", "domain", "shots", "seed", "state", "cell")
    rows = [
        (s.method.name, s.domain, s.shots, s.seed, "known" if s.key in known else "to run", s.key)
        for s in (job.spec for job in plan.jobs)
    ]
    if json:
        console.document({"cells": [dict(zip(columns, row, strict=True)) for row in rows]})
        return 0
    lines = [(*map(str, row[:-1]), row[-1][:12]) for row in rows]
    console.out().print(console.table("", columns, lines, left=2))
    print(f"{len(rows)} cells: {len(known)} known, {len(rows) - len(known)} to run")
    return 0


def _show(outcome: Outcome) -> None:
    out, err = console.out(), console.err()
    for setting, its_rows in by_setting(outcome.leaderboard.rows).items():
        for shots, rows in by_shots(sorted(its_rows, key=lambda row: (row.shots, row.method))):
            domains = sorted({domain for row in rows for domain in row.domains})
            if out.width >= 34 + 12 * (len(domains) + 1):
                out.print(_wide(setting.title(shots), rows, domains))
            else:
                for row in rows:
                    out.print(_narrow(f"{setting.title(shots)}, {row.method}", row))
    out.print("percent, mean ± standard deviation over seeds", style="dim")
    _show_failures(outcome)
    err.print(f"{outcome.computed} cells computed, {outcome.reused} known; leaderboard: {outcome.file}", markup=False)


def _wide(title: str, rows: Sequence[Row], domains: Sequence[str]) -> object:
    lines = []
    for row in rows:
        shown = _shown(row)
        for metric, label in shown.items():
            cells = [_percent(row.domains.get(domain, {}).get(metric)) for domain in domains]
            name = row.method if metric == next(iter(shown)) else ""
            lines.append((name, label, *cells, _percent(row.mean.get(metric))))
    return console.table(title, ("method", "", *map(short, domains), "mean"), lines, left=2)


def _narrow(title: str, row: Row) -> object:
    shown = _shown(row)
    lines = [(d, *(_percent(row.domains[d].get(m)) for m in shown)) for d in row.domains]
    lines.append(("mean", *(_percent(row.mean.get(m)) for m in shown)))
    return console.table(title, ("domain", *shown.values()), lines)


def _shown(row: Row) -> dict[str, str]:
    """The metrics of a row that are worth a line, with their labels."""
    there = {metric for stats in row.domains.values() for metric in stats}
    return {metric: WORDS[metric].head for metric in SHOWN if metric in there} or {"oop_top1": WORDS["oop_top1"].head}


def _percent(stat: Stat | None) -> str:
    if stat is None:
        return "-"
    return f"{100 * stat.mean:.1f}" + (f" ±{100 * stat.std:.1f}" if stat.n > 1 else "")


def _show_failures(outcome: Outcome) -> None:
    err = console.err()
    for row in outcome.leaderboard.rows:
        for failure in row.failures:
            seed = "" if failure.seed is None else f", seed {failure.seed}"
            where = f"{row.method}, {row.shots} shots, {failure.domain}{seed}"
            err.print(f"{failure.kind}: {where}: {failure.reason}", style="red", markup=False)
    images = sorted(
        {path for row in outcome.leaderboard.rows for data in row.data.values() for path in data.unreadable}
    )
    if images:
        err.print(f"{len(images)} images could not be read and are not scored:", style="yellow")
        for path in images[:10]:
            err.print(f"  {outcome.unreadable.get(path, path)}", markup=False)
        if len(images) > 10:
            err.print(f"  and {len(images) - 10} more; the leaderboard file lists all")
