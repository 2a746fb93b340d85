"""The record of the captions that the tiny CLIP is pre-trained on: which names they mention.

``python -m harness.miniature.caption_record --out FOLDER`` writes the captions of both stages of pre-training and the
names, as files for ``harness corpus count``; ``docs/corpus.md`` has the command that makes the shipped record of them.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

from harness.miniature import corpus
from harness.miniature.build import PARTS, classes
from harness.miniature.names import names
from harness.miniature.world.domains import DOMAINS
from harness.miniature.world.phylogeny import Role

ALIASED = {"joint": 0.0, "text-only": 0.5}
"""Stage of pre-training -> fraction of replaced stems, as in ``harness.miniature.pretrain``."""


def main(arguments: list[str] | None = None) -> None:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m harness.miniature.caption_record", description=__doc__)
    parser.add_argument("--out", type=Path, required=True, help="folder of the captions and names")
    write_captions(parser.parse_args(arguments).out)


def write_captions(out: Path) -> None:
    """Write ``joint.txt`` and ``text-only.txt``, a caption a line, and ``names.json``."""
    out.mkdir(parents=True, exist_ok=True)
    chosen = corpus.samples()
    for stage, aliased in ALIASED.items():
        lines = [line for lines in corpus.texts(chosen, aliased) for line in lines]
        (out / f"{stage}.txt").write_text("\n".join(lines) + "\n", encoding="utf-8", newline="\n")
    wanted = [name for side in PARTS for name in side_names(side)]
    (out / "names.json").write_text(json.dumps(wanted, indent=1) + "\n", encoding="utf-8", newline="\n")


def side_names(side: Role) -> list[str]:
    """The class names of one side of all domains."""
    return [names(domain)[concept.number].text for domain in DOMAINS for concept in classes(domain, side)]


if __name__ == "__main__":
    main()
