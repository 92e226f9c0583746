"""Operations in XML, laid out, and the difference of two versions applied as a patch."""

from typing import Any

import pytest
from lxml import etree

from tests.live import Client
from tests.rest.scene import stored

pytestmark = pytest.mark.heavy

XML = {"Content-Type": "application/fhir+xml", "Accept": "application/fhir+xml"}
F = "{http://hl7.org/fhir}"
PATIENT: dict[str, Any] = {"resourceType": "Patient", "name": [{"family": "Rivera", "given": ["Ana", "Luz"]}]}


def test_operations_speak_xml(clinic: Client) -> None:
    """The same arguments and answers in both formats, streamed ones too."""
    made = stored(clinic, PATIENT)["id"]
    told = clinic.get(f"Patient/{made}/$everything?_format=xml")
    assert told.status_code == 200
    root = etree.fromstring(told.content)
    assert root.tag == f"{F}Bundle"
    assert root.find(f"{F}entry/{F}resource/{F}Patient/{F}id").get("value") == made
    body = '<Patient xmlns="http://hl7.org/fhir"><gender value="unheard"/></Patient>'
    outcome = etree.fromstring(clinic.post("Patient/$validate", body.encode(), headers=XML).content)
    assert outcome.find(f"{F}issue/{F}severity").get("value") == "error"
    given = ('<Parameters xmlns="http://hl7.org/fhir"><parameter><name value="meta"/><valueMeta><tag><code value="t"/>'
             "</tag></valueMeta></parameter></Parameters>")  # fmt: skip
    meta = etree.fromstring(clinic.post(f"Patient/{made}/$meta-add", given.encode(), headers=XML).content)
    assert meta.find(f"{F}parameter/{F}valueMeta/{F}tag/{F}code").get("value") == "t"


def test_answers_are_laid_out_on_request(clinic: Client) -> None:
    made = stored(clinic, PATIENT)["id"]
    assert b"\n" in clinic.get(f"Patient/{made}/$meta?_pretty=true").content
    assert b"\n" not in clinic.get(f"Patient/{made}/$meta").content


def test_a_difference_is_a_patch(clinic: Client) -> None:
    """$diff of two versions, sent as FHIRPath Patch to the first one, makes the second one."""
    made = stored(clinic, PATIENT)
    changed = {**made, "name": [{"family": "Rivera", "given": ["Ana"]}, {"text": "A. R."}], "active": True,
               "contact": [{"name": {"family": "Vang"}, "relationship": [{"text": "mother"}]}]}  # fmt: skip
    clinic.put(f"Patient/{made['id']}", changed)
    patch = clinic.get(f"Patient/{made['id']}/$diff").json()
    copy = stored(clinic, PATIENT)["id"]
    answer = clinic.patch(f"Patient/{copy}", patch, headers={"Content-Type": "application/fhir+json"})
    assert answer.status_code == 200, answer.text
    kept = {"id", "meta"}
    assert {k: v for k, v in answer.json().items() if k not in kept} == {
        k: v for k, v in changed.items() if k not in kept
    }
