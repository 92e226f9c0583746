"""The CapabilityStatement, made from the routing table and the definitions: it lists what works and nothing else.

https://hl7.org/fhir/R4/capabilitystatement.html
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from hashlib import blake2b
from typing import TYPE_CHECKING, Any

import orjson

from fhir_server import __version__
from fhir_server.engine.permits import VERSIONED
from fhir_server.fhir.definitions import SearchParam
from fhir_server.fhir.registry import entries
from fhir_server.fhir.values import instant
from fhir_server.rest import interactions
from fhir_server.rest.message import Operation
from fhir_server.search.across import COMMON, COMPARTMENTS
from fhir_server.search.canonicals import is_canonical
from fhir_server.search.criteria import offers
from fhir_server.search.expression import reference_targets
from fhir_server.smart.discovery import capability_security

if TYPE_CHECKING:
    from fhir_server.engine.context import Engine

_RELEASED = 1_795_305_600_000  # 2026-11-22, the date of the statement's form
_SYSTEM = {"transaction", "batch", "history-system", "search-system"}
_TYPE_CODES = (
    "read", "vread", "update", "patch", "delete", "history-instance", "history-type", "create", "search-type",
)  # fmt: skip


def statement(engine: Engine, base: str) -> bytes:
    """The statement as JSON; the same bytes for the life of the process."""
    kept: dict[str, bytes] = engine.memo.setdefault("capability", {})
    if base not in kept:
        kept[base] = orjson.dumps(_statement(engine, base))
    return kept[base]


def entity_tag(engine: Engine, base: str) -> str:
    """The weak ETag of the statement: another one as soon as it says anything else."""
    kept: dict[str, str] = engine.memo.setdefault("capability tag", {})
    if base not in kept:
        kept[base] = f'W/"{blake2b(statement(engine, base), digest_size=8).hexdigest()}"'
    return kept[base]


def _statement(engine: Engine, base: str) -> dict[str, Any]:
    return {
        "resourceType": "CapabilityStatement",
        "status": "active",
        "date": instant(_RELEASED),
        "kind": "instance",
        "software": {"name": "ECM FHIR Exchange", "version": __version__},
        "implementation": {"description": "Exchange for Enhanced Care Management", "url": base},
        "fhirVersion": "4.0.1",
        "format": ["json", "application/fhir+json", "xml", "application/fhir+xml"],
        "patchFormat": ["application/json-patch+json", "application/fhir+json", "application/fhir+xml"],
        "rest": [_rest(engine, base)],
    }


def _rest(engine: Engine, base: str) -> dict[str, Any]:
    rest = {
        "mode": "server",
        "documentation": "Unknown search parameters are refused (400) unless Prefer: handling=lenient. "
        "Contained resources of one type are searched with _contained and _containedType. "
        "Dates without a zone are read in " + engine.settings.time_zone + ". Access follows assignment and consent: "
        "what a caller may not see is answered as if it did not exist.",
        "security": capability_security(base),
        "resource": [_resource(engine, type_) for type_ in engine.definitions.types],
        "interaction": [{"code": code} for code in sorted(_SYSTEM)],
        "searchParam": [{"name": name, "type": kind, "documentation": told} for name, kind, told in COMMON],
        "compartment": [f"http://hl7.org/fhir/CompartmentDefinition/{name.lower()}" for name in COMPARTMENTS],
        "operation": _operations(engine, ""),
    }
    return {name: value for name, value in rest.items() if value}


def _resource(engine: Engine, type_: str) -> dict[str, Any]:
    offered = {row.code for row in entries(interactions, "INTERACTION")}
    row = {
        "type": type_,
        "supportedProfile": _profiles(engine, type_),
        "interaction": [{"code": code} for code in _TYPE_CODES if code in offered],
        "versioning": "versioned-update" if type_ in VERSIONED else "versioned",
        "readHistory": True,
        "updateCreate": False,
        "conditionalCreate": True,
        "conditionalRead": "full-support",
        "conditionalUpdate": True,
        "conditionalDelete": engine.settings.conditional_delete,
        "referencePolicy": ["literal", "logical", "enforced"],
        "searchInclude": _includes(engine, type_),
        "searchRevInclude": _reverse(engine)[type_],
        "searchParam": _params(engine, type_),
        "operation": _operations(engine, type_),
    }
    return {name: value for name, value in row.items() if value not in ([], None)}


def _profiles(engine: Engine, type_: str) -> list[str]:
    all_of = engine.definitions.all("StructureDefinition")
    return sorted({row["url"] for row in all_of if row.get("type") == type_ and row.get("derivation") == "constraint"})


def _includes(engine: Engine, type_: str) -> list[str]:
    params = engine.definitions.search_params(type_)
    return sorted(f"{type_}:{code}" for code, param in params.items() if _is_followed(engine, type_, param))


def _is_followed(engine: Engine, type_: str, param: SearchParam) -> bool:
    return param.type == "reference" and not is_canonical(engine.definitions, type_, param)


def _reverse(engine: Engine) -> Mapping[str, list[str]]:
    kept: dict[str, list[str]] = engine.memo.setdefault("reverse", {})
    if not kept:
        kept.update({type_: [] for type_ in engine.definitions.types})
        for source in engine.definitions.types:
            for code, param in engine.definitions.search_params(source).items():
                for target in (
                    reference_targets(engine.definitions, param) if _is_followed(engine, source, param) else ()
                ):
                    kept.get(target, []).append(f"{source}:{code}")
    return kept


def _params(engine: Engine, type_: str) -> list[dict[str, str]]:
    params = engine.definitions.search_params(type_)
    return [
        {"name": code, "definition": param.url, "type": param.type}
        for code, param in sorted(params.items())
        if offers(engine.definitions, type_, param)
    ]


def _operations(engine: Engine, type_: str) -> list[dict[str, str]]:
    """The operations of a type or on one of its resources; "": those of the whole server."""
    rows: Iterable[Operation] = engine.operations
    return [
        {"name": row.name, "definition": row.definition}
        for row in rows
        if (row.levels != ("system",) and type_ in (row.types or engine.definitions.types))
        or (not type_ and "system" in row.levels)
    ]
