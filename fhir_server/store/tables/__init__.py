"""The schema, once, for SQLite and PostgreSQL.

Times are UTC milliseconds (audit: microseconds). `rid` is a 64-bit row identity made by the application and stable for
the life of a resource. `rh` is the keyed 64-bit hash of "Type/id" (see `store.hashing`); owner, patient, org and
reference targets are such hashes, so that joins need no text. `tenant` and `part` stand in every row and unique key.
"""

from fhir_server.store.tables.columns import EXACT, metadata
from fhir_server.store.tables.concepts import code_system, concept, concept_above, concept_word
from fhir_server.store.tables.deliveries import delivery
from fhir_server.store.tables.loads import load, load_named, load_roster, parked
from fhir_server.store.tables.members import member
from fhir_server.store.tables.merges import merged
from fhir_server.store.tables.pasts import directive_past, rel_past, runout, share_past
from fhir_server.store.tables.postings import comp, dat, geo, num, param, qty, ref, string, tok, uri
from fhir_server.store.tables.reports import report, report_piece
from fhir_server.store.tables.resources import contained, hist, keys, res
from fhir_server.store.tables.rights import access, directive, rel, share
from fhir_server.store.tables.services import assertion, client, enrolment, file, job, setting, token, turn
from fhir_server.store.tables.trail import audit, idempotency, outbox

__all__ = [
    "EXACT",
    "access",
    "assertion",
    "audit",
    "client",
    "code_system",
    "comp",
    "concept",
    "concept_above",
    "concept_word",
    "contained",
    "dat",
    "delivery",
    "directive",
    "directive_past",
    "enrolment",
    "file",
    "geo",
    "hist",
    "idempotency",
    "job",
    "keys",
    "load",
    "load_named",
    "load_roster",
    "member",
    "merged",
    "metadata",
    "num",
    "outbox",
    "param",
    "parked",
    "qty",
    "ref",
    "rel",
    "rel_past",
    "report",
    "report_piece",
    "res",
    "runout",
    "setting",
    "share",
    "share_past",
    "string",
    "tok",
    "token",
    "turn",
    "uri",
]
