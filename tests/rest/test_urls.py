"""URLs in what is answered and in what is stored."""

from tests.live import Client, LiveServer
from tests.rest.scene import stored

BASIC = {"resourceType": "Basic", "code": {"text": "a"}}


def test_every_entry_has_its_url_and_mode(server: LiveServer, clinic: Client) -> None:
    """B-44: fullUrl present, absolute and once; match, include, outcome; only matches are counted."""
    patient = stored(clinic, {"resourceType": "Patient"})
    for _ in range(3):
        stored(clinic, {**BASIC, "subject": {"reference": f"Patient/{patient['id']}"}})
    query = f"Basic?subject=Patient/{patient['id']}&_include=Basic:subject&foo=a&_total=accurate"
    bundle = clinic.get(query, headers={"Prefer": "handling=lenient"}).json()
    modes = [entry["search"]["mode"] for entry in bundle["entry"]]
    assert (modes, bundle["total"]) == (["match"] * 3 + ["include", "outcome"], 3)
    urls = [entry["fullUrl"] for entry in bundle["entry"][:4]]
    assert len(set(urls)) == 4
    for url, entry in zip(urls, bundle["entry"], strict=False):
        assert url == f"{server.base}/{entry['resource']['resourceType']}/{entry['resource']['id']}"


def test_references_to_the_own_base_are_relative(server: LiveServer, clinic: Client) -> None:
    """B-68: absolute or not as sent, one form as stored, found by either; when the base moves they still resolve."""
    patient = stored(clinic, {"resourceType": "Patient"})
    absolute, relative = f"{server.base}/Patient/{patient['id']}", f"Patient/{patient['id']}"
    made = [stored(clinic, {**BASIC, "subject": {"reference": one}}) for one in (absolute, relative)]
    assert [one["subject"]["reference"] for one in made] == [relative] * 2
    for name, asked in (("subject", absolute), ("subject", relative), ("patient", patient["id"])):
        found = clinic.get("Basic", params={name: asked}).json()
        assert {entry["resource"]["id"] for entry in found["entry"]} == {one["id"] for one in made}
    other = "https://elsewhere.example/fhir/Patient/1"
    answer = clinic.post("Basic", {**BASIC, "subject": {"reference": other}})
    assert answer.status_code in {201, 422}
    assert answer.status_code == 422 or answer.json()["subject"]["reference"] == other
