"""The members: each is a pure function of the seed and a number, so that a hundred thousand can be streamed."""

import unicodedata
from dataclasses import dataclass, replace
from datetime import date, timedelta
from functools import cache
from random import Random
from typing import Any

from seed import numbers, world

BLOCK = 30  # of every thirty members, the first sixteen are the first plan's
ADULT = 21
NEW_DAYS = 45
FAMILIES = ((3, 4, 5), (18, 19, 20))  # places in a block: parent, child, child


@dataclass(frozen=True, slots=True)
class Member:
    """What the world knows of one member."""

    index: int
    plan: str
    provider: str
    member_id: str
    cin: str
    mrn: str
    given: str
    family: str
    gender: str
    birth: date
    community: str
    race: str
    ethnicity: str
    language: str
    homeless: bool
    line: str
    city: str
    zip: str
    phone: str
    email: str
    focus: tuple[str, ...]
    status: str
    begins: date
    ends: date
    assigned: date
    change: str
    authorization: str
    acuity: str
    dual: bool
    renewal: date
    guardian: str
    guardian_relation: str
    household: int

    @property
    def adult(self) -> bool:
        """Twenty-one and over on the day of authorization: how the programme counts adults."""
        return age(self.birth, self.begins) >= ADULT

    @property
    def live(self) -> bool:
        """Whether the assignment is still in force on the day of the file."""
        return self.change != "dropped"

    @property
    def reachable(self) -> bool:
        """Whether the plan has an address with a ZIP code and a telephone number."""
        return bool(self.zip and self.phone)

    @property
    def name(self) -> str:
        """The full name; some people have one word only."""
        return f"{self.given} {self.family}".strip()


def age(birth: date, on: date) -> int:
    """Completed years."""
    return on.year - birth.year - ((on.month, on.day) < (birth.month, birth.day))


def chance(random: Random, percent: int) -> bool:
    """True so many times in a hundred."""
    return random.random() * 100 < percent


def weighted(random: Random, weights: dict[str, int]) -> str:
    """One key, by weight."""
    return random.choices(list(weights), list(weights.values()))[0]


@cache
def _communities(county: str) -> tuple[tuple[dict[str, Any], ...], tuple[int, ...]]:
    found = tuple(world.lists("communities"))
    return found, tuple(entry["weight"][county] for entry in found)


@cache
def _contracts(plan: str) -> tuple[tuple[str, ...], tuple[int, ...]]:
    pairs = [
        (provider.key, share) for provider in world.those("provider") for key, share in provider.plans if key == plan
    ]
    return tuple(key for key, _ in pairs), tuple(share for _, share in pairs)


@cache
def _places(county: str) -> tuple[tuple[tuple[str, str, int], ...], tuple[int, ...], tuple[str, ...]]:
    facts = world.places(county)
    cities = tuple((city, code, weight) for city, code, weight in facts["cities"])
    return cities, tuple(weight for *_, weight in cities), tuple(facts["area_codes"])


def plan_of(index: int) -> world.Organization:
    """The plan of the member with this number."""
    place = index % BLOCK
    first, second = world.those("plan")
    return first if place < first.share else second


def _birth(random: Random, as_of: date, focus: tuple[str, ...], *, child: bool) -> date:
    if child:
        low, high = 1, 17
    elif {"ltc-risk", "nursing-facility-transition"} & set(focus):
        low, high = 58, 91
    elif "birth-equity" in focus:
        low, high = 19, 41
    else:
        low, high = random.choice(((18, 34), (25, 64), (45, 84)))
    return _years_before(as_of, random.randint(low, high), random)


def _years_before(as_of: date, years: int, random: Random) -> date:
    return as_of - timedelta(days=int(years * 365.25) + random.randint(5, 360))


def _ascii(text: str) -> str:
    plain = unicodedata.normalize("NFKD", text.replace("đ", "d").replace("Đ", "D").replace("ø", "o"))
    return "".join(letter for letter in plain.lower() if letter.isascii() and letter.isalpha())


def _focus(random: Random, provider: str, gender: str, race: str, *, child: bool) -> tuple[str, ...]:
    found = [random.choice(world.lists("focus")["child" if child else "adult"][provider])]
    if chance(random, 35):
        found.append(random.choice(("smh-sud", "avoidable-hospital-ed", "homeless-individuals")))
    eligible = gender == "female" and not child and race in ("2054-5", "1002-5", "2076-8")
    found = [one for one in found if one != "birth-equity" or eligible]
    if eligible and chance(random, 40):
        found.append("birth-equity")
    return tuple(dict.fromkeys(found or ["avoidable-hospital-ed"]))


def _address(random: Random, county: str, *, homeless: bool) -> tuple[str, str, str]:
    cities, weights, _ = _places(county)
    city, code, _weight = random.choices(cities, weights)[0]
    if homeless and chance(random, 55):
        return (random.choice(world.no_address_places()), city, "") if chance(random, 40) else ("", "", "")
    if homeless:
        return f"c/o Day Center, {random.randint(1, 99)} {world.streets()[0]}", city, code
    line = f"{random.randint(11, 9899)} {random.choice(world.streets())}"
    return (f"{line}, Apt {random.randint(1, 64)}" if chance(random, 40) else line), city, code


