"""What the catalogue of malformed requests is made of: a row, and the one form that every refusal has."""

import http.client
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

from tests.live import Client, LiveServer

LONGEST_ECHO = 64
UNSTATED = object()


@dataclass(frozen=True)
class Answer:
    """A response as it came over the socket."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        """The parsed body."""
        return json.loads(self.body)

    @property
    def issues(self) -> list[dict[str, Any]]:
        """The issues of an OperationOutcome."""
        assert self.json["resourceType"] == "OperationOutcome", self.body[:300]
        return list(self.json["issue"])


@dataclass(frozen=True)
class Row:
    """One row: what is asked, and the status, issue code and FHIRPath of the answer."""

    number: int
    name: str
    method: str
    path: str
    body: Any = None
    status: int = 400
    code: str = "structure"
    at: str | None = None
    headers: Mapping[str, str] = field(default_factory=dict)

    def __str__(self) -> str:
        return f"{self.number}-{self.name}"

    @property
    def bytes(self) -> bytes:
        """The body as it is sent."""
        if self.body is None:
            return b""
        return self.body if isinstance(self.body, bytes) else json.dumps(self.body).encode()


def send(
    server: LiveServer, method: str, path: str, body: bytes = b"", headers: Mapping[str, str] | None = None
) -> Answer:
    """One request written to the socket exactly as given; nothing is added but Host and Content-Length."""
    connection = http.client.HTTPConnection(urlsplit(server.root).netloc, timeout=60)
    try:
        connection.putrequest(method, path if path.startswith("/") else f"/fhir/{path}", skip_accept_encoding=True)
        for name, value in (headers or {}).items():
            connection.putheader(name, value)
        stated = "Content-Length" in (headers or {})
        if not stated and (body or method in {"POST", "PUT", "PATCH"}):
            connection.putheader("Content-Length", str(len(body)))
        connection.endheaders(body)
        response = connection.getresponse()
        return Answer(response.status, dict(response.getheaders()), response.read())
    finally:
        connection.close()


def ask(client: Client, row: Row) -> Answer:
    """The answer to a row's request, sent with the client's token; a header given as "" is left out."""
    given = {"Authorization": f"Bearer {client.authorize_once()}"}
    if row.body is not None:
        given["Content-Type"] = "application/json-patch+json" if row.method == "PATCH" else "application/fhir+json"
    headers = {name: value for name, value in {**given, **row.headers}.items() if value}
    return send(client.server, row.method, row.path, row.bytes, headers)


def refused(answer: Answer, row: Row) -> list[dict[str, Any]]:
    """The issues of the answer, after checking status, code, form and that nothing long is echoed."""
    said = [issue.get("diagnostics", "") for issue in answer.issues]
    assert (answer.status, answer.issues[0]["code"]) == (row.status, row.code), answer.body[:500]
    assert answer.headers["Content-Type"] == "application/fhir+json; charset=utf-8"
    assert answer.headers["X-Request-Id"]
    assert answer.headers["Cache-Control"] == "no-store"
    assert len(answer.issues) <= 50
    assert all(issue["severity"] in {"error", "fatal"} and issue["diagnostics"] for issue in answer.issues)
    assert not echoed(row, said)
    if row.at is not None:
        assert answer.issues[0].get("expression") == [row.at], answer.body[:500]
    return answer.issues


def echoed(row: Row, said: list[str]) -> str:
    """A stretch of more than 64 characters of the request that the answer repeats; "" if none."""
    asked = row.path + row.bytes[:100_000].decode("latin-1")
    for text in said:
        for start in range(len(text) - LONGEST_ECHO):
            if text[start : start + LONGEST_ECHO + 1] in asked:
                return text[start : start + LONGEST_ECHO + 1]
    return ""
