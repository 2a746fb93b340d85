"""The scene of an object: background and clutter behind it; occluder, light and noise in front of it."""

from __future__ import annotations

import math
import random
from typing import NamedTuple

import numpy as np
from PIL import Image, ImageDraw

from harness.miniature.world.canvas import SIZE, Frame
from harness.miniature.world.colours import COLOURS, RGB, mix, shade


class Scene(NamedTuple):
    """A background: two colours, the height of the horizon (None = one surface), and a kind of clutter."""

    far: RGB
    near: RGB
    horizon: float | None
    clutter: str


SCENES = {
    "meadow": Scene((168, 208, 236), (128, 176, 92), 0.45, "tufts"),
    "snow": Scene((190, 204, 222), (234, 240, 246), 0.5, "blobs"),
    "wood": Scene((74, 98, 70), (104, 92, 62), 0.6, "trunks"),
    "sand": Scene((236, 214, 170), (214, 182, 124), None, "blobs"),
    "dusk": Scene((98, 84, 134), (72, 70, 86), 0.6, "blobs"),
    "street": Scene((182, 196, 210), (142, 140, 140), 0.7, "trunks"),
    "park": Scene((176, 216, 240), (108, 168, 84), 0.7, "blobs"),
    "overcast": Scene((192, 198, 204), (150, 156, 144), 0.65, "tufts"),
    "desert": Scene((246, 220, 168), (216, 172, 112), 0.6, "blobs"),
    "wall": Scene((214, 206, 192), (196, 186, 172), None, "lines"),
    "cloth": Scene((178, 188, 204), (150, 160, 184), None, "lines"),
    "wardrobe": Scene((122, 92, 66), (94, 68, 48), None, "trunks"),
    "wood panel": Scene((172, 128, 84), (146, 104, 66), None, "lines"),
    "plaster": Scene((226, 220, 208), (204, 200, 194), None, "blobs"),
    "table": Scene((206, 170, 128), (178, 138, 96), 0.3, "lines"),
    "slate": Scene((92, 98, 106), (68, 74, 82), None, "blobs"),
    "picnic": Scene((150, 190, 110), (124, 170, 88), None, "tufts"),
    "leaf": Scene((122, 178, 84), (84, 142, 66), None, "lines"),
    "bark": Scene((122, 98, 76), (92, 70, 54), None, "trunks"),
    "garden": Scene((188, 214, 196), (116, 146, 88), 0.55, "tufts"),
    "cave": Scene((78, 74, 92), (58, 54, 66), 0.65, "blobs"),
}


_ACROSS = np.linspace(-1, 1, SIZE // 2, dtype=np.float32)


def background(kind: str, rng: random.Random) -> Image.Image:
    """The picture (SIZE, SIZE) before the object is drawn."""
    scene = SCENES[kind]
    brightness = rng.uniform(0.85, 1.12)
    far, near = shade(scene.far, brightness), shade(scene.near, brightness)
    image = Image.new("RGB", (SIZE, SIZE), far)
    draw = ImageDraw.Draw(image)
    ground = 0 if scene.horizon is None else int(SIZE * (scene.horizon + rng.uniform(-0.1, 0.1)))
    for i in range(4):
        y = ground + (SIZE - ground) * i // 4
        draw.rectangle((0, y, SIZE, SIZE), fill=mix(far, near, (i + 1) / 4 if scene.horizon is None else 0.7 + i / 10))
    for _ in range(rng.randrange(4, 10)):
        towards: RGB = (0, 0, 0) if rng.random() < 0.5 else (255, 255, 255)
        _clutter(draw, scene.clutter, ground, mix(near, towards, 0.22), rng)
    return image


def _clutter(draw: ImageDraw.ImageDraw, kind: str, ground: int, colour: RGB, rng: random.Random) -> None:
    x, y, size = rng.uniform(0, SIZE), rng.uniform(ground, SIZE), rng.uniform(5, 16)
    if kind == "tufts":
        for dx in (-4, 0, 4):
            draw.line((x, y, x + dx, y - size), fill=colour, width=2)
    elif kind == "trunks":
        draw.rectangle((x, 0, x + size * 0.6, ground or SIZE), fill=colour)
    elif kind == "lines":
        draw.line((0, y, SIZE, y + rng.uniform(-12, 12)), fill=colour, width=2)
    else:
        draw.ellipse((x - size, y - size * 0.6, x + size, y + size * 0.6), fill=colour)


def frame(turn: float, rng: random.Random) -> Frame:
    """A random place for the object: scale, rotation up to ``turn`` degrees, flip, shear and shift."""
    scale = rng.uniform(0.7, 1.02) * SIZE * 0.47
    angle = math.radians(rng.uniform(-turn, turn))
    flip = -1 if rng.random() < 0.5 else 1
    shear = rng.uniform(-0.12, 0.12)
    c, s = scale * math.cos(angle), scale * math.sin(angle)
    x, y = (SIZE * (0.5 + rng.uniform(-0.1, 0.1)) for _ in range(2))
    return Frame(c * flip, c * shear - s, x, s * flip, s * shear + c, y)


def occlude(image: Image.Image, rng: random.Random) -> None:
    """Something in front of the object, in 38 of 100 images; it never covers the middle."""
    if rng.random() >= 0.38:
        return
    draw, colour = ImageDraw.Draw(image), shade(COLOURS[rng.choice(list(COLOURS))], rng.uniform(0.5, 1))
    angle, size = rng.uniform(0, math.tau), rng.uniform(0.1, 0.2) * SIZE
    x, y = (SIZE * (0.5 + 0.42 * part) for part in (math.cos(angle), math.sin(angle)))
    if rng.random() < 0.5:
        draw.ellipse((x - size, y - size, x + size, y + size), fill=colour)
    else:
        draw.line((x, y, x - SIZE * math.sin(angle), y + SIZE * math.cos(angle)), fill=colour, width=int(size * 0.5))


def expose(image: Image.Image, rng: random.Random) -> Image.Image:
    """The finished photograph (SIZE / 2, SIZE / 2): light from one side, gain, colour cast and noise."""
    small = image.reduce(2)
    light = 1 + rng.uniform(-0.2, 0.2) * _ACROSS.repeat(3) + rng.uniform(-0.2, 0.2) * _ACROSS[:, None]
    cast = np.array([rng.uniform(0.9, 1.1) for _ in range(3)], dtype=np.float32) * np.float32(rng.uniform(0.8, 1.15))
    # Rows of pixels times channels: numpy is slow where the last axis has three numbers.
    pixels = light * np.frombuffer(small.tobytes(), dtype=np.uint8).reshape(light.shape)
    pixels *= np.tile(cast, len(light))
    # Two bytes added give a triangular noise that no library version can change.
    grains = np.frombuffer(rng.randbytes(2 * pixels.size), dtype=np.uint8).reshape(2, *pixels.shape)
    noise = np.add(*grains, dtype=np.float32)
    noise -= 255
    noise *= np.float32(rng.uniform(0.03, 0.1))
    pixels += noise
    return Image.frombytes("RGB", small.size, pixels.clip(0, 255, out=pixels).astype(np.uint8).tobytes())
