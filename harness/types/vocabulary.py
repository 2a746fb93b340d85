"""The ordered class names that images are scored against."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Vocabulary:
    """Ordered names, and which of them are out of pre-training.

    Attributes:
        names: cleaned-up class names; position = column of the scores.
        oop: for every name, whether it is an OOP name of the task.
        noun: what the domain's concepts are called in a prompt.
    """

    names: tuple[str, ...]
    oop: tuple[bool, ...]
    noun: str

    def __post_init__(self) -> None:
        if len(self.names) != len(self.oop):
            raise ValueError(f"{len(self.names)} names but {len(self.oop)} flags")

    def __len__(self) -> int:
        return len(self.names)

    @classmethod
    def of(cls, noun: str, oop: tuple[str, ...] = (), ip: tuple[str, ...] = ()) -> Vocabulary:
        """The OOP vocabulary, the IP vocabulary or, if both are given, the joint one with the OOP names first."""
        return cls((*oop, *ip), (True,) * len(oop) + (False,) * len(ip), noun)
