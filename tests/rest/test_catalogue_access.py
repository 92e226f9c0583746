"""The catalogue of malformed requests, rows 109 to 112, 117 and 118: tokens, scopes, and the token endpoint."""

import secrets
import time
from typing import Any

import pytest
import requests

from fhir_server.smart import keys
from tests.live import Client, LiveServer
from tests.rest.catalogue import Row, ask, refused, send

DOORS = [
    ("GET", "Patient"), ("POST", "Patient"), ("GET", "Patient/a"), ("PUT", "Patient/a"), ("PATCH", "Patient/a"),
    ("DELETE", "Patient/a"), ("GET", "Patient/a/_history"), ("GET", "Patient/a/_history/1"),
    ("POST", "Patient/_search"), ("POST", ""), ("GET", "_jobs/a"), ("POST", "Group/$import-assignments"),
]  # fmt: skip


@pytest.mark.parametrize(("method", "path"), DOORS)
@pytest.mark.parametrize("given", ["", "Bearer ", "Basic YTpi", "Bearer made-up", "Bearer eyJhbGciOiJub25lIn0.e30."])
def test_no_door_opens_without_a_token(clinic: Client, method: str, path: str, given: str) -> None:
    """Rows 109 and 110: 401 login with WWW-Authenticate, alg none included; B-24."""
    row = Row(109, "", method, path, None, 401, "login", headers={"Authorization": given})
    answer = ask(clinic, row)
    refused(answer, row)
    challenge = answer.headers["WWW-Authenticate"]
    assert challenge.startswith("Bearer ")
    assert ("invalid_token" in challenge) == (given.startswith("Bearer ") and len(given) > 7)


def test_what_needs_no_token(server: LiveServer) -> None:
    """B-65: the statement and the discovery document, and nothing else."""
    for path in ("/fhir/metadata", "/fhir/.well-known/smart-configuration", "/.well-known/smart-configuration"):
        assert send(server, "GET", path).status == 200


def test_an_expired_token(server: LiveServer, clinic: Client) -> None:
    """Row 110: expired."""
    token = clinic.authorize()
    real = server.engine.clock
    server.engine.clock = lambda: real() + 301_000
    try:
        answer = send(server, "GET", "Patient", headers={"Authorization": f"Bearer {token}"})
    finally:
        server.engine.clock = real
    row = Row(110, "", "GET", "Patient", None, 401, "expired")
    refused(answer, row)
    assert "invalid_token" in answer.headers["WWW-Authenticate"]


@pytest.mark.parametrize("query", ["access_token=%s", "_count=1&access_token=%s"])
def test_a_token_in_the_url(server: LiveServer, clinic: Client, query: str) -> None:
    """Row 111, whether or not the header carries one too; never answered, never echoed."""
    token = clinic.authorize()
    for headers in ({}, {"Authorization": f"Bearer {token}"}):
        row = Row(111, "", "GET", "Patient?" + query % token, None, 400, "security")
        answer = send(server, "GET", row.path, headers=headers)
        refused(answer, row)
        assert token.encode() not in answer.body


def test_a_token_in_a_form(server: LiveServer, clinic: Client) -> None:
    """Row 111: the form of POST _search is no place for it either."""
    body = f"access_token={clinic.authorize()}".encode()
    row = Row(111, "", "POST", "Patient/_search", body, 400, "security",
              headers={"Content-Type": "application/x-www-form-urlencoded"})  # fmt: skip
    refused(ask(clinic, row), row)


