"""Plugins: what works is offered, what is broken is named with its reason and stops nobody else."""

from __future__ import annotations

import dataclasses
import sys
from collections.abc import Callable
from importlib.metadata import EntryPoint
from pathlib import Path
from types import ModuleType
from typing import ClassVar

import pytest

from harness.errors import PluginError
from harness.method import Method
from harness.registry import entry_points
from harness.registry.entry_points import Broken, Origin, Registry, code_digest, collect
from harness.registry.listing import describe, suspects

GOOD = '''
from dataclasses import dataclass
from harness.hookspecs import hookimpl
from harness.method import Method

@dataclass
class Good(Method):
    """Does well."""

    def fit(self, task):
        return self

    def scores(self, image, vocabulary):
        return image

@hookimpl
def harness_register_methods(register):
    register("NAME", Good)
'''


def good(name: str = "good") -> str:
    return GOOD.replace("NAME", name)


def field(line: str) -> str:
    """A method with one more line in its class."""
    return good().replace("    def fit", f"    {line}\n\n    def fit", 1)


Collect = Callable[..., Registry]
Plugin = Callable[..., tuple[Origin, EntryPoint]]


@pytest.fixture
def plugin(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Plugin:
    """Writes a module and gives its entry point, as from a distribution ``acme-<name>`` of version 0.3."""
    folder = tmp_path / "site"
    folder.mkdir()
    monkeypatch.syspath_prepend(str(folder))
    before = set(sys.modules)

    def write(name: str, code: str, value: str | None = None, point: str | None = None) -> tuple[Origin, EntryPoint]:
        path = folder / f"{name.replace('.', '/')}.py"
        path.parent.mkdir(exist_ok=True)
        path.write_text(code)
        return Origin(point or name, name, f"acme-{name}", "0.3"), EntryPoint(point or name, value or name, "harness")

    yield write  # type: ignore[misc]
    for module in set(sys.modules) - before:
        if getattr(sys.modules[module], "__file__", None) and str(folder) in str(sys.modules[module].__file__):
            del sys.modules[module]


def reason(plugin: Plugin, code: str) -> str:
    """Why a plugin is broken; a good one beside it always works."""
    bad = plugin("unit_bad", code)
    found = collect([bad, plugin("unit_good", good())])
    assert list(found.methods) == ["good"]
    (broken,) = found.broken
    assert broken.source == bad[0]
    assert str(broken) == f"plugin 'unit_bad' (acme-unit_bad 0.3) {broken.reason}"
    return broken.reason


def test_a_good_plugin_is_offered_with_its_origin(plugin: Plugin) -> None:
    source, point = plugin("unit_good", good())
    found = collect([(source, point)])
    assert found.broken == []
    entry = found.get("good")
    assert entry.source == source
    assert issubclass(entry.method, Method)


@pytest.mark.parametrize(
    ("code", "why"),
    [
        ("import not_there_at_all", "failed to import: No module named 'not_there_at_all'"),
        ("raise SystemExit('no licence')", "failed to import: SystemExit: no licence"),
        ("1 / 0", "failed to import: ZeroDivisionError: division by zero (unit_bad.py:1 in <module>)"),
        ("def broken(", "failed to import: SyntaxError: "),
        (good().replace("methods(register)", "method(register)"), "failed to register: PluginValidationError: "),
        (good().replace("methods(register)", "methods(register, extra)"), "failed to register: PluginValidationError"),
        (good().replace("    register(", "    1 / 0\n    register("), "failed to register: ZeroDivisionError"),
        (good().replace("    register(", "    raise SystemExit\n    register("), "failed to register: SystemExit"),
        (good("Good"), "offers a method named 'Good'; names are lower case with underscores"),
        (good("tip-adapter"), "offers a method named 'tip-adapter'"),
        (good("9lives"), "offers a method named '9lives'"),
        (good("ab\\n"), "offers a method named 'ab\\n'"),
        (good().replace('"good"', "7"), "offers a method named 7"),
        (good().replace("class Good(Method)", "class Good"), "offers 'good', which is not a subclass of"),
        (good().replace(", Good)", ", Good())"), "offers 'good', which is not a subclass of"),
        (good().replace("    def scores", "    def score"), "offers 'good', which does not implement scores"),
        (good().replace("@dataclass", ""), "offers 'good', which is not a dataclass"),
        (good().replace("@hookimpl", ""), "defines harness_register_methods, which must be marked with @hookimpl"),
        ("", "offers no method"),
        (good("bad") + '    register("bad", Good)\n', "offers the method 'bad' twice"),
        (field("x: int"), "offers 'good', which cannot be used: good cannot be created: TypeError: "),
        (field("x: 'Gone' = 1"), "offers 'good', which cannot be used: good cannot be created: NameError: "),
        (
            field("x: object = print"),
            "offers 'good', which cannot be used: good: its parameters cannot be kept as",
        ),
        (field("needs = 'support'"), "offers 'good', which cannot be used: good.needs is 'support'"),
        (field("views: int = 0"), "offers 'good', which cannot be used: good.views is 0"),
        (field("crop: float = 0"), "offers 'good', which cannot be used: good.crop is 0"),
        (field("pool: str = 'all'"), "offers 'good', which cannot be used: good.pool is 'all'"),
        (field("presets = ['paper']"), "offers 'good', which cannot be used: good.presets is ['paper']"),
        (field("known_failures = ()"), "offers 'good', which cannot be used: good.known_failures is ()"),
    ],
)
def test_a_broken_plugin_is_named_with_its_reason(plugin: Plugin, code: str, why: str) -> None:
    assert reason(plugin, code).startswith(why)


def test_ctrl_c_during_an_import_is_no_broken_plugin(plugin: Plugin) -> None:
    with pytest.raises(KeyboardInterrupt):
        collect([plugin("unit_bad", "raise KeyboardInterrupt")])


def test_a_name_that_two_distributions_offer_is_nobodys(plugin: Plugin) -> None:
    found = collect([plugin("unit_one", good("same")), plugin("unit_two", good("same")), plugin("unit_three", good())])
    assert list(found.methods) == ["good"]
    assert [str(b) for b in found.broken] == [
        "plugin 'unit_one' (acme-unit_one 0.3) offers the method 'same', "
        "which plugin 'unit_two' (acme-unit_two 0.3) offers too",
        "plugin 'unit_two' (acme-unit_two 0.3) offers the method 'same', "
        "which plugin 'unit_one' (acme-unit_one 0.3) offers too",
    ]
    with pytest.raises(PluginError, match="offers the method 'same'"):
        found.get("same")


def test_a_missing_method_is_told_with_the_nearest_or_the_culprit(plugin: Plugin) -> None:
    found = collect([plugin("unit_good", good("tip_adapter")), plugin("unit_bad", "1 / 0")])
    with pytest.raises(PluginError, match="no method named 'tip_adaptor'") as error:
        found.get("tip_adaptor")
    assert error.value.hint == "did you mean tip_adapter?"
    with pytest.raises(PluginError, match=r"plugin 'unit_bad' \(acme-unit_bad 0.3\) failed to import"):
        found.get("unit_bad")
    with pytest.raises(PluginError) as error:
        found.get("xyzzy")
    assert error.value.hint == "installed: tip_adapter"
    assert Registry(broken=[Broken(Origin("a", "a", "a", "1"), "is broken")]).methods == {}


# -- entry points ------------------------------------------------------------------------------------------------------


class Acme:
    """An installed distribution."""

    metadata: ClassVar = {"Name": "acme", "Version": "0.3"}

    def __init__(self, *points: EntryPoint) -> None:
        self.entry_points = points


def offer(monkeypatch: pytest.MonkeyPatch, *points: tuple[Origin, EntryPoint]) -> None:
    """Let these be all that is installed."""
    monkeypatch.setattr(entry_points, "distributions", lambda: [Acme(*(point for _, point in points))])


def test_listing_imports_nothing(plugin: Plugin, monkeypatch: pytest.MonkeyPatch) -> None:
    points = [plugin(name, "1 / 0")[1] for name in ("unit_b", "unit_a")]
    monkeypatch.setattr(entry_points, "distributions", lambda: [Acme(*points), Acme(*points)])  # installed twice
    assert [source for source, _ in entry_points.installed()] == [
        Origin("unit_a", "unit_a", "acme", "0.3"),
        Origin("unit_b", "unit_b", "acme", "0.3"),
    ]
    assert not {"unit_a", "unit_b"} & set(sys.modules)


def test_only_what_is_wanted_is_imported(plugin: Plugin, monkeypatch: pytest.MonkeyPatch) -> None:
    offer(monkeypatch, plugin("unit_good", good("unit_good")), plugin("unit_bad", "1 / 0"))
    found = entry_points.load(["unit_good"])
    assert (list(found.methods), found.broken) == (["unit_good"], [])
    assert len(entry_points.load(["unit_good", "other"]).broken) == 1
    assert len(entry_points.load().broken) == 1


RULE = """
from harness.hookspecs import hookimpl
from harness.protocols import CleanV1

@hookimpl
def harness_register_protocols(register):
    register(CleanV1("unit-rule"))
"""


@pytest.mark.parametrize(
    "line",
    [
        "from unit_rule import harness_register_protocols",
        "from unit_rule import *",
        "import unit_rule\nharness_register_protocols = unit_rule.harness_register_protocols",
    ],
)
def test_a_hook_that_another_module_defines_is_found(
    plugin: Plugin, monkeypatch: pytest.MonkeyPatch, line: str
) -> None:
    plugin("unit_rule", RULE)
    offer(monkeypatch, plugin("unit_good", good("unit_good")), plugin("unit_pack", line))
    assert list(entry_points.load(["unit_good"]).protocols) == []
    assert list(entry_points.load(["unit_good"], {"harness_register_protocols"}).protocols) == ["unit-rule"]
    found = entry_points.find_protocol("unit-rule")
    assert found is not None
    assert (found[0].id, found[1].partition(" ")[0]) == ("unit-rule", "acme")


ELSEWHERE = {
    "by name": "from unit_rule import harness_register_protocols",
    "by another name": "from unit_other_rule import rules as harness_register_protocols",
    "all": "from unit_rule import *",
    "by assignment": "import unit_rule\nharness_register_protocols = unit_rule.harness_register_protocols",
    "in a branch": "if True:\n    from unit_rule import harness_register_protocols",
    "in no way that is seen": "import unit_rule\nglobals().update(vars(unit_rule))",
}
"""How a plugin takes a hook from another module -> its source."""


@pytest.mark.parametrize("how", ELSEWHERE)
def test_whoever_offers_a_protocol_is_found(plugin: Plugin, monkeypatch: pytest.MonkeyPatch, how: str) -> None:
    plugin("unit_rule", RULE)
    plugin("unit_other_rule", RULE.replace("def harness_register_protocols", "def rules"))
    offer(monkeypatch, plugin("unit_good", good("unit_good")), plugin("unit_pack", ELSEWHERE[how]))
    found = entry_points.find_protocol("unit-rule")
    assert found is not None
    assert entry_points.find_protocol("unit-ruler") is None


def test_what_a_plugin_takes_from_other_modules_is_described_as_its_own(plugin: Plugin) -> None:
    plugin("unit_lab.methods", good("unit_near").replace("Does well", "Lies elsewhere"))
    plugin("unit_lab.deeper.rule", RULE)
    plugin("unit_lab.deeper.__init__", "from ..unit.rule import *")
    pack = (
        "from ..unit.methods import harness_register_methods\nfrom unit_lab.deeper import harness_register_protocols\n"
    )
    source, _ = plugin("unit_lab.__init__", pack)
    lines = describe(dataclasses.replace(source, module="unit_lab"))
    assert [(line.kind, line.name, line.summary) for line in lines] == [
        ("method", "unit_near", "Lies elsewhere."),
        ("protocol", "?", "?"),
    ]
    assert "unit_lab" not in sys.modules


def test_modules_that_take_hooks_from_each_other_are_no_endless_search(plugin: Plugin) -> None:
    plugin("unit_a", "from unit_b import *\nfrom ...tests import harness_register_methods")
    source, _ = plugin("unit_b", "from unit_a import *")
    assert [(line.kind, line.name) for line in describe(source)] == [("method", "?")]


LOOP = good().replace(
    'register("good", Good)', 'for name in ("unit_" + "good", "other"):\n        register(name, Good)'
)


def test_a_plugin_that_does_not_spell_its_names_takes_none_from_another(
    plugin: Plugin, monkeypatch: pytest.MonkeyPatch
) -> None:
    offer(monkeypatch, plugin("unit_plain", good("unit_good")), plugin("unit_loop", LOOP), plugin("unit_bad", "1 / 0"))
    found = entry_points.load(["unit_good"])
    assert sorted(str(culprit) for culprit in found.broken) == [
        "plugin 'unit_loop' (acme 0.3) offers the method 'unit_good', which plugin 'unit_plain' (acme 0.3) offers too",
        "plugin 'unit_plain' (acme 0.3) offers the method 'unit_good', which plugin 'unit_loop' (acme 0.3) offers too",
    ]
    with pytest.raises(PluginError, match="offers the method 'unit_good'"):
        found.get("unit_good")
    only_other = entry_points.load(["other"])
    assert "other" in only_other.methods
    assert "unit_bad" not in {culprit.source.name for culprit in only_other.broken}, "there was no need to import it"


NAMED = "Metadata-Version: 2.1\nName: acme\nVersion: 0.3\n"

DAMAGED = {
    "no metadata": ("[harness]\nodd = odd\n", None, ("odd", "odd", "unknown", "unknown")),
    "no name": ("[harness]\nodd = odd\n", "Version: 0.3\n", ("odd", "odd", "unknown", "0.3")),
    "no module": ("[harness]\nodd = no module!\n", NAMED, ("odd", "", "acme", "0.3")),
    "no value": ("[harness]\nodd\n", NAMED, ("acme", "", "acme", "0.3")),
    "no text": ("\xff[harness]\nodd = odd\n", NAMED, None),
    "of another group": ("[others]\nodd\n", NAMED, None),
}
"""Fault -> entry points, metadata, and how the plugin is shown."""


@pytest.mark.parametrize("fault", DAMAGED)
def test_a_damaged_record_of_a_distribution_stops_nobody_else(
    fault: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    points, metadata, shown = DAMAGED[fault]
    before = entry_points.installed()
    info = tmp_path / "acme-0.3.dist-info"
    info.mkdir()
    (info / "entry_points.txt").write_text(points, encoding="latin-1")
    if metadata is not None:
        (info / "METADATA").write_text(metadata)
    monkeypatch.syspath_prepend(str(tmp_path))
    more = [source for source, _ in set(entry_points.installed()) - set(before)]
    assert more == ([Origin(*shown)] if shown else [])
    names = {culprit.source for culprit in suspects(more)}
    assert names == {culprit.source for culprit in entry_points.load().broken} == set(more)


def test_an_entry_point_may_name_an_object_in_a_module(plugin: Plugin, monkeypatch: pytest.MonkeyPatch) -> None:
    code = good() + "\nclass Holder:\n    harness_register_methods = staticmethod(harness_register_methods)\n"
    offer(monkeypatch, plugin("unit_good", code, value="unit_good:Holder"))
    ((source, _),) = entry_points.installed()
    assert source.module == "unit_good"
    assert len(code_digest(source)) == 64
    assert [line.name for line in describe(source)] == ["good"]
    assert list(entry_points.load().methods) == ["good"]


def test_the_installed_plugins_work() -> None:
    found = entry_points.load()
    assert found.broken == []
    assert {"zero_shot", "fsnl"} <= set(found.methods)


# -- code --------------------------------------------------------------------------------------------------------------


def test_a_plugin_whose_code_cannot_be_digested_is_left_out_with_the_reason(
    plugin: Plugin, monkeypatch: pytest.MonkeyPatch
) -> None:
    gone, point = plugin("unit_bad", good("bad"))
    (Path(sys.path[0]) / "unit_bad.py").rename(Path(sys.path[0]) / "unit_bad.pyc")
    module = ModuleType("unit_bad")
    exec(good("bad"), vars(module))
    monkeypatch.setitem(sys.modules, "unit_bad", module)
    found = collect([(gone, point), plugin("unit_good", good())])
    assert list(found.methods) == ["good"]
    (broken,) = found.broken
    assert str(broken).startswith("plugin 'unit_bad' (acme-unit_bad 0.3) has code that cannot be read, so that no edit")


# -- the catalogue -----------------------------------------------------------------------------------------------------


def test_the_catalogue_agrees_with_what_is_registered() -> None:
    found = entry_points.load()
    described = {line.name: line for source, _ in entry_points.installed() for line in describe(source)}
    assert set(described) == set(found.methods)
    for name, line in described.items():
        method = found.methods[name].method
        assert line.needs == (", ".join(method.needs.declared()) or "names only")
        assert line.summary == (method.__doc__ or "").partition("\n")[0]
        assert line.paper == method.paper
        assert (line.plugin, line.module) == (found.methods[name].source.name, method.__module__)


def described(plugin: Plugin, code: str, name: str = "unit_good") -> tuple[str, str, str, str]:
    (line,) = describe(plugin(name, code)[0])
    return line.name, line.needs, line.summary, line.paper


@pytest.mark.parametrize(
    ("body", "needs", "paper"),
    [
        ("", "names only", ""),
        ("    needs = Needs()\n    paper = 'A'\n", "names only", "A"),
        ("    needs = Needs(support=True, captions=False)\n", "support", ""),
        ("    needs: ClassVar[Needs] = task.Needs(support=True, captions=True)\n", "support, captions", ""),
        ("    needs: ClassVar[Needs]\n    paper: ClassVar[str] = 'A'\n", "names only", "A"),
        ("    needs = Needs(True)\n", "?", ""),
        ("    needs = Needs(**ALL)\n", "?", ""),
        ("    needs = Needs(support=WANTED)\n    paper = WHERE\n", "?", "?"),
        ("    needs = OTHER\n", "?", ""),
    ],
)
def test_needs_and_paper_are_read_from_the_source(plugin: Plugin, body: str, needs: str, paper: str) -> None:
    code = good().replace('    """Does well."""\n', f'    """Does well.\n\n    More.\n    """\n\n{body}')
    assert described(plugin, code) == ("good", needs, "Does well.", paper)


def test_what_is_inherited_is_not_guessed(plugin: Plugin) -> None:
    assert described(plugin, good().replace("Good(Method)", "Good(Better)")) == ("good", "?", "Does well.", "?")
    assert described(plugin, good().replace("Good(Method)", "Good(method.Method)"))[1] == "names only"


@pytest.mark.parametrize("code", ["", "def broken(", "\0"])
def test_what_the_source_does_not_spell_out_is_a_question_mark(plugin: Plugin, code: str) -> None:
    assert described(plugin, code) == ("unit_good", "?", "?", "?")


def test_a_name_or_a_class_that_is_computed_is_not_guessed(plugin: Plugin) -> None:
    assert described(plugin, good().replace('"good"', "name()")) == ("?", "names only", "Does well.", "")
    assert described(plugin, good().replace(", Good)", ", make())")) == ("good", "?", "?", "?")


def test_a_class_from_elsewhere_is_named_but_not_described(plugin: Plugin) -> None:
    code = "from x import Good\n\n@hookimpl\ndef harness_register_methods(register):\n    register('good', Good)\n"
    assert described(plugin, code) == ("good", "?", "?", "?")


@pytest.mark.parametrize("package", ["1 / 0", "raise SystemExit", "import torch_is_not_needed"])
def test_describing_imports_not_even_the_package_around(plugin: Plugin, package: str) -> None:
    plugin("unit_around.__init__", package)
    assert described(plugin, good(), "unit_around.inner")[0] == "good"
    assert "unit_around" not in sys.modules


def test_a_module_that_is_not_there_is_a_question_mark() -> None:
    for module in ("unit_not_there", "unit_not_there.inner", "json.not_there", "math.inner", "__main__.x"):
        (line,) = describe(Origin("a", module, "acme", "1"))
        assert (line.name, line.needs) == ("a", "?")
