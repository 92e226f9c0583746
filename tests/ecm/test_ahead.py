"""Long files: what a second process drafts is what the import would have made, and it may die at any moment."""

import os
import pickle
from typing import Any

import orjson
import pytest
from sqlalchemy import select
from structlog.testing import capture_logs

from fhir_server.access.caller import Caller
from fhir_server.access.scopes import parse
from fhir_server.ecm.directory import Provider
from fhir_server.ecm.files.assignments import ahead
from fhir_server.ecm.rosters.assignment import Assignment
from fhir_server.ecm.rosters.drafting import Asked, Source, drafted, packed, unpacked
from fhir_server.engine.context import Engine
from fhir_server.fhir.definitions import type_names, type_number
from fhir_server.jobs.beside import Beside
from fhir_server.store import tables
from fhir_server.store.hashing import rh
from tests.ecm.scene import Scene, row

pytestmark = pytest.mark.heavy

SOURCE = Source("0" * 64, "2026-11-02T09:00:00-08:00")
ROWS = 4000
_FACTS = {"cin": "90000001A", "last_name": "Reyes", "first_name": "Ana", "birth_date": "1990-02-03"}


def people(number: int, **facts: Any) -> list[tuple[int, Assignment, Provider]]:
    found = Assignment(**{**_FACTS, "provider_npi": "1234567893", **facts})
    return [(number, found, Provider("clinic", "Clinic"))]


def plan() -> Caller:
    return Caller("plan", "Organization/plan", rh("Organization/plan"), "covered", parse("system/*.cruds"), "HOPERAT")


def test_a_draft_is_checked_and_indexed(world: Scene) -> None:
    """Patient, Coverage, CareTeam and Provenance, with the index rows that the extractor gives, as sent by a pipe."""
    engine = world.server.engine
    asked = Asked(plan(), SOURCE, people(7))
    found = unpacked(packed(engine, pickle.loads(pickle.dumps(asked))))[7]
    drafts = [*found.drafts, found.origin]
    assert [draft.type for _, draft in drafts] == ["Patient", "Coverage", "CareTeam", "Provenance"]
    assert [fid for fid, _ in found.drafts] == list(found.ids)
    for fid, draft in drafts:
        assert draft.resource["id"] == fid
        rows, generation = draft.indexed
        assert rows == engine.extractor.rows(draft.type, draft.resource)
        assert generation == engine.extractor.generation(draft.type)


def test_what_is_refused_is_not_drafted(world: Scene) -> None:
    """A resource that breaks FHIR is left to the import, which says why."""
    members = [*people(1, birth_date="1990-02-31"), *people(2)]
    assert list(drafted(world.server.engine, Asked(plan(), SOURCE, members))) == [2]


def indexed(engine: Engine, table: Any) -> set[tuple[Any, ...]]:
    """(rid, parameter, values) of all rows of a posting list."""
    values = [column for column in table.c if column.name not in {"tenant", "part", "rid", "param"}]
    return set(map(tuple, engine.database.read().execute(select(table.c.rid, table.c.param, *values))))


def extracted(engine: Engine) -> tuple[set[tuple[Any, ...]], set[tuple[Any, ...]]]:
    """What the extractor gives for what a file made, as tokens and strings."""
    kinds = [type_number(name) for name in ("Patient", "Coverage", "CareTeam", "Provenance")]
    query = select(tables.res.c.rid, tables.res.c.type, tables.res.c.body).where(tables.res.c.type.in_(kinds))
    tok: set[tuple[Any, ...]] = set()
    string: set[tuple[Any, ...]] = set()
    for rid, number, body in engine.database.read().execute(query):
        rows = engine.extractor.rows(type_names()[number], orjson.loads(body))
        tok |= {(rid, *one) for one in rows.tok}
        string |= {(rid, *one) for one in rows.string}
    return tok, string


class Dying(Beside[Any]):
    """One that is killed by somebody once it has answered."""

    def ask(self, asked: Any) -> Any:
        if self.has_answered:
            self._process.kill()
        return super().ask(asked)


@pytest.mark.long
@pytest.mark.skipif(len(os.sched_getaffinity(0)) == 1, reason="one processor: no second process")
@pytest.mark.parametrize("kind", [Beside, Dying])
def test_a_long_file(world: Scene, monkeypatch: pytest.MonkeyPatch, kind: type[Beside[Any]]) -> None:
    """Every row is stored once, indexed as a reindex would, whether or not the second process lives (EC-20)."""
    monkeypatch.setattr(ahead, "Beside", kind)
    first = 10_000 if kind is Beside else 20_000
    with capture_logs() as logs:
        done = world.take_in(world.plan, [row(number) for number in range(first, first + ROWS)], mode="delta")
    assert (done["summary"]["accepted"], done["summary"]["new"]) == (ROWS, ROWS), done
    (said,) = [line for line in logs if line["event"] == "drafted ahead"]
    assert (0 if kind is Beside else -1) < said["members"] < ROWS
    for number in (first, first + ROWS // 2, first + ROWS - 1):
        patient = world.member(world.clinic, number)["id"]
        for type_ in ("Coverage", "CareTeam", "Provenance"):
            assert len(world.clinic.get(f"{type_}?patient=Patient/{patient}").json()["entry"]) == 1
    tok, string = extracted(world.server.engine)
    assert tok <= indexed(world.server.engine, tables.tok)
    assert string <= indexed(world.server.engine, tables.string)
