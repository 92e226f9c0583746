"""Care plans with goals in progress: CareTeam, Conditions, Goals, CarePlan and Provenance of an enrolled member.

Written by the assigned provider; the lead care manager is a PractitionerRole of it.
"""

import json
from datetime import date, timedelta
from functools import cache
from html import escape
from random import Random
from typing import Any

from seed import numbers, world
from seed.codes import (
    CORE,
    GRAVITY,
    HL7,
    ICD10,
    Json,
    coding,
    concept,
    ecm,
    extension,
    instant,
    organization,
    patient,
    profile,
    role,
    seed_identifier,
)
from seed.members import Member, chance, weighted

PLANNED = ("enrolled", "on-hold", "discontinued")


@cache
def lists() -> dict[str, Any]:
    """The lists of needs, goals and diagnoses."""
    return dict(json.loads((world.DATA / "clinical.json").read_text(encoding="utf-8")))


def planned(member: Member) -> bool:
    """Whether the member has, or had, a care plan."""
    return member.live and member.status in PLANNED


def key(member: Member, name: str) -> str:
    """The seed identifier of one of a member's resources."""
    return f"{member.member_id}-{name}"


def random_of(member: Member, salt: int) -> Random:
    """The member's own chance for one purpose, so that one part of the world does not move another."""
    return Random(int(member.cin[:8]) * 1_009 + salt)


def care_plan(member: Member, as_of: date) -> list[tuple[str, Json]]:
    """The resources of a member's care plan, each with the name that becomes its urn:uuid, in order."""
    random = random_of(member, 1)
    started = min(member.assigned + timedelta(days=random.randint(7, 28)), as_of - timedelta(days=1))
    staff = random.randrange(len(world.by_key()[member.provider].staff))
    conditions = _conditions(member, started, staff, random)
    goals = _goals(member, started, conditions, random, as_of)
    team = _care_team(member, started, staff)
    plan = _care_plan(member, started, staff, conditions, goals)
    return [team, *conditions, *goals, plan, _provenance(member, plan[0], started)]


def _link(name: str) -> Json:
    return {"reference": numbers.urn(name)}


def _care_team(member: Member, started: date, staff: int) -> tuple[str, Json]:
    name = key(member, "careteam")
    plan = world.by_key()[member.plan]
    participants = [
        _participant("lead-care-manager", role(member.provider, staff), member.provider),
        _participant("health-plan-contact", role(plan.key), plan.key),
        _participant("member", patient(member.cin), ""),
    ]
    if treated_in_unit(member):
        participants.append(_participant("behavioral-health-provider", organization("county-bh-recovery"), ""))
    return name, {
        "resourceType": "CareTeam",
        "meta": profile("ecm-careteam"),
        "identifier": seed_identifier(name),
        "status": "active",
        "name": "Enhanced Care Management team",
        "subject": patient(member.cin),
        "period": {"start": started.isoformat()},
        "participant": participants,
        "managingOrganization": [organization(member.provider)],
    }


def _participant(part: str, who: Json, behalf: str) -> Json:
    found = {"role": [concept(ecm("ecm-care-team-role"), part)], "member": who}
    return found | ({"onBehalfOf": organization(behalf)} if behalf else {})


def treated_in_unit(member: Member) -> bool:
    """Whether the county's Part 2 unit treats this member too."""
    return member.provider == "county-bh" and "smh-sud" in member.focus and member.adult and planned(member)


def _need(focus: str) -> Json:
    return dict(lists()["needs"][focus])


def _condition(member: Member, name: str, need: Json, started: date, staff: int) -> tuple[str, Json]:
    return name, {
        "resourceType": "Condition",
        "meta": profile("ecm-condition"),
        "identifier": seed_identifier(name),
        "clinicalStatus": concept(f"{HL7}/condition-clinical", "active"),
        "verificationStatus": concept(f"{HL7}/condition-ver-status", "confirmed"),
        "category": [
            concept(f"{CORE}/condition-category", "health-concern"),
            concept(f"{CORE}/us-core-category", "sdoh"),
            concept(GRAVITY, need["domain"]),
        ],
        "code": {"coding": [coding(ICD10, need["code"], need["text"])], "text": need["text"]},
        "subject": patient(member.cin),
        "recordedDate": started.isoformat(),
        "asserter": role(member.provider, staff),
    }


def _conditions(member: Member, started: date, staff: int, random: Random) -> list[tuple[str, Json]]:
    found = [
        _condition(member, key(member, f"need-{place}"), _need(focus), started, staff)
        for place, focus in enumerate(member.focus, 1)
    ]
    if chance(random, 50):
        found.append(_diagnosis(member, random.choice(lists()["diagnoses"]), started))
    return found


