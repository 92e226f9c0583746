"""Generated _filter expressions, each with its answer in plain Python."""

from hypothesis import strategies as st

from tests.search import oracle
from tests.search.oracle import Case, Resource, Stored
from tests.search.world import CITIES, DATED, DATES, FAMILIES, MORE_DATES, REFERENCES, STRINGS, SYSTEMS, TOKENS


def quoted(text: str) -> str:
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'


@st.composite
def comparison(draw: st.DrawFn, kind: str) -> Case:
    """One comparison; the name of the Case is empty."""
    makers = [dated(kind), coded(kind), present(kind), referred(kind)] + ([worded(kind)] if kind in STRINGS else [])
    return draw(st.one_of(*makers))


@st.composite
def dated(draw: st.DrawFn, kind: str) -> Case:
    code, operator = draw(
        st.tuples(
            st.sampled_from(sorted(DATED[kind])),
            st.sampled_from(["eq", "ne", "gt", "lt", "ge", "le", "sa", "eb", "ap", "po"]),
        )
    )
    date = draw(st.sampled_from(DATES + MORE_DATES))
    start, end = oracle.span(date)

    def fits(one: tuple[int, int]) -> bool:
        if operator == "po":
            return one[0] < end and start < one[1]
        return oracle.date_fits(one, "eq" if operator == "ne" else operator, (start, end))

    def holds(stored: Stored, resource: Resource) -> bool:
        return any(map(fits, oracle.spans(resource, DATED[kind][code]))) is (operator != "ne")

    return Case("", f"{code} {operator} {date}", holds)


@st.composite
def coded(draw: st.DrawFn, kind: str) -> Case:
    code = draw(st.sampled_from(sorted(TOKENS[kind])))
    path, implied = TOKENS[kind][code]
    operator, system, value = draw(
        st.tuples(
            st.sampled_from(["eq", "ne"]), st.sampled_from([None, *SYSTEMS]), st.sampled_from(["one", "two", "draft"])
        )
    )

    def holds(stored: Stored, resource: Resource) -> bool:
        found = any(oracle.token_fits(one, system, value, implied) for one in oracle.tokens(resource, path))
        return found is (operator == "eq")

    return Case("", f"{code} {operator} {system}|{value}" if system else f"{code} {operator} {value}", holds)


@st.composite
def worded(draw: st.DrawFn, kind: str) -> Case:
    code, operator = draw(
        st.tuples(st.sampled_from(sorted(STRINGS[kind])), st.sampled_from(["eq", "ne", "co", "sw", "ew"]))
    )
    text = draw(st.sampled_from([*FAMILIES, *CITIES]))
    part = {"co": text[1:5], "sw": text[:4], "ew": text[-4:]}.get(operator, text).strip()

    def ends(one: str) -> bool:
        return any(form(one).endswith(oracle.plain(part)) for form in (oracle.plain, oracle.unsigned))

    def fits(resource: Resource) -> bool:
        path = STRINGS[kind][code]
        if operator == "ew":
            return any(map(ends, oracle.strings(resource, path)))
        return oracle.strings_fit(resource, path, part, {"co": "contains", "sw": ""}.get(operator, "exact"))

    def holds(stored: Stored, resource: Resource) -> bool:
        return fits(resource) is (operator != "ne")

    return Case("", f"{code} {operator} {quoted(part)}", holds)


@st.composite
def present(draw: st.DrawFn, kind: str) -> Case:
    code, wanted = draw(st.tuples(st.sampled_from(sorted(DATED[kind])), st.booleans()))

    def holds(stored: Stored, resource: Resource) -> bool:
        return bool(oracle.walk(resource, DATED[kind][code])) is wanted

    return Case("", f"{code} pr {str(wanted).lower()}", holds)


@st.composite
def referred(draw: st.DrawFn, kind: str) -> Case:
    """A chain through dots."""
    names = [code for code in sorted(REFERENCES[kind]) if REFERENCES[kind][code][2]]
    if not names:
        return draw(dated(kind))
    path, (target, *_), _ = REFERENCES[kind][draw(st.sampled_from(names))]
    inner = draw(st.one_of(worded(target), coded(target)).filter(lambda case: " ne " not in case.value))

    def holds(stored: Stored, resource: Resource) -> bool:
        found = [oracle.target_of(stored, text) for text in oracle.references(resource, path)]
        return any(one and one["resourceType"] == target and inner.holds(stored, one) for one in found)

    return Case("", f"patient.{inner.value}", holds)


@st.composite
def expression(draw: st.DrawFn, kind: str, depth: int) -> Case:
    if depth == 0:
        return draw(comparison(kind))
    first, second = draw(expression(kind, depth - 1)), draw(expression(kind, depth - 1))
    joint = draw(st.sampled_from(["and", "or", "not", "mixed"]))
    if joint == "not":
        return Case("", f"not ({first.value})", lambda stored, one: not first.holds(stored, one))
    if joint == "mixed":  # and binds closer
        third = draw(comparison(kind))
        return Case(
            "",
            f"({first.value}) and ({second.value}) or {third.value}",
            lambda stored, one: (first.holds(stored, one) and second.holds(stored, one)) or third.holds(stored, one),
        )
    every = all if joint == "and" else any
    return Case(
        "",
        f"({first.value}) {joint} ({second.value})",
        lambda stored, one: every(part.holds(stored, one) for part in (first, second)),
    )


@st.composite
def filter_case(draw: st.DrawFn, kind: str) -> Case:
    """One _filter."""
    made = draw(expression(kind, draw(st.integers(0, 2))))
    return made._replace(name="_filter")
