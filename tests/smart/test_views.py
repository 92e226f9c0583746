"""The authorization server's endpoints over HTTP."""

import hashlib
import json

import pytest
import requests

from fhir_server.smart import clients, keys, tokens
from fhir_server.smart.request import FormRequest
from fhir_server.smart.server import Services, SmartServer, SmartSettings
from fhir_server.store.tables import token
from tests.smart.site import BASE, Clock, Site, running

pytestmark = pytest.mark.heavy

FORM = "application/x-www-form-urlencoded"


def test_token_answer(shared_site, ec_key):
    """SM-14, SM-19: Bearer, 300 s, the scope granted, no refresh token, never stored by anyone on the way."""
    answer = shared_site.ask(shared_site.assertion(ec_key), "system/Patient.read system/CarePlan.cu openid")
    body = answer.json()
    assert answer.status_code == 200
    assert body.keys() == {"access_token", "token_type", "expires_in", "scope"}
    assert (body["token_type"], body["expires_in"]) == ("Bearer", 300)
    assert body["scope"] == "system/Patient.read system/CarePlan.cu"
    assert answer.headers["Content-Type"] == "application/json"
    assert (answer.headers["Cache-Control"], answer.headers["Pragma"]) == ("no-store", "no-cache")
    assert len(body["access_token"]) >= 43


def test_only_the_hash_of_a_token_is_stored(site, ec_key):
    """Whoever reads the database can use no token."""
    text = site.token(ec_key)
    row = site.database.read().execute(token.select()).one()
    assert bytes(row.hash) == hashlib.sha256(text.encode()).digest()
    assert text not in repr(tuple(row))


@pytest.mark.parametrize(
    ("changes", "status", "error"),
    [
        ({"grant_type": "password"}, 400, "unsupported_grant_type"),
        ({"grant_type": "authorization_code"}, 400, "unsupported_grant_type"),
        ({"grant_type": "Client_Credentials"}, 400, "unsupported_grant_type"),
        ({"grant_type": ""}, 400, "invalid_request"),
        ({"client_assertion_type": "urn:ietf:params:oauth:client-assertion-type:saml2-bearer"}, 400, "invalid_client"),
        ({"client_assertion_type": ""}, 400, "invalid_client"),
        ({"client_assertion": ""}, 401, "invalid_client"),
        ({"client_assertion": "", "client_assertion_type": ""}, 401, "invalid_client"),
        ({"client_assertion": "é\0"}, 401, "invalid_client"),
        ({"scope": ""}, 400, "invalid_scope"),
        ({"scope": "system/Task.c"}, 400, "invalid_scope"),
        ({"scope": "\0 é system/"}, 400, "invalid_scope"),
        ({"scope": "system/Task.rs " * 600}, 400, "invalid_scope"),
    ],
)
def test_bad_token_request(shared_site, ec_key, changes, status, error):
    """Rows 117, 118, 122: each answered with its RFC 6749 word, and nothing of the request in the answer."""
    answer = shared_site.ask(shared_site.assertion(ec_key), **changes)
    assert (answer.status_code, answer.json()["error"]) == (status, error)
    assert answer.headers["Cache-Control"] == "no-store"
    assert answer.json()["error_description"]


@pytest.mark.parametrize(
    ("body", "kind", "query", "status"),
    [
        (b"{}", "application/json", "", 400),
        (b"grant_type=client_credentials", "text/plain", "", 400),
        (b"grant_type=client_credentials", FORM, "?client_assertion=x", 400),
        (b"grant_type=client_credentials&grant_type=client_credentials", FORM, "", 400),
        (b"scope=" + b"x" * 70_000, FORM, "", 413),
        (b"", FORM, "", 400),
        (b"%ff%00=%zz&&&=", FORM, "", 400),
    ],
)
def test_what_is_no_form(shared_site, body, kind, query, status):
    """RFC 6749 3.2: a form in the body, each parameter once."""
    url = f"{shared_site.url}/auth/token{query}"
    answer = requests.post(url, data=body, headers={"Content-Type": kind}, timeout=10)
    assert (answer.status_code, answer.json()["error"]) == (status, "invalid_request")


