"""The figure of validation measures every profile of the exchange, and each costs less than a millisecond."""

from bench.validation import measure_validation
from fhir_server.fhir.folders import data_folder


def test_a_resource_is_validated_in_less_than_a_millisecond_under_every_profile() -> None:
    figures = measure_validation()
    kinds = {one.name.split()[1] for one in figures}
    profiles = (data_folder("profiles") / "ecm").glob("StructureDefinition-*.json")
    assert kinds <= {path.stem.removeprefix("StructureDefinition-") for path in profiles}
    assert len(kinds) > 8
    assert {one.name: one.p50_ms for one in figures if one.p50_ms >= 1} == {}
