"""Who could see a resource at an instant, and why: the rules asked once more with what was recorded by then.

What is recorded later changes nothing of it: an assignment that begins or ends in retrospect, a reinstatement.
Law classes of organizations, the law table, the run-out and the indexed dates are those of today.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

from sqlalchemy import Connection

from fhir_server.access.caller import Caller
from fhir_server.access.classes import TPO
from fhir_server.access.decide import Row, World, decide
from fhir_server.access.merged import joined
from fhir_server.access.relations import Directive, Inputs, Rel, Share
from fhir_server.access.scopes import parse
from fhir_server.config import Settings
from fhir_server.engine.law_classes import OPERATOR, law_classes
from fhir_server.fhir.definitions import type_names
from fhir_server.fhir.errors import NotFound
from fhir_server.store import audits, merges, pasts
from fhir_server.store.hashing import rh

_EVERYTHING = parse("system/*.rs")


class Sight(NamedTuple):
    """An organization that could see it: for which purposes, by which rule, what gave it the right, what it saw."""

    organization: str
    purposes: tuple[str, ...]
    rule: str
    because: tuple[str, ...]
    shown: str  # whole | contact view


def who_could_see(connection: Connection, settings: Settings, reference: str, at: int) -> list[Sight]:
    """The registered organizations that could see the resource (Type/id) at `at` (milliseconds), by name.

    NotFound if there was no such resource by then.
    """
    found = pasts.version(connection, rh(reference), at)
    if found is None:
        raise NotFound("At that time there was no such resource.")
    world, rows = _world(connection, settings, found, at), _rows(connection, found, at)
    sights = (_sight(connection, one, rows, world, at) for one in _organizations(connection, world))
    return [sight for sight in sights if sight]


def _rows(connection: Connection, found: pasts.Version, at: int) -> dict[str, Row]:
    rows = {"whole": _row(connection, found)}
    contact = pasts.version(connection, found.rh, at, view=1)
    return {**rows, "contact view": _row(connection, contact)} if contact else rows


def _row(connection: Connection, found: pasts.Version) -> Row:
    name, dates = type_names()[found.type], tuple(pasts.dates(connection, found.rid))
    return Row(name, found.view, found.rh, found.owner, found.patient, found.labels, found.ts, dates)


def _world(connection: Connection, settings: Settings, found: pasts.Version, at: int) -> World:
    classes = {org: law_class for org, law_class in law_classes(connection).items() if law_class != OPERATOR}
    shares = [Share(*one) for one in pasts.shares(connection, found.rh, at)]
    if found.patient is None:
        return World(shares=shares, law_classes=classes, run_out=settings.run_out_ms)
    links = [link for link in merges.links(connection, [found.patient]) if link[2] <= at]
    inputs = {
        one: _inputs(connection, one, at) for one in {found.patient, *(one for link in links for one in link[:2])}
    }
    own = joined(inputs, links)[found.patient]
    record = pasts.version(connection, found.patient, at)
    records = {found.patient: _row(connection, record)} if record else {}
    return World(own.rels, own.directives, shares, records, classes, run_out=settings.run_out_ms)


def _inputs(connection: Connection, patient: int, at: int) -> Inputs:
    record = pasts.version(connection, patient, at)
    rels = [_rel(connection, one, at) for one in pasts.relations(connection, patient, at)]
    said = [Directive(*one) for one in pasts.directives(connection, patient, at)]
    return Inputs(patient, record.owner if record else None, rels, said)


def _rel(connection: Connection, values: Sequence[Any], at: int) -> Rel:
    *place, stays, recorded = values
    rel = Rel(*place)
    giver = pasts.version(connection, rel.source, at)
    return rel._replace(grantor=giver.owner if giver and not giver.deleted else None, stays=stays, recorded=recorded)


def _organizations(connection: Connection, world: World) -> Iterable[tuple[str, str]]:
    """(organization, law class) of every registered one."""
    for name in sorted(set(audits.organizations(connection).values())):
        if (law_class := world.law_classes.get(rh(name))) is not None:
            yield name, law_class


def _sight(connection: Connection, who: tuple[str, str], rows: dict[str, Row], world: World, at: int) -> Sight | None:
    for shown, row in rows.items():
        rules = {}
        for purpose in TPO:
            caller = Caller("", who[0], rh(who[0]), who[1], _EVERYTHING, purpose)
            decision = decide(caller, "r", row, world, at)
            if decision.visible:
                rules[purpose] = decision.rule
        if rules:
            because = _because(connection, rh(who[0]), row, world, at)
            return Sight(who[0], tuple(rules), next(iter(rules.values())), because, shown)
    return None


def _because(connection: Connection, org: int, row: Row, world: World, at: int) -> tuple[str, ...]:
    """What gave an organization its right: Coverages, rosters, care teams, Tasks in force, or in run-out, by then."""
    sources = {rel.source for rel in world.rels if rel.org == org and rel.begins <= at and _lasts(rel, world, at)}
    sources |= {
        one.source for one in world.shares if (one.org, one.view) == (org, row.view) and one.begins <= at < one.ends
    }
    named = (pasts.version(connection, source, at) for source in sorted(sources))
    return tuple(sorted(f"{type_names()[one.type]}/{one.fid}" for one in named if one))


def _lasts(rel: Rel, world: World, at: int) -> bool:
    return at < (max(rel.ends, rel.recorded) + world.run_out if rel.stays else rel.ends)
