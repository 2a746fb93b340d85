"""A method inside of another one: named by a parameter, with all that decides its numbers in the other's record."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from harness.errors import UserError, unknown_name
from harness.method import Method, build, parameters
from harness.registry import load

if TYPE_CHECKING:
    from pydantic_core import CoreSchema


@dataclass(frozen=True)
class Inner:
    """A registered method that another one wraps; the type of a parameter, as in ``inner: Inner | None = None``.

    It is given as a name (``-p transclip.inner=tip_adapter``), or as a table with ``name`` and, if wanted, ``preset``
    and ``parameters``. ``wrap`` makes the method. What stands in the record is this, so that the same name with other
    parameters or other code is another cell.

    Attributes:
        name: of the method.
        parameters: all of them, as they were read.
        distribution: that the method comes from.
        version: of the distribution.
        code: sha256 over its files.
        requires: versions of what it requires.
    """

    name: str
    parameters: dict[str, Any]
    distribution: str
    version: str
    code: str
    requires: dict[str, str]

    def method(self) -> Method:
        """A method that nobody has fitted."""
        return build(self.name, load("method", self.name).value, None, self.parameters)

    @classmethod
    def __get_pydantic_core_schema__(cls, source: Any, handler: Any) -> CoreSchema:
        from pydantic_core import core_schema  # here, because listing plugins does without

        return core_schema.no_info_plain_validator_function(_found)


GIVEN = ("name", "preset", "parameters")
RECORDED = ("distribution", "version", "code", "requires")
"""Keys of a table: what is asked for, and what a record adds, which is found anew."""


def _found(value: Any) -> Inner:
    """The installed method that a name, a table or a record means."""
    if isinstance(value, Inner):
        return value
    given: Any = {"name": value} if isinstance(value, str) else value
    if not isinstance(given, Mapping) or not isinstance(given.get("name"), str):
        raise ValueError("input should be a method's name, or a table with name, preset and parameters")
    for key in given:
        if key not in (*GIVEN, *RECORDED):
            raise unknown_name("key of a wrapped method", str(key), GIVEN)
    plugin = load("method", given["name"])
    made = build(plugin.name, plugin.value, given.get("preset"), given.get("parameters"))
    origin = plugin.origin
    return Inner(plugin.name, parameters(made), origin.distribution, origin.version, origin.code, origin.requirements)


def wrap(outer: Method, inner: Inner) -> Method:
    """The inner method, to be fitted on the outer one's task; the outer one asks for what both need.

    Call it in ``__post_init__`` where there is an inner method, so that the needs are known before there is a task.

    Raises:
        UserError: the two want different pools.
    """
    made = inner.method()
    if made.needs.unlabeled and outer.needs.unlabeled and made.pool != outer.pool:
        hint = "give it the same, for example {'name': '%s', 'parameters': {'pool': '%s'}}"
        raise UserError(f"{inner.name} wants the pool {made.pool}, not {outer.pool}", hint % (inner.name, outer.pool))
    if made.needs.unlabeled:
        outer.pool = made.pool
    # Of this instance: they depend on its parameters.
    outer.needs, outer.seeded = outer.needs | made.needs, outer.seeded or made.seeded  # type: ignore[misc]
    outer.views, outer.crop = made.views, made.crop
    return made
