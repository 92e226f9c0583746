"""JSON whose numbers keep their digits through a change: 1.10 is read and written as 1.10."""

import json
from typing import Any

import orjson


class Number(str):
    """A number as it is written."""

    __slots__ = ()


def loads(body: bytes) -> Any:
    """The tree of a JSON text that was parsed strictly before; its numbers are `Number`."""
    return json.loads(body, parse_float=Number, parse_int=Number)


def dumps(tree: Any) -> bytes:
    """The JSON text of such a tree."""
    return orjson.dumps(tree, default=_number, option=orjson.OPT_PASSTHROUGH_SUBCLASS)


def plain(tree: Any) -> Any:
    """The tree with ordinary numbers, for reckoning."""
    return orjson.loads(dumps(tree))


def _number(value: Any) -> orjson.Fragment:
    if isinstance(value, Number):
        return orjson.Fragment(str(value))
    raise TypeError(type(value).__name__)
