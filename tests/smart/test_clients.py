"""Registration: what is stored, and what is refused in plain words."""

import pytest

from fhir_server.fhir.errors import Duplicate, Invalid, NotFound
from fhir_server.smart import clients, keys
from tests.smart.site import Clock, Site

pytestmark = pytest.mark.heavy


@pytest.fixture
def site(database):
    return Site("", database, Clock())


def test_register_get_list_deactivate(site, ec_key, rsa_key):
    """A client comes back as registered, on both databases."""
    plan = site.register(rsa_key, "plan", law_class="covered", rights=" update-create  introspect ")
    clinic = site.register(ec_key, "clinic", jwks=None, jwks_uri="https://keys.example.org/jwks")
    assert clients.get(site.database, "plan") == plan
    assert clients.list_all(site.database) == [clinic, plan]
    assert plan.rights == "update-create introspect"
    assert clinic.jwks == b""
    clients.deactivate(site.database, "plan")
    assert clients.get(site.database, "plan").active is False
    assert clients.get(site.database, "nobody") is None


def test_replace_keys(site, ec_key, rsa_key):
    """Rotation: the new keys hold at once."""
    site.register(ec_key)
    clients.replace_keys(site.database, "clinic", keys.key_set(rsa_key))
    assert keys.read_key_set(clients.get(site.database, "clinic").jwks) == keys.key_set(rsa_key)["keys"]


def test_unknown_client_cannot_be_changed(site, ec_key):
    with pytest.raises(NotFound):
        clients.deactivate(site.database, "nobody")
    with pytest.raises(NotFound):
        clients.replace_keys(site.database, "nobody", keys.key_set(ec_key))


def test_an_id_is_taken_once(site, ec_key, rsa_key):
    first = site.register(ec_key)
    with pytest.raises(Duplicate):
        site.register(rsa_key)
    assert clients.get(site.database, "clinic") == first


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"client_id": ""}, "client_id"),
        ({"client_id": "a b"}, "client_id"),
        ({"client_id": "a\0"}, "client_id"),
        ({"organization": "clinic"}, "organization"),
        ({"organization": "Practitioner/1"}, "organization"),
        ({"law_class": "unknown"}, "law_class"),
        ({"scopes": ""}, "scopes"),
        ({"scopes": "system/Patient.sr"}, "scopes"),
        ({"scopes": "patient/Patient.rs"}, "scopes"),
        ({"scopes": "system/*.rs system/Task.rs?code=x"}, "scopes"),
        ({"purposes": ""}, "purposes"),
        ({"purposes": "treat"}, "purposes"),
        ({"jwks": None}, "jwks"),
        ({"jwks_uri": "https://keys.example.org/jwks"}, "jwks"),
        ({"jwks": {}}, "jwks.keys"),
        ({"jwks": {"keys": []}}, "jwks.keys"),
        ({"jwks": {"keys": [1]}}, "jwks.keys[0]"),
        ({"jwks": None, "jwks_uri": "http://keys.example.org/jwks"}, "jwks_uri"),
        ({"jwks": None, "jwks_uri": "https://user@keys.example.org/jwks"}, "jwks_uri"),
        ({"jwks": None, "jwks_uri": "https:///jwks"}, "jwks_uri"),
        ({"jwks": None, "jwks_uri": "https://keys.example.org/jwks#a"}, "jwks_uri"),
        ({"jwks": None, "jwks_uri": "https://keys.example.org/a\nb"}, "jwks_uri"),
        ({"jwks": None, "jwks_uri": "https://[::1/jwks"}, "jwks_uri"),
        ({"jwks": None, "jwks_uri": "file:///etc/passwd"}, "jwks_uri"),
    ],
)
def test_wrong_registration_names_its_field(site, ec_key, changes, field):
    """Each refusal says which field, and nothing is stored."""
    with pytest.raises(Invalid) as caught:
        site.register(ec_key, **{"client_id": "clinic", **changes})
    assert caught.value.issues[0].expression == field
    assert clients.list_all(site.database) == []
