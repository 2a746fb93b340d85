"""Checks of the scores: shape and values, and what they must not depend on."""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor

from harness.conformance.subject import DOMAIN, Subject, scores_agree
from harness.conformance.world import SyntheticDomain
from harness.errors import FixedVocabulary, MethodError
from harness.execution.global_state import seeded_global_state
from harness.types.images import Images
from harness.types.vocabulary import Vocabulary


def finite_scores(subject: Subject) -> None:
    """``scores`` returns finite floating-point scores ``(m, k)``, for many images and for one."""
    images = subject.images(DOMAIN)
    for count in (len(images), 1):
        subject.scores(subject.fitted(), images[:count], DOMAIN.vocabulary, f"for {count} images")
    scores = subject.scores(subject.fitted(), images, DOMAIN.vocabulary)
    if bool((scores == scores[:, :1]).all()):
        raise MethodError(f"{subject.name}.scores gives every name the same score", "return one column per name")


def query_order(subject: Subject) -> None:
    """The scores of an image do not depend on its position, unless images are a stream."""
    if subject.method.needs.stream:
        return
    images = subject.images(DOMAIN)
    order = torch.randperm(len(images), generator=torch.Generator().manual_seed(1))
    straight = subject.scores(subject.fitted(), images, DOMAIN.vocabulary)
    mixed = subject.scores(subject.fitted(), images[order], DOMAIN.vocabulary)
    if not scores_agree(straight[order], mixed):
        hint = "score every image by itself; the order of images carries no information"
        raise MethodError(f"{subject.name}: the scores of an image depend on the order of the images", hint)


def batch_size(subject: Subject) -> None:
    """The scores of an image do not depend on the images of its or of earlier batches, unless they are a stream."""
    if subject.method.needs.stream:
        return
    images = subject.images(DOMAIN)
    expected = subject.scores(subject.fitted(), images, DOMAIN.vocabulary)
    for size in (1, 7):
        parts = [subject.scores(subject.fitted(), images[at], DOMAIN.vocabulary) for at in images.batches(size)]
        if not scores_agree(expected, torch.cat(parts)):
            hint = "images are scored in batches of any size; compute statistics over many images in fit"
            raise MethodError(f"{subject.name}: scores in batches of {size} differ from scores in one batch", hint)


def separate_streams(subject: Subject) -> None:
    """What a method keeps of a vocabulary's stream of images does not change the scores of another one.

    A method cannot look at images ahead: it gets one at a time.
    """
    if not subject.method.needs.stream:
        return
    images, method = subject.images(DOMAIN), subject.fit(DOMAIN)
    alone = subject.scores(method, images, DOMAIN.vocabulary)
    joint = Vocabulary.of(DOMAIN.noun, oop=DOMAIN.names, ip=DOMAIN.foreign)
    subject.next_scores(method, images, joint)
    if not torch.equal(alone, subject.next_scores(method, images, DOMAIN.vocabulary)):
        hint = "keep what is learned of the images by vocabulary: self.state_[vocabulary]"
        raise MethodError(f"{subject.name}: images scored in one vocabulary change the scores in another", hint)


def class_order(subject: Subject) -> None:
    """Columns follow the vocabulary, and accuracy does not depend on the order of the task's names.

    Columns must agree up to rounding. Another order in the task may change random numbers, so scores are not compared
    there; but a method that confuses positions falls to chance, so at least half of the advantage over chance has to
    remain.
    """
    images = subject.images(DOMAIN)
    order = [3, 0, 4, 2, 1]
    straight = subject.scores(subject.fitted(), images, DOMAIN.vocabulary)
    names = tuple(DOMAIN.names[i] for i in order)
    mixed = _scores_or_none(subject, images, Vocabulary.of(DOMAIN.noun, oop=names))
    if mixed is not None and not scores_agree(straight[:, order], mixed):
        hint = "column j scores vocabulary.names[j]: look names up by name, not by position"
        raise MethodError(f"{subject.name}: its columns do not follow the order of vocabulary.names", hint)
    other = replace(DOMAIN, names=names)
    before = subject.accuracy(subject.fitted(), DOMAIN)
    after = subject.accuracy(subject.fit(other, "with the names in another order"), other)
    chance = 1 / len(DOMAIN.names)
    if min(before, after) < chance + (max(before, after) - chance) / 2:
        hint = "labels are positions in task.names of this task; nothing may depend on the order of the names"
        message = f"{subject.name}: accuracy is {before:.2f}, and {after:.2f} with the same names in another order"
        raise MethodError(message, hint)


def foreign_vocabulary(subject: Subject) -> None:
    """Names outside the task are scored by their text or refused with ``FixedVocabulary``; own names are scored."""
    images = subject.images(DOMAIN)
    method = subject.fitted()
    try:
        own = subject.scores(method, images, DOMAIN.vocabulary)
    except FixedVocabulary as error:
        hint = "refuse foreign names only; vocabulary.names equals task.names here"
        raise MethodError(f"{subject.name}.scores refused the names it was fitted on", hint) from error
    foreign = Vocabulary.of(DOMAIN.noun, ip=DOMAIN.foreign)
    joint = Vocabulary.of(DOMAIN.noun, oop=DOMAIN.names, ip=DOMAIN.foreign)
    answers = [_scores_or_none(subject, images, asked, "for names outside the task") for asked in (foreign, joint)]
    if (answers[0] is None) != (answers[1] is None):
        hint = "raise FixedVocabulary whenever one name is foreign, or never"
        raise MethodError(f"{subject.name} refuses the {'IP' if answers[0] is None else 'joint'} vocabulary only", hint)
    if answers[0] is None or answers[1] is None:
        return
    refuse = "raise harness.errors.FixedVocabulary if the method cannot score names it was not fitted on"
    if bool((answers[0] == answers[0][:, :1]).all()):
        raise MethodError(f"{subject.name}.scores gives all foreign names the same score", refuse)
    renamed = DOMAIN.unknown
    if torch.equal(subject.scores(method, images, renamed), own):
        raise MethodError(f"{subject.name}.scores gives foreign names the scores of its fitted names", refuse)


def hidden_labels(subject: Subject) -> None:
    """Predictions do not depend on the labels of the scored images or on anything else that is not passed.

    The labels are in the caller's frame, as in the runner, so that a method that searches frames for them is detected.
    """
    first = _predict_with_hidden_labels(subject, shift=0)
    with seeded_global_state(12345):
        second = _predict_with_hidden_labels(subject, shift=1)
    if not torch.equal(first, second):
        hint = "scores may depend on the task, the parameters and the image alone"
        raise MethodError(f"{subject.name}: predictions depend on something that is not passed to the method", hint)


def _predict_with_hidden_labels(subject: Subject, shift: int) -> Tensor:
    scored = SyntheticDomain(seed=50).scored
    scored = replace(scored, label=(scored.label + shift) % len(DOMAIN.names))
    method = subject.fit(SyntheticDomain(seed=50))
    return subject.scores(method, subject.unlabeled(scored), DOMAIN.vocabulary).argmax(dim=1)


def _scores_or_none(subject: Subject, images: Images, vocabulary: Vocabulary, when: str = "") -> Tensor | None:
    try:
        return subject.scores(subject.fitted(), images, vocabulary, when)
    except FixedVocabulary:
        return None
