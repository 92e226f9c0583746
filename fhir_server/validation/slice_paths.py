"""Paths of discriminators, a restricted FHIRPath: read once, then followed through definitions and through values.

https://hl7.org/fhir/R4/profiling.html#discriminator
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final, NamedTuple, Protocol

from fhir_server.validation.findings import Findings
from fhir_server.validation.profile_tree import Node

UNKNOWN: Final = object()
"""Stands for what a reference leads to outside the resource."""

_STEP: Final = re.compile(
    r"""(?P<resolve>resolve\(\))|extension\(\s*['"]?(?P<url>[^'")]+)['"]?\s*\)"""
    r"""|(?:ofType|as)\(\s*(?:FHIR\.)?(?P<kind>\w+)\s*\)|(?P<name>\$?[A-Za-z]\w*)(?:\[x\])?"""
)


class Step(NamedTuple):
    """An element by name, one type of a choice, an extension by URL, or what a reference leads to."""

    name: str = ""
    kind: str = ""
    url: str = ""
    resolves: bool = False


Path = Sequence[Step]


class Trees(Protocol):
    """The trees of installed profiles."""

    def tree_of(self, canonical: str) -> Node | None:
        """The rules of a profile; None if it is not installed."""


def parse(path: str) -> Path | None:
    """The steps of a path, none for `$this`; None if it goes beyond what discriminators may use."""
    steps: list[Step] = []
    at = 0
    while at < len(path):
        match = _STEP.match(path, at)
        if match is None:
            return None
        _add(steps, match)
        at = match.end()
        if at < len(path) and (path[at] != "." or at + 1 == len(path)):
            return None
        at += 1
    return steps


def _add(steps: list[Step], match: re.Match[str]) -> None:
    name, kind = match["name"] or "", match["kind"] or ""
    if kind and steps and steps[-1].name and not steps[-1].kind:
        steps[-1] = steps[-1]._replace(kind=kind)
    elif name != "$this":
        steps.append(Step(name, kind, match["url"] or "", bool(match["resolve"])))


# ---- through values
def values_at(item: Any, path: Path, findings: Findings | None = None) -> list[Any]:
    """Every value at the end of a path; UNKNOWN among them where a reference leads out of the resource."""
    values = list(listed(item))
    for step in path:
        values = [one for value in values for one in _following(value, step, findings)]
    return values


def _following(value: Any, step: Step, findings: Findings | None) -> Sequence[Any]:
    if value is UNKNOWN:
        return (UNKNOWN,)
    if step.resolves:
        target = findings.resolved(value) if findings is not None else None
        return (UNKNOWN if target is None else target,)
    if not isinstance(value, dict):
        return ()
    if step.url:
        return [one for one in listed(value.get("extension")) if isinstance(one, dict) and one.get("url") == step.url]
    if not step.name:
        return (value,) if value.get("resourceType", step.kind) == step.kind else ()
    return _of_kind(value, step) if step.kind else listed(value.get(step.name, chosen(value, step.name)))


def _of_kind(value: Mapping[str, Any], step: Step) -> Sequence[Any]:
    named = value.get(step.name + step.kind[:1].upper() + step.kind[1:])
    if named is not None:
        return listed(named)
    inner = listed(value.get(step.name))
    return [one for one in inner if isinstance(one, dict) and one.get("resourceType") == step.kind]


def listed(value: Any) -> Sequence[Any]:
    """The value as a sequence: itself if it is an array, nothing if it is absent."""
    return () if value is None else value if isinstance(value, list) else (value,)


def chosen(item: Mapping[str, Any], stem: str) -> Any:
    """The value of a choice by its stem, as value for valueCode."""
    size = len(stem)
    return next((item[key] for key in item if key.startswith(stem) and key[size : size + 1].isupper()), None)


# ---- through definitions
def way(node: Node, path: Path, trees: Trees) -> list[list[Node]]:
    """Who describes each place on the way, the slice itself first; it ends where nothing is said any more."""
    found = [[node]]
    for step in path:
        nodes = [*found[-1], *(root for one in found[-1] for root in _roots(one, "profile", trees))]
        following = [one for each in nodes for one in _below(each, step, trees)]
        if not following:
            break
        found.append(following)
    return found


def _below(node: Node, step: Step, trees: Trees) -> Iterator[Node]:
    if step.resolves:
        yield from _roots(node, "targetProfile", trees)
    elif step.url:
        yield from (one for one in node.slices_of("extension") if extension_url(one) == step.url)
    elif not step.name:
        yield node
    else:
        below = node.children.get(step.name) or node.children.get(f"{step.name}[x]")
        if below is not None:
            yield from (one for one in below.slices.values() if step.kind in codes(one))
            yield from _only_form(below, step)
            yield below
            yield from needed_slices(below)


def needed_slices(node: Node) -> Iterator[Node]:
    """The slices that are always there, as the coding that a code must have."""
    yield from (one for one in node.slices.values() if one.rules.get("min") and one.rules.get("max") != "0")


def _only_form(node: Node, step: Step) -> Iterator[Node]:
    """The slice of a choice that has one type alone."""
    if node.name.endswith("[x]") and not step.kind and len(node.slices) == 1:
        yield from node.slices.values()


def _roots(node: Node, key: str, trees: Trees) -> Iterator[Node]:
    for kind in node.rules.get("type", ()):
        for canonical in kind.get(key, ()):
            if (root := trees.tree_of(canonical)) is not None:
                yield root


def codes(node: Node) -> Sequence[str]:
    """The type codes that an element's definition names."""
    return [kind.get("code", "") for kind in node.rules.get("type", ())]


def extension_url(node: Node) -> str | None:
    """The URL of the extension that a slice is for."""
    url = next((str(one) for kind in node.rules.get("type", ()) for one in kind.get("profile", ())), None)
    if url is None and "url" in node.children:
        url = next((str(value) for _, value in node.children["url"].values()), None)
    return url
