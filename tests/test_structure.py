"""The shape of the code: layers, one importing place each, quick commands, and a clean check."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
SOURCES = sorted([*(ROOT / "harness").rglob("*.py"), *(ROOT / "plugins").rglob("*.py")])
OTHERS = sorted([*(ROOT / "tests").rglob("*.py"), *(ROOT / "scripts").rglob("*.py")])
TEXTS = [*SOURCES, *OTHERS, ROOT / "setup.py", ROOT / "pyproject.toml"]

LAYERS: tuple[tuple[str, ...], ...] = (
    ("harness", "harness.errors", "harness.progress"),
    (
        "harness.prompts",
        "harness.file_stamp",
        "harness.files",
        "harness.folders",
        "harness.parsing",
        "harness.user_key",
        "harness.signatures",
        "harness.metrics",
        "harness.matching",
        "harness.device",
    ),
    ("harness.execution",),
    ("harness.types",),
    ("harness.protocols",),
    ("harness.method", "harness.observer", "harness.parameters", "harness.file_parameter", "harness.hookspecs"),
    ("harness.registry", "harness.inner_method"),
    ("harness.metrics.table", "harness.datasets", "harness.backbones"),  # the table has metrics of plugins too
    ("harness.feature_cache", "harness.corpus"),
    ("harness.results",),
    ("harness.leaderboard",),
    ("harness.runner", "harness.verification"),
    ("harness.analysis", "harness.conformance", "harness.plots", "harness.site", "harness.hub"),
    ("harness.miniature", "harness.loggers"),  # plugins: what is below cannot import them
    ("harness.cli",),
    ("harness.api",),
    ("harness.__main__",),
)
"""From the ground up, package by package. A module imports from its own layer and those before it."""

PUBLIC = {
    "harness",
    "harness.types.discovery",
    "harness.types.images",
    "harness.types.paper",
    "harness.backbones.clip_templates",
    "harness.device",
    "harness.errors",
    "harness.hookspecs",
    "harness.inner_method",
    "harness.matching",
    "harness.method",
    "harness.metrics",
    "harness.metrics.replicates",
    "harness.observer",
    "harness.prompts",
    "harness.types.task",
    "harness.types.vocabulary",
}
"""What a plugin may import."""


def module_name(path: Path) -> str:
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


MODULES = {module_name(path): path for path in SOURCES}


@cache
def imports(path: Path) -> frozenset[str]:
    """Every module that a file imports when it runs; ``from package import module`` names the module.

    Imports inside of functions count. Those for type checkers alone do not: they are never executed, so they neither
    make a circle nor load anything. They are for signatures of modules that must start without torch.
    """
    package = module_name(path) if path.name == "__init__.py" else module_name(path).rpartition(".")[0]
    found: set[str] = set()
    for node in executed(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = node.module or ""
            if node.level:
                outer = package.rsplit(".", node.level - 1)[0] if node.level > 1 else package
                base = f"{outer}.{base}".rstrip(".")
            names = {f"{base}.{alias.name}" for alias in node.names}
            found.update(names & set(MODULES) or {base})
            found.update({base} if names - set(MODULES) else ())
        elif isinstance(node, ast.Call) and ast.unparse(node.func) == "importlib.import_module":
            found.update(str(a.value) for a in node.args if isinstance(a, ast.Constant))
    return frozenset(found)


def executed(tree: ast.AST) -> Iterator[ast.AST]:
    for node in ast.iter_child_nodes(tree):
        if not (isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING"):
            yield node
            yield from executed(node)


def within(name: str, package: str) -> bool:
    return name == package or name.startswith(f"{package}.")


def layer_of(module: str) -> int:
    """The layer of the longest entry that holds the module; the package ``harness`` itself is only itself."""
    fitting = [
        (len(entry), number)
        for number, layer in enumerate(LAYERS)
        for entry in layer
        if (module == entry if entry == "harness" else within(module, entry))
    ]
    assert fitting, f"{module} has no layer: write it into LAYERS"
    return max(fitting)[1]


def importers(package: str) -> set[str]:
    return {name for name, path in MODULES.items() if any(within(target, package) for target in imports(path))}


# -- layers ------------------------------------------------------------------------------------------------------------


def test_a_module_imports_from_its_own_layer_or_below() -> None:
    wrong = [
        f"{name} (layer {layer_of(name)}) imports {target} (layer {layer_of(target)})"
        for name, path in MODULES.items()
        if within(name, "harness")
        and name != "harness"  # its public names are imported from other modules when they are used
        for target in imports(path)
        if within(target, "harness") and layer_of(target) > layer_of(name)
    ]
    assert wrong == []


def test_no_modules_import_each_other_in_a_circle() -> None:
    graph = {name: imports(path) & set(MODULES) - {name, "harness"} for name, path in MODULES.items()}
    done: set[str] = set()

    def visit(name: str, trail: tuple[str, ...]) -> None:
        assert name not in trail, " -> ".join((*trail[trail.index(name) :], name))
        if name not in done:
            for target in graph[name]:
                visit(target, (*trail, name))
            done.add(name)

    for name in graph:
        visit(name, ())


def test_nothing_knows_the_miniature_but_its_package_and_the_command_that_draws_it() -> None:
    assert {name for name in importers("harness.miniature") if not within(name, "harness.miniature")} == {
        "harness.cli.data"
    }


def test_what_a_cell_is_computed_by_decides_its_key() -> None:
    """Whatever the computing modules import is part of the code digest, but for modules whose reason is written."""
    from harness.runner.code_versions import NEUTRAL, deciding_files

    deciding = {name for name, _ in deciding_files()}
    reached, todo = set(), ["harness.runner.judge", "harness.runner.run_cell", "harness.runner.plan"]
    while todo:
        name = todo.pop()
        if name in MODULES and name not in reached:
            reached.add(name)
            todo += imports(MODULES[name])
    assert {"harness.feature_cache.encode", "harness.backbones.openclip", "harness.results.predictions"} < reached
    package = ROOT / "harness"
    left_out = {name for name in reached if MODULES[name].relative_to(package).as_posix() not in deciding}
    allowed = ("harness.errors", "harness.progress", "harness.hookspecs", "harness.observer", "harness.registry")
    allowed += ("harness.corpus",)
    assert {name for name in left_out if not any(within(name, one) for one in allowed)} <= {"harness"}
    assert [entry for entry in NEUTRAL if not (package / entry).exists()] == []


def test_the_harness_never_imports_plugins() -> None:
    names = {name for name in importers("harness_plugins") | importers("plugins") if within(name, "harness")}
    assert names == set()


def test_plugins_import_the_public_harness_only() -> None:
    used = {
        (name, target)
        for name, path in MODULES.items()
        if within(name, "plugins")
        for target in imports(path)
        if within(target, "harness")
    }
    assert used, "no plugin imports the harness"
    assert {pair for pair in used if pair[1] not in PUBLIC} == set()


@pytest.mark.parametrize(
    ("library", "place"),
    [
        ("open_clip", "harness.backbones.openclip"),
        ("timm", "harness.backbones.timm_model"),
        ("rich", "harness.cli.console"),
        ("harness.matching._native", "harness.matching.native"),
        ("ray", "harness.execution.ray_cluster"),
    ],
)
def test_each_of_these_has_one_importing_place(library: str, place: str) -> None:
    assert importers(library) == {place}


def test_the_hub_is_read_in_one_place_and_written_in_another() -> None:
    assert importers("huggingface_hub") == {"harness.datasets.hub", "harness.hub.repository"}


def test_plugins_use_what_the_text_tower_promises() -> None:
    from harness.types.task import TextTower

    promised = set(TextTower.__annotations__) | {name for name in vars(TextTower) if not name.startswith("_")}
    used = {
        node.attr
        for path in (ROOT / "plugins").glob("*.py")
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Attribute) and node.value.attr == "text"
    }
    assert "encode" in used
    assert used <= promised


def test_only_the_command_line_imports_typer() -> None:
    assert {name for name in importers("typer") if not within(name, "harness.cli")} == set()


# -- entry points ------------------------------------------------------------------------------------------------------


def declared() -> dict[str, str]:
    """The entry points of pyproject.toml (Python 3.10 has no TOML reader)."""
    text = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    table = text.partition("[project.entry-points.harness]\n")[2].partition("\n[")[0]
    return dict(re.findall(r'^(\w+) = "([\w.]+)"', table, re.MULTILINE))


def test_every_plugin_file_has_an_entry_point() -> None:
    files = {path.stem for path in (ROOT / "plugins").glob("*.py") if not path.stem.startswith("_")}
    assert declared() == {name: f"harness_plugins.{name}" for name in files}


def test_every_entry_point_is_installed() -> None:
    from harness.registry import installed

    own = [entry.origin for entry in installed() if entry.origin.distribution == "laion-beyond-harness"]
    methods = {origin.name: origin.module for origin in own if origin.module.startswith("harness_plugins.")}
    assert methods == declared(), "reinstall: a new entry point is seen only then"


# -- quick commands ----------------------------------------------------------------------------------------------------


AT_ONCE = ("harness.registry", "harness.method", "harness.cli.main", "harness.cli.plugins", "harness.cli.run_report")


def test_what_answers_at_once_does_not_import_torch() -> None:
    code = (
        f"import importlib, sys\nfor name in {AT_ONCE}:\n    importlib.import_module(name)\n"
        "    print(name, *sorted({'torch', 'open_clip', 'scipy', 'sklearn'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines() == [*AT_ONCE]


def test_listing_plugins_does_not_import_torch() -> None:
    code = (
        "import sys\nfrom harness.registry import broken, names\n"
        "assert names('method') and not broken(); assert not {'torch', 'harness_plugins.fsnl'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


# -- sources -----------------------------------------------------------------------------------------------------------


def test_no_source_names_a_place_on_somebodys_machine() -> None:
    places = re.compile(r"""["'(\s=](/(?:tmp|home|root|work|mnt|Users)\b)""")
    found = [
        f"{path.relative_to(ROOT)}:{number}: {line.strip()}"
        for path in TEXTS
        if path != Path(__file__).resolve()
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), start=1)
        if places.search(line)
    ]
    assert found == []


