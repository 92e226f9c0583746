"""What searches find, by the names it has in answers and in the audit trail: of a contained resource its container's.

https://hl7.org/fhir/R4/search.html#contained
"""

import msgspec
import orjson

from fhir_server.fhir.definitions import type_names
from fhir_server.search.include import Hit
from fhir_server.store.hashing import rh

CONTAINED = 2  # the view of a contained resource, whose body is its container's

_Members = dict[str, msgspec.Raw]
_MEMBERS = msgspec.json.Decoder(_Members)
_PARTS = msgspec.json.Decoder(list[msgspec.Raw])


def holder(hit: Hit) -> tuple[str, Hit]:
    """The type and version of the resource that was found, or that holds what was found."""
    if hit.view != CONTAINED:
        return type_names()[hit.type_number], hit
    members = _MEMBERS.decode(hit.body)
    type_, fid = str(orjson.loads(bytes(members["resourceType"]))), str(orjson.loads(bytes(members["id"])))
    return type_, hit._replace(fid=fid, rh=rh(f"{type_}/{fid}"), view=0)


def part(body: bytes, fid: str) -> bytes:
    """The contained resource of an id, as it stands in the body of its container."""
    parts = [bytes(one) for one in _PARTS.decode(bytes(_MEMBERS.decode(body)["contained"]))]
    return next(one for one in parts if orjson.loads(one).get("id") == fid)
