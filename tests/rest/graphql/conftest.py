"""The server of `tests/rest/graphql`, and how a test asks a query."""

from typing import Any

from tests.live import Client
from tests.served import organization, server_of_a_folder

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


# One server for all queries: none of their tests looks at what the others store.
server = server_of_a_folder()
clinic = organization("clinic", scope="package")
stranger = organization("stranger", scope="package")
