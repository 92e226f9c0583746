"""Every resource of the seed is valid: for an independent library, for the structural gate, and for its ECM profile."""

import pytest
from fhir.resources.R4B import get_fhir_model_class

from tests.seed.conftest import World, resolved


def test_every_resource_loads_in_an_independent_library(world: World) -> None:
    for resource in world.resources():
        model = get_fhir_model_class(resource["resourceType"])
        model.model_validate(resolved(resource))


def test_every_resource_passes_the_structural_gate(world: World) -> None:
    structure = pytest.importorskip("fhir_server.validation.structure")
    for resource in world.resources():
        structure.check(resource["resourceType"], resolved(resource))
