"""Parts of a resource, each element as it was stored.  https://hl7.org/fhir/R4/search.html#elements"""

from collections.abc import Collection
from functools import lru_cache

import msgspec
import orjson

from fhir_server.engine.context import Context
from fhir_server.fhir.definitions import Definitions
from fhir_server.fhir.elements import Element
from fhir_server.fhir.errors import BadValue
from fhir_server.rest.message import Request

_TAG = {"system": "http://terminology.hl7.org/CodeSystem/v3-ObservationValue", "code": "SUBSETTED"}
_ALWAYS = ("resourceType", "id", "meta")
_MEMBERS = msgspec.json.Decoder(dict[str, msgspec.Raw])


def subset(context: Context, request: Request, body: bytes) -> bytes:
    """The body with what `_summary` or `_elements` of the request asks for; the body itself without them."""
    definitions = context.engine.definitions
    for mode in [value for name, value in request.parameters if name == "_summary"]:
        if mode not in ("true", "text", "data", "false"):
            raise BadValue("_summary of one resource is true, text, data or false.")
        body = summary(definitions, body, mode)
    wanted = [value for name, value in request.parameters if name == "_elements"]
    return elements(definitions, body, ",".join(wanted).split(",")) if wanted else body


def summary(definitions: Definitions, body: bytes, mode: str) -> bytes:
    """The body in the form that `_summary` names: true, text, data; the body itself for any other."""
    if mode not in ("true", "text", "data"):
        return body
    type_ = str(orjson.loads(bytes(_MEMBERS.decode(body)["resourceType"])))
    return elements(definitions, body, _summarized(definitions, type_, mode))


@lru_cache(maxsize=512)
def _summarized(definitions: Definitions, type_: str, mode: str) -> frozenset[str]:
    own = [element for element in definitions.elements.of(type_) if _is_wanted(element, mode)]
    return frozenset(name for element in own for name in element.json_names)


def _is_wanted(element: Element, mode: str) -> bool:
    if mode == "true":
        return element.summary or element.modifier
    return (element.name == "text") is (mode == "text")


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
    others = [tag for tag in parsed.get("tag", []) if tag != _TAG]
    return msgspec.Raw(orjson.dumps({**parsed, "tag": [*others, _TAG]}))


@lru_cache(maxsize=256)
def _mandatory(definitions: Definitions, type_: str) -> frozenset[str]:
    return frozenset(name for element in definitions.elements.of(type_) if element.min for name in element.json_names)
