"""The Python API in a few cells: run it as a script, or cell by cell in a notebook (jupytext, VS Code, Spyder).

It uses the miniature, which comes with the package; give ``data=`` and ``backbone=`` for the real benchmark.
"""

# %% Evaluate an installed method; zero_shot runs with it as the baseline
import harness

results = harness.evaluate("tip_adapter", domains="Food", shots=4, seeds=1)
print(results)

# %% Every row as a plain record (a data frame: results.to_pandas()), and every prediction
for row in results:
    print(row["method"], row["domain"], f"{row['oop_top1']:.3f}")
found = results.predictions("tip_adapter", images="joint_oop")
print(f"{found.correct.mean():.3f} of {len(found.paths)} images are right")
print(found.paths[0], "is taken for", found.names[found.column[0]])

# %% Your own method: a dataclass with two functions
from dataclasses import dataclass  # noqa: E402

import torch  # noqa: E402


@dataclass
class NearestMean(harness.Method):
    """Scores an image by its cosine to the text feature of a name, moved towards the mean of its support images."""

    needs = harness.Needs(support=True)
    seeded = False
    weight: float = 0.5

    def fit(self, task: harness.Task) -> "NearestMean":
        """Keep the mean support feature of every name."""
        support = task.support
        means = [support.features[support.label == label, 0].mean(dim=0) for label in range(len(task.names))]
        self.task_, self.mean_ = task, dict(zip(task.names, means, strict=True))
        return self

    def scores(self, images: harness.Images, vocabulary: harness.Vocabulary) -> torch.Tensor:
        """Cosines ``(m, k)``; names without support keep their text feature."""
        prompts = [self.task_.template.fill(name, vocabulary.noun) for name in vocabulary.names]
        text = self.task_.text.encode(prompts)
        rows = [text[i] + self.weight * self.mean_.get(name, 0) for i, name in enumerate(vocabulary.names)]
        return images.features[:, 0] @ torch.nn.functional.normalize(torch.stack(rows), dim=1).T


print(harness.evaluate([NearestMean(weight=0.25), NearestMean(weight=0.5)], domains="Food", shots=4, seeds=1))

# %% Features as arrays, and evaluation on given features
sets = [harness.features("Food", "oop", part) for part in ("train", "val", "test")]
print(sets)
print(harness.evaluate("tip_adapter", features=sets, backbone="beyond-mini", shots=4, seeds=1))
