"""Resources bent out of shape, and text nobody should send: what a generator of hostile requests is made of."""

import copy
import json
import random
from collections.abc import Iterator
from typing import Any

WORDS: tuple[str, ...] = (
    "",
    " ",
    "\t",
    "\u0000",
    "a" * 300,
    "Ω≈ç√",
    "\u202e",
    "😀",
    "'",
    '"',
    "\\",
    "%",
    "%00",
    "%zz",
    "..",
    "../../etc/passwd",
    "null",
    "true",
    "NaN",
    "-1",
    "1e400",
    "0x10",
    "$",
    "|",
    "||",
    ",",
    "\\,",
    "a|b|c",
    "urn:uuid:",
    "urn:oid:1.2.3",
    "http://",
    "#",
    "#p",
    "Patient/",
    "Patient/x",
    "/Patient/x",
    "Patient/x/_history/1",
    "2024",
    "2024-13",
    "2024-02-30",
    "2024-02-29T25:00:00Z",
    "2024-02-29T10:00:00",
    "2024-02-29T10:00:00.123456789+14:00",
    "0000-01-01",
    "9999-12-31T23:59:59Z",
    "gt2024",
    "zz2024",
    "5.40e-3||mg",
    "1e-999",
    "--",
    "<script>",
    "<div>",
    "=1+1",
    "eq",
    "ge",
    "_id",
    "*",
    "{}",
    "[]",
    "\ud800",
    "ﷺ",
    "\r\nX: y",
)
NUMBERS: tuple[Any, ...] = (0, -0.0, 1, -1, 2**31, 2**63, 2**64, 10**40, 0.1, 1e-7, 1e308, -(10**18))
VALUES: tuple[Any, ...] = (*NUMBERS, None, True, False, [], {}, [[]], [None], {"": ""}, {"extension": []}, [{}])


def some_text(chance: random.Random) -> str:
    """A string from the list, or two of them joined."""
    return chance.choice(WORDS) + (chance.choice(WORDS) if chance.random() < 0.2 else "")


def some_value(chance: random.Random) -> Any:
    """Any JSON value, mostly of the wrong kind."""
    return some_text(chance) if chance.random() < 0.5 else copy.deepcopy(chance.choice(VALUES))


def bent(resource: dict[str, Any], chance: random.Random) -> dict[str, Any]:
    """A copy of a resource with one to three changes anywhere in it."""
    made = copy.deepcopy(resource)
    for _ in range(chance.randint(1, 3)):
        places = list(_places(made))
        if places:
            _change(*chance.choice(places), chance)
    return made


def _places(value: Any) -> Iterator[tuple[Any, Any]]:
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, child in list(items):
        yield value, key
        yield from _places(child)


def _change(parent: Any, key: Any, chance: random.Random) -> None:
    way = chance.randrange(7)
    if way == 0:
        del parent[key]
    elif way == 1:
        parent[key] = some_value(chance)
    elif way == 2:
        parent[key] = [parent[key], parent[key]]
    elif way == 3:
        parent[key] = _deep(chance.choice([3, 30, 71]), parent[key])
    elif isinstance(parent, list):
        parent.append(copy.deepcopy(parent[key]))
    else:
        _rename(parent, key, chance)


def _rename(parent: dict[str, Any], key: str, chance: random.Random) -> None:
    name = chance.choice([f"_{key}", key.upper(), f"{key}s", "resourceType", "id", "extension", some_text(chance)])
    parent[name] = parent.pop(key) if chance.random() < 0.5 else some_value(chance)


def _deep(levels: int, value: Any) -> Any:
    for _ in range(levels):
        value = [value] if levels % 2 else {"extension": [{"url": "x", "extension": value}]}
    return value


def damaged(body: bytes, chance: random.Random) -> bytes:
    """JSON text with bytes cut, flipped, doubled or inserted."""
    at, until = sorted((chance.randrange(len(body) + 1), chance.randrange(len(body) + 1)))
    ways = (
        lambda: body[:at],
        lambda: body[:at] + bytes([chance.randrange(256)]) + body[at + 1 :],
        lambda: body[:until] + body[at:],
        lambda: (
            body[:at]
            + chance.choice([b"\xff\xfe", b"\\ud800", b"\x00", b"NaN", b"1e999", b"}", b'"', b"/*"])
            + body[at:]
        ),
        lambda: b"\xef\xbb\xbf" + body,
    )
    return chance.choice(ways)()


def dumped(value: Any) -> bytes:
    """JSON of anything, lone surrogates as escapes."""
    return json.dumps(value).encode()
