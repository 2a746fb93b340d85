"""Random damage to a file's content: bytes, and values of JSON where it is JSON."""

from __future__ import annotations

import io
import json
import random
import zipfile
from collections.abc import Iterator
from typing import Any

STRANGE = (
    *("null", "true", "-1", "0", "0.5", "1e308", "-1e308", "1e400", "NaN", "9" * 30, "9" * 400, "9" * 5000),
    *(
        '""',
        '" "',
        '"a\\nb"',
        '"../../x"',
        '"\\u0000"',
        '"\\ud800"',
        '"\\u202e"',
        '"\\u009b31m"',
        '"\\u001b]0;x\\u0007"',
    ),
    *("[]", "{}", '{"a": 1}', "[null]", '[["a"]]', '[" ", [1, {"b": null}]]', '{"0": 0, "0": 0}'),
    *('"' + "x" * 100_000 + '"', "[" * 300 + "]" * 300, "[" * 100_000, '["' + '","'.join("x" * 5000) + '"]'),
)
"""Values of JSON that a reader does not expect, as text."""

KEYS = ("more", "", "\x1b[31m", "\ud800", "-1", "1e5")
"""Keys of JSON that a reader does not expect."""

_MARK = "\ufdd0"  # no true file has this character


def mutate(content: bytes, rng: random.Random) -> bytes:
    """The content with one to three kinds of damage."""
    for _ in range(rng.choice((1, 1, 1, 2, 3))):
        try:
            content = _inside(content, rng) if rng.random() < 0.6 else rng.choice(BYTES)(content, rng)
        except Exception:  # damaged already
            content = rng.choice(BYTES)(content, rng)
    return content


def _inside(content: bytes, rng: random.Random) -> bytes:
    """Damage that keeps the format: a value of JSON, the header of safetensors, or a member of an archive."""
    if content[:2] == b"PK":
        return _member(content, rng)
    if content[8:9] == b"{":  # safetensors: the length of the header, the header, the numbers
        start = 8 + int.from_bytes(content[:8], "little")
        header = _json(content[8:start], rng)
        return len(header).to_bytes(8, "little") + header + content[start:]
    return _json(content, rng)


def _member(content: bytes, rng: random.Random) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(content)) as old, zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as new:
        chosen = rng.choice(old.namelist())
        for name in old.namelist():
            inner = old.read(name)
            new.writestr(name, (rng.choice((_inside, *BYTES)) if name == chosen else _same)(inner, rng))
    return buffer.getvalue()


def _same(content: bytes, rng: random.Random) -> bytes:
    return content


def _json(content: bytes, rng: random.Random) -> bytes:
    value = json.loads(content)
    places = list(_places(value))
    if not places:
        raise ValueError("no place")
    holder, key = rng.choice(places)
    action = rng.random()
    strange = rng.choice(STRANGE)
    if action < 0.15:
        del holder[key]
    elif action < 0.3:
        other, there = rng.choice(places)
        holder[key] = json.loads(json.dumps(other[there]))
    elif action < 0.4 and isinstance(holder, dict):
        holder[_MARK] = holder[key]
        return json.dumps(value).replace(json.dumps(_MARK), json.dumps(key)).encode()  # the same key twice
    elif action < 0.5 and isinstance(holder, dict):
        holder[json.loads(rng.choice(('"more"', '""', '"\\u001b[31m"', '"\\ud800"', '"-1"', '"1e5"')))] = holder.pop(
            key
        )
    else:
        holder[key] = _MARK
        return json.dumps(value).replace(json.dumps(_MARK), strange).encode()
    return json.dumps(value).encode()


def _places(value: Any) -> Iterator[tuple[Any, Any]]:
    """(container, key) of every value inside."""
    for key in list(value) if isinstance(value, dict) else range(len(value)) if isinstance(value, list) else ():
        yield value, key
        yield from _places(value[key])


def _flip(content: bytes, rng: random.Random) -> bytes:
    found = bytearray(content or b"x")
    for _ in range(rng.choice((1, 1, 2, 10, 100))):
        found[rng.randrange(len(found))] ^= 1 << rng.randrange(8)
    return bytes(found)


def _head(content: bytes, rng: random.Random) -> bytes:
    found = bytearray(content or b"x")
    for _ in range(rng.choice((1, 2, 4))):
        found[rng.randrange(min(64, len(found)))] = rng.choice((0, 1, 0x7F, 0x80, 0xFF, rng.randrange(256)))
    return bytes(found)


def _truncate(content: bytes, rng: random.Random) -> bytes:
    return content[: rng.randrange(len(content) + 1)]


def _insert(content: bytes, rng: random.Random) -> bytes:
    at = rng.randrange(len(content) + 1)
    what = rng.choice(
        (rng.randbytes(8), b"\0" * 64, b"\xff\xfe", b"9" * 30, b"[" * 1000, b'"', b"\xc3\x28", content[:200])
    )
    return content[:at] + what + content[at:]


def _remove(content: bytes, rng: random.Random) -> bytes:
    at = rng.randrange(len(content) + 1)
    return content[:at] + content[at + rng.choice((1, 2, 8, 100)) :]


def _overwrite(content: bytes, rng: random.Random) -> bytes:
    at, what = rng.randrange(len(content) + 1), rng.choice((b"\xff" * 4, b"\0" * 8, b"\x7f\xff\xff\xff", b"\x63\0"))
    return content[:at] + what + content[at + len(what) :]


BYTES = (_flip, _head, _truncate, _insert, _remove, _overwrite)
