"""A data folder of the size of LAION-Beyond in the released format, whose files contain no pictures."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

DOMAINS = 9
CLASSES = {"OOP": 75, "IP": 40}
PARTS = {"train": 20, "val": 8, "test": 165}
"""Images of each class: about 22,000 a domain, 200,000 in all."""


def write_root(root: Path, parts: dict[str, int] = PARTS) -> tuple[Path, list[str]]:
    """Write a data folder in the released format with placeholder files; returns it and the sha256 of every file."""
    digests = []
    for domain in range(DOMAINS):
        for side, classes in CLASSES.items():
            folder = root / f"Domain {chr(65 + domain)}{classes}_{side}"
            split: dict[str, dict[str, dict[str, object]]] = {part: {} for part in parts}
            for label in range(classes):
                name = f"{side} thing {label}"
                (folder / "images" / name).mkdir(parents=True)
                number = 0
                for part, count in parts.items():
                    for _ in range(count):
                        content = f"{domain}/{side}/{label}/{number}".encode()
                        (folder / "images" / name / f"{number}.jpg").write_bytes(content)
                        digests.append(hashlib.sha256(content).hexdigest())
                        item = {"classname": name, "image_name": f"{number}.jpg", "label": label}
                        split[part][str(len(split[part]))] = item
                        number += 1
            (folder / f"split_Xin_{folder.name}.json").write_text(json.dumps(split))
    return root, digests
