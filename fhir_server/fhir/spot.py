"""Where in a resource a FHIRPath leads: an element with its holder, so that it can be changed there.

A path is a plain chain of names and indexes, or such a chain behind an expression with functions that yields one
element (`Patient.name.where(use='official').given[0]`), evaluated over a copy whose structures know their place.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from fhir_server.fhir import literal, path
from fhir_server.fhir.definitions import core_elements
from fhir_server.fhir.elements import Element
from fhir_server.fhir.wire import MAX_DEPTH

Path = tuple[str | int, ...]
Node = dict[str, Any]

_MARK = "$place"
_CHAIN = re.compile(r"[A-Za-z_]\w*(?:\[\d+\])?(?:\.[A-Za-z_]\w*(?:\[\d+\])?)*")
_STEP = re.compile(r"([A-Za-z_]\w*)(?:\[(\d+)\])?")
_BEHIND_FUNCTIONS = re.compile(r"(?s)(.*\)(?:\[\d+\])?)(?:\.(.*))?")


@dataclass(frozen=True)
class Spot:
    """An element of a structure: its holder, the holder's path, and which of its values (None: it has one, or all)."""

    node: Node
    at: Path
    element: Element
    kinds: dict[str, str]
    index: int | None = None

    @property
    def name(self) -> str:
        """The JSON name in use; of a choice without a value the first."""
        return next(
            (name for name in self.kinds if name in self.node or f"_{name}" in self.node), next(iter(self.kinds))
        )

    @property
    def present(self) -> bool:
        """Whether it has a value that is not empty, or something beside one."""
        return bool(self.node.get(self.name) not in (None, {}, []) or self.node.get(f"_{self.name}"))

    @property
    def pairs(self) -> list[list[Any]]:
        """[value, what stands beside it] of each repetition."""
        values, companions = (_listed(self.node.get(name)) for name in (self.name, f"_{self.name}"))
        size = max(len(values), len(companions))
        return [[_nth(values, place), _nth(companions, place)] for place in range(size)]

    def one(self) -> int:
        """The index of the one value that is meant; LookupError where there are several, or none at that index."""
        count = len(self.pairs)
        if self.index is None and count > 1:
            raise LookupError("the path names several elements")
        if (self.index or 0) >= count:
            raise LookupError("there is nothing at the path")
        return self.index or 0


def spot(tree: Node, holder: Path, name: str, index: int | None = None) -> Spot:
    """The element of that name in the structure at a path; LookupError if it knows no such element."""
    if len(holder) > MAX_DEPTH:
        raise LookupError("the path leads deeper than a resource may be")
    node, kind = _at(tree, holder), _kind_at(tree, holder)
    for json_name, (element, _) in core_elements().members(kind).items():
        if name in (json_name, element.name.removesuffix("[x]")):
            kinds = {one: element.structure or code for one, code in element.json_names.items()}
            return Spot(node, holder, element, kinds, index)
    message = f"{kind} has no element {name[:64]}"
    raise LookupError(message)


def structure_at(tree: Node, expression: str) -> Path:
    """The path of the one structure that an expression yields; LookupError if it yields none or several."""
    begun, names = _begun(tree, expression)
    for name, index in names:
        begun = _followed(tree, begun, name, index)
    return begun


def spot_at(tree: Node, expression: str) -> Spot | None:
    """The element that an expression names, there or not; None if what should hold it is not there."""
    try:
        begun, names = _begun(tree, expression)
        for name, index in names[:-1]:
            begun = _followed(tree, begun, name, index)
    except LookupError:
        return None
    if names:
        return spot(tree, begun, *names[-1])
    if not begun:
        raise LookupError("the path names the whole resource")
    if isinstance(begun[-1], int):
        return spot(tree, begun[:-2], str(begun[-2]), begun[-1])
    return spot(tree, begun[:-1], str(begun[-1]))


def _begun(tree: Node, expression: str) -> tuple[Path, list[tuple[str, int | None]]]:
    """What the part with functions yields, and the names that follow."""
    expression = expression.strip()
    found = _BEHIND_FUNCTIONS.fullmatch(expression)
    begun, chain = (_located(tree, found[1]), found[2] or "") if found else ((), expression)
    if chain and not _CHAIN.fullmatch(chain):
        message = f"{expression[:64]} is no path to an element"
        raise ValueError(message)
    names = [(step[1], int(step[2]) if step[2] else None) for step in _STEP.finditer(chain)]
    if not found and names and names[0][0] in {tree["resourceType"], "Resource", "DomainResource"}:
        names = names[1:]
    return begun, names


def _followed(tree: Node, holder: Path, name: str, index: int | None) -> Path:
    found = spot(tree, holder, name, index)
    place = found.one()
    if not isinstance(found.pairs[place][0], dict):
        message = f"{name[:64]} has no elements"
        raise LookupError(message)  # noqa: TRY004 - as the docstrings say
    return (*holder, found.name, *([place] if found.element.repeats else []))


def _located(tree: Node, expression: str) -> Path:
    places: list[Path] = []
    found = path.evaluate(expression, _marked(literal.plain(tree), (), places), foreign=True)
    marks: list[int] = [one[_MARK] for one in found if isinstance(one, dict) and _MARK in one]
    if len(found) != 1 or not marks:
        raise LookupError("there is nothing at the path, or more than one element, or a value without elements")
    return places[marks[0]]


def _marked(node: Any, at: Path, places: list[Path]) -> Any:
    if isinstance(node, list):
        return [_marked(child, (*at, number), places) for number, child in enumerate(node)]
    if not isinstance(node, dict):
        return node
    places.append(at)
    return {_MARK: len(places) - 1, **{name: _marked(child, (*at, name), places) for name, child in node.items()}}


def _at(tree: Any, at: Path) -> Any:
    for step in at:
        tree = tree[step]
    return tree


def _kind_at(tree: Node, at: Path) -> str:
    *_, kind = _kinds(tree, at)
    return kind


def _kinds(tree: Any, at: Path) -> Iterator[str]:
    kind = str(tree["resourceType"])
    yield kind
    for step in at:
        tree = tree[step]
        if isinstance(step, str):
            kind = core_elements().members(kind)[step][1] if not step.startswith("_") else "Element"
        if kind == "Resource" and isinstance(tree, dict):
            kind = str(tree["resourceType"])
        yield kind


def _listed(value: Any) -> list[Any]:
    return [] if value is None else value if isinstance(value, list) else [value]


def _nth(values: list[Any], place: int) -> Any:
    return values[place] if place < len(values) else None
