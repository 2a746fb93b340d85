"""Plugins: what works is offered, what is broken is named with its reason and stops nobody else."""

from __future__ import annotations

import sys
import zipfile
from pathlib import Path
from typing import Any

import pytest

from harness import registry
from harness.errors import PluginError
from harness.method import CONTRACT, Method
from harness.registry import Origin, broken, find, installed, load, load_all, loading, names, offers

from ..third_party.installed import install

GOOD = '''
from dataclasses import dataclass
from harness.hookspecs import hookimpl
from harness.method import Method

@dataclass
class Good(Method):
    """Does well."""

    def fit(self, task):
        return self

    def scores(self, images, vocabulary):
        return images.features[:, 0]

@hookimpl
def harness_method():
    return Good
'''


def field(line: str) -> str:
    """A method with one more line in its class."""
    return GOOD.replace("    def fit", f"    {line}\n\n    def fit", 1)


def unusable(site: Path, code: str) -> str:
    """Why a method ``odd`` does not load; a good one is not affected."""
    install(site, "odd", code, distribution="acme", version="0.3")
    install(site, "good", GOOD)
    assert load("method", "good").value.__name__ == "Good"
    with pytest.raises(PluginError) as error:
        load("method", "odd")
    start = "plugin 'odd' (acme 0.3) "
    assert error.value.message.startswith(start)
    _, culprits = load_all("method")
    assert [str(culprit) for culprit in culprits] == [error.value.message]
    return error.value.message.removeprefix(start)


# -- names, without importing ------------------------------------------------------------------------------------------


def test_names_and_origins_come_from_metadata_alone(site: Path) -> None:
    before = names("method")
    install(site, "unit_odd", "1 / 0", name="odd", distribution="acme", version="0.3")
    install(site, "unit_even", "1 / 0", name="even", kind="protocol", distribution="acme", version="0.3")
    assert set(names("method")) == {*before, "odd"}
    assert names("method") == tuple(sorted(names("method")))
    assert names("protocol") == ("even",)
    assert offers("method", "odd")
    assert not offers("backbone", "odd")
    (entry,) = (entry for entry in installed() if entry.origin.name == "odd")
    assert (entry.kind, entry.origin) == ("method", Origin("odd", "unit_odd", "acme", "0.3"))
    assert broken() == []
    assert not {"unit_odd", "unit_even"} & set(sys.modules)


def test_a_distribution_that_is_installed_twice_counts_once(site: Path, tmp_path: Path, monkeypatch: Any) -> None:
    for place in (site, tmp_path / "below"):
        install(place, "odd", GOOD, distribution="Acme.Odd" if place == site else "acme_odd")
    monkeypatch.setattr(sys, "path", [*sys.path, str(tmp_path / "below")])
    assert [str(e.origin) for e in installed() if e.origin.name == "odd"] == ["plugin 'odd' (Acme.Odd 1.0)"]
    assert load("method", "odd").origin.distribution == "Acme.Odd"


def test_a_package_that_is_not_there_is_seen_without_an_import(site: Path) -> None:
    install(site, "lab.inner", GOOD, name="inner", distribution="acme")
    install(site, "lab.__init__", "raise SystemExit", name="package", distribution="acme")
    install(site, "lab.gone", None, name="gone", distribution="acme")
    install(site, "unit_nowhere.inner", None, name="nowhere", distribution="acme")
    reasons = {culprit.origin.name: culprit.reason for culprit in broken()}
    assert reasons == {"nowhere": "failed to import: No module named 'unit_nowhere'"}
    assert "lab" not in sys.modules


@pytest.mark.parametrize(
    ("kind", "name"), [("method", "Good"), ("method", "9lives"), ("protocol", "First!"), ("dataset", "My Data")]
)
def test_a_name_that_no_option_could_take_is_a_fault(site: Path, kind: Any, name: str) -> None:
    install(site, "odd", GOOD, name=name, kind=kind)
    reason = "has a name that is not lower case letters, digits, '_' and '-'"
    assert [(culprit.kind, culprit.reason) for culprit in broken()] == [(kind, reason)]
    assert name not in names(kind)
    with pytest.raises(PluginError) as error:
        load(kind, name)
    assert error.value.message == f"plugin {name!r} (zoo-odd 1.0) {reason}"


