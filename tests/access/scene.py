"""A small world in the database and in Python at once, so that both tellings of the rules can be asked about it."""

from dataclasses import dataclass, field, replace
from itertools import count
from typing import Any

from sqlalchemy import Connection, insert, select

from fhir_server.access import decide as oracle
from fhir_server.access.caller import Caller
from fhir_server.access.classes import OPEN, START, mask_of
from fhir_server.access.consequences import consequences, run_outs
from fhir_server.access.inputs import inputs
from fhir_server.access.law import standard
from fhir_server.access.predicate import Visible
from fhir_server.access.relations import Directive, Rel, Share
from fhir_server.access.scopes import parse
from fhir_server.fhir.definitions import type_number
from fhir_server.store.hashing import rh
from fhir_server.store.tables import access, contained, dat, directive, hist, param, rel, res, runout, share

PAST, EARLY, NOW, LATE = 1000, 1500, 2000, 2500
RUN_OUT = 400  # from NOW on it is over before LATE
BORN, AUTHORED = 1, 2  # numbers of two date parameters
TENANT, PART = 1, 7
DEFAULT = mask_of(["BH", "HIV", "HOUSE", "JI", "MINOR"])


def org(name: str) -> int:
    return rh(f"Organization/{name}")


def caller(name: str, law_class: str = "covered", purpose: str = "TREAT", scopes: str = "system/*.cruds", **more: Any):
    return Caller("client", f"Organization/{name}", org(name), law_class, parse(scopes), purpose, **more)


