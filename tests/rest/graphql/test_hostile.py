"""Queries that ask for too much, and text that is no query: refused by name, never an error of the server."""

import random
from dataclasses import replace
from typing import Any
from urllib.parse import quote

import pytest

from fhir_server.access.caller import Caller
from fhir_server.access.scopes import parse
from fhir_server.fhir.errors import TimedOut
from fhir_server.rest.graphql.limits import MOST, Spent
from tests.live import Client, LiveServer
from tests.rest.graphql.conftest import asked, data, refused
from tests.rest.scene import stored

pytestmark = pytest.mark.heavy

DEEP = "{ PatientList { " + "link { other { resource { " * 5 + "id" + " } } }" * 5 + " } }"
BOMB = "{ PatientList { ...F0 } } " + " ".join(
    f"fragment F{n} on Patient {{ ...F{n + 1} ...F{n + 1} }}" for n in range(20)
) + " fragment F20 on Patient { id @skip(if: true) }"  # fmt: skip
MUCH = {
    "characters": "{ id " + "# " * 8192 + "}",
    "tokens": "{ " + "id " * 4000 + "}",
    "levels of fields": DEEP,
    "fields": BOMB,
    "aliases": "{ PatientList { " + " ".join(f"a{n}: id" for n in range(101)) + " } }",
    "FHIRPath expressions": "{ PatientList { " + 'name(fhirpath: "use") { use } ' * 21 + "} }",
    "searches and reads": "{ " + " ".join(f"a{n}: PatientList(_count: 1) {{ id }}" for n in range(51)) + " }",
}  # fmt: skip


@pytest.mark.parametrize("limit", MUCH)
def test_too_much(clinic: Client, limit: str) -> None:
    """P14: 400 that names the limit, before anything is read."""
    status, errors = refused(clinic, MUCH[limit])
    assert status == 400
    named = {"characters": f"more than {MOST[limit]} code points", "tokens": f"more than {MOST[limit]} tokens"}
    assert named.get(limit, f"A query may have {MOST[limit]} {limit}") in errors[0]["message"].replace(",", "")


def test_a_thousand_searches(clinic: Client) -> None:
    """Pages inside a list are a search each: what one query may do is limited, whatever it meets."""
    basic = {"resourceType": "Basic", "code": {"coding": [{"system": "urn:graphql", "code": "around"}]}}
    entry = {"resource": basic, "request": {"method": "POST", "url": "Basic"}}
    clinic.post("", {"resourceType": "Bundle", "type": "transaction", "entry": [entry] * 51})
    around = (
        '{ BasicList(code: "urn:graphql|around", _count: %d) { ProvenanceList(_reference: target, _count: 1) { id } } }'
    )
    status, errors = refused(clinic, around % 51)
    assert (status, errors[0]["extensions"]["resource"]["issue"][0]["code"]) == (400, "too-costly")
    assert "50 searches and reads" in errors[0]["message"]
    assert len(data(clinic, around % 49)["BasicList"]) == 49


def test_values_are_counted(clinic: Client) -> None:
    """One long resource under many names is not told a million times."""
    extension = {"url": "urn:a", "valueString": "a" * 500}
    made = stored(clinic, {"resourceType": "Basic", "code": {"text": "a"}, "extension": [extension] * 1000})
    by_path = "a%d: extension(fhirpath: \"url = 'b'\") { url }"
    for names, limit in (("a%d: extension { url valueString }", "100000 values"), (by_path, "under FHIRPath")):
        query = "{ " + " ".join(names % number for number in range(20)) + " }"
        status, errors = refused(clinic, query, f"Basic/{made['id']}")
        assert (status, limit in errors[0]["message"]) == (400, True)


def test_text_is_counted(clinic: Client) -> None:
    """One long text under many names neither."""
    attachment = {"attachment": {"contentType": "text/plain", "data": "QUFB" * 250_000}}
    body = {"resourceType": "DocumentReference", "status": "current", "content": [attachment]}
    at = f"DocumentReference/{stored(clinic, body)['id']}"
    query = "{ content { attachment { " + " ".join(f"a{number}: data" for number in range(20)) + " } } }"
    status, errors = refused(clinic, query, at)
    assert (status, f"{MOST['characters told']} characters told" in errors[0]["message"]) == (400, True)
    assert len(data(clinic, "{ content { attachment { data } } }", at)["content"][0]["attachment"]["data"]) == 10**6


