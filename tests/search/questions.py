"""Generated questions of every kind, with steps to other resources; each knows the answer in plain Python."""

from hypothesis import strategies as st

from tests.search import oracle
from tests.search.filters import filter_case
from tests.search.oracle import HERE, Case, Resource, Stored
from tests.search.values import (
    amount_case,
    between_cases,
    composite_case,
    date_case,
    escape,
    set_case,
    string_case,
    token_case,
    typed_case,
    words_case,
)
from tests.search.world import AMOUNTS, DATED, PROFILES, REFERENCES, STRINGS, SYSTEMS, TOKENS, TYPES


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
    urls = st.sampled_from([*PROFILES, "http://p.example", "http://P.example/one", "http://p.example/one/more"])
    wanted = draw(st.lists(urls, min_size=1, max_size=2))
    modifier = draw(st.sampled_from(["", ":below", ":above"]))

    def fits(one: str, ask: str) -> bool:
        return {
            "": ask == one,
            ":below": one == ask or one.startswith(f"{ask}/"),
            ":above": ask == one or ask.startswith(f"{one}/"),
        }[modifier]

    def holds(stored: Stored, resource: Resource) -> bool:
        found = oracle.walk(resource, "meta.profile")
        return any(fits(url, ask) for one in found for url in {one, one.partition("|")[0]} for ask in wanted)

    return Case(f"_profile{modifier}", ",".join(map(escape, wanted)), holds)


@st.composite
def words_anywhere_case(draw: st.DrawFn) -> Case:
    """_text or _content: every word, in any order, whatever the letter case and accents."""
    code = draw(st.sampled_from(["_text", "_content"]))
    first, second = (
        draw(st.sampled_from(["munoz", "Jos\u00e9", "plan", "O'Brien", "draft", "weekly", "absent"])) for _ in "ab"
    )
    joint = draw(st.sampled_from(["", "and ", "or "]))

    def has(resource: Resource, word: str) -> bool:
        return set(oracle.words(word)) <= set(oracle.said(resource, code))

    def holds(stored: Stored, resource: Resource) -> bool:
        both = has(resource, first), has(resource, second)
        return any(both) if joint == "or " else all(both)

    return Case(code, f"{first} {joint}{second}", holds)


@st.composite
def id_case(draw: st.DrawFn, kind: str, stored: Stored) -> Case:
    wanted = draw(st.lists(st.sampled_from([one["id"] for one in stored] + ["nobody"]), min_size=1, max_size=4))
    return Case("_id", ",".join(wanted), lambda stored, resource: resource["id"] in wanted)


def plain_case(kind: str, stored: Stored) -> st.SearchStrategy[Case]:
    """One criterion without chains."""
    kinds = [token_case(kind), date_case(kind), reference_case(kind, stored), logical_case(kind), missing_case(kind)]
    kinds += [uri_case(kind), id_case(kind, stored), words_case(kind), set_case(kind)]
    kinds += [typed_case()] if "identifier" in TOKENS[kind] else []
    kinds += [string_case(kind)] if kind in STRINGS else []
    kinds += [amount_case(kind), amount_case(kind)] if kind in AMOUNTS else []
    kinds += [composite_case()] * 3 if kind == "Observation" else []
    kinds += [words_anywhere_case()]
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
    which = draw(st.integers(0, 6))
    if which == 1:
        return kind, draw(between_cases(kind))
    if which == 0:
        return kind, [draw(filter_case(kind)), *draw(st.lists(plain_case(kind, stored), max_size=1))]
    return kind, draw(st.lists(any_case(kind, stored, draw(st.integers(0, 2))), min_size=1, max_size=3))


@st.composite
def question_across(draw: st.DrawFn, stored: Stored) -> tuple[tuple[str, ...], list[Case]]:
    """Some types, none meaning all, and up to two criteria that every type has."""
    types = tuple(draw(st.lists(st.sampled_from(TYPES), unique=True, max_size=3)))
    patients = tuple(one["id"] for one in stored if one["resourceType"] == "Patient")[:20]
    common = [uri_case("Patient"), id_case("Patient", stored), token_case("Patient", "_tag"), list_case()]
    if types and "Patient" not in types:
        common.append(reference_case_of("patient", types, patients))
    return types, draw(st.lists(st.one_of(*common), max_size=2))


@st.composite
def reference_case_of(draw: st.DrawFn, code: str, types: tuple[str, ...], patients: tuple[str, ...]) -> Case:
    """A reference that several types share."""
    patient = draw(st.sampled_from(patients))
    paths = {kind: REFERENCES[kind][code][0] for kind in types}

    def holds(stored: Stored, resource: Resource) -> bool:
        return f"Patient/{patient}" in oracle.references(resource, paths[resource["resourceType"]])

    return Case(code, f"Patient/{patient}", holds)


def list_case() -> st.SearchStrategy[Case]:
    """No List is stored, so nothing is in one."""
    return st.just(Case("_list", "l1", lambda stored, resource: False))


@st.composite
def question_within(draw: st.DrawFn, stored: Stored) -> tuple[str, str, list[Case]]:
    """A patient, a type of its compartment or "" for all of it, and up to two criteria."""
    patient = draw(st.sampled_from([one["id"] for one in stored if one["resourceType"] == "Patient"][:20]))
    kind = draw(st.sampled_from(["", "Task", "CarePlan", "Observation", "RiskAssessment"]))
    inner = any_case(kind, stored, 1) if kind else uri_case("Patient")
    return patient, kind, draw(st.lists(inner, max_size=2))