def _dates(random: Random, as_of: date, status: str) -> tuple[date, date, date]:
    days = random.randint(20, 75) if status in ("assigned", "outreach") else random.randint(60, 300)
    begins = as_of - timedelta(days=days)
    return begins, begins + timedelta(days=364), begins + timedelta(days=random.randint(1, 12))


def _alone(seed: int, index: int, as_of: date, *, child: bool) -> Member:
    random = Random(seed * 1_000_003 + index)
    plan = plan_of(index)
    communities, weights = _communities(plan.county)
    community = random.choices(communities, weights)[0]
    providers, shares = _contracts(plan.key)
    native = "tribal-health" if community["key"] == "native" and "tribal-health" in providers else ""
    provider = native or random.choices(providers, shares)[0]
    gender = random.choices(("female", "male", "other"), (52, 46, 2))[0]
    given = random.choice(community[gender] if gender != "other" else community["female"] + community["male"])
    family = random.choice(community["family"])
    focus = _focus(random, provider, gender, community["race"], child=child)
    homeless = any(one.startswith("homeless") for one in focus)
    line, city, code = _address(random, plan.county, homeless=homeless)
    status = weighted(random, world.lists("statuses"))
    begins, ends, assigned = _dates(random, as_of, status)
    dropped = status in ("declined", "unable-to-reach") and chance(random, 30)
    has_phone = chance(random, 55 if homeless else 93)
    return Member(
        index=index,
        plan=plan.key,
        provider=provider,
        member_id=f"{plan.prefix}-{index + 1:06d}",
        cin=numbers.cin(index, seed),
        mrn=f"{provider[:2].upper()}{100000 + index}",
        given=given,
        family=family,
        gender=gender,
        birth=_birth(random, as_of, focus, child=child),
        community=community["key"],
        race=community["race"],
        ethnicity=community["ethnicity"],
        language=weighted(random, community["languages"]),
        homeless=homeless,
        line=line,
        city=city,
        zip=code,
        phone=numbers.phone(random.choice(_places(plan.county)[2]), random.randrange(100)) if has_phone else "",
        email=f"{_ascii(given)[:1]}{_ascii(family)}{index}@example.org" if chance(random, 40) else "",
        focus=focus,
        status=status,
        begins=begins,
        ends=as_of - timedelta(days=9) if dropped else ends,
        assigned=assigned,
        change="dropped" if dropped else "new" if (as_of - begins).days < NEW_DAYS else "nochange",
        authorization=f"A{plan.plan_code}{index + 1:07d}",
        acuity=random.choice(("Low", "Medium", "High", "High", "")),
        dual=not child and chance(random, 14),
        renewal=as_of + timedelta(days=random.randint(20, 360)),
        guardian="",
        guardian_relation="",
        household=index,
    )


def _child_of(parent: Member, child: Member, seed: int) -> Member:
    random = Random(seed * 7_000_009 + child.index)
    focus = [random.choice(world.lists("focus")["child"][parent.provider])] + ["homeless-families"] * parent.homeless
    return replace(
        child,
        family=parent.family,
        provider=parent.provider,
        mrn=f"{parent.provider[:2].upper()}{100000 + child.index}",
        community=parent.community,
        race=parent.race,
        ethnicity=parent.ethnicity,
        given=_given(random, parent.community, child.gender),
        language=parent.language if chance(random, 60) else "en",
        homeless=parent.homeless,
        line=parent.line,
        city=parent.city,
        zip=parent.zip,
        phone=parent.phone,
        email="",
        focus=tuple(dict.fromkeys(focus)),
        guardian=parent.name,
        guardian_relation={"female": "Mother", "male": "Father"}.get(parent.gender, "Parent"),
        household=parent.household,
    )


def _head_of_family(head: Member, seed: int, as_of: date) -> Member:
    random = Random(seed * 3_000_017 + head.index)
    elderly = ("ltc-risk", "nursing-facility-transition")
    kept = ["homeless-families" if one == "homeless-individuals" else one for one in head.focus if one not in elderly]
    focus = tuple(dict.fromkeys(kept or ["avoidable-hospital-ed"]))
    return replace(head, focus=focus, birth=_years_before(as_of, random.randint(36, 46), random))


def _given(random: Random, community: str, gender: str) -> str:
    names = next(entry for entry in world.lists("communities") if entry["key"] == community)
    return str(random.choice(names["male"] if gender == "male" else names["female"]))


def member(seed: int, index: int, as_of: date) -> Member:
    """The member with this number: the same for the same seed and day, however many others there are."""
    block, place = divmod(index, BLOCK)
    for parent, *children in FAMILIES:
        if place in children:
            head = member(seed, block * BLOCK + parent, as_of)
            return _child_of(head, _alone(seed, index, as_of, child=True), seed)
        if place == parent:
            return _head_of_family(_alone(seed, index, as_of, child=False), seed, as_of)
    youth = place in (9, 25)
    found = _alone(seed, index, as_of, child=youth)
    if not youth:
        return found
    random = Random(seed * 5_000_011 + index)
    relation = random.choice(world.lists("caregivers"))
    return replace(
        found,
        guardian=f"{random.choice(('Alma', 'Denise', 'Kou', 'Nora', 'Tracy'))} {found.family}",
        guardian_relation=relation,
    )
