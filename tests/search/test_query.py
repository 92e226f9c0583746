"""What a search may say, and how the server refuses what it may not: the bad-input catalogue, rows 76 to 87."""

from dataclasses import replace
from urllib.parse import urlencode

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fhir_server.fhir.errors import BadValue, FHIRError, NotSupported, TooCostly, UnknownType
from fhir_server.search.model import Include, Match, Term, shape, values
from fhir_server.search.query import parse
from fhir_server.store.hashing import rh, system_hash
from tests.search.stored import BASE, CODES, DEFINITIONS


def ask(kind, *pairs, lenient=False):
    return parse(
        DEFINITIONS, kind, [tuple(pair.split("=", 1)) for pair in pairs], lenient=lenient, base=BASE, terminology=CODES
    )


REFUSED = [
    # row 76, 86, 87: names that are unknown or not offered
    ("Patient", "shoe-size=9", NotSupported),
    ("Patient", "_query=x", NotSupported),
    ("Patient", "_text:missing=true", NotSupported),
    ("Patient", "_content=()", BadValue),
    ("Patient", "_content=(a", BadValue),
    ("Patient", "_content=a)", BadValue),
    ("Patient", "_content=a or", BadValue),
    ("Patient", "_content=--", BadValue),
    ("Patient", "_content=" + " ".join("abcdefghijklmnopqrstuvwxyz"), TooCostly),
    ("Patient", "_filter=x", BadValue),
    ("Patient", "_filter=name", BadValue),
    ("Patient", "_filter=name eq", BadValue),
    ("Patient", "_filter=name like a", BadValue),
    ("Patient", '_filter=name eq "a', BadValue),
    ("Patient", "_filter=name eq a b", BadValue),
    ("Patient", "_filter=(name eq a", BadValue),
    ("Patient", "_filter=name eq a and", BadValue),
    ("Patient", "_filter=name gt a", NotSupported),
    ("Patient", "_filter=birthdate co 2020", NotSupported),
    ("Patient", "_filter=birthdate eq 20", BadValue),
    ("Patient", "_filter=active pr maybe", BadValue),
    ("Patient", "_filter=shoe eq 1", NotSupported),
    ("Patient", "_filter=link[type eq seealso].other eq a", NotSupported),
    ("Patient", "_filter=" + "(" * 12 + "name eq a" + ")" * 12, TooCostly),
    ("Patient", "_filter=" + " and ".join(["name eq a"] * 31), TooCostly),
    ("Patient", "_has:x=1", NotSupported),
    ("Patient", "_sort=shoe-size", NotSupported),
    ("Location", "_sort=near", NotSupported),
    ("Task", "_sort=focus.status", NotSupported),  # many types: which?
    ("Task", "_sort=focus:Unknown.status", NotSupported),
    ("Task", "_sort=status.name", NotSupported),
    ("Task", "_sort=part-of.part-of.part-of.part-of.status", TooCostly),
    ("Task", "_sort=.status", BadValue),
    ("Patient", "_type=Task", NotSupported),
    ("", "_type=Task,Foo", BadValue),
    ("", "_type=" + ",".join(DEFINITIONS.types[:21]), TooCostly),
    ("", "family=a", NotSupported),
    ("Patient", "_contained=maybe", BadValue),
    ("", "_contained=both", NotSupported),
    ("Patient", "_containedType=both", BadValue),
    ("RiskAssessment", "probability:not=0.5", NotSupported),
    ("Location", "near=1", BadValue),
    ("Location", "near=1|2|3|km|5", BadValue),
    ("Location", "near=91|2", BadValue),
    ("Location", "near=1|2|-1", BadValue),
    ("Location", "near=1|2|1|furlong", BadValue),
    ("Location", "near=a|2", BadValue),
    ("Location", "near:not=1|2", NotSupported),
    ("MolecularSequence", "chromosome-window-coordinate=1$2", BadValue),
    ("DocumentReference", "relationship=a$b", NotSupported),
    ("Patient", "_list=$current-problems", NotSupported),
    ("Condition", "_list=$current-everything", BadValue),
    ("Condition", "_list=$current-problems,l1", BadValue),
    ("Observation", "code-value-quantity:not=a$5", NotSupported),
    # row 78: modifiers
    ("Patient", "name:foo=x", NotSupported),
    ("Patient", "name:=x", NotSupported),
    ("Observation", "subject:.name=x", NotSupported),
    ("Patient", "name:text=x", NotSupported),
    ("Patient", "gender:text=x", NotSupported),  # a code element has no words
    ("Patient", "gender:of-type=a|b|c", NotSupported),
    ("Patient", "gender:in=http://v.example/unknown", NotSupported),
    ("Patient", "gender:not-in=http://v.example/open", NotSupported),
    ("Patient", "gender:in=http://v.example/many", TooCostly),
    ("Condition", "code:below=http://unheld.example|x", NotSupported),
    ("Task", "status:below=draft", NotSupported),
    ("Condition", "code:above=x", BadValue),
    ("Condition", "code:below=a|b|c", BadValue),
    ("Patient", "identifier:of-type=a|b", BadValue),
    ("Patient", "identifier:of-type=a||c", BadValue),
    ("Patient", "_profile:above=a/path", BadValue),
    ("Patient", "birthdate:exact=2026", NotSupported),
    ("Patient", "_id:not=1", NotSupported),
    ("Patient", "_profile:in=http://x", NotSupported),
    ("Task", "patient:Practitioner=1", NotSupported),
    ("Task", "focus:Unknown=1", NotSupported),
    ("Task", "focus:Unknown.status=1", NotSupported),
    ("Task", "status.name=1", NotSupported),
    ("Task", "focus.status=draft", NotSupported),  # many types have a status: ambiguous
    ("Patient", "_has:Task:status:code=1", NotSupported),
    ("Patient", "_count:exact=1", NotSupported),
    # row 79: prefixes and dates
    ("Patient", "birthdate=zz2024", BadValue),
    ("Patient", "birthdate=05", BadValue),
    ("Patient", "birthdate=2024-13", BadValue),
    ("Patient", "birthdate=2024-02-30", BadValue),
    ("Patient", "birthdate=ge", BadValue),
    ("Patient", "family=gt2024", BadValue),
    # row 80: empty values
    ("Patient", "identifier=", BadValue),
    ("Patient", "gender=male,", BadValue),
    ("Patient", "gender=,", BadValue),
    ("Patient", "_count=", BadValue),
    ("Patient", "family= ", BadValue),
    # B-29: other bad values
    ("Patient", "identifier=a|b|c", BadValue),
    ("Patient", "identifier=|", BadValue),
    ("Patient", "gender:missing=maybe", BadValue),
    ("Patient", "family=\0", BadValue),
    ("Patient", "family=\ud800", BadValue),
    ("Patient", "_id=a b", BadValue),
    ("Patient", "_id=sys|a", BadValue),
    ("Patient", "_summary=all", BadValue),
    ("Patient", "_total=exact", BadValue),
    ("Patient", "_elements=name,", BadValue),
    ("Patient", "_sort=-", BadValue),
    ("Patient", "general-practitioner=Patient/../../x", BadValue),
    ("Patient", "general-practitioner=organization/1", BadValue),
    ("Task", "focus=1", BadValue),  # an id alone, of any type
    ("Task", "patient:Patient=Group/1", BadValue),
    ("RiskAssessment", "probability=half", BadValue),
    ("RiskAssessment", "probability=.5", BadValue),
    ("RiskAssessment", "probability=ge", BadValue),
    ("RiskAssessment", "probability=0.5|x", BadValue),
    ("Observation", "value-quantity=mg", BadValue),
    ("Observation", "value-quantity=5|mg", BadValue),
    ("Observation", "value-quantity=5|http://u|mg|x", BadValue),
    ("Observation", "value-quantity=5||", BadValue),
    ("Observation", "value-quantity=1e9999", BadValue),
    ("Observation", "code-value-quantity=a", BadValue),
    ("Observation", "code-value-quantity=a$", BadValue),
    ("Observation", "code-value-quantity=a$5$6", BadValue),
    ("Observation", "code-value-quantity=a|b|c$5", BadValue),
    ("Observation", "code-value-quantity=a$mg", BadValue),
    # row 81
    ("Patient", "_count=abc", BadValue),
    ("Patient", "_count=-1", BadValue),
    ("Patient", "_count=1.5", BadValue),
    # row 83
    ("Task", "a.b.c.d.name=x", TooCostly),
    ("Patient", "_has:Task:patient:_has:Task:part-of:_has:Task:part-of:status=draft", TooCostly),
    # row 84
    ("Patient", "gender=" + ",".join(["male"] * 201), TooCostly),
    # row 85
    ("Patient", "_include=Patient:shoe", NotSupported),
    ("Patient", "_include=Patient:gender", NotSupported),
    ("Patient", "_include=Unknown:x", NotSupported),
    ("Patient", "_include=Patient", NotSupported),
    ("Patient", "_include=Task:*", NotSupported),
    ("Patient", "_revinclude=Foo:*", NotSupported),
    ("Patient", "_include=Patient:organization:Patient", NotSupported),
    ("Patient", "_include:recurse=Patient:organization", NotSupported),
    ("Patient", "_revinclude=Task:shoe", NotSupported),
]


