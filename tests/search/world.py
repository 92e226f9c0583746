"""Generated resources and generated questions about them, for the comparison of SQL with the oracle."""

import random
from collections.abc import Callable
from typing import Any

from hypothesis import strategies as st

from tests.search import oracle
from tests.search.oracle import HERE, Case, Resource, Stored

FAMILIES = [
    "Muñoz",
    "O'Brien-Smith",
    "Smith",
    "smithers",
    "Nguyễn",
    "García López",
    "100%",
    "a_b",
    "Ünal",
    "O\u2019Hara",
]
GIVEN = ["José", "Anna", "Jo", "ANNE", "Zoë", "Li"]
CITIES = ["Los Angeles", "Fresno", "San José", "San Jose"]
SYSTEMS = ["http://a.example", "http://b.example", "urn:oid:1.2.3"]
CODES = ["one", "One", "two", "a,b", "a|b", "a$b", "back\\slash"]
DATES = ["2026", "2026-03", "2026-03-01", "2026-03-08", "2026-03-01T10:00:00Z", "2026-03-01T10:00:00.250-08:00"]
MORE_DATES = [
    "2025",
    "2026-02",
    "2026-02-28",
    "2026-03-08T10:00:00Z",
    "2027-01-01",
    "2026-03-01T10:00:01Z",
    "2024-02-29",
]
PROFILES = ["http://p.example/one", "http://p.example/one|1.0", "http://p.example/two"]
STATUSES = ["draft", "active", "completed"]
TASK_STATUS_SYSTEM = "http://hl7.org/fhir/task-status"

TOKENS = {
    "Patient": {
        "identifier": ("identifier", ""),
        "gender": ("gender", "http://hl7.org/fhir/administrative-gender"),
        "active": ("active", ""),
        "_tag": ("meta.tag", ""),
        "_security": ("meta.security", ""),
        "telecom": ("telecom", ""),
    },
    "Task": {"status": ("status", TASK_STATUS_SYSTEM), "code": ("code", ""), "identifier": ("identifier", "")},
    "CarePlan": {"status": ("status", ""), "category": ("category", "")},
    "Observation": {"code": ("code", ""), "combo-code": ("code component.code", "")},
    "RiskAssessment": {"identifier": ("identifier", "")},
}
STRINGS = {
    "Patient": {
        "name": "name",
        "family": "name.family",
        "given": "name.given",
        "address-city": "address.city",
        "address": "address",
    },
}
DATED = {
    "Patient": {"birthdate": "birthDate"},
    "Task": {"authored-on": "authoredOn", "period": "executionPeriod"},
    "CarePlan": {"date": "period"},
    "Observation": {"date": "effectivePeriod"},
    "RiskAssessment": {"date": "occurrenceDateTime"},
}
AMOUNTS = {
    "Observation": {"value-quantity": "valueQuantity", "component-value-quantity": "component.valueQuantity"},
    "RiskAssessment": {"probability": "prediction.probabilityDecimal prediction.probabilityRange"},
}
REFERENCES = {
    "Patient": {"general-practitioner": ("generalPractitioner", ["Organization", "Practitioner"], "")},
    "Task": {
        "focus": ("focus", ["CarePlan", "Patient"], ""),
        "subject": ("for", ["Patient", "Group"], ""),
        "patient": ("for", ["Patient"], "Patient"),
        "part-of": ("partOf", ["Task"], ""),
    },
    "CarePlan": {"subject": ("subject", ["Patient", "Group"], ""), "patient": ("subject", ["Patient"], "Patient")},
    "Observation": {
        "subject": ("subject", ["Patient", "Group", "Device", "Location"], ""),
        "patient": ("subject", ["Patient"], "Patient"),
    },
    "RiskAssessment": {
        "subject": ("subject", ["Patient", "Group"], ""),
        "patient": ("subject", ["Patient"], "Patient"),
    },
}
TYPES = ("Patient", "Task", "CarePlan", "Observation", "RiskAssessment")
NUMBERS = ["0", "1", "4.9", "5", "5.0", "5.05", "5.1", "100", "99.5", "100.5", "-5", "-0.25", "0.5", "110"]
UNITS = [("http://unitsofmeasure.org", "mg", "milligram"), ("http://unitsofmeasure.org", "g", "g"), ("", "mg", "mg")]


