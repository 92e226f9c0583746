"""The labels of a contact view that is made late are those it would have if every write had kept it."""

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from sqlalchemy import select

from fhir_server.access.classes import HIV, SENS, SUD2
from fhir_server.access.contact import contact_labels, contact_view
from fhir_server.engine import relabelling, repository
from fhir_server.engine.changes import Change
from fhir_server.engine.context import Engine, Transaction
from fhir_server.engine.transaction import run
from fhir_server.engine.walking import Place
from fhir_server.fhir.errors import FHIRError
from fhir_server.store.tables import res, share
from tests.engine.conftest import Org, caller
from tests.engine.test_access_rows import care_team, known  # noqa: F401 - a fixture
from tests.engine.test_contact_rows import PATIENT, RENAMED, asked, contact_of, posted, refer, rows
from tests.laws import examples

pytestmark = pytest.mark.heavy

ACT, CODES = "http://terminology.hl7.org/CodeSystem/v3-ActCode", "urn:codes"


@dataclass
class Expected:
    """A contact view as it would be if every write had kept it."""

    labels: int = 0
    version: int = 0
    view: dict[str, Any] | None = None
    stored: dict[int, dict[str, Any]] = field(default_factory=dict)


class Eager:
    """The contact view of one Patient, told of every change, with labels judged by who makes it at that moment."""

    def __init__(self, lists: dict[str, int]) -> None:
        self.lists, self.now = lists, Expected()

    def labels(self, resource: dict[str, Any], law_class: str) -> int:
        def of_codes(_system: str, code: str) -> int:
            return self.lists.get(code, 0) & ~SUD2  # no Patient names a source that nobody knows

        return contact_labels(resource, source_is_part2=law_class == "part2", membership=of_codes)

    def note(self, transaction: Transaction, change: Change) -> None:
        if change.type == "Patient":
            self.now.labels |= self.labels(dict(change.resource), transaction.context.caller.law_class)
            self.now.version = change.row.ver
            self.now.view = contact_view(change.resource) if not change.row.deleted else None
            self.now.stored[change.row.ver] = dict(change.resource)

    def amended(self, resource: dict[str, Any], law_class: str) -> None:
        self.now.labels |= self.labels(resource, law_class)
        self.now.stored[self.now.version] = resource

    def relabelled(self) -> None:
        for resource in self.now.stored.values():
            self.now.labels |= self.labels(resource, "covered") if resource else 0


def labelled(*codes: str) -> dict[str, Any]:
    return {"meta": {"security": [{"system": ACT, "code": code} for code in codes]}} if codes else {}


def spoken(code: str) -> dict[str, Any]:
    return {"communication": [{"language": {"coding": [{"system": CODES, "code": code}]}}]}


BODIES = {
    "plain": PATIENT, "renamed": RENAMED, "ill": {**PATIENT, **labelled("HIV")}, "more": {**RENAMED, **labelled("SEX")},
    "both": {**PATIENT, **labelled("HIV", "SEX")}, "spoken": {**PATIENT, **spoken("intimate")},
    "listed": {**RENAMED, **spoken("later")}, "drug": {**PATIENT, **spoken("drug")},
    "outside": {**PATIENT, "maritalStatus": {"coding": [{"system": CODES, "code": "intimate"}]}},
}  # fmt: skip
WRITERS = [("plan", "covered"), ("plan", "part2"), ("clinic", "covered"), ("clinic", "part2")]
STEP = st.one_of(
    st.tuples(st.just("write"), st.sampled_from(WRITERS), st.sampled_from(sorted(BODIES))),
    st.tuples(st.just("meta"), st.sampled_from(WRITERS), st.sampled_from(["HIV", "SEX", ""])),
    st.tuples(st.just("delete"), st.sampled_from(WRITERS[:2]), st.just("")),
    st.tuples(st.just("relabel"), st.just(WRITERS[0]), st.just("")),
    st.tuples(st.just("refer"), st.just(WRITERS[0]), st.just("")),
)


