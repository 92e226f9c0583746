"""Documents: a Composition first, then what it refers to, as far as the caller may see it.

https://hl7.org/fhir/R4/documents.html
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import orjson

from fhir_server.engine import records, repository
from fhir_server.engine.context import Context
from fhir_server.engine.references import local, references
from fhir_server.fhir.definitions import type_names
from fhir_server.fhir.values import instant
from fhir_server.rest.message import Request, Response
from fhir_server.store.hashing import rh
from fhir_server.store.resources import Row

Json = Mapping[str, Any]


def targets(resource: Json) -> list[str]:
    """The "Type/id" that a resource refers to, each once, in its order."""
    found = (local(node["reference"]) for _, node in references(resource))
    return list(dict.fromkeys(reference for reference in found if reference))


def seen(context: Context, wanted: Iterable[str]) -> dict[str, Row]:
    """Those of these references that the caller may see, with their rows as it is shown them; audited."""
    by_hash = {rh(reference): reference for reference in wanted}
    rows = {by_hash[row.rh]: row for row in records.by_hashes(context, by_hash)}
    records.log(context, "document", [(type_names()[row.type], row.fid, row.patient or 0) for row in rows.values()])
    return {
        reference: rows[reference]._replace(
            body=repository.render(context, reference.partition("/")[0], rows[reference])
        )
        for reference in by_hash.values()
        if reference in rows
    }


def answered(context: Context, request: Request, composition: tuple[str, bytes], rows: Mapping[str, Row]) -> Response:
    """The document Bundle."""
    head = {
        "resourceType": "Bundle",
        "identifier": {"system": "urn:ietf:rfc3986", "value": f"urn:uuid:{context.engine.ids.fid()}"},
        "type": "document",
        "timestamp": instant(context.now),
    }
    parts = [composition, *((reference, row.body) for reference, row in rows.items())]
    entries = (b'{"fullUrl":%b,"resource":%b}' % (orjson.dumps(f"{request.base}/{url}"), body) for url, body in parts)
    return Response(200, orjson.dumps(head)[:-1] + b',"entry":[' + b",".join(entries) + b"]}")