@dataclass
class Scene:
    connection: Connection
    law_classes: dict[str, str] = field(default_factory=dict)
    run_out: int = 0
    rows: dict[int, oracle.Row] = field(default_factory=dict)
    versions: list[tuple[int, int, oracle.Row]] = field(default_factory=list)
    rels: list[Rel] = field(default_factory=list)
    directives: list[Directive] = field(default_factory=list)
    shares: list[Share] = field(default_factory=list)
    numbers: Any = field(default_factory=lambda: count(2, 2))
    _rows: list[dict[str, Any]] = field(default_factory=list)
    _dates: list[dict[str, Any]] = field(default_factory=list)
    _versions: list[dict[str, Any]] = field(default_factory=list)

    def add(self, type_: str, fid: str, owner: str, patient: str | None = None, labels: int = 0, **more: Any) -> int:
        """A row of `res`; returns its rid. A Patient is its own patient. `dates`: the spans it is found by."""
        whose = fid if type_ == "Patient" else patient
        view, ts, dates = more.pop("view", 0), more.pop("ts", 1), tuple(more.pop("dates", ()))
        about = rh(f"Patient/{whose}") if whose else None
        row = oracle.Row(type_, view, rh(f"{type_}/{fid}"), org(owner), about, labels, ts, dates)
        rid = more.pop("rid", None) or next(self.numbers)
        spans = [(AUTHORED, *span) for span in dates] + [(BORN, 0, 1)] * (type_ == "Patient")
        self._dates += [_row(dat, (number, rid, lo, hi)) for number, lo, hi in spans]
        self.rows[rid] = row
        self._rows.append(_values(rid, fid, row, ver=more.pop("ver", 1), **more))
        return rid

    def version(self, rid: int, ver: int, **changes: Any) -> tuple[int, int]:
        """A superseded version of `rid` that differs from the current row as said."""
        row = replace(self.rows[rid], **changes)
        fid = next(values["fid"] for values in self._rows if values["rid"] == rid)
        self.versions.append((rid, ver, row))
        self._versions.append(_values(rid, fid, row, ver=ver))
        return rid, ver

    def relate(
        self, patient: str, who: str, kind: str, by: str, begins: int = START, ends: int = OPEN, **more: int
    ) -> None:
        """A relation, and the resource that gave it, written by `by`; `stays` and `recorded` as in a Rel."""
        type_ = {"plan": "Coverage", "assigned": "Group", "care-team": "CareTeam"}[kind]
        fid = f"s{next(self.numbers)}"
        self.add(type_, fid, by, None if type_ == "Group" else patient)
        given = Rel(rh(f"Patient/{patient}"), org(who), kind, begins, ends, rh(f"{type_}/{fid}"), org(by))
        self.rels.append(given._replace(**more))

    def deny(self, patient: str, **more: Any) -> None:
        self.direct(patient, "deny", **more)

    def direct(
        self, patient: str, effect: str, to: str | None = None, classes: int = -1, purpose: str = "", **when: int
    ):
        begins, ends = when.get("begins", START), when.get("ends", OPEN)
        recipient = org(to) if to else 0
        consent = next(self.numbers)
        self.directives.append(
            Directive(rh(f"Patient/{patient}"), recipient, purpose, classes, effect, begins, ends, consent, 0)
        )

    def share(self, who: str, target: str, view: int = 0, mask: int = 0, giver: str = "", **when: int) -> None:
        begins, ends = when.get("begins", START), when.get("ends", OPEN)
        by = org(giver) if giver else 0
        self.shares.append(Share(org(who), rh(target), view, mask, begins, ends, next(self.numbers), by))

    def settle(self) -> None:
        """Write everything; the access rows are computed from what the database then holds."""
        patients = sorted({row.rh for row in self.rows.values() if row.type == "Patient"})
        _insert(self.connection, res, self._rows)
        _insert(self.connection, hist, self._versions)
        numbered = [{"id": BORN, "type": "Patient", "code": "birthdate"}]
        _insert(self.connection, param, [*numbered, {"id": AUTHORED, "type": "Condition", "code": "recorded-date"}])
        _insert(self.connection, dat, self._dates)
        _insert(self.connection, rel, [_row(rel, (*one.values, one.recorded)) for one in self.rels])
        for table, facts in ((directive, self.directives), (share, self.shares)):
            _insert(self.connection, table, [_row(table, (*fact.values, 0)) for fact in facts])
        found = inputs(self.connection, patients)
        classes = self._hashed_classes()
        spans = [span for each in found.values() for span in consequences(each, standard(), classes.get)]
        _insert(self.connection, access, [_row(access, span.values) for span in spans])
        ended = [one for each in found.values() for one in run_outs(each)]
        _insert(self.connection, runout, [_row(runout, one.values) for one in ended])

    def sees(self, who: Caller, now: int = NOW, letter: str = "r", of: str | None = None) -> set[int]:
        visible = Visible(who, now, letter, self.run_out)
        return set(self.connection.execute(select(visible("r", of=of).c.rid), dict(visible.binds)).scalars())

    def contain(self, type_: str) -> None:
        """Let every row there is hold a contained resource, whose rid is the row's below zero; after `settle`."""
        rows = [_row(contained, (-rid, type_number(type_), "c", rid, 0)) for rid in self.rows]
        _insert(self.connection, contained, rows)

    def sees_contained(self, who: Caller, now: int, of: str) -> set[int]:
        """The rids of the containers of what the caller sees of what `contain` put there."""
        visible = Visible(who, now, "r", self.run_out)
        row = visible.contained("c", of)
        found = self.connection.execute(select(row.c.rid, row.c.holder, row.c.view), dict(visible.binds)).all()
        assert all((rid, view) == (-holder, 2) for rid, holder, view in found)
        return {holder for _, holder, _ in found}

    def sees_versions(self, who: Caller, now: int = NOW) -> set[tuple[int, int]]:
        visible = Visible(who, now, run_out_ms=self.run_out)
        past = visible.history("h")
        rows = self.connection.execute(select(past.c.rid, past.c.ver), dict(visible.binds))
        return {(row[0], row[1]) for row in rows}

    def worlds(self) -> dict[int | None, oracle.World]:
        """The world as it concerns each patient; None: as it concerns rows of no one patient."""
        records = {row.rh: row for row in self.rows.values() if row.type == "Patient" and row.view == 0}
        shares: dict[int, list[Share]] = {}
        for one in self.shares:
            shares.setdefault(one.target, []).append(one)
        worlds: dict[int | None, oracle.World] = {}
        classes = self._hashed_classes()
        for patient in {row.patient for row in (*self.rows.values(), *(row for _, _, row in self.versions))}:
            mine = {row.rh for row in self.rows.values() if row.patient == patient}
            worlds[patient] = oracle.World(
                [one for one in self.rels if one.patient == patient],
                [one for one in self.directives if one.patient == patient],
                [one for target in mine for one in shares.get(target, ())],
                {patient: records[patient]} if patient in records else {},
                law_classes=classes,
                run_out=self.run_out,
            )
        return worlds

    def whole_world(self) -> oracle.World:
        records = {row.rh: row for row in self.rows.values() if row.type == "Patient" and row.view == 0}
        classes = self._hashed_classes()
        return oracle.World(self.rels, self.directives, self.shares, records, law_classes=classes, run_out=self.run_out)

    def _hashed_classes(self) -> dict[int, str]:
        return {org(name): law_class for name, law_class in self.law_classes.items()}


def _values(rid: int, fid: str, row: oracle.Row, *, ver: int, deleted: bool = False) -> dict[str, Any]:
    return {
        "tenant": TENANT,
        "part": PART,
        "rid": rid,
        "type": type_number(row.type),
        "fid": fid,
        "view": row.view,
        "rh": row.rh,
        "ver": ver,
        "ts": row.ts,
        "deleted": deleted,
        "owner": row.owner,
        "patient": row.patient,
        "labels": row.labels,
        "gen": 1,
        "enc": 0,
        "body": b"{}",
    }


def _row(table: Any, values: tuple[Any, ...]) -> dict[str, Any]:
    names = [column.name for column in table.columns]
    return dict(zip(names, (TENANT, PART, *values), strict=True))


def _insert(connection: Connection, table: Any, rows: list[dict[str, Any]]) -> None:
    if rows:
        connection.execute(insert(table), rows)