class World:
    """What the law is tried in; it has no words for a whole engine when it fails."""

    def __init__(self, engine: Engine) -> None:
        self.engine = engine


@pytest.fixture
def world(engine: Engine, known: Callable[..., Any]) -> World:  # noqa: F811
    return World(engine)


SUPPRESSED = [HealthCheck.function_scoped_fixture, HealthCheck.too_slow]


@settings(max_examples=examples(25), deadline=None, suppress_health_check=SUPPRESSED)
@example(first=WRITERS[0], body="plain", steps=[("delete", WRITERS[1], ""), ("write", WRITERS[0], "plain")])
@given(first=st.sampled_from(WRITERS[:2]), body=st.sampled_from(sorted(BODIES)), steps=st.lists(STEP, max_size=8))
def test_made_late_it_is_as_if_made_at_once(world: World, first: tuple[str, str], body: str, steps: list[Any]) -> None:
    """R12, R17: any history of versions, labels, code lists and writers: the view, its labels and its index rows."""
    engine = world.engine
    engine.hooks.by_assigned.add("Patient")
    lists = {"intimate": SENS, "drug": SUD2}
    eager = Eager(lists)
    engine.hooks.membership = lambda _system, code: lists.get(code, 0)
    engine.hooks.in_transaction[:] = [eager.note]
    body_of = lambda name: {key: value for key, value in BODIES[name].items() if key != "identifier"}  # noqa: E731
    made = Org(engine, caller(first[0], law_class=first[1])).create(body_of(body))
    Org(engine, caller("plan")).create(care_team(made, "clinic"))
    for kind, writer, what in steps:
        _step(engine, eager, made, kind, writer, body_of(what) if kind == "write" else what)
        _as_expected(engine, eager.now, made)
    _step(engine, eager, made, "refer", WRITERS[0], "")
    _as_expected(engine, eager.now, made)


def _step(engine: Engine, eager: Eager, made: Change, kind: str, writer: tuple[str, str], what: Any) -> None:
    who = Org(engine, caller(writer[0], law_class=writer[1]))
    try:
        if kind == "write":
            who.update(made, what)
        elif kind == "meta":
            tags = {"security": [{"system": ACT, "code": what}]} if what else {"tag": [{"code": "x"}]}
            _amend(eager, who, made, tags)
        elif kind == "delete":
            who.delete(made)
        elif kind == "relabel":
            eager.lists["later"] = HIV
            _relabel(who)
            eager.relabelled()
        else:
            refer(who, made)
    except FHIRError:
        return  # a label cannot be taken away, a provider labels nothing, nobody refers the deleted


def _amend(eager: Eager, who: Org, made: Change, more: dict[str, Any]) -> None:
    def edit(meta: Any) -> Any:
        return {**meta, **{name: [*meta.get(name, []), *values] for name, values in more.items()}}

    repository.amend(who.context(), "Patient", made.row.fid, edit)
    (row,) = rows(who.engine, res, made.row.rid)
    eager.amended(json.loads(bytes(row.body)), who.who.law_class)


def _relabel(who: Org) -> None:
    place: Place | None = Place()
    while place is not None:
        findings, place = relabelling.look(who.context(), place)
        due = [one for one in findings if one.is_due]
        run(who.context(), lambda open_, due=due: relabelling.raise_labels(open_, due))


def _as_expected(engine: Engine, expected: Expected, made: Change) -> None:
    row = contact_of(engine, made)
    shown = list(engine.database.read().execute(select(share.c.view).where(share.c.target == made.row.rh)))
    if row is None:
        assert (expected.labels, shown) == (0, [])
        return
    assert bool(shown) or expected.labels
    assert (row.labels, row.ver, bool(row.deleted)) == (expected.labels, expected.version, expected.view is None)
    body = json.loads(bytes(row.body)) if row.body else {}
    assert _said(body) == _said(expected.view or {})
    wanted = asked(engine, row.rid, body) if body else {name: [] for name in posted(engine, row.rid)}
    assert posted(engine, row.rid) == wanted


def _said(body: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in body.items() if name not in {"id", "meta"}}
