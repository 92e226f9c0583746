"""Tokens: issued, recognized, ended."""

import secrets

import pytest

from fhir_server.fhir.errors import LoginRequired
from fhir_server.smart import clients, tokens
from fhir_server.store.hashing import rh
from fhir_server.store.tables import assertion, token
from tests.smart.site import START, Clock, Site


@pytest.fixture
def site(database, ec_key):
    """A database with the client `clinic`; no server is needed here."""
    site = Site("", database, Clock())
    site.register(ec_key, scopes="system/*.cruds", purposes="TREAT HPAYMT", rights="update-create introspect")
    return site


def issue(site, scope="system/Patient.rs", random=secrets.token_bytes, client_id="clinic"):
    return tokens.issue(site.database, clients.get(site.database, client_id), scope, site.clock(), random)[0]


def refused(site, text):
    with pytest.raises(LoginRequired) as caught:
        tokens.authenticate(site.database.read(), text, site.clock())
    return caught.value


def test_a_token_stands_for_its_client(site):
    """The caller has the organization, law class, purpose and rights of registration, and the token's scopes."""
    caller = tokens.authenticate(site.database.read(), issue(site), site.clock())
    assert (caller.client, caller.org, caller.org_hash) == ("clinic", "Organization/clinic", rh("Organization/clinic"))
    assert (caller.law_class, caller.purpose, caller.operator) == ("covered", "TREAT", False)
    assert caller.rights == {"update-create", "introspect"}
    assert caller.scopes.allows("r", "Patient")
    assert not caller.scopes.allows("u", "Patient")
    assert not caller.scopes.allows("r", "Task")


def test_the_operator_sees_no_clinical_data(site, ec_key):
    """R6: the operator's tokens carry the mark that the access rules look at."""
    site.register(ec_key, "operator", law_class="operator")
    caller = tokens.authenticate(site.database.read(), issue(site, client_id="operator"), site.clock())
    assert caller.operator
    assert not caller.clinical


@pytest.mark.parametrize("text", ["", "x", "é", "a\0b", "x" * 100_000, "' OR 1=1 --"])
def test_an_unknown_token_is_refused(site, text):
    """Row 110: 401 login with a Bearer challenge."""
    issue(site)
    error = refused(site, text)
    assert (error.status, error.issues[0].code) == (401, "login")
    assert error.headers["WWW-Authenticate"] == 'Bearer realm="fhir", error="invalid_token"'


def test_a_token_lives_300_seconds(site):
    """Row 110, SM-14: accepted to the last millisecond, then 401 expired."""
    text = issue(site)
    site.clock.now += 299_999
    tokens.authenticate(site.database.read(), text, site.clock())
    site.clock.now += 1
    error = refused(site, text)
    assert (error.status, error.issues[0].code) == (401, "expired")


def test_a_revoked_token_is_refused_at_once(site):
    """Row 110, T13: on the next statement, and only this token."""
    text, other = issue(site), issue(site)
    tokens.revoke(site.database, tokens.find(site.database.read(), text, site.clock()).hash)
    assert refused(site, text).issues[0].code == "login"
    tokens.authenticate(site.database.read(), other, site.clock())


def test_the_tokens_of_an_ended_client_are_refused_at_once(site):
    """T13: a client that is deactivated is out."""
    text = issue(site)
    clients.deactivate(site.database, "clinic")
    assert refused(site, text).issues[0].code == "login"


@pytest.mark.parametrize("header", [None, "", "Bearer", "Bearer ", "Basic abc", "abc", "bearer:abc"])
def test_no_token(header):
    """Row 109: 401 login; the challenge names no error where no token was sent (RFC 6750 section 3.1)."""
    with pytest.raises(LoginRequired) as caught:
        tokens.bearer(header)
    assert caught.value.issues[0].code == "login"
    assert caught.value.headers == {"WWW-Authenticate": 'Bearer realm="fhir"'}


@pytest.mark.parametrize("header", ["Bearer abc", "bearer abc", "BEARER  abc "])
def test_the_scheme_has_no_case(header):
    """RFC 9110 section 11.1."""
    assert tokens.bearer(header) == "abc"


def test_expired_tokens_and_assertions_are_swept(site):
    """Some issues clear out what has expired, so that the tables stay small; live rows stay."""
    for _ in range(3):
        issue(site)
    tokens.use_assertion(site.database, "clinic", "old", START + 1000)
    site.clock.now += 299_000
    live = issue(site)
    site.clock.now += 100_000
    tokens.sweep(site.database, site.clock())
    assert len(site.database.read().execute(token.select()).all()) == 1
    assert site.database.read().execute(assertion.select()).all() == []
    tokens.authenticate(site.database.read(), live, site.clock())


def test_issuing_sweeps_now_and_then(site):
    """No job is needed: issuing goes on and the table does not grow without bound."""
    for number in range(100, 140):
        issue(site, random=lambda size, counted=number: counted.to_bytes(size, "big"))
        site.clock.now += 400_000
    assert len(site.database.read().execute(token.select()).all()) < 15
