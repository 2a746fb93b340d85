"""JSON files as parameters: parsed, checked against a type, or refused with one sentence."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pydantic import TypeAdapter, ValidationError

from harness.errors import UserError

if TYPE_CHECKING:
    from harness.method import File


def read_json(file: File, kind: Any, hint: str) -> Any:
    """The content of a JSON file.

    Args:
        file: the parameter.
        kind: type of the content, such as ``dict[str, list[str]]``.
        hint: what the file should contain.

    Raises:
        UserError: it is not JSON, or of another type.
    """
    try:
        return TypeAdapter(kind).validate_json(file.read_bytes(), strict=True)
    except ValidationError as error:
        first = error.errors()[0]
        where = f" at {'.'.join(map(str, first['loc']))}" if first["loc"] else ""
        raise UserError(f"{file.file} does not fit{where}: {first['msg'].lower()}", hint) from None
