"""A method that is installed as a plugin: it misbehaves in one domain, in a chosen way."""

from dataclasses import dataclass

import torch

from harness.errors import FixedVocabulary
from harness.hookspecs import hookimpl
from harness.method import Method


@dataclass
class Hostile(Method):
    """Misbehaves in Animals, and is plain zero-shot elsewhere."""

    how: str = "raise"

    def fit(self, task):
        self.task_ = task
        if task.noun == "animal" and self.how == "raise":
            raise ValueError("the moon is\nin the wrong place")
        if task.noun == "animal" and self.how == "undeclared":
            _ = task.support
        if task.noun == "animal" and self.how == "other":
            return object()
        return self

    def scores(self, images, vocabulary):
        image = images.features[:, 0]
        prompts = [self.task_.template.fill(name, vocabulary.noun) for name in vocabulary.names]
        scores = image @ self.task_.text.encode(prompts).T
        if self.task_.noun != "animal":
            return scores
        if self.how == "nan":
            scores[0, 0] = float("nan")
        if self.how == "shape":
            return scores[:, 1:]
        if self.how == "type":
            return scores.argmax(dim=1)
        if self.how == "fixed" and not all(vocabulary.oop):
            raise FixedVocabulary("it knows the OOP names only")
        if self.how == "write":
            image.zero_()
        if self.how == "seed":
            torch.manual_seed(0)
        return scores


@hookimpl
def harness_method():
    return Hostile
