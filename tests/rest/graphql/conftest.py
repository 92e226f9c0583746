"""The server of `tests/rest/graphql`, and how a test asks a query."""

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from tests.live import Client, LiveServer, running

JSON = {"Content-Type": "application/json"}


def asked(client: Client, query: str, at: str = "", **variables: Any) -> Any:
    """The answer to a query, at system level or (Type/id) about a resource, sent as JSON."""
    body = {"query": query, **({"variables": variables} if variables else {})}
    return client.post(f"{at}/$graphql".lstrip("/"), body, headers=JSON)


def data(client: Client, query: str, at: str = "", **variables: Any) -> Any:
    """The data of a query that is answered."""
    answer = asked(client, query, at, **variables)
    assert answer.status_code == 200, answer.text
    return answer.json()["data"]


def refused(client: Client, query: str, at: str = "", **variables: Any) -> tuple[int, list[dict[str, Any]]]:
    """Status and errors of a query that is refused; each error is around an OperationOutcome with the same words."""
    answer = asked(client, query, at, **variables)
    assert answer.status_code >= 400, answer.text
    assert answer.headers["Content-Type"].startswith("application/json")
    told = answer.json()
    assert told["data"] is None
    for error in told["errors"]:
        outcome = error["extensions"]["resource"]
        assert outcome["resourceType"] == "OperationOutcome"
        assert outcome["issue"][0]["diagnostics"] == error["message"]
    return answer.status_code, told["errors"]


@pytest.fixture(scope="package")
def server(
    database_kind: str, fresh_url: Callable[[str], str], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[LiveServer]:
    """One server for all queries: none of their tests looks at what the others store."""
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