@pytest.mark.parametrize(("kind", "pair", "error"), REFUSED, ids=[f"{kind}?{pair[:40]!r}" for kind, pair, _ in REFUSED])
def test_refusals(kind, pair, error):
    """Catalogue rows 76, 78-81, 83-87; B-28, B-29, B-34: 400 with the exact code, and no value echoed at length."""
    with pytest.raises(FHIRError) as caught:
        ask(kind, pair)
    assert type(caught.value) is error
    assert caught.value.status == 400
    assert len(max(str(caught.value).split("'"), key=len)) < 200


def test_fifty_one_parameters():
    """Row 84."""
    ask("Patient", *["gender=male"] * 50)
    with pytest.raises(TooCostly):
        ask("Patient", *["gender=male"] * 51)


def test_eleven_includes():
    """Row 85."""
    ten = ["_include=Patient:organization"] * 5 + ["_revinclude=Task:patient"] * 5
    ask("Patient", *ten)
    with pytest.raises(TooCostly):
        ask("Patient", *ten, "_include=Patient:link")


def test_two_hundred_values():
    """Row 84: 200 are allowed."""
    query = ask("Patient", "identifier=" + ",".join(map(str, range(200))))
    assert len(set(query.criteria[0].terms)) == 200


def test_result_parameters_once():
    with pytest.raises(BadValue):
        ask("Patient", "_count=5", "_count=6")


