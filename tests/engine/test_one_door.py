"""One door, seen from the engine: every statement that reads resources carries the caller's view."""

import gc
import re
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import event
from sqlalchemy.dialects import postgresql, sqlite

from fhir_server.access.predicate import Visible
from fhir_server.config import Settings
from fhir_server.engine import repository
from fhir_server.engine.build import build
from fhir_server.engine.context import Engine
from fhir_server.engine.transaction import run
from fhir_server.store import pasts
from fhir_server.store.history import Place, Span
from fhir_server.store.statements import Statement
from tests.engine.conftest import Org, caller

SOURCES = Path(pasts.__file__).parent.parent
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
    for type_, fid in (("Patient", patient.row.fid), ("Patient", ""), ("", "")):
        for span in (Span(), Span(at=(context.now, context.now + 1))):
            repository.history(context, type_, fid, span, Place(), 5)
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
    for answer in ("container", "contained"):
        among = [("_contained", "both"), ("_containedType", answer), ("_total", "accurate"), ("_count", "1")]
        repository.search(context, parse("Patient", [("name", "rivera"), *among]))
    run(context, lambda open_: open_.touched_patients.add(patient.row.rh))
    assert condition.row.patient == patient.row.rh


ACTIVE = {"coding": [{"system": "http://terminology.hl7.org/CodeSystem/condition-clinical", "code": "active"}]}


def loose(sql: str) -> list[str]:
    """Mentions of a resource table that are not inside a view."""
    sql = re.sub(r"[\s\"]+", " ", sql)
    return [match[0] for match in MENTION.finditer(sql) if not WITHIN_THE_VIEW.fullmatch(match[2] or "")]


def compiled(statement: Statement) -> list[str]:
    """Its text for both databases; one that is made for a single one has that text alone."""
    if statement._clause is None:
        return [text for text, _, _ in statement._compiled.values()]
    return [str(statement._clause.compile(dialect=kind())) for kind in (sqlite.dialect, postgresql.dialect)]


def test_no_prepared_statement_names_a_resource_table_outside_the_view(engine: Engine, org: Callable[..., Any]) -> None:
    """Every Statement that exists after every door was used, compiled for both databases, but for the explanation's."""
    use_everything(org)
    statements = [one for one in gc.get_objects() if isinstance(one, Statement) and one is not pasts._VERSION]
    texts = [sql for one in statements for sql in compiled(one)]
    assert len([sql for sql in texts if "res AS" in sql]) >= 20
    assert {sql: loose(sql) for sql in texts if loose(sql)} == {}


def test_the_explanation_of_what_was_visible_reads_no_content() -> None:
    """The operator's question who could see what asks for rows as they were: it has no body, and one place uses it."""
    assert not any("body" in sql for sql in compiled(pasts._VERSION))
    users = [path.name for path in SOURCES.rglob("*.py") if re.search(r"import .*\bpasts\b", path.read_text())]
    assert users == ["explaining.py"]


def test_no_statement_that_is_really_sent_reads_content_outside_the_view(
    org: Callable[..., Any], fresh_url: Callable[[str], str], tmp_path: Path
) -> None:
    """Whatever built it. Outside a view stand only changes, and the access room's look at who owns a row."""
    sent: list[str] = []
    traced = build(Settings(data_folder=str(tmp_path / "traced"), database_url=fresh_url("sqlite")))
    event.listen(traced.database.engine, "connect", lambda driver, _record: driver.set_trace_callback(sent.append))
    for connection in traced.database._held:
        connection.connection.driver_connection.set_trace_callback(sent.append)
    with closing(traced):
        use_everything(lambda: Org(traced, caller()))
    outside = {re.sub(r"-?\d+", "0", sql) for sql in sent if loose(sql)}
    assert len(sent) > 100
    assert outside
    for sql in outside:
        writes = re.match(r"\s*(INSERT INTO|UPDATE) \"?(res|hist)", sql)
        owners = re.match(
            r"\s*SELECT (res\.rh, res\.owner|res\.rh|rel\..*res\.owner(, rel\.\w+)*)\s*FROM", sql, re.DOTALL
        )
        assert writes or owners, sql


def test_loose_mentions_are_found() -> None:
    """The test above can fail."""
    assert loose("SELECT body FROM res WHERE 1")
    assert loose("SELECT 1 FROM tok JOIN hist ON 1")
    assert loose('SELECT 1 FROM "res" AS r')
    assert not loose("SELECT 1 FROM (SELECT 1 FROM res AS r_row)")
