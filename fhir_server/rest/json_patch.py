"""JSON Patch on stored bytes: what an operation does not touch stays as it was written.  RFC 6902"""

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec
import orjson

from fhir_server.fhir import wire
from fhir_server.fhir.errors import BusinessRule, Unprocessable

Path = tuple[str | int, ...]

_VERBS = {"add", "remove", "replace", "move", "copy", "test"}
_SERVER_OWNED = {"id", "meta", "resourceType", "subject", "patient", "for", "beneficiary"}
_ARRAY = msgspec.json.Decoder(list[msgspec.Raw])
_OBJECT = msgspec.json.Decoder(dict[str, msgspec.Raw])


def operations(body: bytes) -> Sequence[Mapping[str, Any]]:
    """The operations of a patch document; Unprocessable (422) if it is no array of well-formed operations (row 64)."""
    try:
        steps = orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise Unprocessable("A JSON Patch is a JSON array of operations.") from error
    if not isinstance(steps, list) or len(steps) > 1000:  # noqa: PLR2004 - no honest patch is longer
        raise Unprocessable("A JSON Patch is an array of at most 1,000 operations.")
    for number, step in enumerate(steps):
        _require_form(number, step)
    return steps


def _require_form(number: int, step: Any) -> None:
    where = f"Operation {number}"
    if not isinstance(step, dict) or step.get("op") not in _VERBS:
        raise Unprocessable(f"{where} needs an op: {', '.join(sorted(_VERBS))}.")
    for name in ("path", "from") if step["op"] in {"move", "copy"} else ("path",):
        if not isinstance(step.get(name), str) or (step[name] and not step[name].startswith("/")):
            raise Unprocessable(f"{where} needs {name}, a JSON Pointer such as /status.")
    if step["op"] in {"add", "replace", "test"} and "value" not in step:
        raise Unprocessable(f"{where} needs a value.")


def apply(steps: Sequence[Mapping[str, Any]], body: bytes, type_: str) -> bytes:
    """The body after all operations; Unprocessable if one fails, BusinessRule if one touches what is fixed (row 65)."""
    for number, step in enumerate(steps):
        _require_free(step, type_)
        try:
            body = _STEPS[step["op"]](body, step)
        except (LookupError, ValueError) as error:
            raise Unprocessable(f"Operation {number} ({step['op']}) failed: {error}.") from error
    return body


def _require_free(step: Mapping[str, Any], type_: str) -> None:
    if step["op"] == "test":
        return
    for name in ("path", "from") if step["op"] == "move" else ("path",):
        head = step[name].split("/")[1] if step[name] else ""
        if head in _SERVER_OWNED or (type_, head) == ("Task", "owner") or not head:
            raise BusinessRule(f"{type_}.{head or '(the whole)'} cannot be patched.", f"{type_}.{head}".rstrip("."))


def _test(body: bytes, step: Mapping[str, Any]) -> bytes:
    if orjson.loads(_raw(body, _path(body, step["path"]))) != step["value"]:
        message = f"{step['path'][:64]} has another value"
        raise ValueError(message)
    return body


def _remove(body: bytes, step: Mapping[str, Any]) -> bytes:
    path = _path(body, step["path"])
    _raw(body, path)
    return wire.edit(body, {path: wire.DELETE})


def _replace(body: bytes, step: Mapping[str, Any]) -> bytes:
    path = _path(body, step["path"])
    _raw(body, path)
    return wire.edit(body, {path: step["value"]})


def _add(body: bytes, step: Mapping[str, Any]) -> bytes:
    return _put(body, step["path"], msgspec.Raw(orjson.dumps(step["value"])))


def _move(body: bytes, step: Mapping[str, Any]) -> bytes:
    value = msgspec.Raw(_raw(body, _path(body, step["from"])))
    return _put(_remove(body, {"path": step["from"]}), step["path"], value)


def _copy(body: bytes, step: Mapping[str, Any]) -> bytes:
    return _put(body, step["path"], msgspec.Raw(_raw(body, _path(body, step["from"]))))


_STEPS = {"add": _add, "remove": _remove, "replace": _replace, "move": _move, "copy": _copy, "test": _test}


def _put(body: bytes, pointer: str, value: msgspec.Raw) -> bytes:
    path = _path(body, pointer)
    parent = _raw(body, path[:-1])
    if not parent.startswith(b"["):
        return wire.edit(body, {path: value})
    items, place = _ARRAY.decode(parent), path[-1]
    if not isinstance(place, int) or place > len(items):
        message = f"{pointer[:64]} lies past the end of the array"
        raise LookupError(message)
    items.insert(place, value)
    joined = b"[" + b",".join(bytes(item) for item in items) + b"]"
    return wire.edit(body, {path[:-1]: msgspec.Raw(joined)})


def _path(body: bytes, pointer: str) -> Path:
    """The pointer as a path; numbers become array indexes where they meet an array, "-" its end."""
    path: list[str | int] = []
    raw = body
    tokens = [token.replace("~1", "/").replace("~0", "~") for token in pointer.split("/")[1:]]
    for number, token in enumerate(tokens):
        step = _step(raw, token)
        path.append(step)
        if number < len(tokens) - 1:
            raw = _child(raw, step)
    return tuple(path)


def _step(raw: bytes, token: str) -> str | int:
    if not raw.lstrip().startswith(b"["):
        return token
    if token == "-":
        return len(_ARRAY.decode(raw))
    if not token.isdecimal() or (len(token) > 1 and token.startswith("0")):
        message = f"{token[:64]} is no array index"
        raise LookupError(message)
    return int(token)


def _raw(body: bytes, path: Path) -> bytes:
    for step in path:
        body = _child(body, step)
    return body.strip()


def _child(raw: bytes, step: str | int) -> bytes:
    raw = raw.strip()
    if raw.startswith(b"[") and isinstance(step, int):
        items = _ARRAY.decode(raw)
        if step < len(items):
            return bytes(items[step])
    elif raw.startswith(b"{") and isinstance(step, str):
        members = _OBJECT.decode(raw)
        if step in members:
            return bytes(members[step])
    message = f"there is nothing at {str(step)[:64]}"
    raise LookupError(message)
