"""Generated Python: ways through JSON, and what is converted at their ends, become one function."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from fhir_server.fhir.definitions import SearchParam
from fhir_server.search.expression import Hop, tracks
from fhir_server.search.model import Adders, Converter, Site

Extract = Callable[[Mapping[str, Any], Adders], None]


@dataclass(slots=True)
class Node:
    """A place in the JSON: what is converted there, and where to go on."""

    calls: list[tuple[str, Any]] = field(default_factory=list)
    hops: dict[Hop, "Node"] = field(default_factory=dict)


def plant(root: Node, site: Site, kind: str, param: SearchParam, key: Any, names: Mapping[str, Converter]) -> None:
    """Have the values of a parameter converted under `key`; Unsupported if its expression cannot be followed."""
    for track in tracks(site.definitions.elements, kind, param.expression):
        name, own = (_name(param, kind) for kind in (track.kind, track.element.path if track.element else ""))
        name = own if own in names else name
        if name in names:
            place(root, track.hops).calls.append((name, (*key[:2], track.target) if isinstance(key, tuple) else key))


def _name(param: SearchParam, kind: str) -> str:
    """A converter's name: of the values of a data type, or of one of its elements."""
    return f"{param.type}_{kind}".replace("-", "_").replace(".", "_")


def place(root: Node, hops: Sequence[Hop]) -> Node:
    """The place to which hops lead."""
    for hop in hops:
        root = root.hops.setdefault(hop, Node())
    return root


def generate(
    kind: str, root: Node, flags: Sequence[tuple[str, int]], site: Site, names: Mapping[str, Converter]
) -> Extract:
    """The function that walks a resource or an element; `flags` are choices of which it only says whether they are set.

    Converters are called by their names.
    """
    lines = ["def extract(v0, rows):"]
    for stem, number in flags:
        members = site.definitions.elements.members(kind).items()
        keys = [name for name, (element, _) in members if element.name == f"{stem}[x]"]
        tests = " or ".join(f"v0.get({name!r}, False) is not False" for name in keys)
        lines.append(f"    token_boolean(rows, {number}, {tests})")
    _emit(root, 0, "    ", lines)
    lines.append("    return")
    space: dict[str, Any] = dict(names)
    exec(compile("\n".join(lines), f"<search parameters of {kind}>", "exec"), space)  # noqa: S102 - our own definitions
    extract: Extract = space["extract"]
    return extract


def _emit(node: Node, depth: int, indent: str, lines: list[str]) -> None:
    """The lines that convert what is at `v<depth>` and walk on from there."""
    lines.extend(f"{indent}{name}(rows, {key!r}, v{depth})" for name, key in node.calls)
    members: dict[tuple[str, bool], list[tuple[Hop, Node]]] = {}
    for hop, after in node.hops.items():
        members.setdefault((hop.name, hop.repeats), []).append((hop, after))
    for (name, repeats), hops in members.items():
        value, below = f"v{depth + 1}", indent + "    "
        source = f"w{depth + 1}" if repeats else value
        lines.append(f"{indent}{source} = v{depth}.get({name!r})")
        lines.append(f"{indent}if {source} is not None:")
        for hop, after in hops:
            _emit_items(hop, after, depth + 1, below, lines)


def _emit_items(hop: Hop, after: Node, depth: int, indent: str, lines: list[str]) -> None:
    if hop.repeats:
        part = f"[{hop.index}:{hop.index + 1}]" if hop.index >= 0 else ""
        lines.append(f"{indent}for v{depth} in w{depth}{part}:")
        indent += "    "
        lines.append(f"{indent}if v{depth} is None: continue")  # null keeps primitive arrays aligned
    if hop.member:
        lines.append(f"{indent}if v{depth}.get({hop.member!r}) == {hop.text!r}:")
        indent += "    "
    _emit(after, depth, indent, lines)
