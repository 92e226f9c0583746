"""The organizations of the synthetic world, read from seed/data and given their numbers."""

import json
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from seed import numbers

DATA = Path(__file__).parent / "data"


@dataclass(frozen=True, slots=True)
class Organization:
    """One organization: a plan, a provider, a provider's Part 2 unit, or a community organization."""

    key: str
    part: str  # plan | provider | unit | community
    name: str
    county: str
    city: int
    kind: str
    law: str  # covered | part2 | non-hipaa
    number: int
    npi: str
    tin: str
    taxonomy: tuple[str, str]
    staff: tuple[tuple[str, str, str], ...]
    services: tuple[tuple[str, str, str], ...] = ()
    plans: tuple[tuple[str, int], ...] = ()
    parent: str = ""
    prefix: str = ""
    plan_code: str = ""
    share: int = 0

    @property
    def reference(self) -> str:
        """Organization/<key>."""
        return f"Organization/{self.key}"

    @property
    def phone(self) -> str:
        """The main telephone number, ten digits."""
        return numbers.phone(places(self.county)["area_codes"][0], 10 + self.number)

    @property
    def email(self) -> str:
        """The main mailbox."""
        return f"intake@{self.key}.example.org"


@cache
def _read(name: str) -> dict[str, Any]:
    return dict(json.loads((DATA / f"{name}.json").read_text(encoding="utf-8")))


def lists(name: str) -> Any:
    """What the lists know of people: `communities`, `caregivers`, `statuses`, `focus`."""
    return _read("people")[name]


def places(county: str) -> Any:
    """What the lists know of a county: name, code, fips, cities, area_codes."""
    return _read("places")[county]


def streets() -> Any:
    """Invented street names."""
    return _read("places")["streets"]


def no_address_places() -> Any:
    """Where people without an address say they can be found."""
    return _read("places")["no_address_places"]


def _organization(facts: dict[str, Any], part: str, number: int, parent: Any = None) -> Organization:
    base = parent or facts
    return Organization(
        key=facts["id"],
        part=part,
        name=facts["name"],
        county=base["county"],
        city=base["city"],
        kind=facts.get("kind", "health-plan"),
        law=facts["law"],
        number=number,
        npi=numbers.npi(40_000_000 + number * 7_411),
        tin=numbers.tin(1_000_000 + number * 13_007),
        taxonomy=tuple(facts.get("taxonomy", ("302R00000X", "Health Maintenance Organization"))),
        staff=tuple(tuple(person) for person in facts["staff"]),
        services=tuple(tuple(service) for service in facts.get("services", ())),
        plans=tuple(facts.get("plans", {}).items()),
        parent=parent["id"] if parent else "",
        prefix=facts.get("prefix", ""),
        plan_code=facts.get("plan_code", ""),
        share=facts.get("members", 0),
    )


@cache
def organizations() -> tuple[Organization, ...]:
    """All organizations in the order in which they can be written: a unit follows its parent."""
    data = _read("organizations")
    found: list[Organization] = []
    for part, name in (("plan", "plans"), ("provider", "providers"), ("community", "community")):
        for facts in data[name]:
            found.append(_organization(facts, part, len(found) + 1))
            if "unit" in facts:
                found.append(_organization(facts["unit"], "unit", len(found) + 1, facts))
    return tuple(found)


@cache
def by_key() -> dict[str, Organization]:
    """The organizations by their key."""
    return {organization.key: organization for organization in organizations()}


@cache
def those(part: str) -> tuple[Organization, ...]:
    """The organizations of one part: plan, provider, unit or community."""
    return tuple(organization for organization in organizations() if organization.part == part)
