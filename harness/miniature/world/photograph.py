"""One image of one concept."""

from __future__ import annotations

import io

from PIL import Image

from harness.miniature.world import scene
from harness.miniature.world.canvas import Canvas
from harness.miniature.world.domains import DOMAINS
from harness.miniature.world.phylogeny import Concept, generator


def photograph(concept: Concept, instance: int) -> Image.Image:
    """Image number ``instance`` of a concept: RGB, 64 x 64. Depends on nothing but its arguments."""
    grammar = DOMAINS[concept.domain]
    rng = generator(concept.domain, concept.number, instance)
    image = scene.background(rng.choice(grammar.scenes), rng)
    grammar.pen(Canvas(image, scene.frame(grammar.turn, rng)), concept.look, rng)
    scene.occlude(image, rng)
    return scene.expose(image, rng)


def jpeg(image: Image.Image) -> bytes:
    """The JPEG file of an image, as every image of the miniature is stored."""
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", quality=90, subsampling=0)
    return buffer.getvalue()
