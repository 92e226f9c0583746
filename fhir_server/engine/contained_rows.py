"""What a resource contains as rows of its own, so that searches by `_contained` find it.

They are index rows: they say where something is found, and nothing of who may see it.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from fhir_server.engine.context import Transaction
from fhir_server.fhir.definitions import type_number
from fhir_server.store.contained import Inner
from fhir_server.store.resources import TENANT, Row
from fhir_server.store.tables import contained

Part = tuple[Row, str, Mapping[str, Any]]  # a place in the posting lists, the type and the resource found there


def put(transaction: Transaction, row: Row, resource: Mapping[str, Any], known: Sequence[Inner] = ()) -> Iterator[Part]:
    """Add a row for each resource that one contains, and give them to be indexed.

    `known`: the rows there were before; what is still there keeps its number, so that pages go on behind it.
    """
    numbers = {(one.type, one.fid): one.rid for one in known}
    extractor, ids = transaction.context.engine.extractor, transaction.context.engine.ids
    for fid, part in parts(resource).items():
        type_ = str(part["resourceType"])
        number = type_number(type_)
        rid = numbers.get((number, fid)) or ids.rid()
        transaction.batch.add(contained, TENANT, row.part, rid, number, fid, row.rid, extractor.generation(type_))
        yield row._replace(rid=rid), type_, part


def parts(resource: Mapping[str, Any]) -> dict[str, Mapping[str, Any]]:
    """Id -> contained resource, the first of that id; what has no id has no URL either, and is left out."""
    found: dict[str, Mapping[str, Any]] = {}
    for part in resource.get("contained", ()):
        if "id" in part:
            found.setdefault(part["id"], part)
    return found


def are_current(transaction: Transaction, resource: Mapping[str, Any], known: Sequence[Inner]) -> bool:
    """Whether these rows are all that a resource asks for, and indexed as they would be now."""
    generation = transaction.context.engine.extractor.generation
    wanted = {
        (type_number(part["resourceType"]), fid, generation(part["resourceType"]))
        for fid, part in parts(resource).items()
    }
    return wanted == {(one.type, one.fid, one.gen) for one in known}