def test_count_is_capped_and_shown():
    """Row 82, B-27, B-45: capped at 200, and self shows it; the default is shown as well."""
    query = ask("Patient", "gender=male", "_count=1000000")
    assert (query.count, query.pairs) == (200, (("gender", "male"), ("_count", "200")))
    assert ask("Patient", "gender=male").pairs == (("gender", "male"), ("_count", "50"))


@pytest.mark.parametrize("pair", ["_count=0", "_summary=count"])
def test_counting_only(pair):
    """B-45."""
    assert ask("Patient", pair).counts_only


_WORDS = st.text(st.characters(exclude_categories=["Cs"]))


@given(st.lists(st.tuples(_WORDS, _WORDS)))
def test_text_is_what_a_form_would_send(pairs):
    """B-27: the self link says what was asked, whatever signs it holds."""
    query = replace(ask("Patient"), pairs=tuple(pairs))
    assert query.text == urlencode(pairs)


def test_lenient_leaves_out_names_only():
    """Row 77, B-27, B-28; values are never let pass (B-29)."""
    query = ask("Patient", "shoe-size=9", "gender=male", "name:foo=x", "_sort=nothing", lenient=True)
    assert query.ignored == ("shoe-size", "name:foo", "_sort")
    assert query.pairs == (("gender", "male"), ("_count", "50"))
    assert len(query.criteria) == 1
    with pytest.raises(BadValue):
        ask("Patient", "birthdate=zz2024", lenient=True)
    with pytest.raises(TooCostly):
        ask("Patient", "a.b.c.d.e=1", lenient=True)


def term(kind, pair):
    return ask(kind, pair).criteria[0].terms


def test_escapes():
    r"""B-31: \, \| \$ and \\ are literal after splitting."""
    assert term("Patient", r"identifier=a\,b,c") == (Term("code", ("a,b",)), Term("code", ("c",)))
    assert term("Patient", r"identifier=s\|s|v\|v") == (Term("both", ("v|v", system_hash("s|s"))),)
    assert term("Patient", r"identifier=a\\,b\$") == (Term("code", ("a\\",)), Term("code", ("b$",)))
    assert term("Patient", r"family:exact=a\,b")[0].values[1] == "a,b"


def test_token_forms():
    """B-32: the four forms; the implied system of a code element is accepted, another one is not."""
    assert term("Patient", "identifier=s|v") == (Term("both", ("v", system_hash("s"))),)
    assert term("Patient", "identifier=|v") == (Term("none", ("v",)),)
    assert term("Patient", "identifier=s|") == (Term("system", (system_hash("s"),)),)
    assert Term("none", ("male",)) in term("Patient", "gender=http://hl7.org/fhir/administrative-gender|male")
    assert Term("none", ("male",)) not in term("Patient", "gender=http://other|male")


def test_reference_forms_are_equal():
    """B-40."""
    expected = (Term("eq", (rh("Patient/1"),)),)
    for pair in (
        "patient=Patient/1",
        "patient=1",
        "patient:Patient=1",
        "subject:Patient=1",
        "subject:Patient=Patient/1",
        f"patient={BASE}/Patient/1",
        "patient=Patient/1/_history/3",
        f"patient={BASE}/Patient/1/_history/3",
    ):
        assert term("CarePlan", pair) == expected, pair
    assert term("CarePlan", "patient=https://there.example/Patient/1") != expected
    both = {value for one in term("CarePlan", "subject=1") for value in one.values}
    assert both == {rh("Patient/1"), rh("Group/1")}


