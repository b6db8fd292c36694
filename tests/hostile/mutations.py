"""Hostile bytes, texts and values, drawn from a seeded source: what a bad disk, a bad program or an enemy writes."""

from __future__ import annotations

import copy
import json
import random
import zlib
from collections.abc import Sequence
from typing import Any

# texts that mean something to one layer or another: paths, SQL, HTML, shells, YAML, spreadsheets, terminals
TEXTS = (
    "",
    " ",
    ".",
    "..",
    "../../../../outside/secret.png",
    "/etc/passwd",
    "..\\..\\windows\\win.ini",
    "a/../../b.png",
    "a\x00b.png",
    "line\nbreak.png",
    "\r\n",
    "\x1b[2J\x1b[31mred",
    "\u202egnp.exe",
    "\ud800",
    "\ufeff",
    "é.png",
    "e\u0301.png",
    "-rf",
    "--help",
    "'; DROP TABLE ai_decisions; --",
    "\"; ATTACH '/tmp/x.db' AS x; --",
    "<img src=x onerror=alert(1)>",
    "</script><script>alert(1)</script>",
    "=cmd|'/c calc'!A1",
    "@SUM(1+1)",
    "!!python/object/apply:os.system ['true']",
    "{{7*7}}",
    "$(touch x)",
    "`touch x`",
    "%s%n",
    "\\N{BULLET}",
    "$\\frac{1}{0}$",
    "nan",
    "None",
    "1e999",
    "x" * 5000,
    "n" * 255 + ".png",
    "\U0001f600" * 70,
)
VALUES: tuple[Any, ...] = (
    None,
    True,
    False,
    0,
    -1,
    1,
    1.5,
    2**63,
    -(2**63) - 1,
    10**400,
    1e308,
    -0.0,
    float("nan"),
    float("inf"),
    [],
    {},
    [[]],
    [None],
    [1, 2, 3, 4],
    [0.1, 0.1, 0.9, 0.9],
    [0.9, 0.9, 0.1, 0.1],
    ["a.png", "a.png"],
    {"a": {"b": {}}},
)


def value(rng: random.Random) -> Any:
    """Any JSON value that has surprised a program before."""
    return copy.deepcopy(rng.choice((*VALUES, *TEXTS, [rng.choice(TEXTS)])))


def damaged(rng: random.Random, data: bytes) -> bytes:
    """Bytes with one to eight faults: flipped, cut, doubled, moved, overwritten, or ended too early."""
    work = bytearray(data)
    for _ in range(rng.choice((1, 1, 1, 2, 3, 8))):
        if not work:
            break
        at = rng.randrange(len(work))
        end = min(len(work), at + rng.choice((1, 2, 4, 16, 256)))
        kind = rng.randrange(8)
        if kind == 0:
            work[at] ^= 1 << rng.randrange(8)
        elif kind == 1:
            work[at:end] = rng.randbytes(end - at)
        elif kind == 2:
            del work[at:end]
        elif kind == 3:
            work[at:at] = work[at:end]
        elif kind == 4:
            work[at:end] = rng.choice((b"\0", b"\xff", b"\x7f", b"\x80")) * (end - at)
        elif kind == 5:
            work[at:at] = rng.choice(TEXTS).encode(errors="surrogatepass")
        elif kind == 6:
            number = rng.choice((0, 1, 0x7FFFFFFF, 0xFFFFFFFF, 0xFFFF, 0x80000000))
            work[at : at + 4] = number.to_bytes(4, rng.choice(("big", "little")))
        else:
            del work[rng.randrange(len(work)) :]
    return bytes(work)


def checksums_mended(data: bytes) -> bytes:
    """A damaged PNG whose chunks have the checksums they need, so that it gets past the first door."""
    work, at = bytearray(data), 8
    while at + 12 <= len(work):
        size = int.from_bytes(work[at : at + 4], "big")
        end = at + 8 + size
        if end + 4 > len(work):
            break
        work[end : end + 4] = zlib.crc32(work[at + 4 : end]).to_bytes(4, "big")
        at = end + 4
    return bytes(work)


def changed(rng: random.Random, tree: Any) -> Any:
    """A JSON value with one to three of its parts taken away, doubled, or replaced by something hostile."""
    tree = copy.deepcopy(tree)
    for _ in range(rng.randint(1, 3)):
        tree = _change_one(rng, tree)
    return tree


def _change_one(rng: random.Random, tree: Any) -> Any:
    if isinstance(tree, dict) and tree and rng.random() < 0.9:
        key = rng.choice(list(tree))
        kind = rng.randrange(6)
        if kind == 0:
            del tree[key]
        elif kind == 1:
            tree[rng.choice(TEXTS)] = value(rng)
        elif kind == 2 or not isinstance(tree[key], dict | list):
            tree[key] = value(rng)
        else:
            tree[key] = _change_one(rng, tree[key])
        return tree
    if isinstance(tree, list) and tree and rng.random() < 0.8:
        at = rng.randrange(len(tree))
        kind = rng.randrange(4)
        if kind == 0:
            del tree[at]
        elif kind == 1:
            tree.insert(at, value(rng))
        else:
            tree[at] = _change_one(rng, tree[at]) if isinstance(tree[at], dict | list) else value(rng)
        return tree
    return value(rng)


def json_bytes(rng: random.Random, tree: Any) -> bytes:
    """A JSON text that is hostile by its values, by its bytes, or by its shape."""
    kind = rng.randrange(10)
    if kind == 0:
        return deep(rng)
    if kind == 1:
        return damaged(rng, json.dumps(tree).encode())
    text = json.dumps(changed(rng, tree), ensure_ascii=rng.random() < 0.5)
    data = text.encode(errors="surrogatepass")
    return damaged(rng, data) if kind == 2 else data


def deep(rng: random.Random) -> bytes:
    """Brackets within brackets, deeper than any parser's stack, or numbers longer than any integer."""
    count = rng.choice((500, 5_000, 100_000))
    return rng.choice(
        (
            b"[" * count,
            b"[" * count + b"]" * count,
            b'{"a":' * count + b"1" + b"}" * count,
            b"1" * count,
            b"-" * count + b"1",
            b"(" * count,
            b"\xef\xbb\xbf" + b"[" * count,
        )
    )


def line_mix(rng: random.Random, lines: Sequence[bytes]) -> bytes:
    """Lines in another order, some doubled, some gone, with other line ends."""
    mixed = [line for line in lines if rng.random() < 0.95]
    rng.shuffle(mixed)
    mixed += mixed[: rng.randrange(3)]
    return rng.choice((b"\n", b"\r\n", b"\r", b"\n\n", b"\x0b")).join(mixed)
