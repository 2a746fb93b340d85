"""In the place of the text tower where there is none."""

from __future__ import annotations

from typing import Any, NoReturn

from harness.errors import MethodError


class NoTextTower:
    """Raises one sentence wherever a method uses it.

    Args:
        reason: why there is no text tower.
        hint: what to do about it.
    """

    def __init__(self, reason: str, hint: str) -> None:
        self._error = reason, hint

    def clear_cache(self) -> None:
        """Nothing is cached."""

    def __getattr__(self, name: str) -> NoReturn:
        if name.startswith("__"):  # what Python itself looks for, for example to copy the object
            raise AttributeError(name)
        raise MethodError(*self.__dict__["_error"])


def no_text(backbone: str) -> Any:
    """What ``Backbone.text`` is for a vision-only backbone."""
    return NoTextTower(no_text_reason(backbone), NO_TEXT_HINT)


def no_text_reason(backbone: str) -> str:
    """The sentence about a vision-only backbone."""
    return f"{backbone} has no text tower"


NO_TEXT_HINT = "use a method of image features alone, such as linear_probe, or an open_clip backbone"