# ---- resources


def generate(seed: int, count: int) -> Stored:
    """Resources of three types that refer to one another, the same for the same seed."""
    rng = random.Random(seed)
    makers = {
        "Patient": _patient,
        "Task": _task,
        "CarePlan": _care_plan,
        "Observation": _observation,
        "RiskAssessment": _risk,
    }
    stored = []
    for number in range(count):
        kind = rng.choice(TYPES)
        made = {"resourceType": kind, "id": f"{kind[0].lower()}{number % 60}-{number}", **makers[kind](rng, stored)}
        if rng.random() < 0.5:
            made["meta"] = _meta(rng)
        stored.append(made)
    return stored


def _some(rng: random.Random, **makers: Callable[[], Any]) -> Resource:
    return {name: make() for name, make in makers.items() if rng.random() < 0.6}


def _coding(rng: random.Random) -> Resource:
    return _some(rng, system=lambda: rng.choice(SYSTEMS)) | {"code": rng.choice(CODES)}


def _codings(rng: random.Random) -> list[Resource]:
    return [_coding(rng) for _ in range(rng.randint(1, 3))]


def _meta(rng: random.Random) -> Resource:
    profiles = rng.sample(PROFILES, rng.randint(1, 2))
    return _some(rng, tag=lambda: _codings(rng), security=lambda: _codings(rng), profile=lambda: profiles) or {
        "tag": _codings(rng)
    }


def _identifiers(rng: random.Random) -> list[Resource]:
    return [
        _some(rng, system=lambda: rng.choice(SYSTEMS)) | {"value": rng.choice(CODES)} for _ in range(rng.randint(1, 2))
    ]


def _period(rng: random.Random) -> Resource:
    first, second = sorted(rng.sample(DATES[:4] + MORE_DATES[:3], 2), key=oracle.span)
    return rng.choice([{"start": first, "end": second}, {"start": first}, {"end": second}])


def _reference(rng: random.Random, stored: Stored, kinds: list[str]) -> Resource:
    fits = [one for one in stored if one["resourceType"] in kinds]
    if not fits or rng.random() < 0.2:
        return rng.choice(
            [
                {"identifier": {"system": SYSTEMS[0], "value": "one"}},
                {"reference": f"https://there.example/fhir/{kinds[0]}/x"},
                {"reference": "urn:uuid:4f8a2b1c-0000-4000-8000-000000000001"},
                {"reference": "#inside"},
                {"display": "somebody"},
            ]
        )
    one = rng.choice(fits)
    base = f"{one['resourceType']}/{one['id']}"
    return {"reference": rng.choice([base, base, f"{base}/_history/2", f"{HERE}/{base}"])}


def _patient(rng: random.Random, stored: Stored) -> Resource:
    return _some(
        rng,
        identifier=lambda: _identifiers(rng),
        active=lambda: rng.random() < 0.5,
        gender=lambda: rng.choice(["male", "female"]),
        birthDate=lambda: rng.choice(DATES[:4]),
        telecom=lambda: [{"value": "555-1234", "system": "phone"}, {"value": "one"}],
        name=lambda: [
            _some(rng, given=lambda: rng.sample(GIVEN, 2)) | {"family": rng.choice(FAMILIES)}
            for _ in range(rng.randint(1, 2))
        ],
        address=lambda: [{"city": rng.choice(CITIES), "line": ["1 Main St"]}],
        generalPractitioner=lambda: [{"reference": "Organization/o1"}],
    )