def test_shared_secrets_are_no_credentials(shared_site):
    """Only private_key_jwt: Basic and client_secret_post are refused."""
    form = {"grant_type": "client_credentials", "scope": "system/Patient.rs"}
    for options in ({"auth": ("clinic", "secret")}, {}):
        answer = shared_site.post("/auth/token", {**form, "client_id": "clinic", "client_secret": "secret"}, **options)
        assert (answer.status_code, answer.json()["error"]) == (401, "invalid_client")


def test_an_ended_client_gets_no_token_and_its_tokens_end(site, ec_key):
    """T13: deactivation acts on the next request."""
    text = site.token(ec_key)
    clients.deactivate(site.database, "clinic")
    assert site.ask(site.assertion(ec_key)).status_code == 401
    assert tokens.find(site.database.read(), text, site.clock()) is None


@pytest.mark.parametrize("path", ["/fhir/.well-known/smart-configuration", "/.well-known/smart-configuration"])
@pytest.mark.parametrize("accept", ["application/json", "application/fhir+xml", "text/html", "*/*"])
def test_smart_configuration(shared_site, path, accept):
    """SM-01 to SM-05: JSON whatever is accepted, no token, any origin, absolute URLs only."""
    answer = requests.get(shared_site.url + path, headers={"Accept": accept, "Origin": "https://a.example"}, timeout=10)
    body = answer.json()
    assert (answer.status_code, answer.headers["Content-Type"]) == (200, "application/json")
    assert answer.headers["Access-Control-Allow-Origin"] == "*"
    assert body["token_endpoint"] == "https://ecm.example.org/auth/token"
    assert body["grant_types_supported"] == ["client_credentials"]
    assert body["token_endpoint_auth_methods_supported"] == ["private_key_jwt"]
    assert body["token_endpoint_auth_signing_alg_values_supported"] == ["ES384", "RS384"]
    assert body["capabilities"] == ["client-confidential-asymmetric", "permission-v1", "permission-v2"]
    assert body["code_challenge_methods_supported"] == ["S256"]
    assert not {"issuer", "jwks_uri", "authorization_endpoint"} & body.keys()
    assert all(value.startswith("https://") for name, value in body.items() if name.endswith("_endpoint"))


def test_smart_configuration_preflight(shared_site):
    """SM-46: browsers of any origin may read the public document."""
    answer = requests.options(shared_site.url + "/fhir/.well-known/smart-configuration", timeout=10)
    assert (answer.status_code, answer.headers["Access-Control-Allow-Origin"]) == (204, "*")
    assert "Access-Control-Allow-Origin" not in shared_site.post("/auth/token", {}).headers


def test_every_scope_and_endpoint_offered_works(site, ec_key):
    """SM-05: what discovery claims is there."""
    offered = requests.get(site.url + "/.well-known/smart-configuration", timeout=10).json()
    site.register(ec_key, "all", scopes="system/*.cruds")
    for scope in offered["scopes_supported"]:
        assert site.ask(site.assertion(ec_key, "all"), scope).json()["scope"] == scope
    for name in ("token", "introspection", "revocation"):
        path = offered[f"{name}_endpoint"].removeprefix(BASE.removesuffix("/fhir"))
        assert site.post(path, {}).status_code in {400, 401}
        assert requests.get(site.url + path, timeout=10).status_code == 405


def asserted(site, key, client_id="clinic"):
    return {"client_assertion_type": keys.ASSERTION_TYPE, "client_assertion": site.assertion(key, client_id)}


def test_introspection(site, ec_key):
    """SM-42: active, scope, client_id, exp; by bearer token or assertion."""
    text = site.token(ec_key)
    bearer = {"Authorization": f"Bearer {text}"}
    by_bearer = site.post("/auth/introspect", {"token": text}, headers=bearer)
    by_assertion = site.post("/auth/introspect", {"token": text, **asserted(site, ec_key)})
    assert by_bearer.json() == by_assertion.json()
    assert by_bearer.json() == {
        "active": True,
        "token_type": "Bearer",
        "scope": "system/Patient.rs",
        "client_id": "clinic",
        "iat": site.clock() // 1000,
        "exp": site.clock() // 1000 + 300,
    }
    site.clock.now += 300_000
    assert site.post("/auth/introspect", {"token": text, **asserted(site, ec_key)}).json() == {"active": False}
    assert site.post("/auth/introspect", {"token": text}, headers=bearer).status_code == 401


