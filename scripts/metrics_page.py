"""Write docs/metrics.md from the table of metrics and the docstrings of the functions behind it.

    python scripts/metrics_page.py

Run it after a metric or one of these docstrings changed; `tests/scripts/test_metrics_page.py` fails while they differ.
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

from harness.analysis import describability, effective_gain, modality_gap, name_familiarity
from harness.files import write_atomic
from harness.metrics import accuracy, clusters, confidence, side_gate, spread
from harness.metrics.built_in import BUILT_IN

ROOT = Path(__file__).resolve().parents[1]

OF_CELLS = (accuracy, clusters, side_gate, confidence, spread)
OF_MODELS = (effective_gain, describability, name_familiarity, modality_gap)

INTRODUCTION = """\
# Metrics and analyses

Made from the code by `python scripts/metrics_page.py`. `harness leaderboard metrics` lists the metrics of rows, and
`harness leaderboard show FILE --metric NAME` shows one, with 95 % intervals where the table says so. All of them follow
from the predictions that are stored with a row, so `harness leaderboard verify` computes every one again.

Besides names, a cell stores the confidence of each prediction (the softmax probability of its scores, as log-odds in
steps of 1/256), the best name of the image's own side and the rank of its best OOP minus its best IP score in the joint
vocabulary, and groups of images by their features. A row of an older version has none of these,
and one of a method of a fixed vocabulary only those of OOP images among OOP names; metrics that need the others are
left out. Calibration is that of the softmax of the scores that a
method returns: a method whose scores are no logits is not calibrated, whatever its accuracy. These numbers use every
digit of the scores, so on another kind of processor their last digits may differ."""

ANALYSES = """\
Analyses of several rows, or of a backbone with data. They are no metrics of a row, which its own predictions decide,
and have no intervals. Each command takes `--json`.

```
harness analyse gain results                       # effective OOP gain of every row
harness analyse names --results results            # describability of domains, familiarity of OOP names
harness analyse gap --plugin fsnl --shots 4        # modality gap of each side, before and after names are learned
```

`names` and `gap` take `--data`, `--backbone` and `--domain` as `harness evaluate` does. `gap --plugin` reads the class
vectors of a method off its scores, so it needs scores that are linear in the image features: `coop`, `fsnl`,
`learning_to_name`, `taskres` and others that learn names, contexts or heads.

The page of `harness leaderboard build` has the effective gain over `zero_shot` as a column, and with its line in the
details of a row. Familiarity and the modality gap need the features of names and images, which a leaderboard does not
hold, so they are not on the page. The details have a DendroMap too: a treemap of a side's images by their features,
coloured by error (Bertucci et al., IEEE TVCG 2022)."""


def page() -> str:
    """docs/metrics.md."""
    rows = [
        f"| `{m.name}` | {m.heading} | {m.meaning} | {'higher' if m.higher_is_better else 'lower'} "
        f"| {'yes' if m.resampling else 'no'} | {', '.join(f'`{key}`' for key in m.needs)} |"
        for m in BUILT_IN.values()
    ]
    head = ["| metric | in tables | what it is | better | intervals | needs |", "|---|---|---|---|---|---|"]
    parts = [INTRODUCTION, "## Metrics of rows", "\n".join([*head, *rows]), "## Formulas and sources"]
    parts += [entry for module in OF_CELLS for entry in _documented(module)]
    parts += ["## Analyses of models and data", ANALYSES]
    parts += [entry for module in OF_MODELS for entry in _documented(module)]
    return "\n\n".join(parts) + "\n"


HELPERS = {
    "exact_mean",
    "per_class_top1",
    "require_pairs",
    "require_clusters",
    "stored_confidence",
    "probability",
    "logit",
}
"""Functions that are no measure."""

ARGUMENTS = re.compile(r"\n\n(Args|Raises|Returns):.*|Arguments and errors as of\s.*?(?=\n\n|$)", re.DOTALL)


def _documented(module: ModuleType) -> Iterator[str]:
    """Each measure of a module with its docstring, without arguments and errors."""
    yield f"### {(module.__doc__ or '').strip().splitlines()[0].rstrip('.')}"
    for name, function in vars(module).items():
        own = inspect.isfunction(function) and function.__module__ == module.__name__
        if own and not name.startswith("_") and name not in HELPERS:
            yield f"**`{name}`** " + " ".join(ARGUMENTS.sub("", inspect.cleandoc(function.__doc__ or "")).split())


def main() -> None:
    """Write the page."""
    write_atomic(ROOT / "docs" / "metrics.md", page().encode())


if __name__ == "__main__":
    main()
