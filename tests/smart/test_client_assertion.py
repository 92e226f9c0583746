"""Forged, stale and repeated assertions, each over HTTP."""

import base64
import hashlib
import hmac
import json
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from fhir_server.smart import keys

pytestmark = pytest.mark.heavy

OTHER = keys.generate("ES384", "ec-1")


def b64(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def part(value: Any) -> str:
    return b64(json.dumps(value).encode())


def unsigned(header, claims):
    return f"{part(header)}.{part(claims)}."


def with_hmac(header, claims, secret, digest):
    text = f"{part(header)}.{part(claims)}"
    return f"{text}.{b64(hmac.new(secret, text.encode(), digest).digest())}"


def relabelled(site, key, **changes):
    """A good signature under another header: the signature no longer covers it."""
    good = site.assertion(key)
    changed = {"alg": "ES384", "kid": "ec-1", "typ": "JWT", **changes}
    changed = {name: value for name, value in changed.items() if value is not None}
    return ".".join([part(changed), *good.split(".")[1:]])


FORGED = {
    "alg none": lambda s, _: unsigned({"alg": "none", "kid": "ec-1"}, s.claims()),
    "alg None": lambda s, _: unsigned({"alg": "None", "kid": "ec-1"}, s.claims()),
    "alg empty": lambda s, _: unsigned({"alg": "", "kid": "ec-1"}, s.claims()),
    "alg missing": lambda s, _: unsigned({"kid": "ec-1"}, s.claims()),
    "alg a number": lambda s, _: unsigned({"alg": 384, "kid": "ec-1"}, s.claims()),
    "alg a list": lambda s, _: unsigned({"alg": ["ES384"], "kid": "ec-1"}, s.claims()),
    "signature stripped": lambda s, k: s.assertion(k).rpartition(".")[0] + ".",
    "signature cut": lambda s, k: s.assertion(k)[:-8],
    "signature of zeros": lambda s, k: s.assertion(k).rpartition(".")[0] + "." + b64(bytes(96)),
    "signature not base64": lambda s, k: s.assertion(k).rpartition(".")[0] + ".***",
    "HS256 keyed with the public key": lambda s, k: with_hmac(
        {"alg": "HS256", "kid": "ec-1"}, s.claims(), json.dumps(keys.key_set(k)).encode(), hashlib.sha256
    ),
    "HS384 keyed with the public key": lambda s, k: with_hmac(
        {"alg": "HS384", "kid": "ec-1"}, s.claims(), k["x"].encode(), hashlib.sha384
    ),
    "RS384 header on an EC signature": lambda s, k: relabelled(s, k, alg="RS384"),
    "RS256": lambda s, k: relabelled(s, k, alg="RS256"),
    "ES256": lambda s, k: relabelled(s, k, alg="ES256"),
    "PS384": lambda s, k: relabelled(s, k, alg="PS384"),
    "another key under the same kid": lambda s, _: s.assertion(OTHER),
    "claims changed after signing": lambda s, k: ".".join(
        [s.assertion(k).split(".")[0], part(s.claims(exp=s.clock() // 1000 + 299)), s.assertion(k).split(".")[2]]
    ),
    "kid missing": lambda s, k: relabelled(s, k, kid=None),
    "kid empty": lambda s, k: relabelled(s, k, kid=""),
    "kid a number": lambda s, k: relabelled(s, k, kid=1),
    "kid unknown": lambda s, k: keys.sign(k, s.claims(), {"kid": "ec-2"}),
    "kid a path": lambda s, k: keys.sign(k, s.claims(), {"kid": "../../../../dev/null"}),
    "kid an injection": lambda s, k: keys.sign(k, s.claims(), {"kid": "' OR '1'='1"}),
    "kid with NUL": lambda s, k: keys.sign(k, s.claims(), {"kid": "ec-1\0"}),
    "jku foreign": lambda s, k: keys.sign(k, s.claims(), {"jku": "https://keys.example.net/jwks"}),
    "jwk in the header": lambda s, k: keys.sign(k, s.claims(), {"jwk": keys.key_set(k)["keys"][0]}),
    "x5u in the header": lambda s, k: keys.sign(k, s.claims(), {"x5u": "https://keys.example.net/x"}),
    "crit": lambda s, k: relabelled(s, k, crit=["exp"]),
    "b64 false": lambda s, k: relabelled(s, k, b64=False),
    "typ of an access token": lambda s, k: keys.sign(k, s.claims(), {"typ": "at+jwt"}),
    "header a list": lambda s, _: f"{part(['alg'])}.{part(s.claims())}.x",
    "header a string": lambda s, _: f"{part('alg')}.{part(s.claims())}.x",
    "claims a list": lambda _, __: f"{part({'alg': 'ES384', 'kid': 'ec-1'})}.{part([1])}.x",
    "claims nested deeply": lambda _, __: f"{part({'alg': 'ES384', 'kid': 'ec-1'})}.{b64(b'[' * 6000)}.x",
    "claims not UTF-8": lambda _, __: f"{part({'alg': 'ES384', 'kid': 'ec-1'})}.{b64(b'{' + bytes([255]))}.x",
    "header nested deeply": lambda s, _: f"{b64(b'[' * 1500)}.{part(s.claims())}.x",
    "too long": lambda s, k: s.assertion(k, padding="x" * 20000),
    "not a token": lambda _, __: "no.token.here",
    "two parts": lambda _, __: "a.b",
    "encrypted form": lambda _, __: "a.b.c.d.e",
    "expired": lambda s, k: s.assertion(k, exp=s.clock() // 1000 - 1),
    "expiring now": lambda s, k: s.assertion(k, exp=s.clock() // 1000),
    "exp 301 s ahead": lambda s, k: s.assertion(k, exp=s.clock() // 1000 + 301),
    "exp in milliseconds": lambda s, k: s.assertion(k, exp=s.clock() + 60_000),
    "exp missing": lambda s, k: s.assertion(k, exp=None),
    "exp text": lambda s, k: s.assertion(k, exp=str(s.clock() // 1000 + 60)),
    "exp true": lambda s, k: s.assertion(k, exp=True),
    "exp NaN": lambda s, k: s.assertion(k, exp=float("nan")),
    "exp infinite": lambda s, k: s.assertion(k, exp=float("inf")),
    "exp enormous": lambda s, k: s.assertion(k, exp=10**400),
    "nbf ahead": lambda s, k: s.assertion(k, nbf=s.clock() // 1000 + 60),
    "iat ahead": lambda s, k: s.assertion(k, iat=s.clock() // 1000 + 60),
    "aud missing": lambda s, k: s.assertion(k, aud=None),
    "aud an array with ours": lambda s, k: s.assertion(k, aud=["https://ecm.example.org/auth/token"]),
    "aud an array with a stranger": lambda s, k: s.assertion(
        k, aud=["https://ecm.example.org/auth/token", "https://stranger.example.net/token"]
    ),
    "aud another server": lambda s, k: s.assertion(k, aud="https://stranger.example.net/auth/token"),
    "aud a prefix": lambda s, k: s.assertion(k, aud="https://ecm.example.org"),
    "aud with a suffix": lambda s, k: s.assertion(k, aud="https://ecm.example.org/auth/token/x"),
    "aud in capitals": lambda s, k: s.assertion(k, aud="https://ECM.example.org/auth/token"),
    "aud an object": lambda s, k: s.assertion(k, aud={"url": "https://ecm.example.org/auth/token"}),
    "jti missing": lambda s, k: s.assertion(k, jti=None),
    "jti empty": lambda s, k: s.assertion(k, jti=""),
    "jti a number": lambda s, k: s.assertion(k, jti=1),
    "jti too long": lambda s, k: s.assertion(k, jti="x" * 257),
    "jti with NUL": lambda s, k: s.assertion(k, jti="a\0b"),
    "jti a lone surrogate": lambda s, k: relabelled_claims(s, k, '"\\ud800"'),
    "iss missing": lambda s, k: s.assertion(k, iss=None),
    "iss another": lambda s, k: s.assertion(k, iss="other"),
    "sub missing": lambda s, k: s.assertion(k, sub=None),
    "sub another": lambda s, k: s.assertion(k, sub="other"),
    "sub a number": lambda s, k: s.assertion(k, sub=1, iss=1),
    "sub a list": lambda s, k: s.assertion(k, sub=["clinic"], iss=["clinic"]),
    "sub with NUL": lambda s, k: s.assertion(k, sub="a\0", iss="a\0"),
    "client unknown": lambda s, k: s.assertion(k, "nobody"),
    "client an injection": lambda s, k: s.assertion(k, "' OR 1=1 --"),
    "client empty": lambda s, k: s.assertion(k, ""),
}


def relabelled_claims(site, key, jti):
    claims = json.dumps(site.claims(jti="HERE")).replace('"HERE"', jti)
    return f"{part({'alg': 'ES384', 'kid': 'ec-1'})}.{b64(claims.encode())}.x"


@pytest.mark.parametrize("name", FORGED)
def test_forged_assertion_is_refused(shared_site, ec_key, name):
    """T1-T5, SM-18, catalogue rows 110 and 118: 401 invalid_client, the same way on both databases, and no token."""
    answer = shared_site.ask(FORGED[name](shared_site, ec_key))
    assert (answer.status_code, answer.json()["error"]) == (401, "invalid_client"), answer.text
    assert answer.headers["Cache-Control"] == "no-store"
    assert answer.headers["Pragma"] == "no-cache"
    assert answer.headers["WWW-Authenticate"] == "private_key_jwt"
    assert shared_site.events[-1]["status"] == 401
    assert shared_site.events[-1]["authenticated"] is False
    assert shared_site.ask(shared_site.assertion(ec_key)).status_code == 200


def test_every_changed_character_breaks_an_assertion(shared_site, ec_key):
    """T1: 128 single-character changes over header, claims and signature, none of them taken."""
    good = shared_site.assertion(ec_key)
    for place in range(0, len(good), len(good) // 128):
        other = "A" if good[place] != "A" else "B"
        changed = good[:place] + other + good[place + 1 :]
        assert shared_site.ask(changed).status_code == 401, place
    assert shared_site.ask(good).status_code == 200


def test_unknown_client_and_wrong_key_are_one_answer(shared_site, ec_key):
    """Nobody learns who is registered."""
    wrong = shared_site.ask(shared_site.assertion(OTHER))
    unknown = shared_site.ask(shared_site.assertion(ec_key, "nobody"))
    assert (wrong.status_code, wrong.content) == (unknown.status_code, unknown.content)


@pytest.mark.parametrize("alg", ["ES384", "RS384"])
@pytest.mark.parametrize("aud", ["https://ecm.example.org/auth/token", "https://ecm.example.org/fhir"])
def test_both_algorithms_and_both_audiences_are_taken(site, ec_key, rsa_key, alg, aud):
    """SM-18: RS384 and ES384; aud is the token URL or the issuer."""
    key = ec_key if alg == "ES384" else rsa_key
    if alg == "RS384":
        site.register(rsa_key, "plan")
    client_id = "clinic" if alg == "ES384" else "plan"
    answer = site.ask(site.assertion(key, client_id, aud=aud, exp=site.clock() // 1000 + 300))
    assert answer.status_code == 200, answer.text


def test_replay_is_refused(shared_site, ec_key):
    """T4, row 118: an assertion works once, even where the first use was granted nothing."""
    assertion = shared_site.assertion(ec_key)
    assert shared_site.ask(assertion).status_code == 200
    again = shared_site.ask(assertion)
    assert (again.status_code, again.json()["error"]) == (401, "invalid_client")
    beyond = shared_site.assertion(ec_key)
    assert shared_site.ask(beyond, "system/Patient.cruds system/Task.d").json()["error"] == "invalid_scope"
    assert shared_site.ask(beyond).status_code == 401


def test_same_jti_of_another_client_is_no_replay(site, ec_key, rsa_key):
    """SM-18: jti is unique per issuer."""
    site.register(rsa_key, "plan")
    assert site.ask(site.assertion(ec_key, jti="same")).status_code == 200
    assert site.ask(site.assertion(rsa_key, "plan", jti="same")).status_code == 200


def test_of_32_simultaneous_uses_one_succeeds(shared_site, ec_key):
    """T4: the same assertion from 32 threads gives exactly one token."""
    for _ in range(3):
        assertion = shared_site.assertion(ec_key)
        with ThreadPoolExecutor(32) as pool:
            statuses = list(pool.map(lambda _, text=assertion: shared_site.ask(text).status_code, range(32)))
        assert sorted(statuses) == [200] + [401] * 31


def test_two_keys_of_one_kid_and_type_fail(site, ec_key):
    """T2: zero or two matches fail; registration refuses them, a fetched set may still hold them."""
    with pytest.raises(ValueError, match="Exactly one"):
        keys.only_key([*keys.key_set(ec_key, OTHER)["keys"]], "ec-1", "ES384")


def test_kid_may_be_shared_by_two_key_types(site, ec_key):
    """SM-18: the key is found by kid and kty together."""
    rsa = keys.generate("RS384", "shared")
    ec = keys.generate("ES384", "shared")
    site.register(ec, "both", jwks=keys.key_set(ec, rsa))
    assert site.ask(site.assertion(ec, "both")).status_code == 200
    assert site.ask(site.assertion(rsa, "both")).status_code == 200


def test_form_client_id_must_agree(shared_site, ec_key):
    """One client per request."""
    assert shared_site.ask(shared_site.assertion(ec_key), client_id="clinic").status_code == 200
    assert shared_site.ask(shared_site.assertion(ec_key), client_id="other").status_code == 401