NARROW = [
    ("system/Basic.r", "GET", "Basic/a", 404), ("system/Basic.r", "GET", "Basic", 403),
    ("system/Basic.r", "POST", "Basic", 403), ("system/Basic.r", "PUT", "Basic/a", 403),
    ("system/Basic.r", "PATCH", "Basic/a", 403), ("system/Basic.r", "DELETE", "Basic/a", 403),
    ("system/Basic.r", "GET", "Patient/a", 403), ("system/Basic.r", "GET", "Patient/a/_history", 403),
    ("system/Basic.r", "GET", "Patient/a/_history/1", 403), ("system/Basic.s", "GET", "Basic", 200),
    ("system/Basic.s", "GET", "Basic/a", 403), ("system/Basic.s", "GET", "Patient", 403),
    ("system/Basic.c", "POST", "Basic", 201), ("system/Basic.c", "GET", "Basic", 403),
    ("system/Basic.read", "GET", "Basic", 200), ("system/Basic.read", "POST", "Basic", 403),
]  # fmt: skip


@pytest.mark.parametrize(("scope", "method", "path", "status"), NARROW)
def test_a_scope_that_lacks_type_or_letter(clinic: Client, scope: str, method: str, path: str, status: int) -> None:
    """Row 112: 403 from the token alone, before anything is read."""
    token = clinic.authorize(scope)
    bodies: dict[str, Any] = {"POST": {"resourceType": "Basic", "code": {"text": "a"}}, "PATCH": []}
    bodies["PUT"] = {**bodies["POST"], "id": "a"}
    row = Row(112, "", method, path, bodies.get(method), 403, "forbidden",
              headers={"Authorization": f"Bearer {token}"})  # fmt: skip
    answer = ask(clinic, row)
    if status == 403:
        refused(answer, row)
    assert answer.status == status


def test_scopes_hold_for_each_entry(clinic: Client) -> None:
    """Row 112 inside a Bundle (B-61), and for what a search would include."""
    headers = {"Authorization": f"Bearer {clinic.authorize('system/Basic.c')}"}
    entries = [{"request": {"method": "GET", "url": url}} for url in ("Basic/a", "Patient", "metadata")]
    bundle = {"resourceType": "Bundle", "type": "batch", "entry": entries}
    answer = ask(clinic, Row(112, "", "POST", "", bundle, headers=headers))
    assert [entry["response"]["status"] for entry in answer.json["entry"]] == ["403", "403", "200"]
    row = Row(112, "", "POST", "", {**bundle, "type": "transaction"}, 403, "forbidden", headers=headers)
    refused(ask(clinic, row), row)


def asked(clinic: Client, key: Any = None, **form: str) -> requests.Response:
    url = clinic.server.root + "/auth/token"
    claims = {"jti": form.pop("jti", secrets.token_hex(8))}
    now = int(time.time() * 1000) + int(form.pop("late", "0"))
    assertion = keys.sign_assertion(key or clinic.key, clinic.id, form.pop("aud", url), now, **claims)
    return requests.post(url, data={**keys.token_form(assertion, clinic.scopes), **form}, timeout=10)


def test_the_token_endpoint_names_what_is_wrong(clinic: Client) -> None:
    """Rows 117 and 118, in the words of RFC 6749."""
    assert asked(clinic).status_code == 200
    foreign = keys.generate("ES384")
    for status, error, answer in (
        (400, "unsupported_grant_type", asked(clinic, grant_type="password")),
        (400, "unsupported_grant_type", asked(clinic, grant_type="authorization_code")),
        (400, "invalid_client", asked(clinic, client_assertion_type="urn:foo")),
        (401, "invalid_client", asked(clinic, client_assertion="a.b.c")),
        (401, "invalid_client", asked(clinic, key=foreign)),
        (401, "invalid_client", asked(clinic, aud="https://elsewhere.example.org/token")),
        (401, "invalid_client", asked(clinic, late="600000")),
    ):
        assert (answer.status_code, answer.json()["error"]) == (status, error), answer.text
        assert answer.headers["Cache-Control"] == "no-store"


def test_an_assertion_serves_once(clinic: Client) -> None:
    """Row 118: a jti is not used again."""
    once = secrets.token_hex(8)
    assert asked(clinic, jti=once).status_code == 200
    again = asked(clinic, jti=once)
    assert (again.status_code, again.json()["error"]) == (401, "invalid_client")