def test_untyped_chain_over_all_targets():
    """B-42: a Patient and a Group have identifiers; only a Patient has a family name."""
    chain = ask("CarePlan", "subject.identifier=x").criteria[0]
    assert {kind for kind, _ in chain.branches} == {"Patient", "Group"}
    assert [kind for kind, _ in ask("CarePlan", "subject.family=x").criteria[0].branches] == ["Patient"]


def test_three_hops_and_two_has():
    """Row 83: the allowed depth."""
    ask("Task", "part-of.part-of.part-of:Task.status=draft")
    ask("Patient", "_has:Task:patient:_has:Task:part-of:status=draft")
    ask("Patient", "_has:Task:patient:part-of:Task.focus:CarePlan.status=draft")


def test_includes():
    """B-43."""
    query = ask("Task", "_include=Task:focus:CarePlan", "_include:iterate=Task:part-of", "_revinclude=Task:part-of")
    assert query.includes == (
        Include("Task", "focus", "CarePlan", iterate=False, reverse=False),
        Include("Task", "part-of", "", iterate=True, reverse=False),
        Include("Task", "part-of", "", iterate=False, reverse=True),
    )


def test_every_reference_of_the_type():
    """B-43: the wildcard means every reference parameter, and counts as one include."""
    every = {code for code, param in DEFINITIONS.search_params("Patient").items() if param.type == "reference"}
    assert {one.code for one in ask("Patient", "_include=*").includes} == every
    assert ask("Patient", "_include=Patient:*").includes == ask("Patient", "_include=*").includes


def test_summary():
    """B-47: all five forms; a summary of text goes with no includes."""
    for form in ("true", "text", "data", "count", "false"):
        assert ask("Patient", f"_summary={form}").summary == form
    with pytest.raises(BadValue):
        ask("Patient", "_summary=text", "_include=Patient:organization")


def test_fields_and_order():
    """B-46, B-47."""
    query = ask("Patient", "_elements=name,birthDate", "_sort=-birthdate,family,_id,_lastUpdated")
    assert query.fields == ("name", "birthDate")
    assert [(key.params[0][1], key.kind, key.descending) for key in query.sort] == [
        ("birthdate", "date", True),
        ("family", "string", False),
        ("_id", "id", False),
        ("_lastUpdated", "instant", False),
    ]


def test_shape_has_no_values():
    """Two questions of one form share their SQL; their values differ."""
    first, second = (ask("Patient", f"identifier=s|{value}").criteria[0] for value in "ab")
    assert shape(first) == shape(second)
    assert list(values(first)) != list(values(second))
    assert isinstance(first, Match)


def test_format_is_not_a_criterion():
    query = ask("Patient", "_format=json", "_pretty=true")
    assert query.criteria == ()
    assert query.pairs == (("_format", "json"), ("_pretty", "true"), ("_count", "50"))


@pytest.mark.parametrize(
    ("types", "criterion"),
    [
        ("Task,CarePlan", "status=http://hl7.org/fhir/task-status|draft"),  # implied by one of them only
        ("Task,Patient", "subject=Patient/1"),
        ("Task,CarePlan", "subject:Patient.name=a"),
        ("Task,CarePlan", "_sort=focus"),
        ("Task,CarePlan", "_include=Patient:*"),
    ],
)
def test_what_several_types_do_not_share(types, criterion):
    """B-51: only parameters that mean the same for all of the types."""
    assert ask("", f"_type={types}", "_tag=a", "subject=Patient/1" if "Patient" not in types else "_id=1").types
    with pytest.raises(NotSupported):
        ask("", f"_type={types}", criterion)


def test_compartments_that_are_not():
    """B-50: 404 for no compartment, 400 for a type that is never in it."""
    with pytest.raises(UnknownType):
        parse(DEFINITIONS, "Task", [], within="Organization/1")
    with pytest.raises(NotSupported):
        parse(DEFINITIONS, "Organization", [], within="Patient/1")
    everything = parse(DEFINITIONS, "", [], within="Patient/1").criteria[0]
    assert ("Task", "patient") in everything.params
    assert {kind for kind, _ in everything.params} == {*DEFINITIONS.compartment("Patient"), "Task"}


@pytest.mark.parametrize(("kind", "pair"), [("Patient", "_query=current"), ("", "_contained=true")])
def test_what_would_ask_something_else_is_never_left_out(kind, pair):
    """B-48: a named query left out would find everything; so would what is asked of contained resources."""
    with pytest.raises(NotSupported):
        ask(kind, pair, lenient=True)
    assert ask("Patient", "_contained=false", "_containedType=container").criteria == ()
