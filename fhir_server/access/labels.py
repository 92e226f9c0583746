"""Which classes of sensitive information a resource holds, found at write (R17).

http://hl7.org/fhir/uv/security-label-ds4p and https://hl7.org/fhir/R4/security-labels.html
"""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, Final

from fhir_server.access.classes import BITS, SUD2, SUDCN, UNKNOWN, mask_of
from fhir_server.access.directory import is_directory
from fhir_server.access.relations import items, local
from fhir_server.fhir.errors import BusinessRule

Membership = Callable[[str, str], int]  # (system, code) -> bits of the code lists it stands in; 0 for none
Node = Mapping[str, Any]

_FILE: Final = Path(__file__).with_name("labels.json")
_CONFIDENTIALITY: Final = "http://terminology.hl7.org/CodeSystem/v3-Confidentiality"
_LEVELS: Final = "ULMNRV"  # unrestricted to very restricted
_SOURCES: Final = frozenset(
    {
        "asserter",
        "author",
        "custodian",
        "informationSource",
        "managingEntity",
        "onBehalfOf",
        "organization",
        "performer",
        "recorder",
        "requester",
        "sender",
        "serviceProvider",
        "source",
    }
)


@dataclass(frozen=True, slots=True)
class LabelTable:
    """What security labels mean. `bits` tells a code's classes."""

    classes: Mapping[tuple[str, str], int]
    ignored: frozenset[str]

    def bits(self, system: str, code: str) -> int | None:
        """The classes of one label, 0 for one that says nothing of sensitivity, None for one we do not know."""
        return 0 if system in self.ignored else self.classes.get((system, code))


def load(own_system: str | None = None, path: Path = _FILE) -> LabelTable:
    """The table that ships with the server; in `own_system`, if given, the codes are the class names themselves."""
    data = json.loads(path.read_text("utf-8"))
    classes = {(s, code): 0 for s, codes in data["unclassified"].items() for code in codes}
    classes |= {(s, code): mask_of(names) for s, codes in data["classes"].items() for code, names in codes.items()}
    if own_system is not None:
        classes |= {(own_system, name): bit for name, bit in BITS.items()}
    return LabelTable(classes, frozenset(data["ignored"]))


@lru_cache(maxsize=8)
def standard(own_system: str | None = None) -> LabelTable:
    """The same, read once."""
    return load(own_system)


def no_lists(_system: str, _code: str) -> int:
    """A membership for a server without code lists."""
    return 0


def labels_of(
    type: str,
    resource: Node,
    source_is_part2: bool = False,  # noqa: FBT001, FBT002 - a fact about the resource, fixed by the shared signature
    membership: Membership = no_lists,
    table: LabelTable | None = None,
) -> int:
    """The label bits of a resource: what it says itself, where it comes from, and the codes it holds.

    Contained resources count. A directory resource carries none. Provenance, AuditEvent and Binary inherit: the
    caller adds the bits of what they speak of.
    """
    if is_directory(type):
        return 0
    known = table or standard()
    found = SUD2 if source_is_part2 else 0
    for node in (resource, *items(resource, "contained")):
        found |= _stated(node, known)
    if type == "Consent":
        return found | _spoken_of(resource, membership, known)
    for system, code in _codings(resource) if membership is not no_lists else ():
        found |= membership(system, code)
    return found


def risen(old: int, new: int) -> int:
    """The label bits after an update: what was once sensitive stays so, whoever writes (R12)."""
    return old | new


def raise_only(old: Sequence[Node], new: Sequence[Node]) -> None:
    """BusinessRule if an update's meta.security drops a label; confidentiality may be raised (B-63)."""
    kept = {_pair(label) for label in new}
    ranks = [_rank(label) for label in new]
    for label in old:
        higher = _pair(label)[0] == _CONFIDENTIALITY and any(rank >= _rank(label) for rank in ranks)
        if _pair(label) not in kept and not higher:
            raise BusinessRule(
                "A security label cannot be taken away. Send meta.security as you read it.", "meta.security"
            )


def _rank(label: Node) -> int:
    system, code = _pair(label)
    return _LEVELS.find(code) if system == _CONFIDENTIALITY and len(code) == 1 else -1


def sources_of(resource: Node) -> frozenset[str]:
    """The "Organization/id" that a resource names as where it comes from: if one is a Part 2 unit, so is the source."""
    found: set[str] = set()
    for name in _SOURCES & resource.keys():
        value = resource[name]
        for entry in value if isinstance(value, list) else [value]:
            inner = entry.get("actor", entry) if isinstance(entry, dict) else None
            reference = local(inner, "Organization")
            found |= {reference} if reference else set()
    return frozenset(found)


def _stated(node: Any, table: LabelTable) -> int:
    meta = node.get("meta") if isinstance(node, Mapping) else None
    labels = items(meta, "security") if isinstance(meta, Mapping) else ()
    found = 0
    for label in labels:
        bits = table.bits(*_pair(label))
        found |= UNKNOWN if bits is None else bits
    return found


def _pair(coding: Any) -> tuple[str, str]:
    given = coding if isinstance(coding, dict) else {}
    return str(given.get("system", "")), str(given.get("code", ""))


def _codings(resource: Node) -> list[tuple[str, str]]:
    """(system, code) of every Coding outside meta; a Quantity has them too, but with a value."""
    found: list[tuple[str, str]] = []
    for name, value in resource.items():
        if name != "meta" and type(value) is not str:
            _gather(value, found)
    return found


def _gather(node: Any, found: list[tuple[str, str]]) -> None:
    if type(node) is dict:
        if "code" in node and "system" in node and "value" not in node:
            found.append(_pair(node))
        for child in node.values():
            if type(child) is dict or type(child) is list:
                _gather(child, found)
    elif type(node) is list:
        for child in node:
            if type(child) is dict:
                _gather(child, found)


def _spoken_of(consent: Node, membership: Membership, table: LabelTable) -> int:
    """A Consent that speaks of substance use alone tells that there is a record of it; a form about all tells nothing.

    A provision without labels and codes speaks of everything, unless it only holds others.
    """
    named, root = 0, consent.get("provision")
    stack = [root] if isinstance(root, Mapping) else []
    while stack:
        provision = stack.pop()
        stack += [inner for inner in items(provision, "provision") if isinstance(inner, Mapping)]
        bits = _named(provision, membership, table)
        if not bits and ("type" in provision or "provision" not in provision):
            return 0
        named |= bits
    return named if named and not named & ~(SUD2 | SUDCN) else 0


def _named(provision: Node, membership: Membership, table: LabelTable) -> int:
    bits = 0
    for label in items(provision, "securityLabel"):
        bits |= table.bits(*_pair(label)) or 0
    for concept in items(provision, "code"):
        for coding in items(concept, "coding"):
            bits |= membership(*_pair(coding))
    return bits
