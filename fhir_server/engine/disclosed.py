"""Who was shown what of some patients since an instant, by the audit trail."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass
from typing import Any

import orjson

from fhir_server.engine.context import Context
from fhir_server.store import audits

_SHOWN = 200  # an answer with this status told something; 304 and errors did not


@dataclass(frozen=True)
class Disclosure:
    """One event by which another organization may have learnt of a patient: milliseconds, who, what, about whom.

    entities: the event's own list, [type, id, version, patient, labels] each or "Type/id" in front.
    """

    at: int
    interaction: str
    organization: str
    client: str
    patients: frozenset[int]
    entities: list[Any]
    query: str


def since(context: Context, instant: int, types: Collection[str] = ()) -> Iterator[Disclosure]:
    """What organizations other than the caller's were answered since then, in order; `types`: interactions left out.

    Reads of the last moments may be missing where another process of the server has logged them.
    """
    context.engine.reads.drain()
    known = audits.organizations(context.connection)
    for event in audits.between(context.connection, instant * 1000, context.engine.clock() * 1000 + 1000):
        if event.outcome != _SHOWN or event.org == context.caller.org_hash or event.interaction in types:
            continue
        entities = orjson.loads(bytes(event.entities))
        patients = frozenset(one[-2] for one in entities if isinstance(one[-2], int))
        organization = known.get(event.client, "")
        yield Disclosure(
            event.at // 1000, event.interaction, organization, event.client, patients, entities, event.query
        )
