"""The ECM code systems, value sets and maps as published in terminology/ecm."""

import json

import pytest

from fhir_server.fhir.definitions import load
from fhir_server.fhir.folders import data_folder
from fhir_server.terminology.codes import Terminology

FOLDER = data_folder("terminology") / "ecm"
FILES = {path.name: json.loads(path.read_text()) for path in sorted(FOLDER.glob("*-*.json"))}
SYSTEMS = {name: one for name, one in FILES.items() if one["resourceType"] == "CodeSystem"}
VALUE_SETS = {name: one for name, one in FILES.items() if one["resourceType"] == "ValueSet"}
MAPS = {name: one for name, one in FILES.items() if one["resourceType"] == "ConceptMap"}
B = "https://ecm-exchange.org/fhir"
CONFIDENCE = {"seed", "found", "unverified", "defined"}


@pytest.fixture(scope="module")
def terminology() -> Terminology:
    return Terminology(load([FOLDER]))


def concepts(items):
    for one in items:
        yield one
        yield from concepts(one.get("concept", ()))


@pytest.mark.parametrize("name", FILES)
def test_files_are_named_by_type_and_id_and_written_in_one_form(name):
    one = FILES[name]
    assert name == f"{one['resourceType']}-{one['id']}.json"
    assert (FOLDER / name).read_text() == json.dumps(one, indent=2, ensure_ascii=False) + "\n"
    assert one["status"] == "active"
    assert one["version"]
    assert one["description"]


@pytest.mark.parametrize("name", SYSTEMS)
def test_every_concept_carries_source_and_confidence(name):
    for concept in concepts(SYSTEMS[name]["concept"]):
        said = {one["code"]: one for one in concept["property"]}
        assert said["source"]["valueString"]
        assert said["confidence"]["valueCode"] in CONFIDENCE
        assert concept["display"]


@pytest.mark.parametrize("name", SYSTEMS)
def test_systems_declare_their_properties_and_count_their_codes(name):
    system = SYSTEMS[name]
    codes = [one["code"] for one in concepts(system["concept"])]
    used = {one["code"] for concept in concepts(system["concept"]) for one in concept["property"]}
    assert len(codes) == len(set(codes))
    assert used == {one["code"] for one in system["property"]}
    assert system.get("count", len(codes)) == len(codes)


@pytest.mark.parametrize("name", VALUE_SETS)
def test_every_value_set_expands_to_codes_it_contains(terminology, name):
    url = VALUE_SETS[name]["url"]
    codes = terminology.expand(url)
    assert codes
    assert all(terminology.contains(url, system, code) for system, code, _ in codes)
    assert terminology.contains(url, codes[0][0], "no such code") in (False, None)


@pytest.mark.parametrize("name", VALUE_SETS)
def test_quoted_foreign_codes_carry_source_and_confidence(name):
    for part in VALUE_SETS[name]["compose"]["include"]:
        if part.get("system", "").startswith("http://hl7.org/fhir/") and "sid" not in part["system"]:
            continue  # FHIR's own codes
        for concept in part.get("concept", ()) if "us/core" not in str(part.get("system")) else ():
            if part["system"].startswith("http://terminology.hl7.org"):
                continue
            said = {one["url"].rsplit("/", 1)[1]: one for one in concept.get("extension", ())}
            assert said["ecm-concept-source"]["valueString"]
            assert said["ecm-concept-confidence"]["valueCode"] in CONFIDENCE


@pytest.mark.parametrize("name", MAPS)
def test_maps_translate_every_code_into_known_codes(terminology, name):
    for group in MAPS[name]["group"]:
        mapped = {one["code"] for one in group["element"]}
        assert mapped == {code for _, code, _ in terminology.expand(MAPS[name]["sourceUri"])}
        for code in mapped:
            targets = terminology.translate(MAPS[name]["url"], group["source"], code)
            assert targets
            for system, target in targets:
                assert system == group["target"]
                assert not system.startswith(B) or terminology.display(system, target)


@pytest.mark.parametrize(
    ("value_set", "count"),
    [
        ("ecm-report-flag", 16),
        ("ecm-community-support", 15),
        ("ecm-community-support-2021", 14),
        ("ecm-county", 58),
        ("ecm-discontinuation-reason", 15),
        ("ecm-referral-status", 5),
        ("ecm-referral-closure-reason", 6),
        ("ecm-status", 7),
        ("ecm-priority-sdoh", 25),
        ("ecm-provider-kind", 22),
        ("ecm-sdoh-category", 24),
        ("ecm-outreach-method", 5),
    ],
)
def test_lists_are_whole(terminology, value_set, count):
    assert len(terminology.expand(f"{B}/ValueSet/{value_set}")) == count


def test_there_are_nine_populations_of_focus():
    system = SYSTEMS["CodeSystem-ecm-population-of-focus.json"]
    keys = [p["valueString"] for c in concepts(system["concept"]) for p in c["property"] if p["code"] == "key"]
    assert len(system["concept"]) == 9
    assert keys == ["1", "1a", "1b", *"23456789"]


def test_flags_are_eight_adult_and_eight_child_in_report_order(terminology):
    system = f"{B}/CodeSystem/ecm-report-flag"
    said = [terminology.properties(system, code) for _, code, _ in terminology.expand(f"{B}/ValueSet/ecm-report-flag")]
    assert [one["order"][0] for one in said] == list(range(1, 17))
    assert [one["ageGroup"][0] for one in said] == ["adult"] * 8 + ["child"] * 8


def test_counties_follow_the_alphabet_and_name_fips_and_wave(terminology):
    system = f"{B}/CodeSystem/ecm-county"
    listed = terminology.expand(f"{B}/ValueSet/ecm-county")
    assert [name for _, _, name in listed] == sorted(name for _, _, name in listed)
    assert terminology.display(system, "37") == "San Diego"
    assert terminology.properties(system, "37")["fips"] == ("06073",)
    assert terminology.properties(system, "58")["fips"] == ("06115",)
    waves = [terminology.properties(system, code)["wave"][0] for _, code, _ in listed]
    assert (waves.count(1), waves.count(2)) == (25, 33)


def test_service_codes_are_made_of_code_and_modifiers(terminology):
    system = f"{B}/CodeSystem/ecm-service-code"
    for _, code, _ in terminology.expand(f"{B}/ValueSet/ecm-service-code"):
        said = terminology.properties(system, code)
        assert code == "-".join([*said["hcpcs"], *said.get("modifier", ())])
        assert all(terminology.contains(f"{B}/ValueSet/ecm-service-requested", None, one) for one in said["service"])


@pytest.mark.parametrize(
    ("label", "code", "expected"),
    [
        ("sud", "F11.20", True),
        ("sud", "F11", True),
        ("sud", "F17.210", False),
        ("sud", "F1", False),
        ("bh", "F32.9", True),
        ("bh", "F11.20", False),
        ("hiv", "B20", True),
        ("hiv", "B21", False),
        ("sens", "Z30.012", True),
        ("sens", "Z33.1", False),
    ],
)
def test_label_lists_take_categories_with_all_below(terminology, label, code, expected):
    """R17: classes are labelled by code lists."""
    url = f"{B}/ValueSet/ecm-label-{label}"
    assert terminology.contains(url, "http://hl7.org/fhir/sid/icd-10-cm", code) is expected
    assert "STARTER LIST" in VALUE_SETS[f"ValueSet-ecm-label-{label}.json"]["description"]
