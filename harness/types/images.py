"""Images as a method gets them: one record for the support, for pools and for scored images."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Protocol

from harness.errors import MethodError

if TYPE_CHECKING:
    from torch import Tensor
    from typing_extensions import Self


class Pixels(Protocol):
    """The pixels of n images in v views; implemented in ``harness.runner.image_input``."""

    def __call__(self, rows: Tensor, view: int | Tensor) -> Tensor:
        """Normalized pixels ``(b, 3, h, w)`` on the device."""
        ...

    def select(self, rows: Any) -> Pixels:
        """Those of some images."""
        ...


@dataclass(frozen=True)
class Images:
    """n images in v views; view 0, the test view, is the whole image. Their order reveals nothing.

    Reading what is not a declared need raises MethodError.

    Attributes:
        features: ``(n, v, d)`` unit rows.
    """

    features: Tensor
    _kinds: Mapping[str, Tensor] = field(default_factory=dict, repr=False, kw_only=True)
    _pixels: Pixels | None = field(default=None, repr=False, kw_only=True)

    @classmethod
    def of(cls, features: Tensor) -> Self:
        """One view of n images with features ``(n, d)``."""
        return cls(features[:, None])

    @property
    def preprojection(self) -> Tensor:
        """``(n, v, w)``: what the image projection is applied to (need: preprojection)."""
        return self._kind("preprojection", "add preprojection=True to the method's needs")

    @property
    def tokens(self) -> Tensor:
        """``(n, v, p, d)`` unit rows of p patches, projected like the whole image (need: tokens)."""
        return self._kind("tokens", "add tokens=True to the method's needs").float()

    def encoded(self, encoder: str) -> Tensor:
        """``(n, v, e)`` unit rows of a second encoder, one of ``Method.encoders``."""
        return self._kind(encoder, "add its name to the method's encoders")

    def pixels(self, rows: Tensor, view: int | Tensor = 0) -> Tensor:
        """Normalized pixels ``(b, 3, h, w)`` on the device (need: pixels).

        Args:
            rows: ``(b,)`` positions of images.
            view: number of the view, or ``(b,)`` one for each.
        """
        if self._pixels is None:
            raise MethodError(
                "the images have no pixels: the method does not declare them", "add pixels=True to the method's needs"
            )
        return self._pixels(rows, view)

    def batches(self, size: int) -> Iterator[Tensor]:
        """Positions of all images, in order, at most ``size`` at a time."""
        import torch

        yield from torch.split(torch.arange(len(self)), size)

    def labelled(self, label: Tensor) -> Support:
        """The same images with labels ``(n,)``, for a method that names them itself."""
        return Support(self.features, label, _kinds=self._kinds, _pixels=self._pixels)

    def with_features(self, features: Tensor) -> Self:
        """The same images with other features ``(n, v, d)``."""
        return replace(self, features=features)

    def __len__(self) -> int:
        return len(self.features)

    def __getitem__(self, rows: Any) -> Self:
        """Some of the images, by a slice, positions or a mask."""
        kinds = {name: kind[rows] for name, kind in self._kinds.items()}
        pixels = None if self._pixels is None else self._pixels.select(rows)
        return replace(self, features=self.features[rows], _kinds=kinds, _pixels=pixels, **self._of(rows))

    def _of(self, rows: Any) -> dict[str, Any]:
        """What else a subclass knows of some of its images."""
        return {}

    def _kind(self, name: str, hint: str) -> Tensor:
        if name not in self._kinds:
            raise MethodError(f"the images have no {name}: the method does not declare it", hint)
        return self._kinds[name]


@dataclass(frozen=True)
class Support(Images):
    """Labelled images of the OOP names, or of IP classes.

    Attributes:
        label: ``(n,)`` int64, position in ``Task.names``; for IP images the number of the class.
        captions: n captions or None; None as a whole unless captions are a declared need.
    """

    label: Tensor
    captions: tuple[str | None, ...] | None = None

    def _of(self, rows: Any) -> dict[str, Any]:
        captions = None if self.captions is None else tuple(self.captions[i] for i in _positions(rows, len(self)))
        return {"label": self.label[rows], "captions": captions}


def _positions(rows: Any, n: int) -> list[int]:
    import torch

    return torch.arange(n)[rows.cpu() if isinstance(rows, torch.Tensor) else rows].tolist()
