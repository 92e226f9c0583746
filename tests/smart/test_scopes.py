"""Scopes granted against scopes asked for and registered."""

import re

import pytest
from authlib.oauth2.rfc6749 import InvalidScopeError
from hypothesis import given
from hypothesis import strategies as st

from fhir_server.access.scopes import parse
from fhir_server.smart.scopes import grant

TYPES = ["*", "Patient", "Task", "CarePlan"]
LETTERS = "cruds"
WORDS = st.builds(
    "system/{}.{}".format,
    st.sampled_from(TYPES),
    st.one_of(
        st.sampled_from(["read", "write", "*"]),
        st.sets(st.sampled_from(LETTERS), min_size=1).map(lambda some: "".join(sorted(some, key=LETTERS.index))),
    ),
)
JUNK = st.sampled_from(
    ["openid", "launch", "system/Patient.sr", "system/patient.r", "patient/Patient.rs", "system/Task.rs?code=x", "é"]
)


def rights(text):
    """Every (letter, type) that the access rules read in a scope text; Other stands for a type nobody names."""
    scopes = parse(text)
    return {(letter, name) for letter in LETTERS for name in [*TYPES[1:], "Other"] if scopes.allows(letter, name)}


@given(st.lists(st.one_of(WORDS, JUNK), max_size=5), st.lists(WORDS, min_size=1, max_size=5))
def test_granted_is_within_requested_and_registered(requested, registered):
    """T10, SM-15: granted = requested and registered, exactly; refused when one scope asked for lies beyond."""
    understood = " ".join(
        word for word in requested if re.fullmatch(r"system/(\*|[A-Z]\w+)\.(\*|read|write|c?r?u?d?s?)", word)
    )
    both = rights(understood) & rights(" ".join(registered))
    try:
        granted = grant(" ".join(requested), " ".join(registered))
    except InvalidScopeError:
        beyond = [word for word in understood.split() if not rights(word) & rights(" ".join(registered))]
        assert beyond or not understood
    else:
        assert rights(granted) == both
        assert both
        assert grant(granted, " ".join(registered)) == granted


@pytest.mark.parametrize(
    ("requested", "registered", "granted"),
    [
        ("system/Patient.rs", "system/*.cruds", "system/Patient.rs"),
        ("system/Patient.read", "system/*.cruds", "system/Patient.read"),
        ("system/Patient.write", "system/*.*", "system/Patient.write"),
        ("system/*.*", "system/*.*", "system/*.*"),
        ("system/*.read", "system/*.read", "system/*.read"),
        ("system/*.read", "system/Patient.rs system/Task.cruds", "system/Patient.read system/Task.read"),
        ("system/Patient.read", "system/Patient.r", "system/Patient.r"),
        ("system/*.cruds", "system/*.rs system/Task.cu", "system/*.rs system/Task.cu"),
        ("system/Task.cruds", "system/*.rs system/Task.cu", "system/Task.crus"),
        ("system/Task.rs system/Task.rs", "system/*.rs", "system/Task.rs"),
        ("system/Task.rs openid launch/patient", "system/*.rs", "system/Task.rs"),
        ("system/Task.rs patient/Task.rs", "system/*.rs", "system/Task.rs"),
        ("system/Task.rs?status=requested system/Patient.r", "system/*.rs", "system/Patient.r"),
        ("http://smarthealthit.org/fhir/scopes/system/Task.rs", "system/*.rs", "system/Task.rs"),
    ],
)
def test_what_is_granted(requested, registered, granted):
    """SM-06, SM-15, SM-30, SM-37: v1 asked is v1 answered, and the answer names what is granted."""
    assert grant(requested, registered) == granted


@pytest.mark.parametrize(
    "requested",
    [
        "",
        "system/Task.c",
        "system/Patient.rs system/Task.c",
        "system/Task.sr",
        "system/Task.",
        "system/Task",
        "patient/Task.rs",
        "user/Task.rs",
        "openid fhirUser",
        "system/Task.rs?status=requested",
        "SYSTEM/Task.rs",
    ],
)
def test_what_is_refused(requested):
    """SM-19, row 122: beyond registration, or nothing understood. A granular scope never widens to its type."""
    with pytest.raises(InvalidScopeError):
        grant(requested, "system/*.rs")
