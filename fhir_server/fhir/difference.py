"""What leads from one version of a resource to another, as FHIRPath Patch.  https://hl7.org/fhir/R4/fhirpatch.html

Applied in their order, the operations turn the first version into the second.
"""

from collections.abc import Iterator, Mapping, Sequence
from difflib import SequenceMatcher
from typing import Any

import orjson

from fhir_server.fhir.definitions import core_elements
from fhir_server.fhir.elements import ElementTable

Json = Mapping[str, Any]
Parameter = dict[str, Any]

_RESOURCE = "Resource"
_OWN = {"resourceType", "id"}
_OF_META = {"versionId", "lastUpdated"}
_TOLD_AS = {"xhtml": "string"}  # what Parameters has no value for


def difference(old: Json, new: Json) -> list[Parameter]:
    """The operations (parameters of a FHIRPath Patch) that lead from `old` to `new`; id, version and time aside."""
    table = core_elements()
    kind = str(new["resourceType"])
    return list(_structure(table, kind, _content(old), _content(new), kind))


def _content(resource: Json) -> dict[str, Any]:
    kept = {name: value for name, value in resource.items() if name not in _OWN}
    meta = {name: value for name, value in kept.pop("meta", {}).items() if name not in _OF_META}
    return {**kept, "meta": meta} if meta else kept


def _structure(table: ElementTable, structure: str, old: Json, new: Json, path: str) -> Iterator[Parameter]:
    """The changes of the elements of one structure; a choice that changes its type is replaced as a whole."""
    for element in table.of(structure):
        before, after = (_values(table, structure, element.json_names, node) for node in (old, new))
        if before == after:
            continue
        stem = element.name.removesuffix("[x]")
        if element.repeats:
            yield from _list(table, before, after, path, stem)
        elif before and after:
            yield from _one(table, before[0], after[0], f"{path}.{stem}")
        elif after:
            yield _operation("add", path, after[0], name=stem)
        else:
            yield _operation("delete", f"{path}.{stem}")


class _Value:
    """One value of an element with its type, and for a primitive what its `_` companion says."""

    __slots__ = ("companion", "content", "kind", "table")

    def __init__(self, table: ElementTable, kind: str, content: Any, companion: Any) -> None:
        self.table, self.kind, self.content, self.companion = table, kind, content, companion

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Value) and self.told() == other.told()

    def __hash__(self) -> int:
        return hash(orjson.dumps(self.told(), option=orjson.OPT_SORT_KEYS))

    def told(self) -> Parameter:
        """The value as a parameter carries it: a data type, a resource, or the parts of a backbone element."""
        if self.kind == _RESOURCE:
            return {"resource": self.content}
        kind = _TOLD_AS.get(self.kind, self.kind)
        name = f"value{kind[0].upper()}{kind[1:]}"
        if name not in self.table.members("Parameters.parameter"):
            return {"part": list(_parts(self.table, self.kind, self.content))}
        found = {name: self.content} if self.content is not None else {}
        return found | ({f"_{name}": self.companion} if self.companion is not None else {})


def _values(table: ElementTable, structure: str, names: Mapping[str, str], node: Json) -> list[_Value]:
    """The values of one element in a node, in their order."""
    found: list[_Value] = []
    members = table.members(structure)
    for name in names:
        if name in node or f"_{name}" in node:
            contents, companions = _as_list(node.get(name)), _as_list(node.get(f"_{name}"))
            size = max(len(contents), len(companions))
            pairs = zip(_filled(contents, size), _filled(companions, size), strict=True)
            found += [_Value(table, members[name][1], content, companion) for content, companion in pairs]
    return found


def _as_list(value: Any) -> list[Any]:
    if value is None:
        return []
    return value if isinstance(value, list) else [value]


def _filled(values: list[Any], size: int) -> list[Any]:
    return values + [None] * (size - len(values))


def _parts(table: ElementTable, structure: str, node: Json) -> Iterator[Parameter]:
    for element in table.of(structure):
        for value in _values(table, structure, element.json_names, node):
            yield {"name": element.name.removesuffix("[x]"), **value.told()}


def _one(table: ElementTable, before: _Value, after: _Value, path: str) -> Iterator[Parameter]:
    """A value that changed: its elements one by one where it has some, else (contained resources too) as a whole."""
    if before.kind == after.kind and before.kind in table and before.kind != _RESOURCE:
        yield from _structure(table, before.kind, before.content, after.content, path)
    else:
        yield _operation("replace", path, after)


def _list(
    table: ElementTable, before: Sequence[_Value], after: Sequence[_Value], parent: str, name: str
) -> Iterator[Parameter]:
    """The changes of a repeating element from its end to its beginning, so that no index moves before its turn."""
    path = f"{parent}.{name}"
    for _, i1, i2, j1, j2 in reversed(SequenceMatcher(None, before, after, autojunk=False).get_opcodes()):
        if before[i1:i2] == after[j1:j2]:
            continue
        common = min(i2 - i1, j2 - j1)
        for index in reversed(range(i1 + common, i2)):
            yield _operation("delete", f"{path}[{index}]")
        for offset, value in enumerate(after[j1 + common : j2]):
            at = i1 + common + offset
            if i2 == len(before):
                yield _operation("add", parent, value, name=name)
            else:
                yield _operation("insert", path, value, index=at)
        for offset in range(common):
            yield from _one(table, before[i1 + offset], after[j1 + offset], f"{path}[{i1 + offset}]")


def _operation(
    kind: str, path: str, value: _Value | None = None, *, name: str = "", index: int | None = None
) -> Parameter:
    rows: list[Parameter] = [{"name": "type", "valueCode": kind}, {"name": "path", "valueString": path}]
    if name:
        rows.append({"name": "name", "valueString": name})
    if value is not None:
        rows.append({"name": "value", **value.told()})
    if index is not None:
        rows.append({"name": "index", "valueInteger": index})
    return {"name": "operation", "part": rows}
