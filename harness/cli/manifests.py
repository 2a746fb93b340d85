"""``harness manifest ...``: export and import few-shot draws."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from harness.cli.options import CORES, Cache, Data, Domains, Folders, Seeds, Shots, Workers, path

app = typer.Typer(help="Export and import few-shot draws.", no_args_is_help=True)

Out = Annotated[Path, typer.Option("--out", "-o", parser=path, help="Folder of manifests.")]


@app.command()
def export(
    out: Out,
    domain: Domains = None,
    shots: Shots = ["1,2,4,8,16"],  # noqa: B006 - typer hands out copies
    seeds: Seeds = ["1-3"],  # noqa: B006 - typer hands out copies
    protocol: Annotated[str, typer.Option("--protocol", help="clean-v1 or paper-2025.")] = "clean-v1",
    data: Data = None,
    folder: Folders = None,
    cache: Cache = None,
    workers: Workers = CORES,
) -> int:
    """Draw few-shot images and write the manifests, named by sha256; needs no model."""
    from harness.cli import console
    from harness.cli.option_values import numbers, split
    from harness.errors import UserError
    from harness.progress import pluralize
    from harness.protocols import manifests
    from harness.runner.choose_methods import rule_of
    from harness.runner.export_draws import draws
    from harness.runner.request import Request

    if rule_of(protocol).scoring != "names":
        raise UserError(f"{protocol} draws nothing", "use clean-v1 or paper-2025")
    request = Request(
        methods=(),
        domains=tuple(split(domain)) or None,
        shots=numbers("--shots", shots),
        seeds=numbers("--seeds", seeds),
        protocol=protocol,
        data=data,
        folders=tuple(folder or ()),
        cache=cache,
        workers=workers,
    )
    written = [manifests.write(out, manifest) for manifest in draws(request, console.reporter())]
    console.lines(f"{pluralize(len(written), 'draws')} in {out}")
    return 0


@app.command("import")
def take_over(
    files: Annotated[list[Path], typer.Argument(parser=path, help="Manifest files of any name.")],
    out: Out,
) -> int:
    """Validate manifests and copy them into a folder, named by sha256, for `evaluate --manifests`."""
    from harness.cli import console
    from harness.protocols import manifests

    for manifest in [manifests.read(file) for file in files]:
        path = manifests.write(out, manifest)
        console.lines(f"{manifest.title}, {manifest.protocol}: {path}")
    return 0
