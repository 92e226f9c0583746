"""Contact views come into being with the first share of one, as if they had been there all along, and follow."""

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from sqlalchemy import select, update

from fhir_server.access.classes import HIV, SENS, SUD2
from fhir_server.access.contact import contact_labels, contact_view
from fhir_server.engine import behalf, purging, reindexing, relabelling, repository, writing
from fhir_server.engine.context import Engine
from fhir_server.engine.index_rows import LISTS
from fhir_server.engine.transaction import Change, Transaction, run
from fhir_server.engine.walking import Place
from fhir_server.fhir.errors import FHIRError
from fhir_server.store.tables import hist, outbox, res, share
from fhir_server.store.word_tables import words
from tests.engine.conftest import Org, caller
from tests.engine.test_access_rows import care_team, known, referral, task  # noqa: F401 - a fixture
from tests.laws import examples

ACT, CODES = "http://terminology.hl7.org/CodeSystem/v3-ActCode", "urn:codes"
PATIENT = {
    "resourceType": "Patient",
    "identifier": [{"system": "urn:cin", "value": "90000000A"}],
    "name": [{"family": "Rivera", "given": ["Ana"]}],
    "gender": "female",
    "birthDate": "1980-02-03",
}
RENAMED = {**PATIENT, "name": [{"family": "Vang"}], "telecom": [{"system": "phone", "value": "5550100"}]}


def rows(engine: Engine, table: Any, rid: int) -> list[Any]:
    return list(engine.database.read().execute(select(table).where(table.c.rid == rid)))


def contact_of(engine: Engine, made: Change) -> Any:
    """The row of the contact view, None without one."""
    return next(iter(rows(engine, res, made.row.rid + 1)), None)


def views(engine: Engine, made: Change) -> list[tuple[int, int, bool]]:
    found = engine.database.read().execute(select(res).where(res.c.rh == made.row.rh)).all()
    assert len({row.ts for row in found}) == 1
    return sorted((row.view, row.ver, bool(row.deleted)) for row in found)


def posted(engine: Engine, rid: int) -> dict[str, list[Any]]:
    """What a row is found by: all lists, and the words."""
    reading = engine.database.read()
    found = {t.name: sorted(tuple(row)[2:] for row in rows(engine, t, rid)) for t in LISTS}
    text = reading.execute(select(words).where(words.c.rowid == rid)).all()
    return {**found, "words": [] if not text else [rid]}


def asked(engine: Engine, rid: int, view: dict[str, Any]) -> dict[str, list[Any]]:
    """What a body asks to be found by."""
    made = engine.extractor.rows("Patient", view)
    lists = {t.name: sorted((one[0], rid, *one[1:]) for one in made[at]) for at, t in enumerate(LISTS)}
    return {**lists, "words": [rid] if made.words else []}


def refer(who: Org, patient: Change, to: str = "pantry") -> Change:
    return who.create(referral(who, patient, to=to)[1])


# ---- when there is one


def test_a_patient_of_no_referral_has_none(engine: Engine, known: Callable[..., Any]) -> None:  # noqa: F811
    """Neither its create nor any later version, nor a Task that is shown to nobody yet."""
    plan = known("plan")
    made = plan.create(PATIENT)
    made = plan.update(made, RENAMED)
    request, asked_for = referral(plan, made, status="draft")
    draft = plan.create(asked_for)
    plan.delete(made)
    made = plan.update(made, PATIENT)
    assert views(engine, made) == [(0, 4, False)]
    assert rows(engine, hist, made.row.rid + 1) == []
    plan.update(draft, task(made, request, "requested", "pantry"))
    assert views(engine, made) == [(0, 4, False), (1, 4, False)]


def test_the_contact_view_follows_the_patient(engine: Engine, known: Callable[..., Any]) -> None:  # noqa: F811
    """Made with its first share, updated, deleted and revived with the Patient, with the same version and instant."""
    plan, pantry = known("plan"), known("pantry")
    made = plan.update(plan.create(PATIENT), {**PATIENT, "active": True})
    refer(plan, made)
    assert views(engine, made) == [(0, 2, False), (1, 2, False)]
    body = json.loads(bytes(contact_of(engine, made).body))
    assert body["meta"]["versionId"] == "2"
    assert not {"identifier", "gender"} & body.keys()
    assert posted(engine, made.row.rid + 1) == asked(engine, made.row.rid + 1, body)
    values = {row.val for row in rows(engine, LISTS[0], made.row.rid + 1)}
    assert not {"90000000A", "female"} & values
    made = plan.update(made, RENAMED)
    assert views(engine, made) == [(0, 3, False), (1, 3, False)]
    assert json.loads(bytes(pantry.read(made).body))["name"] == [{"family": "Vang"}]
    assert {row.norm for row in rows(engine, LISTS[1], made.row.rid + 1)} == {"vang"}
    plan.delete(made)
    assert views(engine, made) == [(0, 4, True), (1, 4, True)]
    assert not any(posted(engine, made.row.rid + 1).values())
    made = plan.update(made, PATIENT)
    assert views(engine, made) == [(0, 5, False), (1, 5, False)]
    assert pantry.read(made).view == 1
    assert any(posted(engine, made.row.rid + 1).values())
    assert [row.ver for row in rows(engine, hist, made.row.rid + 1)] == [2, 3, 4]


