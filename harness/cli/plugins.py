"""``harness plugins``: what is installed, read without importing it; ``new`` writes a plugin, ``check`` tests one."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from harness.cli.options import Json, path

app = typer.Typer(help="List, write or check plugins.", invoke_without_command=True)


@app.callback()
def main(
    context: typer.Context,
    json: Json = False,
    strict: Annotated[bool, typer.Option("--strict", help="Import all; exit code 1 if one is broken.")] = False,
) -> int | None:
    """List what is installed and what it needs; `new` writes a plugin, `check` tests one."""
    return plugins(json, strict) if context.invoked_subcommand is None else None


def plugins(json: bool, strict: bool) -> int:
    """List what plugins offer, and what is wrong with them as far as their sources and their last imports tell.

    With ``strict`` every plugin is imported, which finds all faults, and 1 is returned if there is one.
    """
    from harness.cli import console
    from harness.cli.stdout import only_results
    from harness.registry import entry_points
    from harness.registry.failures import recall, remember
    from harness.registry.listing import describe, suspects

    sources = [source for source, _ in entry_points.installed()]
    described = [line for source in sources for line in describe(source)]
    if strict:
        with only_results():
            found = entry_points.load()
        remember(found)
        broken = found.broken
    else:
        broken = suspects(sources)
        broken += recall(source for source in sources if source not in {culprit.source for culprit in broken})
    failed = 1 if strict and broken else 0
    if json:
        document = {
            "plugins": [line.__dict__ for line in described],
            "broken": [{**b.source.__dict__, "reason": b.reason} for b in broken],
        }
        console.document(document)
        return failed
    rows = [(d.name, d.kind, d.needs, d.distribution, d.version, d.paper, d.summary) for d in described]
    columns = ("name", "kind", "needs", "distribution", "version", "paper", "what it is")
    console.out().print(console.table("", columns, rows, left=len(columns)))
    for culprit in broken:
        console.err().print(f"broken: {culprit}", style="red", markup=False)
    return failed


@app.command()
def new(
    name: Annotated[str, typer.Argument(help="Of the method and of its package, e.g. my_method.")],
    into: Annotated[
        Path, typer.Option("--into", parser=path, help="Folder to write it into.", show_default="here")
    ] = Path(),
) -> int:
    """Write an installable package with one method, its tests and a README."""
    from harness.registry.scaffold import write_package

    folder = write_package(name, into)
    print(f"{folder} is written; go on with", f"  pip install -e {folder}", sep="\n")
    print(f"  harness plugins check {name}", f"  harness evaluate --plugin {name} --all-domains", sep="\n")
    return 0


@app.command()
def check(name: Annotated[str, typer.Argument(help="A method that is installed.")], json: Json = False) -> int:
    """Test whether a method keeps its contract; exit code 1 if it does not."""
    from harness.cli import console
    from harness.cli.stdout import only_results
    from harness.registry import entry_points

    with only_results():
        from harness.conformance import check_method

        found = entry_points.load([name])
        entry = found.get(name)
        results = list(check_method(name, entry.method, console.reporter()))
    for intrusion in found.intrusions:
        console.err().print(str(intrusion), style="yellow", markup=False)
    failed = sum(result.state == "failed" for result in results)
    if json:
        document = {"method": name, "plugin": entry.source.__dict__, "checks": [r.__dict__ for r in results]}
        console.document(document)
    else:
        rows = [(r.check.replace("_", " "), r.state, ": ".join(filter(None, (r.message, r.hint)))) for r in results]
        console.out().print(
            console.table(f"{name}, {entry.source}", ("check", "state", "what to change"), rows, left=3)
        )
        console.err().print(f"{name}: {len(results) - failed} of {len(results)} checks passed", markup=False)
    return 1 if failed else 0
