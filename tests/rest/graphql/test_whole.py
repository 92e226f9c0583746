"""A query that names every member of a resource gives that resource back: whatever R4 lets stand there can be asked."""

from pathlib import Path
from typing import Any

import pytest

from fhir_server.access.caller import Caller
from fhir_server.access.scopes import parse
from fhir_server.engine.context import Context
from fhir_server.fhir import literal
from fhir_server.rest.graphql import language
from fhir_server.rest.graphql.checking import Checker
from fhir_server.rest.graphql.gathering import Gathering
from fhir_server.rest.graphql.limits import Spent
from fhir_server.rest.graphql.schema import Kind, Schema
from fhir_server.rest.graphql.shaping import shaped
from tests.live import LiveServer

pytestmark = pytest.mark.heavy

EXAMPLES = sorted((Path(__file__).parents[3] / "profiles" / "ecm" / "examples").glob("*.json"))


def everything(nodes: list[dict[str, Any]]) -> str:
    """The fields that some of these objects have, those of resources in fragments for their types."""
    types = sorted({node["resourceType"] for node in nodes if "resourceType" in node})
    if not types:
        return members(nodes)
    return " ".join(f"... on {type_} {{ {members([node for node in nodes if node['resourceType'] == type_])} }}"
                    for type_ in types)  # fmt: skip


def members(nodes: list[dict[str, Any]]) -> str:
    told = []
    for name in dict.fromkeys(name for node in nodes for name in node):
        values = [value for node in nodes if name in node for value in listed(node[name])]
        objects = [value for value in values if isinstance(value, dict)]
        told.append(f"{name} {{ {everything(objects)} }}" if objects else name)
    return " ".join(told)


def listed(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


def asked(context: Context, resource: dict[str, Any], text: str) -> dict[str, Any]:
    """What a query about a resource answers, as if it were stored."""
    spent, schema = Spent(context), Schema(context.engine.definitions)
    fields, kind = language.read(text, "", {}, spent), Kind(resource["resourceType"])
    Checker(context, schema, spent).check(kind, fields)
    return shaped(Gathering(context, schema, spent).whole(kind, resource, fields))


@pytest.mark.parametrize("path", EXAMPLES, ids=[path.stem for path in EXAMPLES])
def test_all_of_a_resource(server: LiveServer, path: Path) -> None:
    """GQ-05: every element of the exchange's examples, by its name in JSON."""
    context = server.engine.context(
        Caller("all", "Organization/all", 1, "covered", parse("system/*.r"), "TREAT"), "all"
    )
    resource = literal.loads(path.read_bytes())
    assert asked(context, resource, f"{{ {members([resource])} }}") == resource


@pytest.mark.long
def test_all_of_the_official_examples(server: LiveServer, shared_data: Path) -> None:
    """GQ-05: those of R4, of every type they are of."""
    context = server.engine.context(
        Caller("all", "Organization/all", 1, "covered", parse("system/*.r"), "TREAT"), "all"
    )
    paths = sorted((shared_data / "r4-examples").rglob("*.json"))
    resources = [literal.loads(path.read_bytes()) for path in paths]
    changed = [
        path.name
        for path, one in zip(paths, resources, strict=True)
        if asked(context, one, f"{{ {members([one])} }}") != one
    ]
    assert paths
    assert changed == []
