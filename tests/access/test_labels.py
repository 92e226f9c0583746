"""Labels found at write (R17), and that they only rise (R12, B-63)."""

import pytest

from fhir_server.access.classes import BH, HIV, HOUSE, JI, SENS, SUD2, SUDCN, UNKNOWN, mask_of
from fhir_server.access.labels import labels_of, load, raise_only, risen, sources_of, standard
from fhir_server.fhir.errors import BusinessRule

ACT_CODE = "http://terminology.hl7.org/CodeSystem/v3-ActCode"
CONFIDENTIALITY = "http://terminology.hl7.org/CodeSystem/v3-Confidentiality"
LISTS = {("urn:list", "Z59"): HOUSE, ("urn:list", "F11"): SUD2}


def lists(system: str, code: str) -> int:
    return LISTS.get((system, code), 0)


def label(code: str, system: str = ACT_CODE) -> dict[str, str]:
    return {"system": system, "code": code}


def labelled(*labels, **more):
    return {"resourceType": "Condition", "meta": {"security": list(labels)}, **more}


@pytest.mark.parametrize(
    ("security", "expected"),
    [
        ([], 0),
        ([label("ETH")], SUD2),
        ([label("42CFRPart2")], SUD2),
        ([label("PSYTHPN")], SUDCN),
        ([label("PSY"), label("HIV")], BH | HIV),
        ([label("SEX")], SENS),
        ([label("NORDSCLCD")], 0),
        ([label("R", CONFIDENTIALITY)], 0),
        ([label("HTEST", "http://terminology.hl7.org/CodeSystem/v3-ActReason")], 0),
        ([label("BRANDNEW")], UNKNOWN),
        ([label("VIP", "https://hospital.example/labels")], UNKNOWN),
        ([{"display": "secret"}], UNKNOWN),
        ([label("HIV"), label("BRANDNEW")], HIV | UNKNOWN),
    ],
)
def test_stated_labels(security, expected):
    """R17, line 33: what we do not know hides the row from all but its owner."""
    assert labels_of("Condition", labelled(*security)) == expected


def test_the_part_2_unit_labels_what_it_writes():
    """R17: by its source, whatever the resource says."""
    assert labels_of("Condition", {}, True) == SUD2
    assert labels_of("Condition", labelled(label("HIV")), True) == SUD2 | HIV


def test_code_lists_label_by_any_coding_but_tags_and_quantities():
    resource = {
        "meta": {"tag": [label("F11", "urn:list")]},
        "code": {"coding": [label("Z59", "urn:list")]},
        "valueQuantity": {"value": 1, "system": "urn:list", "code": "F11"},
    }
    assert labels_of("Condition", resource, False, lists) == HOUSE


def test_contained_resources_count():
    """R17, L15: the union over contained resources."""
    contained = [{"code": {"coding": [label("F11", "urn:list")]}}, {"meta": {"security": [label("HIV")]}}]
    assert labels_of("Task", {"contained": contained}, False, lists) == SUD2 | HIV


def test_the_directory_carries_no_labels():
    assert labels_of("HealthcareService", {"type": [{"coding": [label("F11", "urn:list")]}]}, True, lists) == 0


def test_a_system_of_our_own_may_name_the_classes():
    own = load("urn:classes")
    assert labels_of("Condition", labelled(label("JI", "urn:classes"), label("N", "urn:classes")), table=own) == JI
    assert labels_of("Condition", labelled(label("JI", "urn:classes"))) == UNKNOWN


@pytest.mark.parametrize(
    ("provision", "expected"),
    [
        ({"type": "permit", "securityLabel": [label("ETH")]}, SUD2),
        ({"type": "deny", "code": [{"coding": [label("F11", "urn:list")]}]}, SUD2),
        ({"provision": [{"type": "deny", "securityLabel": [label("ETH")]}]}, SUD2),
        ({"type": "permit", "securityLabel": [label("ETH"), label("PSY")]}, 0),
        ({"type": "permit"}, 0),
        ({"type": "permit", "provision": [{"type": "deny", "securityLabel": [label("ETH")]}]}, 0),
        (None, 0),
    ],
)
def test_a_consent_about_substance_use_alone_is_itself_such_a_record(provision, expected):
    """L25, R14: its existence tells; a form that speaks of everything tells nothing."""
    assert labels_of("Consent", {"provision": provision} if provision else {}, False, lists) == expected


def test_bits_only_rise():
    """R12."""
    assert risen(HIV, BH) == HIV | BH


def test_a_label_cannot_be_taken_away():
    """B-63, CO-25: omitted or replaced by a lower one; raising and adding are fine."""
    old = [label("HIV"), label("R", CONFIDENTIALITY)]
    raise_only(old, [*old, label("PSY")])
    raise_only(old, [label("HIV"), label("V", CONFIDENTIALITY)])
    raise_only([], [])
    for new in ([], [label("HIV")], [label("R", CONFIDENTIALITY)], [label("HIV"), label("N", CONFIDENTIALITY)]):
        with pytest.raises(BusinessRule, match="taken away"):
            raise_only(old, new)


def test_who_a_resource_names_as_its_source():
    """R17: a unit registered as Part 2 program may be a child of the county whose client writes."""
    resource = {
        "recorder": {"reference": "Organization/unit"},
        "performer": [{"actor": {"reference": "Organization/other"}}, {"reference": "Practitioner/x"}],
        "author": "not a reference",
    }
    assert sources_of(resource) == {"Organization/unit", "Organization/other"}


def test_names_of_classes():
    assert mask_of(["N"]) == 0
    with pytest.raises(KeyError):
        mask_of(["nonsense"])
    assert all(bits >= 0 for bits in standard().classes.values())
