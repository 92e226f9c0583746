"""The structural check of every resource written: base FHIR only, answered with 400.

A valid resource passes a compiled JSON Schema in a few microseconds; only what that turns down is walked element by
element, which decides and finds the words.  https://hl7.org/fhir/R4/validation.html
"""

from collections.abc import Iterator, Mapping
from functools import cache
from itertools import islice
from typing import Any

import jsonschema_rs

from fhir_server.fhir.definitions import core_elements, type_numbers
from fhir_server.fhir.errors import (
    BadValue,
    CodeInvalid,
    FHIRError,
    Invalid,
    InvariantBroken,
    RequiredMissing,
    Structure,
)
from fhir_server.validation.base_rules import contained_issues
from fhir_server.validation.narrative import narrative_issue
from fhir_server.validation.schema import compile_schema
from fhir_server.validation.walk import Walk

MAX_ISSUES = 50

_ERRORS: Mapping[str, type[FHIRError]] = {
    "structure": Structure,
    "required": RequiredMissing,
    "value": BadValue,
    "code-invalid": CodeInvalid,
    "invariant": InvariantBroken,
}


def check(kind: str, resource: dict[str, Any]) -> None:
    """Nothing if the resource is right FHIR R4 of this type.

    RequiredMissing without resourceType, Invalid if it names another type; else Structure, RequiredMissing, BadValue,
    CodeInvalid or InvariantBroken, by the first of up to 50 issues.
    """
    found = resource.get("resourceType")
    if found is None:
        raise RequiredMissing("resourceType is missing", "Resource.resourceType")
    if found != kind:
        raise Invalid(f"the body is a {str(found)[:64]}, but the URL says {kind}", "Resource.resourceType")
    if _certainly_right(kind, resource):
        return
    issues = list(islice(_walk().resource(resource, kind), MAX_ISSUES))
    if issues:
        raise _ERRORS[issues[0].code](issues=issues)


def check_envelope(bundle: dict[str, Any]) -> None:
    """Nothing if the Bundle is right apart from the resources in its entries, which are checked one by one; as check.

    The entries of a transaction may hold conditional references, which become right only when they are resolved.
    """
    entries = bundle.get("entry")
    if not isinstance(entries, list):
        return check("Bundle", bundle)
    bare = [_without_resource(entry) for entry in entries]
    return check("Bundle", {**bundle, "entry": bare})


_STAND_IN: Mapping[str, Any] = {"resourceType": "Basic", "code": {"text": "checked on its own"}}


def _without_resource(entry: Any) -> Any:
    if not isinstance(entry, dict) or not isinstance(entry.get("resource"), dict):
        return entry
    return {**entry, "resource": _STAND_IN}


def _certainly_right(kind: str, resource: dict[str, Any], *, local: bool = False) -> bool:
    """What the compiled schemas say of a resource; `local` if it is contained or contains others."""
    contained = resource.get("contained", ())
    local = local or bool(contained)
    if not validator(kind, local=local).is_valid(resource):
        return False
    narrative = resource.get("text")
    if narrative.__class__ is dict and narrative_issue(narrative["div"], "") is not None:
        return False
    if contained and not _contained_right(resource, contained):
        return False
    return kind not in ("Bundle", "Parameters") or all(map(_inner_right, _inner_resources(resource)))


def _contained_right(resource: dict[str, Any], contained: list[dict[str, Any]]) -> bool:
    return all(_inner_right(inner, local=True) for inner in contained) and not any(contained_issues(resource, ""))


def _inner_right(resource: dict[str, Any], *, local: bool = False) -> bool:
    kind = resource["resourceType"]
    return isinstance(kind, str) and kind in type_numbers() and _certainly_right(kind, resource, local=local)


def _inner_resources(resource: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """The resources in a Bundle's entries, their outcomes, or a Parameters' parameters and parts."""
    waiting = [*resource.get("entry", ()), *resource.get("parameter", ())]
    while waiting:
        holder = waiting.pop()
        waiting.extend(holder.get("part", ()))
        candidates = (holder.get("resource"), holder.get("response", {}).get("outcome"))
        yield from (inner for inner in candidates if inner is not None and inner is not _STAND_IN)


@cache
def validator(kind: str, *, local: bool = False) -> jsonschema_rs.Draft4Validator:
    """The compiled schema of a type, made when the type is first seen."""
    return compile_schema(core_elements(), sorted(type_numbers()), kind, local=local)


@cache
def _walk() -> Walk:
    return Walk(core_elements(), frozenset(type_numbers()))