NAMED = b"Metadata-Version: 2.1\nName: acme\nVersion: 0.3\n"
POINTS = b"[harness]\nodd = odd\n"
ODD = Origin("odd", "odd", "acme", "0.3")

DAMAGED = "has damaged metadata: it states no name and version"
DOUBTFUL = {
    "no metadata": None,
    "empty metadata": b"",
    "binary metadata": bytes(range(256)),
    "no name": b"Version: 0.4\n",
    "a name of two words": b"Name: a b\nVersion: 1\n",
}
"""Fault -> metadata."""

UNREADABLE = {
    "bad bytes": (
        b"[harness]\nodd = \xff\n",
        "UnicodeDecodeError: 'utf-8' codec can't decode byte 0xff",
    ),
    "two bytes a letter": (POINTS.decode().encode("utf-16"), "UnicodeDecodeError: 'utf-8' codec can't decode byte"),
    "no value": (b"[harness]\nodd\n", ""),
    "no value of another group": (b"[others]\nodd\n", ""),
    "no module": (b"[harness]\nodd = no module!\n", ""),
}
"""Fault -> entry points, and the beginning of the reason; '' where it depends on the version of Python."""


def write_record(site: Path, points: bytes | None, metadata: bytes | None) -> Path:
    """The metadata of a distribution ``acme``; None for a file that is not there."""
    info = site / "acme-0.3.dist-info"
    info.mkdir()
    for name, content in {"entry_points.txt": points, "METADATA": metadata}.items():
        if content is not None:
            (info / name).write_bytes(content)
    return info


def others_work(before: tuple[str, ...]) -> None:
    assert {"zero_shot", "fsnl"} <= set(before) == set(names("method"))
    assert {plugin.name for plugin in load_all("method")[0]} == set(before)
    for name in ("zero_shot", "fsnl"):  # not from the cache
        assert loading._loaded.__wrapped__(find("method", name)) == load("method", name)


@pytest.mark.parametrize("fault", DOUBTFUL)
def test_a_plugin_of_a_damaged_record_is_named_and_stops_nobody_else(fault: str, site: Path) -> None:
    before = names("method")
    write_record(site, POINTS, DOUBTFUL[fault])
    (culprit,) = broken()
    assert (culprit.kind, culprit.origin, culprit.reason) == ("method", ODD, DAMAGED)
    assert load_all("method")[1] == [culprit]
    with pytest.raises(PluginError) as error:
        load("method", "odd")
    assert error.value.message == f"plugin 'odd' (acme 0.3) {culprit.reason}"
    others_work(before)


@pytest.mark.parametrize("metadata", [NAMED, b"", None], ids=["named", "empty", "missing"])
@pytest.mark.parametrize("fault", UNREADABLE)
def test_a_distribution_whose_entry_points_cannot_be_read_is_named(
    fault: str, metadata: bytes | None, site: Path
) -> None:
    points, reason = UNREADABLE[fault]
    before = names("method")
    write_record(site, points, metadata)
    sentence = "distribution acme 0.3 has damaged metadata: entry_points.txt cannot be read: "
    (culprit,) = broken()
    assert str(culprit).startswith(sentence + reason)
    with pytest.raises(PluginError, match="no method named 'odd'") as error:
        load("method", "odd")
    assert sentence in str(error.value.hint)
    others_work(before)


def test_metadata_that_are_one_file_offer_nothing(site: Path) -> None:
    (site / "acme-0.3.egg-info").write_bytes(NAMED)  # as distutils and distributions of Linux leave them
    assert broken() == []


@pytest.mark.parametrize("points", [b"[others]\nodd = odd\n", b"# only a comment\n", b"", None])
def test_a_record_that_offers_us_nothing_is_not_judged(points: bytes | None, site: Path) -> None:
    write_record(site, points, b"")
    assert broken() == []


# -- clashes -----------------------------------------------------------------------------------------------------------


