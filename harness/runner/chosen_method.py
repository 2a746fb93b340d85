"""A method as the runner knows it: what it declares, without running its code in this process."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Annotated, Any

from pydantic import BeforeValidator, Field

from harness import registry
from harness.file_parameter import File, attach_paths
from harness.method import MOST_VIEWS, Method, build, construct, parameters
from harness.parameters import require_file_paths, walk_values
from harness.runner.request import MethodChoice
from harness.types.cell import MethodRecord, NeedNames, Record, Sentence, Sha256, to_json
from harness.types.split import Part
from harness.types.task import Needs, Pool


class MethodFacts(Record):
    """What a method with its parameters declares; its process sends this back as JSON."""

    parameters: Annotated[dict[str, Any], BeforeValidator(to_json)]
    needs: NeedNames
    seeded: bool
    text: bool = True
    pool: Pool
    views: int = Field(ge=1, le=MOST_VIEWS)
    test_views: int = Field(default=1, ge=1, le=MOST_VIEWS)
    encoders: tuple[str, ...] = ()
    crop: float = Field(gt=0, le=1)
    files: dict[Sha256, Annotated[str, Field(pattern="^[^\0]+$")]] = Field(
        description="sha256 -> path of every file among the parameters"
    )
    warning: Sentence = Field(description="about settings that the plugin changed when it was imported, or empty")


@dataclass(frozen=True)
class ChosenMethod:
    """A method of a run.

    Attributes:
        choice: makes the method in any process, with every parameter stated.
        record: of the method, for results.
        requirements: versions of what its distribution requires.
        needs: what it declares.
        views: of each support image.
        test_views: of each scored image.
        encoders: second image encoders.
        crop: minimum area of a random crop.
        pool: its unlabeled images, if it needs any.
        text: whether it uses the text tower.
        files: what its processes must read: its code, and the files among its parameters.
    """

    choice: MethodChoice
    record: MethodRecord
    requirements: Mapping[str, str]
    needs: Needs
    views: int
    crop: float
    pool: Pool
    text: bool = True
    files: tuple[Path, ...] = ()
    test_views: int = 1
    encoders: tuple[str, ...] = ()

    @classmethod
    def of(
        cls, choice: MethodChoice, facts: MethodFacts, origin: registry.Origin, readable: Iterable[Path] | None = None
    ) -> ChosenMethod:
        """A choice with what its method declares.

        Where its code comes from and what it may read are not taken from the method itself.

        Args:
            choice: the method with its parameters.
            facts: what it declares.
            origin: where its code comes from.
            readable: files and folders that it may read, None for all; other files that it declares are dropped.
        """
        files = {key: Path(path) for key, path in facts.files.items()}
        files = files if readable is None else _within(files, readable)
        stated = MethodChoice(choice.name, None, attach_paths(facts.parameters, files), choice.plugin)
        needs = Needs(**dict.fromkeys(facts.needs, True))
        record = MethodRecord(
            name=choice.name,
            distribution=origin.distribution,
            version=origin.version,
            code=origin.code,
            parameters=facts.parameters,
            needs=facts.needs,
            seeded=facts.seeded,
            pool=facts.pool if needs.unlabeled else None,
            test_views=facts.test_views,
        )
        read = (*files.values(), *origin.places)
        draw = (facts.views, facts.crop, facts.pool, facts.text)
        return cls(stated, record, origin.requirements, needs, *draw, read, facts.test_views, facts.encoders)

    @property
    def kinds(self) -> tuple[str, ...]:
        """What it is given of every image, apart from features."""
        needs = self.needs
        own = {"preprojection": needs.preprojection, "tokens": needs.tokens, "pixels": needs.pixels}
        return (*(kind for kind, needed in own.items() if needed), *self.encoders)

    @property
    def drawn(self) -> bool:
        """Whether it is given a few-shot draw."""
        return self.needs.includes("support") or self.needs.validation

    def parts_read(self) -> dict[Part, int]:
        """The parts of its draw that it reads, with the views of each: validation images come in the test view."""
        wanted: dict[Part, tuple[bool, int]] = {
            "train": (self.needs.includes("support"), self.views),
            "val": (self.needs.validation, 1),
        }
        return {part: views for part, (needed, views) in wanted.items() if needed}


def _within(files: Mapping[str, Path], readable: Iterable[Path]) -> dict[str, Path]:
    """Those files that are among some files and folders, or in one of the folders."""
    allowed = {path.resolve() for path in readable}
    return {key: path for key, path in files.items() if allowed & {(there := path.resolve()), *there.parents}}


def make_method(choice: MethodChoice) -> Method:
    """A new object of the method of a choice whose facts are known; imports its plugin.

    Raises:
        HarnessError: the plugin is broken or unknown, or a parameter is not valid.
    """
    plugin = choice.plugin or _load(choice.name)
    return construct(choice.name, plugin.value, choice.preset, choice.parameters)


@cache
def _load(name: str) -> registry.Plugin[type[Method]]:
    """An installed method's plugin; a process of cells asks for it at every cell."""
    return registry.load("method", name)


def facts_of(choice: MethodChoice, preset: str | None, pool: Pool | None) -> MethodFacts:
    """What the method of a choice declares; imports its plugin.

    Args:
        choice: the method with its parameters.
        preset: for a choice without one, if the method has a preset of that name.
        pool: the unlabeled images that the protocol gives, for a method that has a parameter ``pool``.

    Raises:
        HarnessError: the plugin is broken or unknown, or a parameter is not valid.
    """
    plugin = choice.plugin or registry.load("method", choice.name)
    preset = choice.preset or (preset if preset in plugin.value.presets else None)
    method = build(choice.name, plugin.value, preset, choice.parameters)
    if pool is not None and "pool" in parameters(method):
        method = build(choice.name, plugin.value, preset, {**choice.parameters, "pool": pool})
    values = parameters(method)
    require_file_paths(choice.name, values)
    return MethodFacts(
        parameters=values,
        needs=method.needs.declared(),
        seeded=method.seeded,
        text=method.text,
        pool=method.pool,
        views=method.views,
        test_views=method.test_views,
        encoders=method.encoders,
        crop=method.crop,
        files={one.sha256: str(one.path) for one in walk_values(values) if isinstance(one, File)},
        warning=plugin.warning,
    )
