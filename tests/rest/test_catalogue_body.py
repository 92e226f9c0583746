"""The catalogue of malformed requests, rows 1 to 25: bodies that are no FHIR JSON, too much, or wrongly wrapped."""

import gzip
import json
import time
from typing import Any

import pytest

from tests.live import Client
from tests.rest.catalogue import Row, ask, refused

PATIENT = b'{"resourceType":"Patient"%s}'
JSON = "application/fhir+json"


def post(number: int, name: str, body: Any, code: str = "structure", status: int = 400, **more: Any) -> Row:
    kind = "Observation" if isinstance(body, bytes) and b'"Observation"' in body else "Patient"
    return Row(number, name, "POST", more.pop("path", kind), body, status, code, **more)


def typed(number: int, name: str, kind: str) -> Row:
    return post(number, name, PATIENT % b"", "not-supported", 415, headers={"Content-Type": kind})


def packed(number: int, name: str, body: bytes, code: str, status: int, encoding: str = "gzip") -> Row:
    return post(number, name, body, code, status, headers={"Content-Encoding": encoding})


def nested(depth: int) -> bytes:
    return b'{"resourceType":"Patient","x":' + b"[" * depth + b"]" * depth + b"}"


OBSERVED = b'{"resourceType":"Observation","status":"final","code":{"text":"a"},%s}'

ROWS = [
    post(1, "open brace", b"{"),
    post(2, "empty POST", b""),
    Row(2, "empty PUT", "PUT", "Patient/1", b""),
    post(3, "array", b"[]"),
    post(3, "string", b'"x"'),
    post(3, "number", b"1"),
    post(3, "null", b"null"),
    post(4, "trailing comma", b'{"resourceType":"Patient",}'),
    post(4, "comment", b'{"resourceType":"Patient" /* a */}'),
    post(4, "single quotes", b"{'resourceType':'Patient'}"),
    post(5, "bytes after", PATIENT % b"" + b"x"),
    post(5, "second object", PATIENT % b"" + PATIENT % b""),
    post(6, "invalid UTF-8", PATIENT % b',"language":"\xff"'),
    post(7, "UTF-16", (PATIENT % b"").decode().encode("utf-16"), "not-supported", 415,
         headers={"Content-Type": f"{JSON}; charset=utf-16"}),
    typed(7, "charset utf-16", f"{JSON}; charset=utf-16"),
    post(8, "byte-order mark", b"\xef\xbb\xbf" + PATIENT % b""),
    post(9, "lone surrogate", PATIENT % b',"language":"\\ud800"'),
    post(10, "NUL", PATIENT % b',"language":"a\\u0000b"', "value"),
    post(10, "bell", PATIENT % b',"language":"a\\u0007b"', "value"),
    post(10, "raw control", PATIENT % b',"language":"a\x01b"', "value"),
    post(11, "duplicate key", b'{"resourceType":"Patient","active":true,"active":false}'),
    post(11, "escaped duplicate", b'{"resourceType":"Patient","active":true,"\\u0061ctive":false}'),
    post(11, "deep duplicate", PATIENT % b',"name":[{"family":"a","family":"b"}]'),
    post(12, "NaN", OBSERVED % b'"valueQuantity":{"value":NaN}'),
    post(12, "Infinity", OBSERVED % b'"valueQuantity":{"value":-Infinity}'),
    post(13, "1e400", OBSERVED % b'"valueQuantity":{"value":1e400}', "value"),
    post(14, "5,000 digits", OBSERVED % (b'"valueQuantity":{"value":' + b"1" * 5000 + b"}"), "value"),
    post(15, "integer over 32 bits", OBSERVED % b'"valueInteger":2147483648', "value", at="Observation.valueInteger"),
    post(16, "positiveInt 0", PATIENT % b',"telecom":[{"rank":0}]', "value", at="Patient.telecom[0].rank"),
    post(16, "unsignedInt -1", {"resourceType": "Group", "type": "person", "actual": True, "quantity": -1}, "value",
         path="Group", at="Group.quantity"),
    post(17, "depth 65", nested(64)),
    post(18, "depth a million", nested(1_000_000)),
    post(19, "resource of 5 MiB + 1", PATIENT % b"" + b" " * (5 * 1024**2 + 1), "too-long", 413),
    post(19, "bundle of 50 MiB + 1", b" " * (50 * 1024**2 + 1), "too-long", 413, path=""),
    post(20, "string of 1 MiB + 1", PATIENT % (b',"language":"' + b"a" * (1024**2 + 1) + b'"'), "too-long"),
    post(21, "10,001 items", PATIENT % (b',"name":[' + b",".join([b"{}"] * 10_001) + b"]"), "too-costly"),
    packed(22, "gzip bomb", gzip.compress(b" " * 4_000_000), "too-long", 413),
    packed(23, "truncated gzip", gzip.compress(PATIENT % b"")[:-6], "structure", 400),
    packed(23, "something behind it", gzip.compress(PATIENT % b"") + b"{}", "structure", 400),
    packed(23, "no gzip", PATIENT % b"", "structure", 400),
    packed(24, "br", PATIENT % b"", "not-supported", 415, "br"),
    packed(24, "deflate", PATIENT % b"", "not-supported", 415, "deflate"),
    typed(25, "text/plain", "text/plain"),
    typed(25, "RDF", "text/turtle"),
    typed(25, "XML of another version", "application/fhir+xml; fhirVersion=3.0"),
    typed(7, "XML, UTF-16 declared", "application/fhir+xml; charset=utf-16"),
    typed(25, "fhirVersion 3.0", f"{JSON}; fhirVersion=3.0"),
    post(25, "no type", PATIENT % b"", "not-supported", 415, headers={"Content-Type": ""}),
]  # fmt: skip


@pytest.mark.parametrize("row", ROWS, ids=str)
def test_a_malformed_body_is_refused(clinic: Client, row: Row) -> None:
    """Rows 1 to 25 (of row 25, XML is taken: test_xml)."""
    refused(ask(clinic, row), row)


def test_deep_nesting_costs_nothing(clinic: Client) -> None:
    """Row 18: a million brackets are refused before they are parsed."""
    started = time.perf_counter()
    row = post(18, "depth a million", nested(1_000_000))
    refused(ask(clinic, row), row)
    assert time.perf_counter() - started < 2


@pytest.mark.parametrize("kind", [JSON, "application/json", f"{JSON}; charset=UTF-8; fhirVersion=4.0"])
def test_json_is_taken_under_its_names(clinic: Client, kind: str) -> None:
    """B-17."""
    assert clinic.post("Basic", {"resourceType": "Basic", "code": {"text": "a"}},
                       headers={"Content-Type": kind}).status_code == 201  # fmt: skip


def test_a_gzip_body_is_unpacked(clinic: Client) -> None:
    """Row 22's other side: what is honestly packed is taken."""
    body = json.dumps({"resourceType": "Basic", "code": {"text": "a" * 3000}}).encode()
    answer = clinic.post("Basic", gzip.compress(body), headers={"Content-Encoding": "gzip"})
    assert answer.status_code == 201
    assert answer.json()["code"]["text"] == "a" * 3000