def _task(rng: random.Random, stored: Stored) -> Resource:
    return {"status": rng.choice(["draft", "requested"])} | _some(
        rng,
        code=lambda: rng.choice([{"coding": _codings(rng)}, {"text": "in words"}]),
        identifier=lambda: _identifiers(rng),
        authoredOn=lambda: rng.choice(DATES),
        executionPeriod=lambda: _period(rng),
        focus=lambda: _reference(rng, stored, ["CarePlan", "Patient"]),
        **{"for": lambda: _reference(rng, stored, ["Patient"])},
        partOf=lambda: [_reference(rng, stored, ["Task"]) for _ in range(2)],
    )


def _care_plan(rng: random.Random, stored: Stored) -> Resource:
    return {"status": rng.choice(STATUSES), "subject": _reference(rng, stored, ["Patient"])} | _some(
        rng, category=lambda: [{"coding": _codings(rng)} for _ in range(2)], period=lambda: _period(rng)
    )


def _number(rng: random.Random) -> Any:
    return float(text) if "." in (text := rng.choice(NUMBERS)) else int(text)


def _quantity(rng: random.Random) -> Resource:
    system, code, word = rng.choice(UNITS)
    unit = _some(rng, system=lambda: system, code=lambda: code, unit=lambda: word)
    made = {"value": _number(rng)} | {name: text for name, text in unit.items() if text}
    if rng.random() < 0.25:
        made["comparator"] = rng.choice(["<", "<=", ">", ">="])
    return made if rng.random() < 0.9 else {"unit": "no value"}


def _range(rng: random.Random) -> Resource:
    low, high = sorted([_number(rng), _number(rng)])
    return rng.choice([{"low": {"value": low}, "high": {"value": high}}, {"low": {"value": low}}])


def _measured(rng: random.Random) -> Resource:
    made = {"code": {"coding": _codings(rng)}}
    kinds = {
        "valueQuantity": lambda: _quantity(rng),
        "valueCodeableConcept": lambda: {"coding": _codings(rng)},
        "valueString": lambda: rng.choice(FAMILIES),
    }
    kind = rng.choice([*kinds, "valueQuantity", ""])
    return made | {kind: kinds[kind]()} if kind else made


def _observation(rng: random.Random, stored: Stored) -> Resource:
    return {"status": "final", **_measured(rng)} | _some(
        rng,
        subject=lambda: _reference(rng, stored, ["Patient"]),
        effectivePeriod=lambda: _period(rng),
        component=lambda: [_measured(rng) for _ in range(rng.randint(1, 2))],
    )


def _prediction(rng: random.Random) -> Resource:
    return rng.choice([{"probabilityDecimal": _number(rng)}, {"probabilityRange": _range(rng)}, {"rationale": "none"}])


def _risk(rng: random.Random, stored: Stored) -> Resource:
    return {"status": "final", "subject": _reference(rng, stored, ["Patient"])} | _some(
        rng,
        identifier=lambda: _identifiers(rng),
        occurrenceDateTime=lambda: rng.choice(DATES),
        prediction=lambda: [_prediction(rng) for _ in range(rng.randint(1, 2))],
    )


# ---- questions


def escape(text: str) -> str:
    for sign in "\\,|$":
        text = text.replace(sign, "\\" + sign)
    return text


@st.composite
def token_case(draw: st.DrawFn, kind: str) -> Case:
    code = draw(st.sampled_from(sorted(TOKENS[kind])))
    path, implied = TOKENS[kind][code]
    codes = st.sampled_from([*CODES, *STATUSES, "requested", "male", "true", "555-1234"])
    systems = st.sampled_from([*SYSTEMS, implied or "http://other.example", "phone"])
    pair = st.one_of(
        st.tuples(st.none(), codes),
        st.tuples(systems, codes),
        st.tuples(st.just(""), codes),
        st.tuples(systems, st.none()),
    )
    wanted = draw(st.lists(pair, min_size=1, max_size=3))
    negative = draw(st.booleans())
    text = ",".join(_written_token(*one) for one in wanted)

    def holds(stored: Stored, resource: Resource) -> bool:
        found = oracle.tokens(resource, path)
        fits = any(oracle.token_fits(one, *ask, "" if negative else implied) for one in found for ask in wanted)
        return fits is not negative

    return Case(f"{code}:not" if negative else code, text, holds)


