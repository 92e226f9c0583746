"""Parts of a resource, each element as it was stored.  https://hl7.org/fhir/R4/search.html#elements"""

from collections.abc import Collection
from functools import lru_cache

import msgspec
import orjson

from fhir_server.engine.context import Context
from fhir_server.fhir.definitions import Definitions
from fhir_server.fhir.errors import NotSupported
from fhir_server.rest.message import Request

_TAG = {"system": "http://terminology.hl7.org/CodeSystem/v3-ObservationValue", "code": "SUBSETTED"}
_ALWAYS = ("resourceType", "id", "meta")
_MEMBERS = msgspec.json.Decoder(dict[str, msgspec.Raw])


def subset(context: Context, request: Request, body: bytes) -> bytes:
    """The body with only the elements that `_elements` of the request asks for; the body itself without it."""
    if any(name == "_summary" and value != "false" for name, value in request.parameters):
        raise NotSupported("_summary is not offered on reads; _elements is.")
    wanted = [value for name, value in request.parameters if name == "_elements"]
    return elements(context.engine.definitions, body, ",".join(wanted).split(",")) if wanted else body


def elements(definitions: Definitions, body: bytes, names: Collection[str]) -> bytes:
    """The body with these root elements, the mandatory ones, and the tag SUBSETTED."""
    members = _MEMBERS.decode(body)
    type_ = str(orjson.loads(bytes(members["resourceType"])))
    roots = {name.strip().removeprefix(f"{type_}.").partition(".")[0] for name in names}
    kept = roots | _mandatory(definitions, type_) | set(_ALWAYS)
    members["meta"] = _tagged(bytes(members.get("meta", b"{}")))
    chosen = [(name, value) for name, value in members.items() if name.removeprefix("_") in kept]
    return b"{" + b",".join(orjson.dumps(name) + b":" + bytes(value) for name, value in chosen) + b"}"


def _tagged(meta: bytes) -> msgspec.Raw:
    parsed = orjson.loads(meta)
    return msgspec.Raw(orjson.dumps({**parsed, "tag": [*parsed.get("tag", []), _TAG]}))


@lru_cache(maxsize=256)
def _mandatory(definitions: Definitions, type_: str) -> frozenset[str]:
    return frozenset(name for element in definitions.elements.of(type_) if element.min for name in element.json_names)