def test_a_query_ends_in_time(server: LiveServer) -> None:
    """P15."""
    caller = Caller("late", "Organization/late", 1, "covered", parse("system/*.r"), "TREAT")
    context = server.engine.context(caller, "late")
    Spent(context).take("values")
    with pytest.raises(TimedOut):
        Spent(replace(context, now=context.now - 31_000)).take("values")


def test_what_was_sent_is_told_in_short(clinic: Client) -> None:
    """An error repeats no long values."""
    long = "x" * 5000
    for query in (f"{{ {long} }}", f'{{ Patient(id: "{long}") {{ {long} }} }}', f"{{ BasicList({long}: 1) {{ id }} }}",
                  f"{{ PatientList {{ ...{long} }} }}", f"{{ {long}", f'query($a: {long} = "{long}") {{ id }}',
                  f'{{ PatientList(birthdate: "{long}") {{ id }} }}', f"{{ id @{long} }}",
                  f"query($a: Int) {{ PatientList(_count: $a) {{ id @include(if: {'9' * 5000}) }} }}"):  # fmt: skip
        answer = asked(clinic, query, a=long)
        assert answer.status_code in {400, 404}, query[:50]
        assert "x" * 65 not in answer.text
    assert asked(clinic, "query($a: Int) { PatientList(_count: $a) { id } }", a=long).status_code == 400


TEXT = r"""
{ } ( ) [ ] : ... $a ! = & | , ( ) query mutation subscription null true 1e999 -0.5 é @flatten @first @singleton @sort
@skip(if:true) @include(if:$a) @slice(path:"use") fragment ...F ...on:Patient PatientList PatientConnection id name
Patient(id:"x") ConditionList(_reference:patient) _birthDate extension resource managingOrganization edges __typename
__schema (_count:1) (_count:99999999999) (fhirpath:"a.") (fhirpath:"name.exists()") (use:official) "\uD800" "\u0000"
{id} {name{family}} query($a:Int=1) count "
"""
WORDS = [*TEXT.split(), "# x\n", "\ufeff", "\u2028", "\ud800", "9" * 5000, "fragment F on Patient", "...on HumanName"]
RIGHT = [
    "query($a: Boolean = true) { PatientList(family: a, _count: 2) { name @flatten { given @include(if: $a) } } }",
    "{ PatientConnection(_count: 1) { count edges { resource { ...F } } } } fragment F on Patient { name { use } }",
    '{ ObservationList { subject { resource(optional: true) { ... on Patient { name(fhirpath: "use") { use } } } } } }',
]


def malformed(chance: random.Random) -> str:
    """Words of the language in any order; or a query that was right, with some of it gone, doubled or moved."""
    if chance.random() < 0.4:
        return " ".join(chance.choice(WORDS) for _ in range(chance.randint(1, 12)))
    text = chance.choice(RIGHT)
    for _ in range(chance.randint(1, 3)):
        start = chance.randrange(len(text))
        end = min(len(text), start + chance.randint(1, 6))
        text = text[:start] + chance.choice(["", text[start:end] * 2, chance.choice(WORDS)]) + text[end:]
    return text


@pytest.mark.parametrize("seed", [1, pytest.param(2, marks=pytest.mark.long)])
def test_no_text_brings_the_server_down(clinic: Client, seed: int) -> None:
    """B-18: whatever is sent, data or errors with an OperationOutcome each, never 500."""
    chance = random.Random(seed)
    number = 100 if seed == 1 else 2000
    for _ in range(number):
        text = malformed(chance)
        kind = chance.choice(["json", "graphql", "url"])
        if kind == "url" and len(text) < 4000:
            answer = clinic.get(f"$graphql?query={quote(text, errors='surrogatepass')}&variables=%7B%7D")
        elif kind == "graphql":
            body = text.encode(errors="surrogatepass")
            answer = clinic.post("$graphql", body, headers={"Content-Type": "application/graphql"})
        else:
            answer = asked(clinic, text)
        told: dict[str, Any] = answer.json()
        assert answer.status_code in {200, 400, 404, 422}, (text, answer.text)
        failed = bool(told.get("errors")) or told.get("resourceType") == "OperationOutcome"  # of the URL
        assert failed == (answer.status_code != 200), (text, answer.text)