def _written_token(system: str | None, code: str | None) -> str:
    if system is None:
        return escape(code or "")
    return f"{escape(system)}|{escape(code or '')}"


@st.composite
def string_case(draw: st.DrawFn, kind: str) -> Case:
    code = draw(st.sampled_from(sorted(STRINGS[kind])))
    path, modifier = STRINGS[kind][code], draw(st.sampled_from(["", "exact", "contains"]))
    whole = st.sampled_from([*FAMILIES, *GIVEN, *CITIES])
    part = st.builds(lambda text, size: text[:size].strip(), whole, st.integers(1, 6))
    wanted = draw(st.lists(st.one_of(whole, part, part.map(oracle.plain), part.map(str.upper)), min_size=1, max_size=2))

    def holds(stored: Stored, resource: Resource) -> bool:
        found = oracle.strings(resource, path)
        return any(oracle.string_fits(text, ask, modifier) for text in found for ask in wanted)

    return Case(f"{code}:{modifier}" if modifier else code, ",".join(map(escape, wanted)), holds)


@st.composite
def date_case(draw: st.DrawFn, kind: str) -> Case:
    code = draw(st.sampled_from(sorted(DATED[kind])))
    prefix = st.sampled_from(["", "eq", "ne", "gt", "lt", "ge", "le", "sa", "eb", "ap"])
    wanted = draw(st.lists(st.tuples(prefix, st.sampled_from(DATES + MORE_DATES)), min_size=1, max_size=2))

    def holds(stored: Stored, resource: Resource) -> bool:
        found = oracle.spans(resource, DATED[kind][code])
        return any(oracle.date_fits(one, ask, oracle.span(date)) for one in found for ask, date in wanted)

    return Case(code, ",".join(ask + date for ask, date in wanted), holds)


@st.composite
def amount_case(draw: st.DrawFn, kind: str) -> Case:
    code = draw(st.sampled_from(sorted(AMOUNTS[kind])))
    prefix = st.sampled_from(["", "eq", "ne", "gt", "lt", "ge", "le", "sa", "eb", "ap"])
    number = st.sampled_from([*NUMBERS, "5.00", "10", "5.15", "99", "-1"])
    units = st.sampled_from([(None, None), *[one[:2] for one in UNITS], ("", "milligram"), ("http://other", "g")])
    if kind == "RiskAssessment":
        units = st.just((None, None))
    wanted = draw(st.lists(st.tuples(prefix, number, units), min_size=1, max_size=2))
    written = [
        f"{ask}{text}" if unit[1] is None else f"{ask}{text}|{escape(unit[0])}|{unit[1]}" for ask, text, unit in wanted
    ]

    def holds(stored: Stored, resource: Resource) -> bool:
        found = oracle.amounts(resource, AMOUNTS[kind][code])
        return any(
            oracle.amount_fits(one[:2], ask, text) and oracle.unit_fits(one[2], *unit)
            for one in found
            for ask, text, unit in wanted
        )

    return Case(code, ",".join(written), holds)


COMPOSITES = {
    "code-value-quantity": (".", "valueQuantity"),
    "combo-code-value-quantity": (". component", "valueQuantity"),
    "component-code-value-quantity": ("component", "valueQuantity"),
    "code-value-concept": (".", "valueCodeableConcept"),
    "combo-code-value-concept": (". component", "valueCodeableConcept"),
    "code-value-string": (".", "valueString"),
}


