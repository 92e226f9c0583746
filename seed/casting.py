"""Which referrals there are: the table of seed/data/referrals.json, cast with members who have a care plan."""

import json
from dataclasses import dataclass, field
from datetime import date, timedelta
from functools import cache
from typing import Any

from seed import world
from seed.clinical import key, planned
from seed.members import Member

TO_ECM = {
    "enrolled": ("completed", "closed"),
    "outreach": ("accepted", "in-progress"),
    "declined": ("rejected",),
    "assigned": ("requested",),
}


@cache
def lists() -> dict[str, Any]:
    """The services, paths and referrals of the world."""
    return dict(json.loads((world.DATA / "referrals.json").read_text(encoding="utf-8")))


@dataclass(frozen=True)
class Referral:
    """One ServiceRequest with its Task, and what becomes of it."""

    key: str
    member: Member
    requester: str
    owners: tuple[str, ...]
    service: str
    path: str
    day: date
    parent: str = ""
    claim: str = ""
    supporting: tuple[str, ...] = ()
    decided: bool = False

    @property
    def born(self) -> str:
        """The status with which the Task is written."""
        return "draft" if self.path == "draft" else "requested"


@dataclass
class Casting:
    """Hands out members with a care plan, each to one referral only."""

    members: list[Member]
    used: set[str] = field(default_factory=set)

    def next(self, provider: str) -> Member | None:
        """The next free enrolled member of a provider, or None."""
        for member in self.members:
            if member.provider == provider and member.cin not in self.used and _ready(member):
                self.used.add(member.cin)
                return member
        return None


def _ready(member: Member) -> bool:
    return member.status == "enrolled" and planned(member)


def direct(casting: Casting, as_of: date) -> list[Referral]:
    """Referrals from a provider to a community organization."""
    found: list[Referral] = []
    cast: dict[str, Member] = {}
    for facts in lists()["direct"]:
        member = cast.get(facts.get("again", "")) or casting.next(facts["from"])
        if member is None:
            continue
        cast[facts["key"]] = member
        day = as_of - timedelta(days=14 if "again" in facts else 19)
        found.append(
            Referral(
                key=facts["key"],
                member=member,
                requester=facts["from"],
                owners=tuple(facts["to"]),
                service=facts["service"],
                path=facts["path"],
                day=day,
                claim=facts.get("claim", ""),
                supporting=(key(member, "need-1"),),
            )
        )
    return found


def supports(casting: Casting, as_of: date) -> list[tuple[Referral, Referral | None]]:
    """Community Supports: the provider's request to the plan, and the plan's own to who gives the support."""
    found: list[tuple[Referral, Referral | None]] = []
    for facts in lists()["supports"]:
        member = casting.next(facts["from"])
        if member is None:
            continue
        parent = Referral(
            key=f"{facts['key']}-parent",
            member=member,
            requester=facts["from"],
            owners=(member.plan,),
            service=facts["service"],
            path=facts["path"],
            day=as_of - timedelta(days=26),
            supporting=(key(member, "need-1"),),
            decided=True,
        )
        child = Referral(
            key=f"{facts['key']}-child",
            member=member,
            requester=member.plan,
            owners=(facts["to"],),
            service=facts["service"],
            path=facts.get("child", ""),
            day=as_of - timedelta(days=22),
            parent=parent.key,
            supporting=(key(member, "need-1"),),
        )
        found.append((parent, child if child.path else None))
    return found


def to_ecm(members: list[Member], as_of: date) -> list[Referral]:
    """The plan's referral to Enhanced Care Management of some members, owned by the assigned provider."""
    counted: dict[tuple[str, str], int] = {}
    found: list[Referral] = []
    for member in members:
        paths = TO_ECM.get(member.status, ()) if member.live else ()
        seen = counted.setdefault((member.provider, member.status), 0)
        if seen >= 2 * len(paths):
            continue
        counted[(member.provider, member.status)] = seen + 1
        found.append(
            Referral(
                key=key(member, "ecm-referral"),
                member=member,
                requester=member.plan,
                owners=(member.provider,),
                service="enhanced-care-management",
                path=paths[seen % len(paths)],
                day=min(member.begins, as_of - timedelta(days=20)),
            )
        )
    return found
