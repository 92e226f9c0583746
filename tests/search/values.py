"""Generated questions about values: tokens, strings, dates, amounts, pairs; each knows the answer in plain Python."""

from hypothesis import strategies as st

from tests.search import oracle
from tests.search.oracle import Case, Resource, Stored
from tests.search.world import (
    AMOUNTS,
    CITIES,
    CODES,
    DATED,
    DATES,
    FAMILIES,
    GIVEN,
    MORE_DATES,
    NUMBERS,
    STATUSES,
    STRINGS,
    SYSTEMS,
    TASK_STATUS_SYSTEM,
    TOKENS,
    UNITS,
)


def escape(text: str) -> str:
    for sign in "\\,|$":
        text = text.replace(sign, "\\" + sign)
    return text


@st.composite
def token_case(draw: st.DrawFn, kind: str, code: str = "") -> Case:
    code = code or draw(st.sampled_from(sorted(TOKENS[kind])))
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
        fits = any(oracle.token_fits(one, *ask, implied) for one in found for ask in wanted)
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
        return any(oracle.strings_fit(resource, path, ask, modifier) for ask in wanted)

    return Case(f"{code}:{modifier}" if modifier else code, ",".join(map(escape, wanted)), holds)


WORDS = {
    "Patient": {"identifier": "identifier.type", "_tag": "meta.tag"},
    "Task": {"code": "code", "identifier": "identifier.type"},
    "CarePlan": {"category": "category"},
    "Observation": {"code": "code"},
    "RiskAssessment": {"identifier": "identifier.type"},
}
SETS = {
    "listed": {("http://a.example", "one"), ("http://a.example", "a,b")},
    "whole": {("http://a.example", code) for code in ("top", "one", "two", "a,b", "a|b")} | {("urn:oid:1.2.3", "One")},
    "statuses": {(TASK_STATUS_SYSTEM, "draft")},
    "nothing": set(),
}
BELOW = {"top": {"top", "one", "two", "a,b"}, "one": {"one", "two"}, "two": {"two"}, "a|b": {"a|b"}}


@st.composite
def words_case(draw: st.DrawFn, kind: str) -> Case:
    code = draw(st.sampled_from(sorted(WORDS[kind])))
    wanted = draw(st.sampled_from(["mun", "Smith", "o'", "jo", "Zoë", "in w", "100%"]))

    def holds(stored: Stored, resource: Resource) -> bool:
        named = oracle.walk(resource, WORDS[kind][code])
        texts = [
            text for one in named for path in ("text", "display", "coding.display") for text in oracle.walk(one, path)
        ]
        return any(oracle.string_fits(text, wanted, "") for text in texts)

    return Case(f"{code}:text", escape(wanted), holds)


@st.composite
def typed_case(draw: st.DrawFn) -> Case:
    system, code, value = draw(st.tuples(st.sampled_from(SYSTEMS), st.sampled_from(CODES), st.sampled_from(CODES)))

    def holds(stored: Stored, resource: Resource) -> bool:
        return any(
            one["value"] == value and (system, code) in oracle.tokens(one, "type")
            for one in oracle.walk(resource, "identifier")
        )

    return Case("identifier:of-type", "|".join(map(escape, (system, code, value))), holds)


@st.composite
def set_case(draw: st.DrawFn, kind: str) -> Case:
    code = draw(st.sampled_from(sorted(TOKENS[kind])))
    path, implied = TOKENS[kind][code]
    name = draw(st.sampled_from(sorted(SETS)))
    top = draw(st.sampled_from(sorted(BELOW)))
    modifier = draw(st.sampled_from(["in", "not-in", "below", "above"]))
    related = BELOW[top] if modifier == "below" else {one for one in BELOW if top in BELOW[one]} | {top}
    wanted = SETS[name] if "in" in modifier else {("http://a.example", one) for one in related}
    text = f"http://v.example/{name}" if "in" in modifier else f"http://a.example|{escape(top)}"

    def holds(stored: Stored, resource: Resource) -> bool:
        found = oracle.tokens(resource, path)
        fits = any(oracle.token_fits(one, *ask, implied) for one in found for ask in wanted)
        return fits is (modifier != "not-in")

    return Case(f"{code}:{modifier}", text, holds)


@st.composite
def between_cases(draw: st.DrawFn, kind: str) -> list[Case]:
    """Two or three bounds of one date."""
    code = draw(st.sampled_from(sorted(DATED[kind])))
    return [draw(date_case(kind, code, most=1)) for _ in range(draw(st.integers(2, 3)))]


@st.composite
def date_case(draw: st.DrawFn, kind: str, code: str = "", most: int = 2) -> Case:
    code = code or draw(st.sampled_from(sorted(DATED[kind])))
    prefix = st.sampled_from(["", "eq", "ne", "gt", "lt", "ge", "le", "sa", "eb", "ap"])
    wanted = draw(st.lists(st.tuples(prefix, st.sampled_from(DATES + MORE_DATES)), min_size=1, max_size=most))

    def holds(stored: Stored, resource: Resource) -> bool:
        found = oracle.spans(resource, DATED[kind][code])
        return any(oracle.date_fits(one, ask, oracle.span(date)) for one in found for ask, date in wanted)

    return Case(code, ",".join(ask + date for ask, date in wanted), holds)


@st.composite
def amount_case(draw: st.DrawFn, kind: str) -> Case:
    code = draw(st.sampled_from(sorted(AMOUNTS[kind])))
    prefix = st.sampled_from(["", "eq", "ne", "gt", "lt", "ge", "le", "sa", "eb", "ap"])
    number = st.sampled_from([*NUMBERS, "5.00", "5000", "0.005", "10", "5.15", "99", "-1"])
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
            for ask, text, unit in wanted
            for one in [oracle.in_unit(one, *unit) for one in found]
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