def test_a_name_that_two_distributions_offer_is_nobodys(site: Path) -> None:
    for module in ("one", "two"):
        install(site, f"unit_{module}", GOOD, name="same", distribution=f"acme-{module}")
    install(site, "good", GOOD)
    assert "same" not in names("method")
    assert "good" in names("method")
    assert [str(culprit) for culprit in broken()] == [
        "plugin 'same' (acme-one 1.0) offers the method 'same', which plugin 'same' (acme-two 1.0) offers too",
        "plugin 'same' (acme-two 1.0) offers the method 'same', which plugin 'same' (acme-one 1.0) offers too",
    ]
    with pytest.raises(PluginError, match=r"acme-one 1.0\) offers the method 'same', which plugin 'same' \(acme-two"):
        load("method", "same")
    assert not {"unit_one", "unit_two"} & set(sys.modules)


def test_things_of_two_kinds_may_have_one_name(site: Path) -> None:
    install(site, "unit_one", GOOD, name="same")
    install(site, "unit_two", "1 / 0", name="same", kind="dataset")
    assert (broken(), load("method", "same").name) == ([], "same")


def test_the_harness_keeps_its_names(site: Path) -> None:
    install(site, "thief", GOOD, name="zero_shot", distribution="acme")
    (culprit,) = broken()
    assert culprit.origin.distribution == "acme"
    assert "which plugin 'zero_shot' (laion-beyond-harness " in culprit.reason
    plugin = load("method", "zero_shot")
    assert (plugin.value.__name__, plugin.origin.distribution) == ("ZeroShot", "laion-beyond-harness")
    assert "thief" not in sys.modules


# -- loading -----------------------------------------------------------------------------------------------------------


def test_only_the_named_plugin_is_imported(site: Path) -> None:
    install(site, "good", GOOD)
    install(site, "odd", "1 / 0")
    plugin = load("method", "good")
    assert issubclass(plugin.value, Method)
    assert (plugin.name, plugin.origin, plugin.changed, plugin.warning) == (
        "good",
        Origin("good", "good", "zoo-good", "1.0"),
        (),
        "",
    )
    assert "odd" not in sys.modules


def test_an_unknown_name_is_an_error_with_the_nearest_or_all_names(site: Path) -> None:
    with pytest.raises(PluginError, match="no method named 'tip_adaptor'") as error:
        load("method", "tip_adaptor")
    assert error.value.hint == "did you mean tip_adapter?"
    with pytest.raises(PluginError, match="no dataset named 'xyzzy'") as error:
        load("dataset", "xyzzy")
    assert error.value.hint == f"known: {', '.join(names('dataset')) or 'none'}"
    with pytest.raises(PluginError, match="no protocol named 'clean-v2'") as error:
        load("protocol", "clean-v2")
    assert error.value.hint == "did you mean clean-v1?"


def test_a_name_of_another_kind_says_which(site: Path) -> None:
    install(site, "my_metric", GOOD, kind="metric")
    install(site, "unit_both", GOOD, name="both", kind="metric")
    install(site, "unit_both", GOOD, name="both", kind="observer")
    with pytest.raises(PluginError) as error:
        load("method", "my_metric")
    assert error.value.message == "no method named 'my_metric': the plugin of that name is of kind metric"
    assert error.value.hint == "`harness plugins show my_metric` describes it"
    with pytest.raises(PluginError, match=r"no backbone named 'both': .* is of kind metric and observer"):
        load("backbone", "both")