def test_a_file_is_at_most_300_lines_long() -> None:
    long = {
        name: n for name, path in MODULES.items() if (n := len(path.read_text(encoding="utf-8").splitlines())) > 300
    }
    assert long == {}


def test_public_class_names_are_unique() -> None:
    modules: dict[str, list[str]] = {}
    for module, path in MODULES.items():
        for node in ast.parse(path.read_text(encoding="utf-8")).body:
            if isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
                modules.setdefault(node.name, []).append(module)
    assert modules, "no class was found"
    assert {name: where for name, where in modules.items() if len(where) > 1} == {}


READERS = {
    "harness.files": "the one place that opens files",
    "harness.file_parameter": "its own read_bytes and read_text go through harness.files",
    "harness.cli.bench": "a table of the package, and the description of the processor",
    "harness.execution.cgroups": "the kernel's own files",
    "harness.execution.peak_memory": "the kernel's own counters",
    "harness.execution.process_tree": "the kernel's own counters",
    "harness.user_key": "creates the key for one user's eyes",
    "harness.leaderboard.published": "tables of the package",
    "harness.loggers.files": "appends to a log that it began itself",
    "harness.matching.bench.measure": "the report of a benchmark that it ran itself",
    "harness.miniature": "a development tool, on files that it wrote itself",
    "harness.registry": "metadata of installed distributions, through importlib, and templates of the package",
    "harness.runner.array_files": "arrays that the run itself wrote, for its own processes",
    "harness.site.page": "templates of the package",
    "plugins._json_file": "a file parameter, which goes through harness.files",
    "plugins.cased": "a file parameter, which goes through harness.files",
}
"""Modules that call a function that opens files, with the reason."""

OPENS = re.compile(
    r"(io\.)?open\(.*|.*\.(read_text|read_bytes|fdopen|fromfile|memmap)\(.*|.*\.open\((['\"].*)?\)", re.DOTALL
)


def calls() -> Iterator[tuple[str, ast.Call]]:
    for name, path in MODULES.items():
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call):
                yield name, node


def test_files_are_opened_in_one_place() -> None:
    """A named pipe, a device or a file of any size may be in the place of any file: harness.files refuses them."""
    opening = {name for name, call in calls() if OPENS.fullmatch(ast.unparse(call))}
    assert {name for name in opening if not any(within(name, place) for place in READERS)} == set()
    assert {place for place in READERS if not any(within(name, place) for name in opening)} == set()


def test_output_is_printed_in_one_place() -> None:
    """Names and reasons come from files of others: harness.cli.console escapes what a terminal would obey."""
    printing = {name for name, call in calls() if ast.unparse(call.func) in {"print", "typer.echo", "sys.stderr.write"}}
    tools = {"harness.miniature.fingerprint", "harness.miniature.training"}
    assert printing == {"harness.cli.console", "harness.cli.main", *tools}  # main prints its version
