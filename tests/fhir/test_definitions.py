"""R4's table and package folders.  https://hl7.org/fhir/R4/searchparameter-registry.html"""

import time

import orjson
import pytest

from fhir_server.fhir.definitions import core_elements, load, part_for, type_names, type_number


@pytest.fixture(scope="module")
def definitions():
    return load()


def test_r4_is_complete(definitions):
    assert len(definitions.types) == 146
    assert [type_number(kind) for kind in definitions.types] == list(range(1, 147))
    assert (type_number("Account"), type_number("Patient"), type_number("VisionPrescription")) == (1, 103, 146)
    assert type_names()[103] == "Patient"


def test_loading_is_quick():
    """The server starts in a moment."""
    spent = []
    for _ in range(3):
        core_elements.cache_clear()
        start = time.process_time()
        load()
        spent.append(time.process_time() - start)
    assert min(spent) < 0.3


def test_search_parameters_hold_the_part_of_their_type(definitions):
    code = definitions.search_params("Observation")["code"]
    assert (code.type, code.expression) == ("token", "Observation.code")
    assert len(code.types) > 5
    assert definitions.search_params("Task")["patient"].expression == "Task.for.where(resolve() is Patient)"
    assert definitions.search_params("Observation")["code-value-quantity"].components[0][1] == "code"
    with pytest.raises(KeyError):
        definitions.search_params("Nonsense")


def test_every_type_has_the_common_parameters(definitions):
    for kind in definitions.types:
        assert {"_id", "_lastUpdated", "_tag", "_security", "_profile"} <= set(definitions.search_params(kind))


def test_alternatives_are_split_outside_brackets():
    expression = "A.x.where(y | z) | (B.v as Quantity) | A.w | AB.x"
    assert part_for("A", expression) == "A.x.where(y | z) | A.w"
    assert part_for("B", expression) == "(B.v as Quantity)"
    assert part_for("C", expression) == expression


def test_compartments(definitions):
    patient = definitions.compartment("Patient")
    assert patient["CareTeam"] == ("patient", "participant")
    assert "Task" not in patient
    assert definitions.compartment("Nonsense") == {}
    for name in ("Patient", "Practitioner", "RelatedPerson", "Encounter", "Device"):
        for kind, codes in definitions.compartment(name).items():
            assert set(codes) <= set(definitions.search_params(kind)), (name, kind)


@pytest.mark.parametrize(
    ("path", "types", "least", "most"),
    [
        ("Patient.contact.name.family", ("string",), 0, 1),
        ("Task.status", ("code",), 1, 1),
        ("Patient.name", ("HumanName",), 0, None),
        ("Questionnaire.item.item.linkId", ("string",), 1, 1),
        ("Observation.valueQuantity.value", ("decimal",), 0, 1),
        ("MedicationRequest.medication[x]", ("CodeableConcept", "Reference"), 1, 1),
        ("Patient.meta.versionId", ("id",), 0, 1),
    ],
)
def test_elements(definitions, path, types, least, most):
    element = definitions.element(path)
    assert (element.types, element.min, element.max) == (types, least, most)


def test_unknown_elements(definitions):
    for path in ("Patient.foo", "Nonsense.x", "Patient.gender.x", "Patient.value"):
        assert definitions.element(path) is None


def test_elements_know_targets_and_bindings(definitions):
    assert definitions.element("Patient.generalPractitioner").targets == (
        "Organization",
        "Practitioner",
        "PractitionerRole",
    )
    gender = definitions.element("Patient.gender")
    assert definitions.elements.codes(gender.binding) == {
        "http://hl7.org/fhir/administrative-gender": ["male", "female", "other", "unknown"]
    }
    assert definitions.element("Patient.active").modifier
    assert not definitions.element("Patient.photo").summary


def test_package_folders_add_and_override(tmp_path):
    base = {"resourceType": "SearchParameter", "type": "string", "status": "active"}
    first, second = tmp_path / "one", tmp_path / "two"
    files = [
        (first / "SearchParameter-group-name.json", {**base, "url": "u:1", "code": "name", "base": ["Group"]}),
        (second / "SearchParameter-code.json", {**base, "url": "u:2", "code": "code", "base": ["Group"]}),
        (second / "ValueSet-x.json", {"resourceType": "ValueSet", "url": "u:3", "version": "1"}),
        (second / "Patient-example.json", {"resourceType": "Patient"}),
    ]
    for path, resource in files:
        path.parent.mkdir(exist_ok=True)
        if resource["resourceType"] == "SearchParameter":
            resource["expression"] = f"Group.{resource['code']}"
        path.write_bytes(orjson.dumps(resource))
    definitions = load([first, second])
    assert definitions.search_params("Group")["name"].expression == "Group.name"
    assert definitions.search_params("Group")["code"].url == "u:2"
    assert definitions.resource("u:3") is definitions.resource("u:3|1")
    assert definitions.resource("u:3|2") is None
    assert [r["url"] for r in definitions.all("SearchParameter")] == ["u:1", "u:2"]
    assert definitions.all("Patient") == []
