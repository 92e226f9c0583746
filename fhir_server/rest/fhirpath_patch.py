"""FHIRPath Patch on stored bytes: root elements that no operation touches stay as they were written.

https://hl7.org/fhir/R4/fhirpatch.html
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import msgspec

from fhir_server.fhir import literal, wire
from fhir_server.fhir.errors import FHIRError, InvariantBroken, TooLarge, Unprocessable
from fhir_server.fhir.spot import Node, Spot, spot, spot_at, structure_at
from fhir_server.rest.json_patch import require_patchable
from fhir_server.validation import structure

MOST_OPERATIONS = 200
MOST_WITH_FUNCTIONS = 20  # each is compiled, and evaluated over a copy of the resource
_MOST_WORK = 4 * 1024**2  # bytes gone through by all functions together, about a second

_SERVERS_OWN_FAULT = 500


@dataclass(frozen=True)
class Step:
    """One operation: what to do, where, with what, and the numbers it needs."""

    kind: str
    path: str
    name: str
    value: Mapping[str, Any]
    numbers: Mapping[str, int]


def operations(body: bytes) -> Sequence[Step]:
    """The operations of a Parameters resource; Unprocessable (422) if it is none or an operation lacks a part."""
    parameters = wire.parse(body)
    if parameters.get("resourceType") != "Parameters":
        raise Unprocessable("A FHIRPath Patch is a Parameters resource.", "resourceType")
    _check(parameters)
    rows = literal.loads(body).get("parameter", [])
    if len(rows) > MOST_OPERATIONS:
        raise Unprocessable(f"A FHIRPath Patch has at most {MOST_OPERATIONS} operations.", "Parameters.parameter")
    steps = [_step(number, row) for number, row in enumerate(rows)]
    if sum("(" in step.path for step in steps) > MOST_WITH_FUNCTIONS:
        raise Unprocessable(f"At most {MOST_WITH_FUNCTIONS} paths of a FHIRPath Patch may hold functions.")
    return steps


def asks(steps: Sequence[Step]) -> bool:
    """Whether the outcome tells what the resource says: by a condition in a path."""
    return any("(" in step.path for step in steps)


def _check(parameters: dict[str, Any]) -> None:
    """Its structure; what a part refers to may stand in the resource that is patched, and is checked there."""
    try:
        structure.check("Parameters", parameters)
    except InvariantBroken as broken:
        issues = [issue for issue in broken.issues if issue.code != "invariant"]
        if issues:
            raise Unprocessable(issues=issues) from broken


def _step(number: int, row: Mapping[str, Any]) -> Step:
    parts = {part["name"]: part for part in row.get("part", [])}
    texts = {name: str(_first(part, "")) for name, part in parts.items()}
    kind = texts.get("type", "")
    if row["name"] != "operation" or kind not in _KINDS:
        raise _refused(number, f"needs the name operation and a type: {', '.join(_KINDS)}")
    needed = _KINDS[kind][0]
    for name in ("path", *needed):
        if name not in parts:
            raise _refused(number, f"({kind}) needs the part {name}")
    numbers = {name: texts[name] for name in needed if name in _NUMBERS}
    for name, text in numbers.items():
        if not text.isdecimal() or len(text) > 5:  # noqa: PLR2004 - no array is that long
            raise _refused(number, f"({kind}) needs a whole number as {name}")
    whole = {name: int(text) for name, text in numbers.items()}
    return Step(kind, texts["path"], texts.get("name", ""), parts.get("value", {}), whole)


def _first(part: Mapping[str, Any], otherwise: Any) -> Any:
    return next((value for key, value in part.items() if key.startswith("value")), otherwise)


def _refused(number: int, problem: str) -> Unprocessable:
    return Unprocessable(f"Operation {number} {problem}.", f"Parameters.parameter[{number}]")


def apply(steps: Sequence[Step], body: bytes, type_: str) -> bytes:
    """The body after all operations; Unprocessable if one fails, BusinessRule if one touches what is fixed (row 65)."""
    if len(body) * sum(step.path.count("(") for step in steps) > _MOST_WORK:
        raise TooLarge("The resource is too long for paths with functions. Name elements by their indexes.")
    tree: Node = literal.loads(body)
    before = {name: literal.dumps(value) for name, value in tree.items()}
    for number, step in enumerate(steps):
        try:
            _KINDS[step.kind][1](tree, step)
        except (LookupError, ValueError) as error:
            raise _refused(number, f"({step.kind}) failed: {error.args[0]}") from error
        except FHIRError as error:
            if error.status >= _SERVERS_OWN_FAULT:
                raise
            raise _refused(number, f"({step.kind}) failed: {error}") from error
    _prune(tree)
    after = {name: literal.dumps(value) for name, value in tree.items()}
    changed = {name for name in {*before, *after} if before.get(name) != after.get(name)}
    for name in sorted(changed):
        require_patchable(type_, name.removeprefix("_"))
    edits: dict[tuple[str | int, ...], Any] = {
        (name,): msgspec.Raw(after[name]) if name in after else wire.DELETE for name in sorted(changed)
    }
    edited = wire.edit(body, edits)
    if len(edited) > wire.RESOURCE_LIMIT:
        raise TooLarge("The patch makes the resource longer than is taken.")
    return edited


def _prune(node: Any) -> bool:
    """Take out what became empty; whether the node itself is empty now."""
    if isinstance(node, dict):
        for name in [name for name, child in node.items() if _prune(child)]:
            del node[name]
        return not node
    if isinstance(node, list):
        node[:] = [child for child in node if not _prune(child)]
        return not node or all(child is None for child in node)
    return False


# ---- the operations ------------------------------------------------------------------------------------------------


def _add(tree: Node, step: Step) -> None:
    _put(spot(tree, structure_at(tree, step.path), step.name), step.value)


def _put(at: Spot, value: Mapping[str, Any]) -> None:
    """One more value of a list, or the value of what has none yet."""
    if at.element.repeats:
        _write(at, [*at.pairs, _value(at, at.name, value)])
    elif at.present:
        raise LookupError("there is a value already; replace it")
    else:
        _set(at, value)


def _insert(tree: Node, step: Step) -> None:
    at, pairs = _list(tree, step)
    if step.numbers["index"] > len(pairs):
        raise LookupError("the index lies past the end of the list")
    pairs.insert(step.numbers["index"], _value(at, at.name, step.value))
    _write(at, pairs)


def _delete(tree: Node, step: Step) -> None:
    at = spot_at(tree, step.path)
    if at is None or not at.present or (at.index or 0) >= len(at.pairs):
        return  # what is not there need not be deleted
    pairs = at.pairs
    del pairs[at.one()]
    _write(at, pairs)


def _replace(tree: Node, step: Step) -> None:
    at = spot_at(tree, step.path)
    if at is None or not at.present:
        raise LookupError("there is nothing to replace")
    pairs, place = at.pairs, at.one()
    if at.element.repeats:
        pairs[place] = _value(at, at.name, step.value)
        _write(at, pairs)
    else:
        _write(at, [])
        _set(at, step.value)


def _move(tree: Node, step: Step) -> None:
    at, pairs = _list(tree, step)
    source, destination = step.numbers["source"], step.numbers["destination"]
    if max(source, destination) >= len(pairs):
        raise LookupError("an index lies past the end of the list")
    pairs.insert(destination, pairs.pop(source))
    _write(at, pairs)


_NUMBERS = {"index", "source", "destination"}
_KINDS: dict[str, tuple[tuple[str, ...], Callable[[Node, Step], None]]] = {
    "add": (("name", "value"), _add),
    "insert": (("value", "index"), _insert),
    "delete": ((), _delete),
    "replace": (("value",), _replace),
    "move": (("source", "destination"), _move),
}


def _list(tree: Node, step: Step) -> tuple[Spot, list[list[Any]]]:
    at = spot_at(tree, step.path)
    if at is None or not at.element.repeats or at.index is not None:
        raise LookupError("the path must name a list")
    return at, at.pairs


def _set(at: Spot, value: Mapping[str, Any]) -> None:
    """The value under the name that its type gives a choice."""
    name = next(iter(at.kinds))
    if at.element.choice:
        kind = next((key.removeprefix("_")[5:] for key in value if key.lstrip("_").startswith("value")), "")
        name = at.element.name.removesuffix("[x]") + kind
        if name not in at.kinds:
            message = f"the value cannot be of this type: {kind or 'parts'}"
            raise LookupError(message)
    plain, companion = _value(at, name, value)
    at.node.update({key: one for key, one in ((name, plain), (f"_{name}", companion)) if one is not None})


def _value(at: Spot, name: str, value: Mapping[str, Any]) -> list[Any]:
    """[value, what stands beside it] from a part: value[x], a resource, or the parts of a backbone element."""
    if "part" in value:
        holder: Node = {"resourceType": at.kinds[name]}  # so that the table knows its elements
        for part in value["part"]:
            _put(spot(holder, (), part["name"]), part)
        del holder["resourceType"]
        return [holder, None]
    if "resource" in value:
        return [value["resource"], None]
    companion = next((one for key, one in value.items() if key.startswith("_value")), None)
    return [_first(value, None), companion]


def _write(at: Spot, pairs: Sequence[Sequence[Any]]) -> None:
    for place, name in enumerate((at.name, f"_{at.name}")):
        items = [pair[place] for pair in pairs]
        if all(item is None for item in items):
            at.node.pop(name, None)
        else:
            at.node[name] = items if at.element.repeats else items[0]
