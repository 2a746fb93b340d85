"""Division of work among commands that know nothing of each other, such as the tasks of a job array."""

from __future__ import annotations

from dataclasses import dataclass

from harness.errors import UserError


@dataclass(frozen=True)
class Shard:
    """The i-th of n parts of some work.

    Attributes:
        number: i, from 1 on.
        of: n.
    """

    number: int
    of: int

    @classmethod
    def parse(cls, text: str) -> Shard:
        """The shard ``i/n``.

        Raises:
            UserError: it is not such a fraction.
        """
        number, slash, of = text.partition("/")
        if not (slash and number.isdecimal() and of.isdecimal() and 1 <= int(number) <= int(of)):
            raise UserError(f"--shard {text!r} is not i/n", "for example --shard 1/8 to --shard 8/8")
        return cls(int(number), int(of))

    def __str__(self) -> str:
        return f"{self.number}/{self.of}"

    def overlaps(self, position: int, count: int) -> bool:
        """Whether any part of the item at a position, of ``count`` equally long ones in a line, is in this shard."""
        return position * self.of < self.number * count and (self.number - 1) * count < (position + 1) * self.of

    def has(self, position: int, count: int) -> bool:
        """Whether the middle of that item is in this shard, as it is in exactly one."""
        return self.of * (2 * position + 1) // (2 * count) == self.number - 1
