"""Where in the bytes a refused body is wrong: a token scan that runs only after the gate has said no.

https://www.rfc-editor.org/rfc/rfc8259
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import orjson

# Beyond this size the place is not searched for: a refusal must not cost more than an acceptance.
SCAN_LIMIT = 256 * 1024

# Members that carry base64 content, which is no FHIR string and may be as long as the body.
_CONTENT = ("data", "valueBase64Binary")

_TOKEN = re.compile(rb'("[^"\\]*(?:\\.[^"\\]*)*")([ \t\r\n]*:)?|([{}\[\]])|([^ \t\r\n,:{}\[\]"]+)')
_CONTROL = re.compile(rb"(?<!\\)(?:\\\\)*\\(?:u00(?:0[0-8bcefBCEF]|1[0-9a-fA-F])|[bf])")
_DIGIT_RUN = re.compile(rb"[0-9]+")


@dataclass(frozen=True, slots=True)
class Place:
    """A path such as Patient.contact[0].name, " at byte n" or "", and the text found there, cut to 64 characters."""

    path: str | None
    position: str = ""
    text: str = ""


@dataclass(slots=True)
class _Frame:
    array: bool
    at: int | str = ""
    names: set[str] = field(default_factory=set)


@dataclass(frozen=True, slots=True)
class _Token:
    text: bytes
    offset: int
    stack: list[_Frame]
    repeated: bool = False

    def place(self, body: bytes, text: str = "") -> Place:
        return Place(_path(_root(body), [frame.at for frame in self.stack]), f" at byte {self.offset}", text[:64])


def find_duplicate(body: bytes) -> Place:
    """The first key that its object already has."""
    for token in _tokens(body):
        if token.repeated:
            return token.place(body, orjson.loads(token.text))
    return Place(None, text="(body too long to search)")


def find_number(body: bytes, digits: int) -> Place | None:
    """The first number with a longer run of digits; None if there is none."""
    for match in _TOKEN.finditer(body):
        if match[4] and any(len(run) > digits for run in _DIGIT_RUN.findall(match[4])):
            return _place_of(body, match.start())
    return None


def find_control(body: bytes) -> Place | None:
    """The first escaped control character."""
    match = _CONTROL.search(body) if len(body) <= SCAN_LIMIT else None
    return _place_of(body, match.start()) if match else None


def find_deep(body: bytes, depth: int) -> Place | None:
    """The first object or array below `depth` levels."""
    return next((t.place(body) for t in _tokens(body) if len(t.stack) > depth), None)


def find_array(tree: Any, items: int) -> Place | None:
    """The first array with more items; None if there is none."""
    return next((Place(path) for path, value in _nodes(tree) if isinstance(value, list) and len(value) > items), None)


def find_string(tree: Any, length: int) -> Place | None:
    """The first string with more characters, base64 content apart; None if there is none."""
    for path, value in _nodes(tree):
        if isinstance(value, dict):
            long = (k for k, v in value.items() if isinstance(v, str) and len(v) > length and k not in _CONTENT)
        elif isinstance(value, list):
            long = (str(i) for i, v in enumerate(value) if isinstance(v, str) and len(v) > length)
        if (name := next(long, None)) is not None:
            return Place(f"{path}.{name}" if isinstance(value, dict) else f"{path}[{name}]")
    return None


def _nodes(tree: Any) -> Iterator[tuple[str, Any]]:
    waiting = [(str(tree.get("resourceType", "Resource"))[:64], tree)]
    while waiting:
        path, node = waiting.pop()
        yield path, node
        if isinstance(node, dict):
            waiting.extend((f"{path}.{k}", v) for k, v in node.items() if isinstance(v, dict | list))
        else:
            waiting.extend((f"{path}[{i}]", v) for i, v in enumerate(node) if isinstance(v, dict | list))


def _place_of(body: bytes, offset: int) -> Place:
    for token in _tokens(body):
        if token.offset <= offset < token.offset + len(token.text):
            return token.place(body)
    return Place(None, f" at byte {offset}")


def _tokens(body: bytes) -> Iterator[_Token]:
    if len(body) > SCAN_LIMIT:
        return
    stack: list[_Frame] = []
    for match in _TOKEN.finditer(body):
        text = match[1] or match[3] or match[4]
        if text in b"}]":
            stack.pop()
            continue
        if match[2]:
            name = orjson.loads(text)
            repeated = name in stack[-1].names
            stack[-1].names.add(name)
            stack[-1].at = name
            yield _Token(text, match.start(), stack, repeated)
            continue
        if stack and stack[-1].array:
            stack[-1].at = int(stack[-1].at) + 1
        if text in b"{[":
            stack.append(_Frame(text == b"[", -1 if text == b"[" else ""))
        yield _Token(text, match.start(), stack)


def _root(body: bytes) -> str:
    kind = orjson.loads(body).get("resourceType")
    return kind[:64] if isinstance(kind, str) else "Resource"


def _path(root: str, steps: list[int | str]) -> str:
    tail = "".join(f"[{step}]" if isinstance(step, int) else f".{step[:64]}" for step in steps if step not in ("", -1))
    return root + tail
