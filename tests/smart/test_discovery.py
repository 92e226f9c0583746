"""What the server says of itself."""

from fhir_server.smart import discovery

BASE = "https://ecm.example.org/fhir"


def test_capability_security_carries_the_token_url():
    """SM-06: `oauth-uris`, where older clients look."""
    security = discovery.capability_security(BASE)
    uris = {part["url"]: part["valueUri"] for part in security["extension"][0]["extension"]}
    assert uris["token"] == "https://ecm.example.org/auth/token"
    assert security["service"][0]["coding"][0]["code"] == "SMART-on-FHIR"


def test_a_trailing_slash_changes_nothing():
    assert discovery.smart_configuration(BASE + "/", []) == discovery.smart_configuration(BASE, [])
    assert discovery.audiences(BASE + "/") == ["https://ecm.example.org/auth/token", BASE]
