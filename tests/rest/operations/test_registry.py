"""An operation is one module and one OperationDefinition: neither stands alone, and they agree."""

import pytest

from fhir_server.fhir.definitions import Definitions, load
from fhir_server.fhir.folders import data_folder
from fhir_server.rest.message import Operation
from fhir_server.rest.routes import all_routes


@pytest.fixture(scope="module")
def definitions() -> Definitions:
    return load([data_folder("profiles") / "server"])


OWN: tuple[Operation, ...] = tuple(all_routes(()).operations)


def test_every_definition_has_its_operation_and_the_reverse(definitions: Definitions) -> None:
    defined = {one["url"] for one in definitions.all("OperationDefinition")}
    assert {row.definition for row in OWN} == defined


@pytest.mark.parametrize("row", OWN, ids=[f"{row.types[:1]}{row.name}" for row in OWN])
def test_they_agree(definitions: Definitions, row: Operation) -> None:
    """Name, types, levels; what changes something is never asked by GET."""
    definition = definitions.resource(row.definition)
    assert definition is not None
    assert definition["code"] == row.name
    assert set(row.types) == set(definition.get("resource", ())) - {"Resource"}
    assert all(definition[level] for level in row.levels)
    assert not (definition["affectsState"] and "GET" in row.methods)
    required = [
        one for one in definition.get("parameter", ()) if one["use"] == "in" and one["min"] and one["type"][0].isupper()
    ]
    assert not (required and "GET" in row.methods)
