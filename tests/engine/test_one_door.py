"""One door, seen from the engine: every statement that reads resources carries the caller's view."""

import gc
import re
from collections.abc import Callable
from typing import Any

import pytest
from sqlalchemy.dialects import postgresql, sqlite

from fhir_server.access.predicate import Visible
from fhir_server.engine import repository
from fhir_server.engine.context import Engine
from fhir_server.engine.transaction import run
from fhir_server.store.statements import Statement

MENTION = re.compile(r"\b(?:FROM|JOIN|INTO|UPDATE|,)\s+(res|hist)\b(?: AS (\w+))?")
WITHIN_THE_VIEW = re.compile(r"\w+_(?:row|now|row_full|now_full)")
PATIENT = {"resourceType": "Patient", "name": [{"family": "Rivera"}], "identifier": [{"system": "urn:x", "value": "1"}]}


@pytest.mark.parametrize("nobody", [None, 0, ""])
def test_a_view_of_nobody_cannot_be_made(nobody: Any) -> None:
    """Compiling a query without a principal raises."""
    with pytest.raises((ValueError, TypeError, AttributeError)):
        Visible(nobody, 1000)


def use_everything(org: Callable[..., Any]) -> None:
    """Every door, so that its statements exist."""
    hands = org()
    patient = hands.create(PATIENT)
    about = {"subject": {"reference": patient.reference}}
    condition = hands.create({"resourceType": "Condition", "clinicalStatus": ACTIVE, **about})
    patient = hands.update(patient, {**PATIENT, "active": True})
    hands.delete(hands.create({"resourceType": "Patient", "name": [{"family": "Vang"}]}))
    context = hands.context()
    repository.read(context, "Patient", patient.row.fid)
    repository.vread(context, "Patient", patient.row.fid, 1)
    repository.history(context, "Patient", patient.row.fid, below=99, limit=5)
    parse = context.engine.searcher.parse
    for type_, pairs in (
        ("Patient", [("identifier", "urn:x|1")]),
        ("Condition", [("patient", patient.reference), ("_include", "Condition:patient"), ("_total", "accurate")]),
        ("Condition", [("patient.name", "rivera"), ("_sort", "-_lastUpdated")]),
        ("Patient", [("_has:Condition:patient:clinical-status", "active"), ("_revinclude", "Condition:patient")]),
        ("Patient", [("_id", patient.row.fid), ("_lastUpdated", "gt2020"), ("name:exact", "Rivera")]),
    ):
        repository.search(context, parse(type_, pairs))
        repository.match(context, parse(type_, pairs[:1]))
    run(context, lambda open_: open_.touched_patients.add(patient.row.rh))
    assert condition.row.patient == patient.row.rh


ACTIVE = {"coding": [{"system": "http://terminology.hl7.org/CodeSystem/condition-clinical", "code": "active"}]}


def test_no_prepared_statement_names_a_resource_table_outside_the_view(engine: Engine, org: Callable[..., Any]) -> None:
    """Every Statement that exists after every door was used, compiled for both databases.

    The exceptions are the rules that find out who owns what, inside the access room, and hand out no content.
    """
    use_everything(org)
    statements = [one for one in gc.get_objects() if isinstance(one, Statement)]
    assert len(statements) > 30
    outside = {}
    for statement in statements:
        for dialect in (sqlite.dialect(), postgresql.dialect()):
            sql = re.sub(r"\s+", " ", str(statement._clause.compile(dialect=dialect)))
            loose = [match[0] for match in MENTION.finditer(sql) if not WITHIN_THE_VIEW.fullmatch(match[2] or "")]
            if loose and not re.search(r"\bbody\b", sql.split(" FROM ")[0]):
                continue  # it reads no content: the access room's own look at owners
            if loose:
                outside[sql] = loose
    assert outside == {}
    assert [s for s in statements if re.search(r"\b(FROM|JOIN) res\b", str(s._clause))]