@st.composite
def composite_case(draw: st.DrawFn) -> Case:
    name = draw(st.sampled_from(sorted(COMPOSITES)))
    where, path = COMPOSITES[name]
    system, code = draw(st.tuples(st.sampled_from([None, "", *SYSTEMS]), st.sampled_from(CODES)))
    prefix, number = draw(st.tuples(st.sampled_from(["", "gt", "le"]), st.sampled_from(NUMBERS)))
    unit = draw(st.sampled_from([(None, None), UNITS[0][:2]]))
    other, start = draw(st.tuples(st.sampled_from(CODES), st.sampled_from(["m", "s", "O'", "1"])))
    amount = f"{prefix}{number}" + (f"|{unit[0]}|{unit[1]}" if unit[1] else "")
    value = {"valueQuantity": amount, "valueCodeableConcept": escape(other), "valueString": start}[path]

    def fits(element: Resource) -> bool:
        if path == "valueString":
            return any(oracle.string_fits(text, start, "") for text in oracle.strings(element, path))
        if path == "valueCodeableConcept":
            return any(oracle.token_fits(one, None, other) for one in oracle.tokens(element, path))
        return any(
            oracle.amount_fits(one[:2], prefix, number) and oracle.unit_fits(one[2], *unit)
            for one in oracle.amounts(element, path)
        )

    def holds(stored: Stored, resource: Resource) -> bool:
        elements = [*([resource] if "." in where else []), *(oracle.walk(resource, "component") * ("comp" in where))]
        return any(
            fits(one) and any(oracle.token_fits(pair, system, code) for pair in oracle.tokens(one, "code"))
            for one in elements
        )

    return Case(name, f"{_written_token(system, code)}${value}", holds)


@st.composite
def reference_case(draw: st.DrawFn, kind: str, stored: Stored) -> Case:
    code = draw(st.sampled_from(sorted(REFERENCES[kind])))
    path, targets, only = REFERENCES[kind][code]
    pool = [f"{one['resourceType']}/{one['id']}" for one in stored if one["resourceType"] in targets]
    pool += [f"{targets[0]}/nobody", "Organization/o1"]
    wanted = draw(st.sampled_from(pool))
    target, _, fid = wanted.partition("/")
    spellings = [(code, wanted), (code, f"{HERE}/{wanted}"), (code, f"{wanted}/_history/7"), (f"{code}:{target}", fid)]
    if target not in targets:
        spellings = spellings[:3]
    if only or code == "part-of":
        spellings.append((code, fid if target in targets else wanted))
    name, value = draw(st.sampled_from(spellings))

    def holds(stored: Stored, resource: Resource) -> bool:
        found = oracle.references(resource, path)
        return wanted in found and (not only or wanted.startswith(f"{only}/"))

    return Case(name, value, holds)


@st.composite
def logical_case(draw: st.DrawFn, kind: str) -> Case:
    code = draw(st.sampled_from([code for code in sorted(REFERENCES[kind]) if not REFERENCES[kind][code][2]]))
    path, system = REFERENCES[kind][code][0], draw(st.sampled_from(SYSTEMS[:2]))

    def holds(stored: Stored, resource: Resource) -> bool:
        return (system, "one") in oracle.tokens(resource, f"{path}.identifier")

    return Case(f"{code}:identifier", f"{system}|one", holds)


@st.composite
def missing_case(draw: st.DrawFn, kind: str) -> Case:
    paths = {code: path for code, (path, _) in TOKENS[kind].items()}
    paths |= STRINGS.get(kind, {}) | DATED[kind]
    paths |= {code: path for code, (path, _, only) in REFERENCES[kind].items() if not only}
    paths |= AMOUNTS.get(kind, {})
    code, wanted = draw(st.sampled_from(sorted(paths))), draw(st.booleans())
    there = oracle.amounts if code in AMOUNTS.get(kind, {}) else oracle.walk

    def holds(stored: Stored, resource: Resource) -> bool:
        return (not there(resource, paths[code])) is wanted

    return Case(f"{code}:missing", "true" if wanted else "false", holds)


