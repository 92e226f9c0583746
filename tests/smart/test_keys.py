"""Which keys may be registered and used."""

import pytest
from joserfc.jwk import ECKey, OctKey, RSAKey

from fhir_server.fhir.errors import Invalid
from fhir_server.smart import keys


def public(key, **members):
    return {**key.as_dict(private=False), "kid": "k", **members}


@pytest.mark.parametrize("alg", ["RS384", "ES384"])
def test_a_generated_key_has_a_public_half(alg):
    """What is published holds no private member, and signs what it verifies."""
    key = keys.generate(alg)
    shown = keys.key_set(key)["keys"][0]
    assert not {"d", "p", "q", "dp", "dq", "qi"} & shown.keys()
    assert (shown["alg"], shown["use"]) == (alg, "sig")
    assert keys.read_key_set(keys.registrable(keys.key_set(key))) == [shown]
    assert keys.only_key([shown], shown["kid"], alg)


UNFIT = {
    "symmetric": lambda: {**OctKey.generate_key(256).as_dict(), "kid": "k"},
    "short RSA": lambda: public(RSAKey.generate_key(1024)),
    "P-256": lambda: public(ECKey.generate_key("P-256")),
    "P-521": lambda: public(ECKey.generate_key("P-521")),
    "for encryption": lambda: public(ECKey.generate_key("P-384"), use="enc"),
    "another algorithm": lambda: public(ECKey.generate_key("P-384"), alg="ES512"),
    "point off the curve": lambda: public(ECKey.generate_key("P-384"), x="A" * 64),
    "no x": lambda: {"kty": "EC", "crv": "P-384", "kid": "k", "y": "AAAA"},
    "number for x": lambda: {"kty": "EC", "crv": "P-384", "kid": "k", "x": 1, "y": "AAAA"},
    "long exponent": lambda: public(RSAKey.generate_key(2048), e="A" * 300),
    "enormous modulus": lambda: public(RSAKey.generate_key(2048), n="A" * 5000),
    "private": lambda: ECKey.generate_key("P-384").as_dict(private=True, kid="k"),
    "no kid": lambda: ECKey.generate_key("P-384").as_dict(private=False),
    "kid a number": lambda: public(ECKey.generate_key("P-384"), kid=1),
    "kty a list": lambda: {"kty": ["EC"], "kid": "k"},
}


@pytest.mark.parametrize("name", UNFIT)
@pytest.mark.filterwarnings("ignore:Key size should be")
def test_unfit_keys_are_not_registered(name):
    """SM-18: RS384 and ES384 only, RSA of 2048 bits at least, public halves, each with a kid."""
    with pytest.raises(Invalid) as caught:
        keys.registrable({"keys": [UNFIT[name]()]})
    assert caught.value.issues[0].expression == "jwks.keys[0]"


def test_two_keys_of_one_name_are_not_registered():
    """SM-18: exactly one key for a kid and kty."""
    twins = keys.key_set(keys.generate("ES384", "k"), keys.generate("ES384", "k"))
    with pytest.raises(Invalid):
        keys.registrable(twins)


def test_a_key_set_may_hold_keys_of_other_kinds():
    """RFC 7517 section 5: what is not understood is passed over."""
    mine = keys.key_set(keys.generate("ES384", "k"))["keys"][0]
    others = [{"kty": "OKP", "kid": "k"}, {"kty": "AKP", "kid": "k"}, {"kid": 1}]
    assert keys.only_key([*others, mine], "k", "ES384")


@pytest.mark.parametrize("body", [b"", b"nonsense", b"\xff", b"[" * 200_000])
def test_what_is_no_key_set(body):
    with pytest.raises(ValueError, match=r".+"):
        keys.read_key_set(body)
