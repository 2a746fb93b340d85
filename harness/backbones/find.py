"""Find a backbone by its name: what builds it, how its images are prepared, and where its weights come from.

Nothing is fetched yet, other than the description of a model on the Hugging Face Hub, so that a wrong name is reported
before anything else is done.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from harness.backbones.found import Found
from harness.backbones.offered import offered
from harness.hookspecs import BackboneOffer
from harness.types.cell import MODEL_FOLDERS, TIMM


def find(
    name: str,
    pretrained: str | None,
    stated: str | Mapping[str, Any] | None = None,
    offer: BackboneOffer | None = None,
    cache: Path | None = None,
) -> Found:
    """Find a backbone; its weights are not fetched.

    Args:
        name: an open_clip name, a plugin's, ``local-dir:`` and a folder, ``hf-hub:`` and a name, or ``timm:`` and a
            name or model folder of timm.
        pretrained: a published tag, or the path of a weights file; None for weights that come with the model.
        stated: preprocessing settings, or a published tag whose settings to use; they take precedence.
        offer: the backbone as a plugin offers it.
        cache: where downloads are stored; None is open_clip's own cache.

    Raises:
        BackboneError: unknown architecture or tag, QuickGELU mismatch, a weights file or folder that does not exist,
            invalid settings.
    """
    if offer is not None:
        found = offered(name, pretrained, offer)
    elif name.startswith(TIMM):
        from harness.backbones.timm_source import from_timm  # imports timm, which takes seconds

        found = from_timm(name, pretrained, cache)
    else:
        from harness.backbones import sources  # imports open_clip, which takes seconds

        if name.startswith(MODEL_FOLDERS):
            found = sources.from_model_folder(name, pretrained, cache)
        else:
            found = sources.from_open_clip(name, pretrained, cache)
    if stated is None:
        return found
    from harness.backbones import sources

    return replace(found, preprocessing=sources.stated(found, stated), source="stated")
