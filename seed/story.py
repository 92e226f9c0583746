"""The order in which the world is loaded: one step after another, each as one organization's client."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date
from itertools import groupby
from typing import Any

from seed import bundles, casting, clinical, consents, directory, encounters, referrals, world
from seed.codes import Json
from seed.members import Member

SETTLED_FIRST = ("accepted", "denied")  # a parent is decided before the plan's own request can exist


@dataclass(frozen=True)
class Step:
    """One file of the world: a transaction (bundle) or moves of Tasks (moves), and who submits it."""

    folder: str
    name: str
    client: str
    kind: str
    content: Any
    note: str


def directory_steps() -> Iterator[Step]:
    """One transaction for each organization: what the directory says of it."""
    for facts in world.organizations():
        content = bundles.updates(directory.resources(facts))
        yield Step("directory", facts.key, facts.key, "bundle", content, f"{facts.name}: organization, staff, services")


def record_steps(members: list[Member], as_of: date) -> Iterator[Step]:
    """Prior claims by the plans, care plans and contacts by the providers, and what the Part 2 unit adds."""
    for plan in world.those("plan"):
        units = [encounters.claims(one) for one in members if one.plan == plan.key]
        yield from _bundles("claims", plan.key, units, "Prior emergency and inpatient stays")
    for provider in world.those("provider"):
        own = [one for one in members if one.provider == provider.key]
        plans = [clinical.care_plan(one, as_of) for one in own if clinical.planned(one)]
        yield from _bundles("care-plans", provider.key, plans, "Care teams, needs, goals in progress, care plans")
        contacts = [encounters.contacts(one, as_of) for one in own]
        yield from _bundles("contacts", provider.key, contacts, "Outreach attempts and visits")
    treated = [[clinical.unit_record(one, as_of)] for one in members if clinical.treated_in_unit(one)]
    yield from _bundles("part2", consents.UNIT, treated, "Substance use diagnoses of the Part 2 unit")


def referral_steps(members: list[Member], as_of: date) -> Iterator[Step]:
    """Referrals as they are sent, the plan's decisions, the plan's own requests, and all that follows."""
    cast = casting.Casting(members)
    direct, pairs = casting.direct(cast, as_of), casting.supports(cast, as_of)
    to_ecm = casting.to_ecm(members, as_of)
    children = [child for _, child in pairs if child]
    yield from _referrals("referrals", [*direct, *(parent for parent, _ in pairs), *to_ecm], "Referrals sent")
    first = [move for one in (*direct, *to_ecm) for move in referrals.moves(one)]
    first += [move for parent, _ in pairs for move in referrals.moves(parent, SETTLED_FIRST)]
    yield Step("moves", "first", "", "moves", first, "What the receivers do, and what the plans decide")
    yield from _referrals("supports", children, "The plans' requests to providers of Community Supports")
    later = [move for child in children for move in referrals.moves(child)]
    later += [move for parent, child in pairs if child for move in _after_decision(parent)]
    yield Step("moves", "second", "", "moves", later, "Supports delivered; the parent Tasks follow")


def _after_decision(parent: casting.Referral) -> Iterator[Json]:
    steps = [one for one in casting.lists()["paths"][parent.path] if one not in SETTLED_FIRST]
    return referrals.moves(parent, tuple(steps)) if steps else iter(())


def _referrals(folder: str, found: list[casting.Referral], note: str) -> Iterator[Step]:
    for requester, group in groupby(sorted(found, key=lambda one: one.requester), key=lambda one: one.requester):
        yield from _bundles(folder, requester, [referrals.resources(one) for one in group], note)


def consent_steps(members: list[Member], as_of: date) -> Iterator[Step]:
    """Consents of every kind; last, because a denial hides what others have yet to write about."""
    found = sorted(consents.consents(members, as_of), key=lambda one: one[0])
    for writer, group in groupby(found, key=lambda one: one[0]):
        yield from _bundles("consents", writer, [[(name, one)] for _, name, one in group], "Consents of every kind")


def _bundles(folder: str, client: str, units: list[list[tuple[str, Json]]], note: str) -> Iterator[Step]:
    for number, content in enumerate(bundles.creates(unit for unit in units if unit), 1):
        yield Step(folder, f"{client}-{number}", client, "bundle", content, note)
