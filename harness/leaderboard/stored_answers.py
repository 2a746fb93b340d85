"""What a leaderboard row has stored of its answers: the predictions of each seed in a domain, and their labels."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from harness.metrics.compute import Vectors
from harness.metrics.prediction_kinds import PREDICTIONS
from harness.results.artifacts import Artifacts, MissingArtifact
from harness.types.leaderboard import Row


class StoredAnswers(NamedTuple):
    """The stored predictions of one cell, the labels of its images, and how many names there are."""

    which: str
    predicted: Vectors
    labels: Vectors
    names: dict[str, int]

    def why_missing(self, kinds: Iterable[str]) -> str | None:
        """Why these kinds cannot be used; None if they can."""
        for key in kinds:
            if key not in self.predicted:
                return f"{self.which} lack {key}"
            if len(self.predicted[key]) != len(self.labels.get(PREDICTIONS[key].side, ())):
                return f"{self.which} do not fit the labels"
        return None


class ReadAnswers(NamedTuple):
    """What is stored of a row in one domain: of each seed with a result, and why a seed is missing, if one is."""

    seeds: dict[int, StoredAnswers]
    problem: str | None


def read_answers(row: Row, domain: str, artifacts: Artifacts) -> ReadAnswers:
    """What is stored of a row in one domain, up to the first seed that is missing."""
    data, found = row.data[domain], dict[int, StoredAnswers]()
    failed = {f.seed for f in row.failures if f.domain == domain}
    try:
        names = {side: len(scored.names) for side, scored in artifacts.sheet(data.fingerprint).sides.items()}
        labels = {side: artifacts.labels(data.fingerprint, side, data.unreadable) for side in names}
        for seed in sorted(int(s) for s in data.manifests if int(s) not in failed):
            digest = data.predictions.get(str(seed))
            if digest is None:
                return ReadAnswers(found, f"no predictions are stored for {domain}, seed {seed}")
            which = f"predictions {digest[:12]} of {domain}, seed {seed},"
            found[seed] = StoredAnswers(which, artifacts.predictions(digest), labels, names)
    except MissingArtifact as error:
        return ReadAnswers(found, str(error))
    return ReadAnswers(found, None)
