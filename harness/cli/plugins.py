"""``harness plugins`` lists plugins without importing them; ``show`` describes, ``new`` writes, ``check`` tests one."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from harness.cli.options import Json, path

app = typer.Typer(help="List, describe, write or check plugins.", invoke_without_command=True)


@app.callback()
def main(
    context: typer.Context,
    json: Json = False,
    strict: Annotated[bool, typer.Option("--strict", help="Import all; exit code 1 if one is broken.")] = False,
) -> int | None:
    """List what is installed; `show` describes one plugin, `new` writes one, `check` tests one."""
    return plugins(json, strict) if context.invoked_subcommand is None else None


def plugins(json: bool, strict: bool) -> int:
    """List the plugins that are installed, and those that are broken as far as metadata show.

    With ``strict`` every plugin is imported, which finds all faults, and 1 is returned if there is one.
    """
    from harness import registry
    from harness.cli import console

    entries, broken = registry.installed(), _broken() if strict else registry.broken()
    failed = 1 if strict and broken else 0
    if json:
        listed = [{"name": e.origin.name, "kind": e.kind, **e.origin.__dict__} for e in entries]
        console.document(
            {
                "plugins": listed,
                "broken": [{"kind": b.kind, **b.origin.__dict__, "reason": b.reason} for b in broken],
            }
        )
        return failed
    columns = ("name", "kind", "distribution")
    rows = [(e.origin.name, e.kind, f"{e.origin.distribution} {e.origin.version}") for e in entries]
    console.out().print(console.table("", columns, rows, left=len(columns)))
    console.err().print("harness plugins show NAME  # what it is, needs and takes", markup=False)
    for culprit in broken:
        console.err().print(f"broken: {culprit}", style="red", markup=False)
    return failed


def _broken() -> list[Any]:
    """The plugins that do not load, and the distributions that may offer some."""
    from harness import registry
    from harness.cli.stdout import only_results
    from harness.registry.entry_points import GROUPS

    with only_results():
        return [*registry.damaged(), *(culprit for kind in GROUPS for culprit in registry.load_all(kind)[1])]


@app.command()
def show(name: Annotated[str, typer.Argument(help="A plugin that is installed.")], json: Json = False) -> int:
    """Describe a plugin: summary, needs, parameters with their meaning, presets, paper, origin."""
    from harness import registry
    from harness.cli import console
    from harness.cli.stdout import only_results
    from harness.registry.entry_points import GROUPS

    with only_results():
        from harness.registry.describe import describe

        kinds = [kind for kind in GROUPS if registry.offers(kind, name)] or ["method"]
        found = [(kind, registry.load(kind, name)) for kind in kinds]
        described = [describe(kind, plugin) for kind, plugin in found]
    for _, plugin in found:
        _warn(plugin)
    if json:
        console.document({"plugins": described})
        return 0
    for number, content in enumerate(described):
        console.lines(*([""] if number else []), *_lines(content))
    return 0


def _lines(content: dict[str, Any]) -> list[str]:
    """A description as text, one paragraph for each part."""
    from harness.parameters import format_value

    code, module = content["code"][:12], content["module"]
    lines = [f"{content['name']} ({content['kind']}, {content['distribution']} {content['version']})", ""]
    lines += [*content["description"].splitlines(), ""]
    skip = {"name", "kind", "summary", "description", "distribution", "version", "module", "code"}
    for key, value in content.items():
        if key == "parameters":
            lines.append("parameters:" if value else "parameters: none")
            for one in value:
                lines.append(f"  {one['name']} = {format_value(one['default'])}  ({one['type']})")
                lines += [f"      {line}" for line in one["meaning"].splitlines()]
        elif key == "presets":
            lines.append("presets:" if value else "presets: none")
            for preset, values in value.items():
                lines.append(
                    f"  {preset}: " + (", ".join(f"{k}={format_value(v)}" for k, v in values.items()) or "the defaults")
                )
        elif key not in skip:
            text = ", ".join(map(str, value)) if isinstance(value, list) else format_value(value)
            lines.append(f"{key.replace('_', ' ')}: {text or 'none'}")
    return [*lines, f"module: {module}, code {code}"]


@app.command()
def new(
    name: Annotated[str, typer.Argument(help="Of the method and of its package, e.g. my_method.")],
    into: Annotated[
        Path, typer.Option("--into", parser=path, help="Folder to write it into.", show_default="here")
    ] = Path(),
) -> int:
    """Write an installable package with one method, its tests and a README."""
    from harness.cli import console
    from harness.registry.scaffold import write_package

    folder = write_package(name, into)
    console.lines(f"{folder} is written; continue with", f"  pip install -e {folder}")
    console.lines(f"  harness plugins check {name}", f"  harness evaluate --plugin {name} --all-domains")
    return 0


@app.command()
def check(name: Annotated[str, typer.Argument(help="A method that is installed.")], json: Json = False) -> int:
    """Test whether a method keeps its contract; exit code 1 if it does not."""
    from harness import registry
    from harness.cli import console
    from harness.cli.stdout import only_results

    with only_results():
        from harness.conformance import check_method

        plugin = registry.load("method", name)
        results = list(check_method(name, plugin.value, console.reporter()))
    _warn(plugin)
    failed = sum(result.state == "failed" for result in results)
    if json:
        document = {"method": name, "plugin": plugin.origin.__dict__, "checks": [r.__dict__ for r in results]}
        console.document(document)
    else:
        rows = [(r.check.replace("_", " "), r.state, ": ".join(filter(None, (r.message, r.hint)))) for r in results]
        title = f"{name}, {plugin.origin}"
        console.out().print(console.table(title, ("check", "state", "what to change"), rows, left=3))
        console.err().print(f"{name}: {len(results) - failed} of {len(results)} checks passed", markup=False)
    return 1 if failed else 0


def _warn(plugin: Any) -> None:
    from harness.cli import console

    if plugin.warning:
        console.err().print(plugin.warning, style="yellow", markup=False)
