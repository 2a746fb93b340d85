"""Discovery survives: the culprit is shown with plugin, distribution, version and reason; everything else works."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from harness.method import CONTRACT
from harness.registry import loading

from .installed import install

METHOD = '''
from dataclasses import dataclass
from harness.hookspecs import hookimpl
from harness.method import Method
from harness.types.paper import Paper

@dataclass
class Odd(Method):
    """An odd one.

    It does nothing.
    """

    paper = Paper("Odd et al.", "On odd methods", "ICML", 2025, "https://example.org/odd")
    presets = {"paper": {"strength": 2.0}}

    strength: float = 1.0
    """How odd it is."""

    def fit(self, task):
        return self

    def scores(self, images, vocabulary):
        return images.features[:, 0]

@hookimpl
def harness_method():
    return Odd
'''

NEWER = f"was made for plugin contract 9, and this harness has contract {CONTRACT}"

MISSPELT = "implements harness_methd, not harness_method; hooks are marked with @hookimpl"

UNREAD = {
    "import": ("import not_there\n" + METHOD, "failed to import: No module named 'not_there'"),
    "syntax": ("def broken(\n", "failed to import: SyntaxError: "),
    "contract": ("harness_contract = 9\n" + METHOD, NEWER),
    "signature": (METHOD.replace("method():", "method(extra):"), "failed to register: PluginValidationError: "),
    "misspelt": (METHOD.replace("harness_method", "harness_methd"), MISSPELT),
    "unmarked": (METHOD.replace("@hookimpl", ""), "implements no hook, not harness_method"),
}
"""Fault that only an import shows -> source, and the reason."""


def survives(harness, evaluate):
    """Whether the other commands work; what ``harness plugins`` lists."""
    assert harness("--help").code == 0
    assert harness("doctor", "--json").code == 0
    assert evaluate("--plugin", "zero_shot").code == 0
    listed = harness("plugins", "--json")
    assert listed.code == 0
    return listed.json


def test_plugins_that_do_not_load_are_shown_and_everything_else_works(site, harness, evaluate):
    for kind, (code, _) in UNREAD.items():
        install(site, f"odd_{kind}", code, distribution=f"acme-{kind}", version="0.3")
    assert survives(harness, evaluate)["broken"] == []
    strict = harness("plugins", "--strict", "--json")
    assert strict.code == 1
    broken = {culprit["name"]: culprit for culprit in strict.json["broken"]}
    assert {*broken} == {f"odd_{kind}" for kind in UNREAD}
    said = harness("plugins", "--strict").err.replace("\n", " ")
    for kind, (_, reason) in UNREAD.items():
        culprit, shown = broken[f"odd_{kind}"], f"plugin 'odd_{kind}' (acme-{kind} 0.3) {reason}"
        assert [culprit[key] for key in ("kind", "distribution", "version")] == ["method", f"acme-{kind}", "0.3"]
        assert culprit["reason"].startswith(reason)
        assert f"broken: {shown}" in said
        for words in (("plugins", "show", f"odd_{kind}"), ("plugins", "check", f"odd_{kind}")):
            answer = harness(*words)
            assert answer.code == 2
            assert shown in answer.err
        named = evaluate("--plugin", f"odd_{kind}")
        assert named.code == 2
        assert shown in named.err
        assert "hint: fix or uninstall that distribution" in named.err


def test_what_metadata_show_to_be_broken_is_listed_without_an_import(site, harness, evaluate):
    install(site, "odd", None, distribution="acme-odd", version="0.3")
    (culprit,) = survives(harness, evaluate)["broken"]
    assert (culprit["name"], culprit["reason"]) == ("odd", "failed to import: No module named 'odd'")
    listed = harness("plugins")
    assert listed.code == 0
    assert "broken: plugin 'odd' (acme-odd 0.3) failed to import: No module named 'odd'" in listed.err
    assert harness("plugins", "--strict").code == 1


def test_a_damaged_distribution_is_listed_and_fails_the_strict_listing(site, harness, evaluate):
    install(site, "odd", METHOD, distribution="acme-odd", version="0.3")
    (site / "acme_odd-0.3.dist-info" / "entry_points.txt").write_bytes(b"[harness]\nodd = no module!\n")
    (site / "acme_odd-0.3.dist-info" / "METADATA").unlink()
    (culprit,) = survives(harness, evaluate)["broken"]
    assert [culprit[key] for key in ("kind", "distribution", "version")] == ["distribution", "acme_odd", "0.3"]
    sentence = "distribution acme_odd 0.3 has damaged metadata: entry_points.txt cannot be read: "
    for words in (("plugins",), ("plugins", "--strict")):
        assert f"broken: {sentence}" in harness(*words).err.replace("\n", " ")
    assert harness("plugins", "--strict").code == 1
    assert f"left out: {sentence}" in evaluate("--plugin", "all", "--dry-run").err
    assert sentence in evaluate("--plugin", "odd").err


@pytest.mark.parametrize(
    "words",
    [
        pytest.param(("plugins", "--strict"), marks=pytest.mark.slow),
        pytest.param(("plugins", "show", "fsnl"), marks=pytest.mark.slow),
        ("evaluate", "--all-domains"),
    ],
)
def test_a_record_with_which_torch_cannot_be_imported_is_named_instead(site, words):
    install(site, "odd", METHOD, distribution="acme-odd", version="0.3")
    (site / "acme_odd-0.3.dist-info" / "entry_points.txt").write_bytes(b"\0\xff")
    ran = subprocess.run(
        [sys.executable, "-m", "harness", *words, "--data", "beyond-mini"][: None if words[0] == "evaluate" else -2],
        env={**os.environ, "PYTHONPATH": str(site)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert ran.returncode == 2
    said = "distribution acme-odd 0.3 has damaged metadata: entry_points.txt cannot be read: "
    assert ran.stderr.startswith(f"error: {said}")
    assert "hint: remove or reinstall that distribution" in ran.stderr
    assert "Traceback" not in ran.stderr


def test_a_name_that_two_distributions_offer_is_refused_for_both(site, harness, evaluate):
    install(site, "odd_a", METHOD, name="odd", distribution="acme-a")
    install(site, "odd_b", METHOD, name="odd", distribution="acme-b")
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
    install(site, "thief", METHOD, name="zero_shot", distribution="acme")
    (culprit,) = survives(harness, evaluate)["broken"]
    assert culprit["reason"].startswith(
        "offers the method 'zero_shot', which plugin 'zero_shot' (laion-beyond-harness "
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
    del sys.modules["odd"]
    loading._loaded.cache_clear()
    shown = harness("plugins", "show", "odd", "--json")
    assert "hello" in shown.err
    assert shown.json["plugins"][0]["name"] == "odd"


def test_evaluating_imports_the_named_method_and_no_other_plugin(zoo, evaluate):
    for kind in ("method", "protocol", "backbone", "dataset"):
        install(zoo, f"odd_{kind}", "1 / 0", kind=kind)
    assert evaluate("--plugin", "tame").code == 0
    assert not [name for name in sys.modules if name.startswith("odd_")]


def test_listing_imports_neither_plugins_nor_torch(site):
    install(site, "odd", "import time; time.sleep(5)\n" + METHOD)
    environment = {**os.environ, "PYTHONPATH": str(site)}
    code = (
        "import sys; from harness.cli.main import execute; code = execute(['plugins']);"
        "assert not {'torch', 'odd', 'numpy', 'open_clip'} & set(sys.modules); sys.exit(code)"
    )
    subprocess.run([sys.executable, "-c", code], env=environment, check=True, capture_output=True)


def test_all_methods_are_those_that_work_and_the_others_are_named(site, evaluate):
    install(site, "odd_a", METHOD, name="odd", distribution="acme-a")
    install(site, "odd_b", METHOD, name="odd", distribution="acme-b")
    install(site, "sad", "1 / 0\n" + METHOD, distribution="acme-c")
    install(site, "even", METHOD)
    answer = evaluate("--plugin", "all", "--dry-run", "--baseline", "none")
    assert answer.code == 0, answer.err
    notes = [line for line in answer.err.splitlines() if line.startswith("left out: ")]
    assert len(notes) == len(set(notes)) == 4
    assert "left out: cased, cupl, fudd, nola_head, waffle: no sentences about names are given (--texts)" in notes
    for distribution in ("acme-a", "acme-b", "acme-c"):
        assert any(f"({distribution} 1.0)" in line for line in notes)
    named = evaluate("--plugin", "odd", "--dry-run")
    assert named.code == 2
    assert "offers the method 'odd', which plugin" in named.err
    assert evaluate("--plugin", "even", "--dry-run", "--baseline", "none").code == 0


# -- harness plugins show ----------------------------------------------------------------------------------------------


def test_show_describes_a_method(site, harness):
    install(site, "odd", METHOD, distribution="acme-odd", version="0.3")
    (shown,) = harness("plugins", "show", "odd", "--json").json["plugins"]
    code = shown.pop("code")
    assert len(code) == 64
    assert shown == {
        "name": "odd",
        "kind": "method",
        "summary": "An odd one.",
        "description": "An odd one.\n\nIt does nothing.",
        "needs": [],
        "seeded": True,
        "paper": "Odd et al. On odd methods. ICML 2025. https://example.org/odd",
        "parameters": [{"name": "strength", "type": "float", "default": 1.0, "meaning": "How odd it is."}],
        "presets": {"paper": {"strength": 2.0}},
        "distribution": "acme-odd",
        "version": "0.3",
        "module": "odd",
    }
    text = harness("plugins", "show", "odd").out
    for line in (
        "odd (method, acme-odd 0.3)",
        "It does nothing.",
        "needs: none",
        "paper: Odd et al. On odd methods. ICML 2025. https://example.org/odd",
        "  strength = 1.0  (float)",
        "      How odd it is.",
        "  paper: strength=2.0",
        f"module: odd, code {code[:12]}",
    ):
        assert line in text.splitlines()


def test_show_describes_everything_of_that_name(site, harness):
    install(site, "odd", METHOD)
    observer = (
        '"""Looks on."""\nfrom harness.hookspecs import hookimpl\nfrom harness.observer import Observer\n'
        "@hookimpl\ndef harness_observer():\n    return Observer()\n"
    )
    install(site, "looks", observer, name="odd", kind="observer")
    shown = harness("plugins", "show", "odd", "--json").json["plugins"]
    assert [(one["kind"], one["summary"]) for one in shown] == [("method", "An odd one."), ("observer", "Looks on.")]


def test_show_of_an_unknown_name_says_what_was_probably_meant(harness):
    answer = harness("plugins", "show", "fsln")
    assert answer.code == 2
    assert "did you mean fsnl?" in answer.err