@st.composite
def uri_case(draw: st.DrawFn, kind: str) -> Case:
    wanted = draw(
        st.lists(st.sampled_from([*PROFILES, "http://p.example", "http://P.example/one"]), min_size=1, max_size=2)
    )

    def holds(stored: Stored, resource: Resource) -> bool:
        found = oracle.walk(resource, "meta.profile")
        return any(ask in (one, one.partition("|")[0]) for one in found for ask in wanted)

    return Case("_profile", ",".join(map(escape, wanted)), holds)


@st.composite
def id_case(draw: st.DrawFn, kind: str, stored: Stored) -> Case:
    wanted = draw(st.lists(st.sampled_from([one["id"] for one in stored] + ["nobody"]), min_size=1, max_size=4))
    return Case("_id", ",".join(wanted), lambda stored, resource: resource["id"] in wanted)


def plain_case(kind: str, stored: Stored) -> st.SearchStrategy[Case]:
    """One criterion without chains."""
    kinds = [token_case(kind), date_case(kind), reference_case(kind, stored), logical_case(kind), missing_case(kind)]
    kinds += [uri_case(kind), id_case(kind, stored)]
    kinds += [string_case(kind)] if kind in STRINGS else []
    kinds += [amount_case(kind), amount_case(kind)] if kind in AMOUNTS else []
    kinds += [composite_case()] * 3 if kind == "Observation" else []
    return st.one_of(*kinds)


@st.composite
def chain_case(draw: st.DrawFn, kind: str, stored: Stored, depth: int) -> Case:
    code = draw(st.sampled_from([code for code in sorted(REFERENCES[kind]) if code != "general-practitioner"]))
    path, targets, _ = REFERENCES[kind][code]
    target = draw(st.sampled_from([one for one in targets if one in TYPES]))
    inner = draw(any_case(target, stored, depth - 1))

    def holds(stored: Stored, resource: Resource) -> bool:
        found = [oracle.target_of(stored, text) for text in oracle.references(resource, path)]
        return any(one and one["resourceType"] == target and inner.holds(stored, one) for one in found)

    return Case(f"{code}:{target}.{inner.name}", inner.value, holds)


@st.composite
def has_case(draw: st.DrawFn, kind: str, stored: Stored, depth: int) -> Case:
    links = [(source, code) for source in REFERENCES for code, row in REFERENCES[source].items() if kind in row[1]]
    source, code = draw(st.sampled_from(sorted(links)))
    path = REFERENCES[source][code][0]
    inner = draw(any_case(source, stored, depth - 1))

    def holds(stored: Stored, resource: Resource) -> bool:
        me = f"{resource['resourceType']}/{resource['id']}"
        return any(
            one["resourceType"] == source and me in oracle.references(one, path) and inner.holds(stored, one)
            for one in stored
        )

    return Case(f"_has:{source}:{code}:{inner.name}", inner.value, holds)


def any_case(kind: str, stored: Stored, depth: int) -> st.SearchStrategy[Case]:
    """One criterion, with up to `depth` steps to other resources."""
    if depth == 0:
        return plain_case(kind, stored)
    linked = [has_case(kind, stored, depth)] if depth <= 2 and kind in ("Patient", "Task", "CarePlan") else []
    if kind != "Patient":
        linked.append(chain_case(kind, stored, depth))
    return st.one_of(plain_case(kind, stored), *linked)


@st.composite
def question(draw: st.DrawFn, stored: Stored) -> tuple[str, list[Case]]:
    """A type and one to three criteria."""
    kind = draw(st.sampled_from(TYPES))
    return kind, draw(st.lists(any_case(kind, stored, draw(st.integers(0, 2))), min_size=1, max_size=3))
