"""Discovery survives: the culprit is shown with plugin, distribution, version and reason; everything else works."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from harness.method import CONTRACT
from harness.registry import entry_points, fingerprint
from harness.registry.failures import recall

from .conftest import ANIMALS
from .installed import install

METHOD = '''
from dataclasses import dataclass
from harness.hookspecs import hookimpl
from harness.method import Method

@dataclass
class Odd(Method):
    """An odd one."""

    def fit(self, task):
        return self

    def scores(self, image, vocabulary):
        return image

@hookimpl
def harness_register_methods(register):
    register("odd", Odd)
'''

OLD = f"was made for plugin contract 0, and this harness has contract {CONTRACT}: install a newer version of the plugin"
NEW = f"was made for plugin contract 9, and this harness has contract {CONTRACT}: install a newer harness"

BROKEN = {
    "import": ("import not_there\n" + METHOD, "failed to import: No module named 'not_there'"),
    "syntax": ("def broken(\n", "failed to import: SyntaxError: "),
    "old contract": ("harness_contract = 0\nimport gone_since_contract_0\n" + METHOD, OLD),
    "new contract": ("harness_contract = 9\n" + METHOD, NEW),
}
"""Kind -> source, and the reason that is shown without and with importing."""

SIGNATURE = METHOD.replace("(register):", "(register, extra):")
MISSPELT = METHOD.replace("harness_register_methods", "harness_register_method")
UNMARKED = METHOD.replace("@hookimpl", "")

UNREAD = {
    "signature": (SIGNATURE, "implements harness_register_methods with an argument 'extra'; the hook gives register"),
    "misspelt": (
        MISSPELT,
        "implements harness_register_method, which is no hook; the hooks are harness_register_methods",
    ),
    "unmarked": (UNMARKED, "defines harness_register_methods without @hookimpl, so it is never called"),
}
"""Kind -> source, and the reason that is shown without importing."""


def survives(harness, evaluate):
    """Whether the other commands work."""
    assert harness("--help").code == 0
    assert harness("doctor", "--json").code == 0
    assert evaluate("--plugin", "zero_shot").code == 0
    listed = harness("plugins", "--json")
    assert listed.code == 0
    return listed.json


@pytest.mark.parametrize("kind", [*BROKEN, *UNREAD])
def test_a_broken_plugin_is_shown_and_everything_else_works(site, harness, evaluate, kind):
    code, reason = {**BROKEN, **UNREAD}[kind]
    install(site, "odd", code, distribution="acme-odd", version="0.3")
    (culprit,) = survives(harness, evaluate)["broken"]
    assert (culprit["name"], culprit["distribution"], culprit["version"]) == ("odd", "acme-odd", "0.3")
    assert culprit["reason"].startswith(reason)
    assert "odd" not in sys.modules or kind not in BROKEN
    assert f"broken: plugin 'odd' (acme-odd 0.3) {reason}" in harness("plugins").err.replace("\n", " ")
    strict = harness("plugins", "--strict", "--json")
    assert strict.code == 1
    (culprit,) = strict.json["broken"]
    assert culprit["name"] == "odd"
    if kind in BROKEN:
        assert culprit["reason"].startswith(reason)
    named = evaluate("--plugin", "odd")
    assert named.code == 2
    assert "plugin 'odd' (acme-odd 0.3)" in named.err


def test_a_plugin_that_raises_when_imported_is_found_by_strict_and_remembered(
    site, harness, evaluate, cache, monkeypatch
):
    monkeypatch.setenv("HARNESS_CACHE", str(cache))
    install(site, "odd", METHOD + "\n1 / 0\n")
    assert survives(harness, evaluate)["broken"] == []
    strict = harness("plugins", "--strict")
    assert strict.code == 1
    where = f"odd.py:{len((METHOD + '1 / 0').splitlines()) + 1} in <module>"
    sentence = f"broken: plugin 'odd' (zoo-odd 1.0) failed to import: ZeroDivisionError: division by zero ({where})"
    assert sentence in strict.err
    listed = harness("plugins")
    assert listed.code == 0
    assert f"{sentence} (when it was last imported)" in listed.err
    assert "odd" not in sys.modules


def test_a_failure_is_forgotten_when_the_plugin_is_mended_or_works(site, harness, evaluate, cache, monkeypatch):
    monkeypatch.setenv("HARNESS_CACHE", str(cache))
    install(site, "odd", METHOD + "\nimport os\nif 'MOOD' not in os.environ:\n    raise RuntimeError('no mood')\n")
    assert evaluate("--plugin", "odd").code == 2
    assert [b["name"] for b in harness("plugins", "--json").json["broken"]] == ["odd"]
    monkeypatch.setenv("MOOD", "good")
    assert harness("plugins", "--strict").code == 0
    assert harness("plugins", "--json").json["broken"] == []
    monkeypatch.delenv("MOOD")
    del sys.modules["odd"]
    assert harness("plugins", "--strict").code == 1
    install(site, "odd", METHOD)
    fingerprint.code_digest.cache_clear()
    assert harness("plugins", "--json").json["broken"] == []


@pytest.mark.parametrize("content", ["", "[]", "{", '{"a": 1}', '{"a": ["x"]}'])
def test_a_damaged_memory_is_no_memory(tmp_path, content):
    (tmp_path / "plugins.json").write_text(content)
    assert recall([source for source, _ in entry_points.installed()], tmp_path) == []


@pytest.mark.parametrize("one_name", [True, False])
def test_a_name_that_two_distributions_offer_is_refused_for_both(site, harness, evaluate, one_name):
    install(site, "odd_a", METHOD, name="odd" if one_name else "odd_a", distribution="acme-a")
    install(site, "odd_b", METHOD, name="odd" if one_name else "odd_b", distribution="acme-b")
    culprits = survives(harness, evaluate)["broken"]
    assert {c["distribution"] for c in culprits} == {"acme-a", "acme-b"}
    assert all("offers the method 'odd', which plugin" in c["reason"] for c in culprits)
    assert harness("plugins", "--strict").code == 1
    answer = evaluate("--plugin", "odd")
    assert answer.code == 2
    assert "acme-a 1.0" in answer.err
    assert "acme-b 1.0" in answer.err
    assert "offers the method 'odd', which plugin" in answer.err


def test_a_name_of_the_harness_stays_the_harnesss(site, harness, evaluate):
    install(site, "thief", METHOD.replace('"odd"', '"zero_shot"'), name="zero_shot", distribution="acme")
    (culprit,) = survives(harness, evaluate)["broken"]
    assert (
        culprit["reason"] == "offers the method 'zero_shot', which comes with the harness: it needs a name of its own"
    )
    record = evaluate("--plugin", "zero_shot").json["rows"][0]["method_record"]
    assert record["distribution"] == "laion-beyond-harness"


def test_a_plugin_that_prints_when_imported_leaves_the_document_whole(site, harness):
    install(site, "odd", "import os\nprint('hello')\nos.write(1, b'from below')\n" + METHOD)
    strict = harness("plugins", "--strict", "--json")
    assert strict.code == 0
    assert strict.json["broken"] == []
    assert "hello" in strict.err
    assert "from below" in strict.err


def test_a_method_is_found_in_a_plugin_of_another_name_without_importing_the_rest(site, evaluate):
    install(site, "animals", ANIMALS)
    install(site, "odd", "1 / 0")
    assert evaluate("--plugin", "tame").code == 0
    assert "odd" not in sys.modules


def test_listing_imports_neither_plugins_nor_torch(site):
    install(site, "odd", "import time; time.sleep(5)\n" + METHOD)
    environment = {**os.environ, "PYTHONPATH": str(site)}
    code = (
        "import sys; from harness.cli.main import execute; code = execute(['plugins']);"
        "assert not {'torch', 'odd', 'numpy', 'open_clip'} & set(sys.modules); sys.exit(code)"
    )
    subprocess.run([sys.executable, "-c", code], env=environment, check=True, capture_output=True)


LOOP = METHOD.replace('register("odd", Odd)', 'for name in ("odd", "even"):\n        register(name, Odd)')


def test_all_methods_are_those_that_work_and_the_others_are_named(site, harness, evaluate):
    install(site, "odd_plain", METHOD, distribution="acme-a")
    install(site, "odd_loop", LOOP, distribution="acme-b")
    install(site, "sad", "1 / 0\n" + METHOD.replace('"odd"', '"sad"'), distribution="acme-c")
    answer = evaluate("--plugin", "all", "--dry-run", "--baseline", "none")
    assert answer.code == 0
    notes = [line for line in answer.err.splitlines() if line.startswith("left out: ")]
    assert len(notes) == len(set(notes)) == 3
    for distribution in ("acme-a", "acme-b", "acme-c"):
        assert any(f"({distribution} 1.0)" in line for line in notes)
    named = evaluate("--plugin", "odd", "--dry-run")
    assert named.code == 2
    assert "offers the method 'odd', which plugin" in named.err
    assert evaluate("--plugin", "even", "--dry-run", "--baseline", "none").code == 0
