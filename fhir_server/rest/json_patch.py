"""JSON Patch on stored bytes: what an operation does not touch stays as it was written.  RFC 6902"""

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec
import orjson

from fhir_server.fhir import wire
from fhir_server.fhir.errors import BusinessRule, TooLarge, Unprocessable

MOST_STEPS = 1000

Path = tuple[str | int, ...]

_VERBS = {"add", "remove", "replace", "move", "copy", "test"}
_SERVER_OWNED = {"id", "meta", "resourceType", "subject", "patient", "for", "beneficiary"}
_MOST_WORK = 256 * 1024**2  # bytes gone through by all operations, once for each level they lead down: about a second
_STEP_ARRAY = msgspec.json.Decoder(list[dict[str, msgspec.Raw]])
_ARRAY = msgspec.json.Decoder(list[msgspec.Raw])
_OBJECT = msgspec.json.Decoder(dict[str, msgspec.Raw])


def operations(body: bytes) -> Sequence[Mapping[str, Any]]:
    """The operations of a patch document; Unprocessable (422) if it is no array of well-formed operations (row 64)."""
    try:
        steps = orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise Unprocessable("A JSON Patch is a JSON array of operations.") from error
    if not isinstance(steps, list) or len(steps) > MOST_STEPS:
        raise Unprocessable(f"A JSON Patch is an array of at most {MOST_STEPS} operations.")
    for number, step in enumerate(steps):
        _require_form(number, step)
    try:
        raws = _STEP_ARRAY.decode(body)
    except RecursionError as error:
        raise Unprocessable("The values of a JSON Patch nest too deeply.") from error
    return [{**step, "raw": raw.get("value")} for step, raw in zip(steps, raws, strict=True)]


def asks(steps: Sequence[Mapping[str, Any]]) -> bool:
    """Whether the outcome tells what the resource says: by a test."""
    return any(step["op"] == "test" for step in steps)


def _require_form(number: int, step: Any) -> None:
    where = f"Operation {number}"
    if not isinstance(step, dict) or str(step.get("op")) not in _VERBS:
        raise Unprocessable(f"{where} needs an op: {', '.join(sorted(_VERBS))}.")
    for name in _pointers(step):
        if not isinstance(step.get(name), str) or (step[name] and not step[name].startswith("/")):
            raise Unprocessable(f"{where} needs {name}, a JSON Pointer such as /status.")
    if step["op"] in {"add", "replace", "test"} and "value" not in step:
        raise Unprocessable(f"{where} needs a value.")


def _pointers(step: Mapping[str, Any]) -> Sequence[str]:
    return ("path", "from") if step["op"] in {"move", "copy"} else ("path",)


def apply(steps: Sequence[Mapping[str, Any]], body: bytes, type_: str) -> bytes:
    """The body after all operations; Unprocessable if one fails, BusinessRule if one touches what is fixed (row 65)."""
    worked = 0
    for number, step in enumerate(steps):
        _require_free(step, type_)
        if worked > _MOST_WORK:
            raise TooLarge("The patch leads too deep into a long resource too often. Send it in several.")
        try:
            body = _STEPS[step["op"]](body, step)
        except (LookupError, ValueError) as error:
            raise Unprocessable(f"Operation {number} ({step['op']}) failed: {error}.") from error
        except RecursionError as error:
            raise Unprocessable(f"Operation {number} ({step['op']}) nests too deeply.") from error
        if len(body) > wire.RESOURCE_LIMIT:  # copies of copies double at every step
            raise TooLarge("The patch makes the resource longer than is taken.")
        worked += len(body) * sum(step[name].count("/") for name in _pointers(step))
    return body


def _require_free(step: Mapping[str, Any], type_: str) -> None:
    if step["op"] == "test":
        return
    for name in ("path", "from") if step["op"] == "move" else ("path",):
        require_patchable(type_, step[name].split("/")[1] if step[name] else "")


def require_patchable(type_: str, element: str) -> None:
    """BusinessRule (422) for an element of the resource that no patch may touch, and for the whole ("") (row 65)."""
    if element in _SERVER_OWNED or (type_, element) == ("Task", "owner") or not element:
        raise BusinessRule(f"{type_}.{element or '(the whole)'} cannot be patched.", f"{type_}.{element}".rstrip("."))


def _test(body: bytes, step: Mapping[str, Any]) -> bytes:
    if not _equal(orjson.loads(_raw(body, _path(body, step["path"]))), step["value"]):
        message = f"{step['path'][:64]} has another value"
        raise ValueError(message)
    return body


def _equal(one: Any, other: Any) -> bool:
    """Equality of JSON values: unlike Python's, true is not 1."""
    if isinstance(one, dict) and isinstance(other, dict):
        return one.keys() == other.keys() and all(_equal(one[name], other[name]) for name in one)
    if isinstance(one, list) and isinstance(other, list):
        return len(one) == len(other) and all(map(_equal, one, other))
    return isinstance(one, bool) == isinstance(other, bool) and bool(one == other)


def _remove(body: bytes, step: Mapping[str, Any]) -> bytes:
    path = _path(body, step["path"])
    _raw(body, path)
    return wire.edit(body, {path: wire.DELETE})


def _replace(body: bytes, step: Mapping[str, Any]) -> bytes:
    path = _path(body, step["path"])
    _raw(body, path)
    return wire.edit(body, {path: step["raw"]})


def _add(body: bytes, step: Mapping[str, Any]) -> bytes:
    return _put(body, step["path"], step["raw"])


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


def _step(raw: bytes, part: str) -> str | int:
    if not raw.lstrip().startswith(b"["):
        return part
    if part == "-":
        return len(_ARRAY.decode(raw))
    if not part.isdecimal() or (len(part) > 1 and part.startswith("0")):
        message = f"{part[:64]} is no array index"
        raise LookupError(message)
    return int(part)


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