def test_introspection_of_others_tokens_needs_a_right(site, ec_key, rsa_key):
    """A foreign token looks like an unknown one; a client with the right `introspect` sees it."""
    site.register(rsa_key, "curious")
    site.register(rsa_key, "gateway", rights="introspect")
    text = site.token(ec_key)
    for name, active in (("curious", False), ("gateway", True)):
        answer = site.post("/auth/introspect", {"token": text, **asserted(site, rsa_key, name)})
        assert answer.json()["active"] is active
    unknown = site.post("/auth/introspect", {"token": "unknown", **asserted(site, rsa_key, "gateway")})
    assert unknown.json() == {"active": False}


@pytest.mark.parametrize("path", ["/auth/introspect", "/auth/revoke"])
def test_token_endpoints_ask_who_calls(shared_site, ec_key, path):
    """SM-42: access control; the token itself is no credential in the form."""
    text = shared_site.token(ec_key)
    wrong = {"Authorization": "Bearer wrong"}
    basic = {"Authorization": "Basic Y2xpbmljOng="}
    assert shared_site.post(path, {"token": text}).status_code == 401
    assert shared_site.post(path, {"token": text}, headers=wrong).status_code == 401
    assert shared_site.post(path, {"token": text}, headers=basic).status_code == 401
    assert shared_site.post(path, asserted(shared_site, ec_key)).json()["error"] == "invalid_request"


def test_revocation(site, ec_key, rsa_key):
    """SM-20, RFC 7009: the owner ends its token, nobody else does; unknown tokens answer 200."""
    site.register(rsa_key, "other")
    text = site.token(ec_key)
    foreign = site.post("/auth/revoke", {"token": text, **asserted(site, rsa_key, "other")})
    assert (foreign.status_code, foreign.json()["error"]) == (400, "invalid_grant")
    assert tokens.find(site.database.read(), text, site.clock()) is not None
    for _ in range(2):
        assert site.post("/auth/revoke", {"token": text, **asserted(site, ec_key)}).status_code == 200
    assert site.post("/auth/introspect", {"token": text, **asserted(site, ec_key)}).json() == {"active": False}


def test_events(site, ec_key):
    """Every answer of the three endpoints is told before it leaves, without token or assertion in it."""
    text = site.token(ec_key)
    site.ask(site.assertion(ec_key), "system/Task.c")
    site.ask(site.assertion(ec_key, aud="wrong"))
    site.post("/auth/introspect", {"token": text, **asserted(site, ec_key)})
    site.post("/auth/revoke", {"token": text, **asserted(site, ec_key)})
    seen = [(e["event"], e["status"], e["client"], e["authenticated"], e["error"], e["scope"]) for e in site.events]
    assert seen == [
        ("token", 200, "clinic", True, "", "system/Patient.rs"),
        ("token", 400, "clinic", True, "invalid_scope", ""),
        ("token", 401, "clinic", False, "invalid_client", ""),
        ("introspection", 200, "clinic", True, "", ""),
        ("revocation", 200, "clinic", True, "", ""),
    ]
    assert text not in json.dumps(site.events)
    assert {event["address"] for event in site.events} == {"127.0.0.1"}


def test_failed_attempts_are_throttled(database, ec_key, rsa_key):
    """T28: five failures a minute for a client at an address, then 429 with Retry-After; successes never count."""
    with running(database, SmartSettings(throttle="5/minute")) as site:
        site.register(ec_key)
        site.register(rsa_key, "other")
        for _ in range(8):
            assert site.ask(site.assertion(ec_key)).status_code == 200
        for _ in range(5):
            assert site.ask(site.assertion(ec_key, aud="wrong")).status_code == 401
        braked = site.ask(site.assertion(ec_key))
        assert (braked.status_code, braked.json()["error"]) == (429, "temporarily_unavailable")
        assert 1 <= int(braked.headers["Retry-After"]) <= 60
        assert site.ask(site.assertion(rsa_key, "other")).status_code == 200
        assert site.events[-2]["status"] == 429


def test_no_audit_no_token(database, ec_key):
    """When the event cannot be recorded, the token does not leave."""

    def refuse(event):
        raise OSError("the audit cannot be written")

    site = Site("", database, Clock())
    site.register(ec_key)
    server = SmartServer(Services(database, BASE, site.clock, on_event=refuse))
    with pytest.raises(OSError, match="audit"):
        server.token(FormRequest(keys.token_form(site.assertion(ec_key), "system/Patient.rs")))
