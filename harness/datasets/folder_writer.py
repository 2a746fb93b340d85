"""Write the JSON files of a ``{Domain}{N}_{side}`` folder, in the format of the release."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from harness.datasets.merged_mapping import FILE


def split_item(classname: str, image_name: str, label: int, caption: str | None, **more: Any) -> dict[str, Any]:
    """One image in a split file."""
    item = {"classname": classname, "image_name": image_name, "label": label, **more}
    return item if caption is None else {**item, "INFO": {"Refined_caption3": caption}}


def folder_documents(
    folder: str, files: Mapping[str, Sequence[str]], parts: Mapping[str, Sequence[dict[str, Any]]]
) -> dict[str, Any]:
    """File name -> content of the JSON files of one folder.

    Args:
        folder: its name.
        files: class -> the names of its images; the position of a class is its label.
        parts: part -> its images, as ``split_item`` writes them.
    """
    return {
        "label2name.json": {str(label): name for label, name in enumerate(files)},
        "name2label.json": {name: label for label, name in enumerate(files)},
        FILE: {name: list(images) for name, images in files.items()},
        f"split_Xin_{folder}.json": {
            part: {str(index): item for index, item in enumerate(items)} for part, items in parts.items()
        },
    }


def json_document(content: Any) -> bytes:
    """The bytes of a JSON file, the same on every system."""
    return (json.dumps(content, indent=1, ensure_ascii=False) + "\n").encode()


def write_document(path: Path, content: bytes) -> None:
    """Write a file, and create its folder."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
