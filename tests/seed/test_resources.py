"""Every resource of the seed is valid: for an independent library, for the structural gate, and for its ECM profile."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import pytest
from fhir.resources.R4B import get_fhir_model_class

from tests.seed.conftest import World, resolved


@dataclass(frozen=True)
class Programme:
    """The profiles of the programme, and what they say of a resource."""

    validator: Any
    required: Any

    def check(self, resource: dict[str, Any]) -> Sequence[Any]:
        kind = resource["resourceType"]
        return self.validator.check(kind, resource, self.required(kind, resource))


@pytest.fixture(scope="module")
def programme() -> Programme:
    folder = pytest.importorskip("fhir_server.fhir.folders").data_folder
    packages = [folder("profiles") / "ecm", folder("terminology") / "ecm"]
    definitions = pytest.importorskip("fhir_server.fhir.definitions").load(packages)
    terminology = pytest.importorskip("fhir_server.terminology.codes").Terminology(definitions)
    validator = pytest.importorskip("fhir_server.validation.profile").ProfileValidator(definitions, terminology)
    required = pytest.importorskip("fhir_server.ecm.requirements").required_profiles()
    return Programme(validator, required)


def test_every_resource_loads_in_an_independent_library(world: World) -> None:
    for resource in world.resources():
        model = get_fhir_model_class(resource["resourceType"])
        model.model_validate(resolved(resource))


def test_every_resource_passes_the_structural_gate(world: World) -> None:
    structure = pytest.importorskip("fhir_server.validation.structure")
    for resource in world.resources():
        structure.check(resource["resourceType"], resolved(resource))


def test_every_resource_satisfies_the_profiles_it_claims(world: World, programme: Programme) -> None:
    """EC-02 to EC-08, and the profiles that the programme requires of a resource whether or not it claims them."""
    claimed = Counter()
    for resource in world.resources():
        sent = resolved(resource)
        assert [str(issue) for issue in programme.check(sent)] == []
        claimed.update(resource.get("meta", {}).get("profile", ()))
    assert {url.rpartition("/")[2] for url in claimed} == {
        "ecm-careplan",
        "ecm-careteam",
        "ecm-condition",
        "ecm-consent",
        "ecm-goal",
        "ecm-servicerequest",
        "ecm-task",
    }


def test_every_task_stays_valid_through_its_moves(world: World, programme: Programme) -> None:
    """SD-30 to SD-33: each state on the way satisfies the profile; a completed Task has an output."""
    tasks = {one["identifier"][0]["value"]: resolved(one) for one in world.resources("Task")}
    for move in world.moves():
        name = move["find"].rpartition("|")[2]
        tasks[name] = tasks[name] | move["set"]
        assert [str(issue) for issue in programme.check(tasks[name])] == [], move


def test_the_validator_would_notice(world: World, programme: Programme) -> None:
    team = resolved(world.resources("CareTeam")[0])
    twice = [*team["participant"], team["participant"][0]]
    assert programme.check(team | {"participant": twice})
