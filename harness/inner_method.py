"""A method that another one wraps: named by a parameter, and recorded with all that its numbers depend on."""

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
    and ``parameters``. ``wrap`` makes the method. The record contains these fields, so that the same name with
    other parameters or other code is another cell.

    Attributes:
        name: of the method.
        parameters: all of them, after validation.
        distribution: the method's distribution.
        version: of the distribution.
        code: sha256 over its files.
        requires: versions of its requirements.
    """

    name: str
    parameters: dict[str, Any]
    distribution: str
    version: str
    code: str
    requires: dict[str, str]

    def method(self) -> Method:
        """A new method, not fitted."""
        return build(self.name, load("method", self.name).value, None, self.parameters)

    @classmethod
    def __get_pydantic_core_schema__(cls, source: Any, handler: Any) -> CoreSchema:
        from pydantic_core import core_schema  # here, because listing plugins does not need it

        return core_schema.no_info_plain_validator_function(_found)


GIVEN = ("name", "preset", "parameters")
RECORDED = ("distribution", "version", "code", "requires")
"""Keys of a table: those that a user gives, and those that a record adds, which are ignored and recomputed."""


def _found(value: Any) -> Inner:
    """The installed method for a name, a table or a record."""
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
    """Make the inner method, to be fitted on the outer one's task; the outer one then needs what both need.

    Call it in ``__post_init__`` if there is an inner method, so that the needs are known before the task is built.

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
    outer.views, outer.test_views = max(outer.views, made.views), max(outer.test_views, made.test_views)
    outer.crop, outer.encoders = made.crop, tuple(dict.fromkeys((*outer.encoders, *made.encoders)))
    return made