def test_it_is_no_second_hit_for_the_owner(engine: Engine, known: Callable[..., Any]) -> None:  # noqa: F811
    plan = known("plan")
    made = plan.create(PATIENT)
    refer(plan, made)
    context = plan.context()
    found = repository.search(context, engine.searcher.parse("Patient", [("name", "rivera")])).hits
    assert [hit.fid for hit in found] == [made.row.fid]


def test_one_transaction_of_all_in_any_order(engine: Engine, known: Callable[..., Any]) -> None:  # noqa: F811
    """A Patient written before and after its first Task, or deleted after it, in the transaction of the Task."""
    plan, pantry = known("plan"), known("pantry")
    old, gone = plan.create(PATIENT), plan.create({"resourceType": "Patient", "active": True})

    def work(transaction: Transaction) -> list[Change]:
        context = transaction.context

        def put(body: dict[str, Any], fid: str) -> Change:
            new = writing.draft(context, "Patient", json.dumps({**body, "id": fid}).encode())
            return repository.update(context, new, fid, None)

        def share_of(patient: Change) -> None:
            transaction.flush()
            made = repository.create(context, writing.draft(context, "ServiceRequest", json.dumps({
                "resourceType": "ServiceRequest", "status": "active", "intent": "order", "code": {"text": "food"},
                "subject": {"reference": patient.reference},
            }).encode()))  # fmt: skip
            asked_for = json.dumps(task(patient, made, "requested", "pantry")).encode()
            repository.create(context, writing.draft(context, "Task", asked_for))

        new = repository.create(context, writing.draft(context, "Patient", b'{"resourceType":"Patient"}'))
        transaction.flush()
        put({"resourceType": "Patient", "name": [{"family": "Ito"}]}, new.row.fid)
        for one in (new, old, gone):
            share_of(one)
        put({**RENAMED, "name": [{"family": "Okafor"}]}, old.row.fid)
        put({"resourceType": "Patient", "name": [{"family": "Ito-Vang"}]}, new.row.fid)
        repository.delete(context, "Patient", gone.row.fid)
        return [new, old]

    new, _ = run(plan.context(), work)
    names = [json.loads(bytes(pantry.read(one).body))["name"][0]["family"] for one in (new, old)]
    assert names == ["Ito-Vang", "Okafor"]
    assert (views(engine, new), views(engine, old)) == ([(0, 3, False), (1, 3, False)], [(0, 2, False), (1, 2, False)])
    assert views(engine, gone) == [(0, 2, True), (1, 2, True)]
    plan.update(gone, {"resourceType": "Patient", "name": [{"family": "Back"}]})
    assert b"Back" in bytes(pantry.read(gone).body)


def test_whoever_the_transaction_acts_for_sees_it(known: Callable[..., Any]) -> None:  # noqa: F811
    """The share of a moment ago counts for what is done in the receiver's name in the same transaction."""
    plan = known("plan")
    made = plan.create(PATIENT)
    request, asked_for = referral(plan, made)

    def work(transaction: Transaction) -> int:
        repository.create(
            transaction.context, writing.draft(transaction.context, "Task", json.dumps(asked_for).encode())
        )
        with behalf.acting_for(transaction, "Organization/pantry") as acting:
            return repository.read(acting, "Patient", made.row.fid).view

    assert run(plan.context(), work) == 1
    assert request.row.patient == made.row.rh


# ---- labels: the law


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


# ---- upkeep


def test_index_rows_are_made_anew_with_and_without_it(engine: Engine, known: Callable[..., Any]) -> None:  # noqa: F811
    """Rows of an older release: every Patient's own, and those of the contact views that there are."""
    plan = known("plan")
    both = [plan.create({"resourceType": "Patient", "name": [{"family": name}]}) for name in ("Ito", "Vang")]
    refer(plan, both[0])
    before = [posted(engine, one.row.rid + at) for one in both for at in (0, 1)]
    assert not any(before[3].values())
    engine.database.write(lambda open_: open_.execute(update(res).values(gen=res.c.gen + 1)))
    place: Place | None = Place()
    while place is not None:
        stale, place = reindexing.stale(plan.context(), place)
        if stale:
            run(plan.context(), lambda open_, stale=stale: reindexing.renew(open_, stale))
    assert [posted(engine, one.row.rid + at) for one in both for at in (0, 1)] == before
    plan.update(both[1], {"resourceType": "Patient", "name": [{"family": "Later"}]})
    refer(plan, both[1])
    assert any(posted(engine, both[1].row.rid + 1).values())