@pytest.mark.parametrize(
    ("code", "why"),
    [
        ("import not_there_at_all", "failed to import: No module named 'not_there_at_all'"),
        ("raise SystemExit('no licence')", "failed to import: SystemExit: no licence"),
        ("1 / 0", "failed to import: ZeroDivisionError: division by zero (odd.py:1 in <module>)"),
        ("def broken(", "failed to import: SyntaxError: "),
        (
            GOOD.replace("method()", "methd()"),
            "implements harness_methd, not harness_method; hooks are marked with @hookimpl",
        ),
        (GOOD.replace("harness_method()", "unlike()"), "implements unlike, not harness_method"),
        (GOOD.replace("method()", "method(extra)"), "failed to register: PluginValidationError: "),
        (GOOD.replace("    return Good", "    1 / 0"), "failed in harness_method: ZeroDivisionError: division by zero"),
        (GOOD.replace("    return Good", "    raise SystemExit"), "failed in harness_method: SystemExit"),
        (GOOD.replace("class Good(Method)", "class Good"), "offers <class 'odd.Good'>, which is not a subclass of"),
        (GOOD.replace("return Good", "return Good()"), "offers Good(), which is not a subclass of"),
        (GOOD.replace("return Good", "return"), "offers None, which is not a subclass of harness.method.Method"),
        (GOOD.replace("    def scores", "    def score"), "offers Good, which does not implement scores"),
        (GOOD.replace("@dataclass", ""), "offers Good, which is not a dataclass"),
        (GOOD.replace("@hookimpl", ""), "implements no hook, not harness_method; hooks are marked"),
        ("", "implements no hook, not harness_method"),
        (field("x: int"), "offers Good, which cannot be used: odd cannot be created: TypeError: "),
        (field("x: 'Gone' = 1"), "offers Good, which cannot be used: odd cannot be created: NameError: "),
        (field("x: object = print"), "offers Good, which cannot be used: odd: its parameters cannot be stored as"),
        (field("needs = 'support'"), "offers Good, which cannot be used: odd.needs is 'support'"),
        (field("views: int = 0"), "offers Good, which cannot be used: odd.views is 0"),
        (field("crop: float = 0"), "offers Good, which cannot be used: odd.crop is 0"),
        (field("pool: str = 'all'"), "offers Good, which cannot be used: odd.pool is 'all'"),
        (field("presets = ['paper']"), "offers Good, which cannot be used: odd.presets is ['paper']"),
        (field("known_failures = ()"), "offers Good, which cannot be used: odd.known_failures is ()"),
    ],
)
def test_a_broken_plugin_is_named_with_its_reason(site: Path, code: str, why: str) -> None:
    assert unusable(site, code).startswith(why)


@pytest.mark.parametrize("number", [CONTRACT - 1, "x", 9])
def test_a_plugin_of_another_contract_is_refused(site: Path, number: object) -> None:
    sentence = f"was made for plugin contract {number}, and this harness has contract {CONTRACT}"
    assert unusable(site, f"{GOOD}\nharness_contract = {number!r}") == sentence
    install(site, "present", f"{GOOD}\nharness_contract = {CONTRACT}")
    assert load("method", "present").value.__name__ == "Good"


def test_ctrl_c_during_an_import_is_not_a_broken_plugin(site: Path) -> None:
    install(site, "odd", "raise KeyboardInterrupt")
    with pytest.raises(KeyboardInterrupt):
        load("method", "odd")


def test_several_plugins_of_one_module_are_objects_that_hold_the_hook(site: Path) -> None:
    holders = """
class Large:
    @staticmethod
    @hookimpl
    def harness_method():
        return Good

class Small(Large):
    pass
"""
    install(site, "odd", GOOD + holders, name="large", value="odd:Large")
    install(site, "odd", GOOD + holders, name="small", value="odd:Small")
    assert {load("method", name).value.__name__ for name in ("large", "small")} == {"Good"}
    assert len(load("method", "large").origin.code) == 64


ELSEWHERE = {
    "by name": "from good import harness_method",
    "all": "from good import *",
    "by assignment": "import good\nharness_method = good.harness_method",
    "in a branch": "if True:\n    from good import harness_method",
    "in no way that is seen": "import good\nglobals().update({'harness_method': good.harness_method})",
}
"""How a plugin takes a hook from another module -> its source."""


@pytest.mark.parametrize("how", ELSEWHERE)
def test_a_hook_may_come_from_another_module(site: Path, how: str) -> None:
    install(site, "good", GOOD)
    install(site, "pack", ELSEWHERE[how])
    assert load("method", "pack").value is load("method", "good").value


def test_a_plugin_whose_code_cannot_be_digested_is_broken(site: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    install(site, "odd", GOOD, distribution="acme", version="0.3")
    (site / "odd.py").unlink()
    with zipfile.ZipFile(site / "odd.zip", "w") as archive:
        archive.writestr("odd.py", GOOD)
    monkeypatch.syspath_prepend(site / "odd.zip")
    with pytest.raises(PluginError, match=r"^plugin 'odd' \(acme 0.3\) has code that cannot be read, so edits"):
        load("method", "odd")


def test_the_installed_plugins_work() -> None:
    for kind in registry.entry_points.GROUPS:
        works, culprits = load_all(kind)
        assert culprits == []
        assert tuple(plugin.name for plugin in works) == names(kind)
    assert {"zero_shot", "fsnl"} <= set(names("method"))
