"""Parts of a resource: _elements and _summary on what is stored.  https://hl7.org/fhir/R4/search.html#elements"""

from collections.abc import Collection, Mapping
from functools import lru_cache
from typing import Any

import orjson

from fhir_server.engine.context import Context
from fhir_server.fhir.definitions import Definitions
from fhir_server.rest.message import Request

_TAG = {"system": "http://terminology.hl7.org/CodeSystem/v3-ObservationValue", "code": "SUBSETTED"}
_ALWAYS = ("resourceType", "id", "meta")


def subset(context: Context, request: Request, body: bytes) -> bytes:
    """The body with only the elements that `_elements` of the request asks for; the body itself without it."""
    wanted = [value for name, value in request.parameters if name == "_elements"]
    return elements(context.engine.definitions, body, ",".join(wanted).split(",")) if wanted else body


def elements(definitions: Definitions, body: bytes, names: Collection[str]) -> bytes:
    """The body with these root elements, the mandatory ones, and the tag SUBSETTED."""
    resource: dict[str, Any] = orjson.loads(body)
    type_ = resource["resourceType"]
    plain = {name.strip().removeprefix(f"{type_}.") for name in names}
    kept = plain | _mandatory(definitions, type_) | set(_ALWAYS)
    return orjson.dumps(_tagged({name: value for name, value in resource.items() if name.lstrip("_") in kept}))


def _tagged(resource: dict[str, Any]) -> Mapping[str, Any]:
    meta = resource.setdefault("meta", {})
    meta["tag"] = [*meta.get("tag", []), _TAG]
    return resource


@lru_cache(maxsize=256)
def _mandatory(definitions: Definitions, type_: str) -> frozenset[str]:
    return frozenset(
        name for element in definitions.elements.of(type_) if element.min for name in element.json_names
    )
