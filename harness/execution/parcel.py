"""What is handed to another process: opening it there imports plugins, and what they change is put back."""

from __future__ import annotations

import pickle
from typing import Any, Generic, TypeVar

from harness.execution.global_state import preserve_global_state

_Content = TypeVar("_Content")


class Parcel(Generic[_Content]):
    """Something that another process opens itself, instead of finding it open before its own code runs."""

    def __init__(self, content: _Content) -> None:
        self._content = content

    def open(self) -> _Content:
        """The content; all that is shared is afterwards as it was."""
        if isinstance(self._content, _Packed):
            with preserve_global_state():
                self._content = pickle.loads(self._content)
        return self._content

    def __getstate__(self) -> dict[str, Any]:
        return {"_content": _Packed(pickle.dumps(self._content))}


class _Packed(bytes):
    """A content that was pickled."""
