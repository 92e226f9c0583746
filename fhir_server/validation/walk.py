"""The element walk: every departure of a resource from R4, with its place and what would be right.

It decides what the fast gate turned down.  https://hl7.org/fhir/R4/json.html and https://hl7.org/fhir/R4/elementdefinition.html
"""

import re
from collections.abc import Iterator, Mapping
from difflib import get_close_matches
from functools import cache
from typing import Any

from fhir_server.fhir.elements import Element, ElementTable
from fhir_server.fhir.errors import Issue
from fhir_server.validation.base_invariants import broken_invariants
from fhir_server.validation.base_rules import contained_issues, period_is_broken
from fhir_server.validation.narrative import narrative_issue
from fhir_server.validation.primitives import PRIMITIVES, problem, reference_pattern

Json = Mapping[str, Any]
_MISSING = object()


class Walk:
    """The rules of one element table and set of resource types; its methods yield issues and keep nothing."""

    def __init__(self, table: ElementTable, types: frozenset[str]) -> None:
        self._table = table
        self._types = types
        self._target = cache(self._compile_target)

    def resource(self, node: Json, path: str, *, contained: bool = False) -> Iterator[Issue]:
        """Every issue of a resource whose type is known and whose place is `path`, for example Patient."""
        kind = node["resourceType"]
        yield from self._structure(kind, node, path)
        if not contained:
            yield from contained_issues(node, path)

    def _structure(self, structure: str, node: Json, path: str) -> Iterator[Issue]:
        """The invariants are asked only of what is right so far: one fault, one issue."""
        right = True
        for issue in self._elements(structure, node, path):
            right = False
            yield issue
        if right:
            yield from broken_invariants(structure, node, path)

    def _elements(self, structure: str, node: Json, path: str) -> Iterator[Issue]:
        members = self._table.members(structure)
        present: dict[str, list[str]] = {}
        for name in node:
            base = name.removeprefix("_")
            if base in members:
                names = present.setdefault(members[base][0].name, [])
                if base not in names:
                    names.append(base)
            elif name != "resourceType" or structure not in self._types:
                yield self._unknown(structure, name, path)
        for names in present.values():
            yield from self._present(names, node, path, members)
        for element in self._table.required(structure):
            if element.name not in present:
                yield _missing(element, path)
        if structure == "Extension":
            yield from _extension(node, path)
        elif structure == "Period" and period_is_broken(node):
            yield Issue("invariant", "per-1: the period ends before it starts", path)

    def _present(
        self, names: list[str], node: Json, path: str, members: Mapping[str, tuple[Element, str]]
    ) -> Iterator[Issue]:
        if len(names) > 1:
            shown, stem = " and ".join(names[:4]), members[names[0]][0].name.removesuffix("[x]")
            yield Issue("structure", f"only one of {shown} may be there", f"{path}.{stem}")
        for name in names:
            element, kind = members[name]
            value, extra = node.get(name, _MISSING), node.get(f"_{name}", _MISSING)
            where = f"{path}.{name}"
            if extra is not _MISSING and (kind not in PRIMITIVES or not element.extensible):
                yield Issue("structure", f"{name} has no '_' companion", where)
                extra = _MISSING
            if value is not _MISSING or extra is not _MISSING:
                yield from self._values(element, kind, value, extra, where)

    def _unknown(self, structure: str, name: str, path: str) -> Issue:
        known = self._table.members(structure)
        choices = [n for n, (element, _) in known.items() if element.choice and element.name == f"{name}[x]"]
        near = choices[:4] or get_close_matches(name[:64], known, n=1)
        hint = f"; did you mean {' or '.join(near)}?" if near else ""
        return Issue("structure", f"{structure} has no element {name[:64]!r}{hint}", f"{path}.{name[:64]}")

    def _values(self, element: Element, kind: str, value: Any, extra: Any, path: str) -> Iterator[Issue]:
        primitive = kind in PRIMITIVES
        if not element.repeats:
            check = self._primitive if primitive else self._complex
            yield from check(element, kind, value, extra, path)
            return
        lists = [part for part in (value, extra) if part is not _MISSING]
        if any(not isinstance(part, list) for part in lists):
            yield Issue("structure", f"must be an array{_found(value)}", path)
        elif any(not part for part in lists):
            yield Issue("structure", "must not be an empty array; leave the element out", path)
        elif len({len(part) for part in lists}) > 1:
            message = f"has {len(value)} values and {len(extra)} in its '_' companion; the numbers must agree"
            yield Issue("structure", message, path)
        else:
            yield from self._items(element, kind, value, extra, path)

    def _items(self, element: Element, kind: str, value: Any, extra: Any, path: str) -> Iterator[Issue]:
        check = self._primitive if kind in PRIMITIVES else self._complex
        for index in range(len(extra if value is _MISSING else value)):
            item = _MISSING if value is _MISSING else value[index]
            companion = _MISSING if extra is _MISSING else extra[index]
            if item is None and companion not in (_MISSING, None):
                item = _MISSING
            if companion is None and item not in (_MISSING, None):
                companion = _MISSING
            yield from check(element, kind, item, companion, f"{path}[{index}]")

    def _primitive(self, element: Element, kind: str, value: Any, extra: Any, path: str) -> Iterator[Issue]:
        if extra is not _MISSING:
            yield from self._complex(element, "Element", extra, _MISSING, path)
        if value is _MISSING:
            return
        if value is None:
            yield Issue("structure", "null stands only where an array's '_' companion has a value", path)
        elif isinstance(value, list | dict):
            yield Issue("structure", f"must be a single {kind}{_found(value)}", path)
        elif wrong := problem(kind, value):
            yield Issue(wrong[0], wrong[1], path)
        elif kind == "xhtml":
            if issue := narrative_issue(value, path):
                yield issue
        elif element.binding and kind == "code":
            yield from self._code(element, value, path)

    def _code(self, element: Element, value: str, path: str) -> Iterator[Issue]:
        codes = [code for group in self._table.codes(element.binding).values() for code in group]
        if codes and value not in codes:
            allowed = ", ".join(codes[:12]) + (", ..." if len(codes) > len(codes[:12]) else "")
            yield Issue("code-invalid", f"{value[:64]!r} is not one of {allowed}", path)

    def _complex(self, element: Element, kind: str, value: Any, _: Any, path: str) -> Iterator[Issue]:
        if not isinstance(value, dict):
            yield Issue("structure", f"must be an object{_found(value)}", path)
        elif not value:
            yield Issue("structure", "must not be an empty object; leave the element out", path)
        elif kind == "Resource":
            yield from self._inner(value, path, contained=element.name == "contained")
        else:
            yield from self._structure(kind, value, path)
            if kind == "Reference":
                yield from self._reference(element, value, path)
            elif kind == "CodeableConcept" and element.binding:
                yield from self._concept(element, value, path)

    def _inner(self, node: Json, path: str, *, contained: bool) -> Iterator[Issue]:
        kind = node.get("resourceType", _MISSING)
        if kind is _MISSING:
            yield Issue("required", "resourceType is missing", path)
        elif not isinstance(kind, str) or kind not in self._types:
            yield Issue("structure", f"{str(kind)[:64]!r} is no resource type of FHIR R4", f"{path}.resourceType")
        else:
            yield from self.resource(node, path, contained=contained)

    def _reference(self, element: Element, node: Json, path: str) -> Iterator[Issue]:
        text = node.get("reference")
        if not isinstance(text, str) or text.startswith("#") or self._target(()).fullmatch(text) is None:
            if isinstance(text, str) and text and not text.startswith("#"):
                yield Issue("value", "must be Type/id, an absolute URL, urn:uuid: or #id", f"{path}.reference")
            return
        if not self._target(element.targets).fullmatch(text):
            allowed = ", ".join(element.targets)
            message = f"refers to {text.partition('/')[0]}; allowed here: {allowed}"
            yield Issue("value", message, f"{path}.reference")

    def _compile_target(self, targets: tuple[str, ...]) -> re.Pattern[str]:
        return re.compile(reference_pattern(targets or sorted(self._types)))

    def _concept(self, element: Element, node: Json, path: str) -> Iterator[Issue]:
        codes = self._table.codes(element.binding)
        codings = node.get("coding")
        if not codes or not (isinstance(codings, list) or "text" in node):
            return
        pairs = ((c.get("system"), c.get("code")) for c in codings or () if isinstance(c, dict))
        if not any(isinstance(system, str) and code in codes.get(system, ()) for system, code in pairs):
            allowed = "; ".join(f"{system}: {', '.join(group[:12])}" for system, group in codes.items())
            yield Issue("code-invalid", f"one coding must be from {allowed}", path)


def _missing(element: Element, path: str) -> Issue:
    name = element.name.removesuffix("[x]")
    shown = " or ".join(list(element.json_names)[:4]) if element.choice else name
    return Issue("required", f"{shown} is missing", f"{path}.{name}")


def _extension(node: Json, path: str) -> Iterator[Issue]:
    has_value = any(name.removeprefix("_").startswith("value") for name in node)
    if has_value == ("extension" in node):
        yield Issue("invariant", "ext-1: an extension has either a value or extensions of its own", path)


def _found(value: Any) -> str:
    if value is _MISSING:
        return ""
    words = {dict: "an object", list: "an array", str: "a string", bool: "true or false", type(None): "null"}
    return f", not {words.get(type(value), 'a number')}"
