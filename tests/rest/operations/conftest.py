"""The server of `tests/rest`, and how a test asks for an operation."""

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from tests.live import Client, LiveServer, running


def parameters(**given: Any) -> dict[str, Any]:
    """A Parameters body: url__uri="a" is a valueUri of the parameter url; without "__" it is a resource."""
    rows = []
    for name, content in given.items():
        stem, _, kind = name.partition("__")
        for one in content if isinstance(content, list) else [content]:
            member = f"value{kind[:1].upper()}{kind[1:]}" if kind else "resource"
            rows.append({"name": stem.replace("_", "-") if not stem.startswith("_") else stem, member: one})
    return {"resourceType": "Parameters", "parameter": rows}


def values(answer: Any) -> dict[str, Any]:
    """The parameters of an answer by name; parts as dictionaries, repeated ones as lists."""
    found: dict[str, Any] = {}
    for one in answer["parameter" if "parameter" in answer else "part"]:
        content = values(one) if "part" in one else next(v for k, v in one.items() if k != "name")
        if one["name"] in found:
            known = found[one["name"]]
            found[one["name"]] = [*(known if isinstance(known, list) else [known]), content]
        else:
            found[one["name"]] = content
    return found


@pytest.fixture(scope="package")
def server(
    database_kind: str, fresh_url: Callable[[str], str], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[LiveServer]:
    """One server for all operations: none of their tests looks at what the others store."""
    with running(fresh_url(database_kind), tmp_path_factory.mktemp("server")) as live:
        yield live


@pytest.fixture(scope="package")
def clinic(server: LiveServer) -> Client:
    """An organization that may do everything with what is its own."""
    return server.client("clinic")


@pytest.fixture(scope="package")
def stranger(server: LiveServer) -> Client:
    """Another organization without any relation to the first one's patients."""
    return server.client("stranger")


@pytest.fixture(scope="package")
def registrar(server: LiveServer) -> Client:
    """The operator of the exchange, who enters organizations in its directory."""
    return server.client("registrar", law_class="operator", rights="update-create")
