"""REAL-Prompt: a name is replaced by the one of its synonyms that the pre-training captions mention most often."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from harness.errors import UserError
from harness.hookspecs import hookimpl
from harness.method import File, Method
from harness.prompts import clean_name, comparable_name
from harness.types.paper import Paper

from ._json_file import read_json

if TYPE_CHECKING:
    from torch import Tensor
    from typing_extensions import Self

    from harness.types.images import Images
    from harness.types.task import Task
    from harness.types.vocabulary import Vocabulary

HINT = (
    "give a record that `harness corpus count` wrote for a names file with synonyms, where each synonym is also a name"
)


@dataclass
class RuleCount:
    """Captions that mention a concept by one rule: as a phrase, in singular or plural, in any usual spelling."""

    folded: int


@dataclass
class CountedName:
    """What a record says about one name; other fields of the record are ignored."""

    name: str
    within: RuleCount
    synonyms: tuple[str, ...] = ()


@dataclass
class CountedNames:
    """The part of a corpus record that is read."""

    concepts: list[CountedName]


@dataclass
class REALPrompt(Method):
    """Zero-shot with the most frequent synonym of each name in the prompt (Parashar et al., CVPR 2024).

    ``record`` is a record of the backbone's own pre-training corpus, by ``harness corpus count`` (docs/corpus.md), with
    the synonyms of every name; each synonym is also a name of the record, so that it has a count of its own:
    ``{"rose hip": ["haw", "dog rose"], "haw": [], "dog rose": []}``. Of a name and its synonyms the one with the most
    captions takes the name's place in the protocol's prompt, and of equal ones the name, then the first synonym: so an
    OOP name is replaced if a synonym of it is in pre-training. Names that the record lacks stay, and without a record
    all names do, which is zero-shot.

    The paper asks a language model for synonyms, and counts captions that contain them. Its prompts are the ensembles
    of each data set; here the prompt is that of the protocol.
    """

    seeded = False
    paper = Paper(
        "Parashar et al.",
        "The Neglected Tails in Vision-Language Models",
        "CVPR",
        2024,
        "https://arxiv.org/abs/2401.12425",
    )
    presets = {"paper": {}}  # noqa: RUF012 - read only; the method has no settings

    record: File | None = None
    """Record of the corpus, in JSON, with synonyms that are counted themselves; None: no name is replaced."""

    def fit(self, task: Task) -> Self:
        """Read the record and choose the names.

        Raises:
            UserError: the file is not a counted record, or a synonym has no count of its own.
        """
        self.task_ = task
        self.chosen_ = {} if self.record is None else self._chosen(self.record)
        return self

    def scores(self, images: Images, vocabulary: Vocabulary) -> Tensor:
        """``logit_scale * image @ text.T`` with the chosen names."""
        names = [self.chosen_.get(comparable_name(name), name) for name in vocabulary.names]
        text = self.task_.text.encode([self.task_.template.fill(name, vocabulary.noun) for name in names])
        return self.task_.logit_scale * images.features[:, 0] @ text.T

    def outcome(self) -> dict[str, Any]:
        """The number of names with a more frequent synonym."""
        return {"replaced": sum(comparable_name(chosen) != name for name, chosen in self.chosen_.items())}

    def _chosen(self, record: File) -> dict[str, str]:
        """The name to use for each name of a record, by its folded text."""
        counted: CountedNames = read_json(record, CountedNames, HINT)
        count = {comparable_name(one.name): one.within.folded for one in counted.concepts}
        chosen = {}
        for one in counted.concepts:
            texts = [clean_name(text) for text in (one.name, *one.synonyms)]
            if uncounted := [text for text in texts if comparable_name(text) not in count]:
                raise UserError(f"{record.file} has no count of {uncounted[0]!r}, a synonym of {one.name!r}", HINT)
            chosen[comparable_name(one.name)] = max(texts, key=lambda text: count[comparable_name(text)])
        return chosen


@hookimpl
def harness_method() -> type[REALPrompt]:
    """Return the method."""
    return REALPrompt