def test_a_contact_view_of_another_generation_is_indexed_anew(
    engine: Engine,
    known: Callable[..., Any],  # noqa: F811
) -> None:
    """It is made by the index of today, whatever the Patient's own rows are of, and its next version too."""
    plan = known("plan")
    made = plan.create(PATIENT)
    engine.database.write(lambda open_: open_.execute(update(res).values(gen=res.c.gen + 1)))
    refer(plan, made)
    row = contact_of(engine, made)
    assert row.gen == engine.extractor.generation("Patient")
    assert posted(engine, row.rid) == asked(engine, row.rid, json.loads(bytes(row.body)))
    plan.update(made, RENAMED)
    assert posted(engine, row.rid) == asked(engine, row.rid, json.loads(bytes(contact_of(engine, made).body)))


def test_a_purge_leaves_nothing_of_either(engine: Engine, known: Callable[..., Any], org: Callable[..., Any]) -> None:  # noqa: F811
    plan = known("plan")
    referred, alone = plan.create(PATIENT), plan.create({"resourceType": "Patient"})
    refer(plan, referred)
    plan.update(referred, RENAMED)
    for made in (referred, alone):
        purging.purge(org("plan", rights=frozenset({"purge"})).context(), made.row.fid)
        for rid in (made.row.rid, made.row.rid + 1):
            assert [rows(engine, table, rid) for table in (res, hist, outbox)] == [[], [], []]
            assert not any(posted(engine, rid).values())


# ---- at the same time

HIDING = labelled("HIV")["meta"]


@pytest.mark.parametrize(
    ("late", "meanwhile", "is_done"),
    [("update", "referral", False), ("update", "referral", True), ("referral", "update", False),
     ("referral", "update", True), ("delete", "referral", True), ("referral", "delete", False),
     ("referral", "label", False), ("label", "referral", True), ("referral", "purge", False),
     ("referral", "purge", True)],
)  # fmt: skip
def test_a_write_beside_the_first_referral(
    engine: Engine,
    known: Callable[..., Any],  # noqa: F811
    late: str,
    meanwhile: str,
    is_done: bool,
) -> None:
    """P4: of two transactions that are open at once either ends first: the view is of the last version, or gone."""
    if engine.database.dialect == "sqlite":
        pytest.skip("one writer: no two transactions are open at once")
    plan, pantry = known("plan"), known("pantry")
    made = plan.create(PATIENT)
    _, asked_for = referral(plan, made)
    purger = Org(engine, caller("plan", rights=frozenset({"purge"})))
    acts: dict[str, Callable[[], Any]] = {
        "update": lambda: plan.update(made, RENAMED),
        "referral": lambda: plan.create(asked_for),
        "label": lambda: repository.amend(plan.context(), "Patient", made.row.fid, lambda meta: {**meta, **HIDING}),
        "delete": lambda: plan.delete(made),
        "purge": lambda: purging.purge(purger.context(), made.row.fid),
    }
    with held_up(acts[late], is_done=is_done):
        other = Doing(acts[meanwhile])
        other.join(0.2 if is_done else 20)  # who comes second waits for the first
    other.end()
    row, whole = contact_of(engine, made), next(iter(rows(engine, res, made.row.rid)), None)
    if meanwhile == "purge":
        assert row is whole is None
        return
    assert (row.ver, row.ts, bool(row.deleted)) == (whole.ver, whole.ts, bool(whole.deleted))
    assert row.labels == whole.labels == (HIV if "label" in {late, meanwhile} else 0)
    if "update" in {late, meanwhile}:
        assert b"Vang" in bytes(pantry.read(made).body)


class Doing(threading.Thread):
    """Something done beside the test; its failure is the test's."""

    def __init__(self, act: Callable[[], Any]) -> None:
        super().__init__()
        self.act, self.failed = act, list[BaseException]()
        self.start()

    def run(self) -> None:
        try:
            self.act()
        except BaseException as error:  # noqa: BLE001 - told to the test
            self.failed.append(error)

    def end(self) -> None:
        self.join(20)
        assert self.failed == []


@contextmanager
def held_up(act: Callable[[], Any], *, is_done: bool) -> Iterator[None]:
    """The transaction of `act` waits for the end of the block: before it finishes, or when all it does is done."""
    waiting, go = threading.Event(), threading.Event()
    finish, test = Transaction.finish, threading.current_thread()
    slow: list[threading.Thread] = []

    def hold() -> None:
        waiting.set()
        go.wait(20)

    def finish_late(self: Transaction) -> None:
        first = not slow and threading.current_thread() is not test
        if first:
            slow.append(threading.current_thread())
        if first and not is_done:
            hold()
        finish(self)
        if first and is_done:
            hold()

    Transaction.finish = finish_late  # type: ignore[method-assign]
    try:
        doing = Doing(act)
        assert waiting.wait(20), doing.failed
        yield
    finally:
        go.set()
        Transaction.finish = finish  # type: ignore[method-assign]
    doing.end()
