"""The wire form: bytes pass a strict gate once and are kept as they came.  https://hl7.org/fhir/R4/json.html

`parse` refuses what JSON libraries let through in silence: duplicate keys, control characters, endless numbers, depth.
`stamp`, `edit`, `append_meta` and `strip_displays` change single spans of the bytes and leave every other byte alone;
`dump` writes what our own code made.
"""

import re
from typing import Any

import orjson

from fhir_server.fhir.editor import DELETE, Value, append_meta, dump, edit, stamp, strip_displays
from fhir_server.fhir.errors import BadValue, FHIRError, Structure, TooCostly, TooLarge, UnsupportedMedia
from fhir_server.fhir.scan import Place, find_array, find_control, find_deep, find_duplicate, find_number, find_string

__all__ = [
    "BUNDLE_LIMIT",
    "DELETE",
    "RESOURCE_LIMIT",
    "StringTooLong",
    "Value",
    "append_meta",
    "dump",
    "edit",
    "parse",
    "stamp",
    "strip_displays",
]

RESOURCE_LIMIT = 5 * 1024 * 1024
BUNDLE_LIMIT = 50 * 1024 * 1024
MAX_DEPTH = 64
MAX_ITEMS = 10_000
MAX_STRING = 1024 * 1024
MAX_DIGITS = 64

_DIGITS = bytes.maketrans(b"123456789", b"000000000")
_LONG_RUN = b"0" * (MAX_DIGITS + 1)
_SPACED_COLON = re.compile(rb'"[ \t\r\n]+:')
_CONTROL_ESCAPE = re.compile(rb"\\(?:u00(?:0[0-8bcefBCEF]|1[0-9a-fA-F])|[bf])")
_NUMBER = re.compile(r"-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?")


class StringTooLong(FHIRError):
    """A string is longer than FHIR allows."""

    status, code = 400, "too-long"


def parse(body: bytes, limit: int = RESOURCE_LIMIT) -> dict[str, Any]:
    """The JSON object in `body`, for checks and indexes only: its decimals are floats, the bytes stay the truth.

    TooLarge beyond `limit`; UnsupportedMedia for UTF-16; Structure for what is no strict JSON object, has duplicate
    keys or more than 64 levels; BadValue for control characters and endless numbers; StringTooLong; TooCostly.
    """
    if len(body) > limit:
        raise TooLarge(f"the body has {len(body)} bytes; the limit is {limit}")
    try:
        tree = orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise _refusal(body, error) from None
    if tree.__class__ is not dict:
        raise Structure("the body must be a JSON object, that is one FHIR resource")
    if body.count(b"{") + body.count(b"[") > MAX_DEPTH:
        _check_depth(tree, body)
    _check_controls(body)
    _check_names(tree, body)
    if _LONG_RUN in body.translate(_DIGITS) and (place := find_number(body, MAX_DIGITS)):
        raise _at(BadValue, f"a number has more than {MAX_DIGITS} digits", place)
    _check_sizes(tree, body)
    return tree


def _check_names(tree: dict[str, Any], body: bytes) -> None:
    """The parse drops all but the last of equal keys; so the tree, written again, has fewer names than the body."""
    again = orjson.dumps(tree)
    if again != body and _count_names(body) != _count_names(again):
        place = find_duplicate(body)
        raise _at(Structure, f"the key {place.text!r} occurs twice in one object", place)


def _count_names(text: bytes) -> int:
    if b"\\" in text:
        text = text.replace(b"\\\\", b"").replace(b'\\"', b"")
    names = text.count(b'":')
    if b" :" in text or b"\n:" in text or b"\t:" in text or b"\r:" in text:
        names += len(_SPACED_COLON.findall(text))
    return names


def _check_controls(body: bytes) -> None:
    if b"\\" not in body:
        return
    if _CONTROL_ESCAPE.search(body.replace(b"\\\\", b"")):
        raise _at(
            BadValue, "a string holds a control character other than tab, new line and return", find_control(body)
        )


def _check_depth(tree: dict[str, Any], body: bytes) -> None:
    level: list[Any] = [tree]
    for _ in range(MAX_DEPTH):
        level = [v for node in level for v in _values(node) if v.__class__ is dict or v.__class__ is list]
        if not level:
            return
    raise _at(Structure, f"objects and arrays are nested more than {MAX_DEPTH} levels deep", find_deep(body, MAX_DEPTH))


def _values(node: Any) -> Any:
    return node.values() if node.__class__ is dict else node


def _check_sizes(tree: dict[str, Any], body: bytes) -> None:
    if body.count(b",") >= MAX_ITEMS and (place := find_array(tree, MAX_ITEMS)):
        raise _at(TooCostly, f"an array has more than {MAX_ITEMS} items", place)
    if len(body) > MAX_STRING and (place := find_string(tree, MAX_STRING)):
        raise _at(StringTooLong, f"a string has more than {MAX_STRING} characters", place)


def _refusal(body: bytes, error: orjson.JSONDecodeError) -> FHIRError:
    """What orjson's failure means in the words of the catalogue."""
    if not body.strip():
        return Structure("the body is empty; send one FHIR resource as JSON")
    if body.startswith(b"\xef\xbb\xbf"):
        return Structure("the body starts with a byte-order mark; send plain UTF-8")
    if body.startswith((b"\xff\xfe", b"\xfe\xff")) or b"\0" in body[:4]:
        return UnsupportedMedia("the body is not UTF-8; FHIR JSON is always UTF-8")
    try:
        text = body.decode()
    except UnicodeDecodeError as wrong:
        return Structure(f"the body is not UTF-8: bad byte at offset {wrong.start}")
    return _syntax(text, error)


def _syntax(text: str, error: orjson.JSONDecodeError) -> FHIRError:
    where = f"at line {error.lineno} column {error.colno}"
    number = _NUMBER.match(text, error.pos)
    if number and number.end() == len(text.rstrip(" \t\r\n")):
        return Structure("the body must be a JSON object, that is one FHIR resource")
    if number and text[number.end()] in ",]} \t\r\n":
        return BadValue(f"a number {where} is out of range")
    if "control character" in error.msg:
        return BadValue(f"a string holds a control character {where}")
    if "depth" in error.msg:
        return Structure(f"objects and arrays are nested more than {MAX_DEPTH} levels deep")
    return Structure(f"the body is not strict JSON: {error.msg.partition(':')[0]}, {where}")


def _at(kind: type[FHIRError], message: str, place: Place | None) -> FHIRError:
    if not place:
        return kind(message)
    return kind(f"{message}{place.position}", place.path)