def _diagnosis(member: Member, what: list[str], started: date) -> tuple[str, Json]:
    name = key(member, "diagnosis")
    return name, {
        "resourceType": "Condition",
        "identifier": seed_identifier(name),
        "clinicalStatus": concept(f"{HL7}/condition-clinical", "active"),
        "verificationStatus": concept(f"{HL7}/condition-ver-status", "confirmed"),
        "category": [concept(f"{HL7}/condition-category", "problem-list-item")],
        "code": {"coding": [coding(ICD10, *what)], "text": what[1]},
        "subject": patient(member.cin),
        "recordedDate": started.isoformat(),
    }


def _goals(
    member: Member, started: date, conditions: list[tuple[str, Json]], random: Random, as_of: date
) -> list[tuple[str, Json]]:
    needs = [_need(focus) for focus in member.focus]
    wanted = [(need["goal"], need["target"], need["domain"]) for need in needs]
    if chance(random, 60):
        wanted.append((*random.choice(lists()["second_goals"]), ""))
    found = []
    for place, (text, target, domain) in enumerate(wanted, 1):
        changed = started + timedelta(days=random.randint(0, max(1, (as_of - started).days - 1)))
        categories = [concept(f"{CORE}/us-core-category", "sdoh")] + ([concept(GRAVITY, domain)] if domain else [])
        facts = _achievement(member, weighted(random, lists()["achievement"])) | {
            "category": categories,
            "description": {"text": text},
            "subject": patient(member.cin),
            "startDate": started.isoformat(),
            "target": [
                {
                    "measure": {"text": text},
                    "detailString": target,
                    "dueDate": (started + timedelta(days=120)).isoformat(),
                }
            ],
            "statusDate": changed.isoformat(),
            "expressedBy": patient(member.cin),
            "addresses": [_link(conditions[min(place, len(member.focus)) - 1][0])],
        }
        name = key(member, f"goal-{place}")
        head = {"resourceType": "Goal", "meta": profile("ecm-goal"), "identifier": seed_identifier(name)}
        found.append((name, head | facts))
    return found


def _achievement(member: Member, state: str) -> Json:
    lifecycle = "completed" if state == "achieved" else "on-hold" if member.status == "on-hold" else "active"
    return {"lifecycleStatus": lifecycle, "achievementStatus": concept(f"{HL7}/goal-achievement", state)}


def _narrative(title: str, lines: list[str]) -> Json:
    items = "".join(f"<li>{escape(line)}</li>" for line in lines)
    return {
        "status": "generated",
        "div": f'<div xmlns="http://www.w3.org/1999/xhtml"><p>{escape(title)}</p><ul>{items}</ul></div>',
    }


def _care_plan(
    member: Member, started: date, staff: int, conditions: list[tuple[str, Json]], goals: list[tuple[str, Json]]
) -> tuple[str, Json]:
    name = key(member, "careplan")
    status = {"enrolled": "active", "on-hold": "on-hold", "discontinued": "revoked"}[member.status]
    focus = [
        extension("ecm-population-of-focus", "CodeableConcept", concept(ecm("ecm-population-of-focus"), one))
        for one in member.focus
    ]
    return name, {
        "resourceType": "CarePlan",
        "meta": profile("ecm-careplan"),
        "text": _narrative("Enhanced Care Management care plan", [goal["description"]["text"] for _, goal in goals]),
        "extension": [*focus, extension("ecm-status", "Coding", coding(ecm("ecm-status"), member.status))],
        "identifier": seed_identifier(name),
        "status": status,
        "intent": "plan",
        "category": [
            concept(f"{CORE}/careplan-category", "assess-plan"),
            concept(ecm("ecm-care-plan-category"), "ecm-care-plan"),
        ],
        "title": "Enhanced Care Management care plan",
        "subject": patient(member.cin),
        "period": {"start": started.isoformat()},
        "created": started.isoformat(),
        "author": role(member.provider, staff),
        "careTeam": [_link(key(member, "careteam"))],
        "addresses": [_link(one) for one, _ in conditions],
        "goal": [_link(one) for one, _ in goals],
    }


def _provenance(member: Member, target: str, started: date) -> tuple[str, Json]:
    name = key(member, "provenance")
    author = concept(f"{HL7}/provenance-participant-type", "author")
    return name, {
        "resourceType": "Provenance",
        "meta": {"tag": [{"system": seed_identifier(name)[0]["system"], "code": name}]},
        "target": [_link(target)],
        "recorded": instant(started, 17, 30),
        "agent": [{"type": author, "who": organization(member.provider)}],
    }


def unit_record(member: Member, as_of: date) -> tuple[str, Json]:
    """What the Part 2 unit itself writes: a substance use diagnosis."""
    random = random_of(member, 5)
    started = max(member.assigned, as_of - timedelta(days=random.randint(40, 200)))
    name, found = _diagnosis(member, random.choice(lists()["substance"]), started)
    name = f"{name}-substance"
    return name, found | {"identifier": seed_identifier(name)}
