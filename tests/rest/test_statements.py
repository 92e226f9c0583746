"""What each interaction costs at the database, pinned: a statement more is a decision, not an accident."""

import re
import threading
from collections.abc import Callable, Iterator
from typing import Any

import psycopg
import pytest
from sqlalchemy import event

from tests.live import Client, LiveServer
from tests.rest.scene import stored

BASIC = {"resourceType": "Basic", "code": {"text": "a"}, "identifier": [{"system": "urn:a", "value": "b"}]}
_BACKGROUND = {"audit", "worker", "statistics"}
_OUR_OWN = re.compile(r"FROM setting|PRAGMA|SAVEPOINT|RELEASE|BEGIN|COMMIT|^-- ")


class Sent:
    """Statements in the order they were sent, as their first words; those of background threads are left out."""

    def __init__(self) -> None:
        self.texts: list[str] = []
        self.on = False

    def note(self, text: Any) -> None:
        """Take one down."""
        words = " ".join(str(text).split())
        if self.on and threading.current_thread().name not in _BACKGROUND and not _OUR_OWN.search(words[:200]):
            self.texts.append(words)

    def of(self, act: Callable[[], Any]) -> list[str]:
        """SELECT, or INSERT and the like with the table, for each statement of `act`; repeats for more rows are one."""
        self.texts, self.on = [], True
        try:
            act()
        finally:
            self.on = False
        kinds = [self._kind(text) for text in self.texts]
        return [kind for place, kind in enumerate(kinds) if kind == "SELECT" or kind != kinds[place - 1] or not place]

    def _kind(self, text: str) -> str:
        found = re.match(r"(SELECT|WITH|INSERT INTO \w+|UPDATE \w+|DELETE FROM \w+)", text.replace('"', ""))
        return found[1] if found else text[:40]


@pytest.fixture(scope="module")
def sent(server: LiveServer) -> Iterator[Sent]:
    noted = Sent()
    engine = server.engine.database
    if engine.dialect == "sqlite":

        def trace(driver: Any, _record: Any = None) -> None:
            driver.set_trace_callback(noted.note)

        event.listen(engine.engine, "connect", trace)
        for connection in engine._held:
            trace(connection.connection.driver_connection)
        yield noted
        return
    original = psycopg.Cursor.execute

    def execute(self: Any, query: Any, *arguments: Any, **options: Any) -> Any:
        noted.note(query)
        return original(self, query, *arguments, **options)

    psycopg.Cursor.execute = execute
    yield noted
    psycopg.Cursor.execute = original


@pytest.fixture(scope="module")
def fid(clinic: Client) -> str:
    made = stored(clinic, BASIC)["id"]
    clinic.get(f"Basic/{made}")
    return str(made)


READS = [
    ("Basic/%s", 1), ("Basic/%s/_history/1", 2), ("Basic/%s/_history", 2),
    ("Basic/absent", 1), ("metadata", 0),
    ("Basic?_id=%s", 1), ("Basic?identifier=urn:a|b", 1), ("Basic", 1), ("Basic?_summary=count", 1),
]  # fmt: skip


@pytest.mark.parametrize(("path", "expected"), READS)
def test_statements_of_reading(clinic: Client, sent: Sent, fid: str, path: str, expected: int) -> None:
    """One to know the caller (none for what is open), and these for the data."""
    path = path % fid if "%s" in path else path
    kinds = sent.of(lambda: clinic.get(path))
    assert kinds == ["SELECT"] * (expected + (path != "metadata")), sent.texts


@pytest.mark.parametrize("number", [1, 5])
def test_statements_of_a_query(clinic: Client, sent: Sent, number: int) -> None:
    """One for the caller, one for each list, and one for all that the references of a level lead to.

    An inner list is one for all that are around it, and a look at how many there are.
    """
    code = {"coding": [{"system": "urn:queries", "code": f"of-{number}"}]}
    for _ in range(number):
        subject = {"reference": f"Basic/{stored(clinic, BASIC)['id']}"}
        stored(clinic, {"resourceType": "Basic", "code": code, "subject": subject})
    ask = f'$graphql?query={{BasicList(code:"urn:queries|of-{number}"){{subject{{resource{{id%s}}}}}}}}'
    assert sent.of(lambda: clinic.get(ask % "")) == ["SELECT"] * 3, sent.texts
    inner = ask % " ProvenanceList(_reference:target){id}"
    assert sent.of(lambda: clinic.get(inner)) == ["SELECT"] * (5 if number > 1 else 4), sent.texts


@pytest.mark.parametrize("number", [0, 1, 5])
def test_statements_of_advice(clinic: Client, sent: Sent, number: int) -> None:
    """One for the caller, and one for all the targets of references that must keep a profile; none without any."""
    observation = {"resourceType": "Observation", "status": "final", "code": {"text": "a"}}
    members = [{"reference": f"Observation/{stored(clinic, observation)['id']}"} for _ in range(number)]
    body = {**observation, **({"hasMember": members} if members else {})}
    path = "Observation/$validate?profile=http://hl7.org/fhir/StructureDefinition/vitalsigns"
    assert sent.of(lambda: clinic.post(path, body)) == ["SELECT"] * (2 if number else 1), sent.texts


@pytest.mark.parametrize("path", ["Basic/_history", "_history"])
def test_statements_of_histories(server: LiveServer, clinic: Client, sent: Sent, fid: str, path: str) -> None:
    """One that counts what there may be for the caller, one for a page.

    On PostgreSQL, with the first page, a look at what is being stored.
    """
    stored(clinic, BASIC)
    look = ["SELECT"] if server.engine.database.dialect == "postgresql" else []
    assert sent.of(lambda: clinic.get(f"{path}?_count=1")) == ["SELECT", "SELECT", "WITH", *look], sent.texts
    link = clinic.get(f"{path}?_count=1").json()["link"][1]["url"]
    assert sent.of(lambda: clinic.get(link)) == ["SELECT", "SELECT", "WITH"], sent.texts


def test_statements_of_a_refusal(clinic: Client, sent: Sent) -> None:
    """What the token or the URL decides touches no data."""
    assert sent.of(lambda: clinic.get("Foo")) == []
    assert sent.of(lambda: clinic.get("Basic?foo=a")) == ["SELECT"]
    assert sent.of(lambda: clinic.post("Basic", b"{")) == ["SELECT"]


def test_statements_of_writing(server: LiveServer, clinic: Client, sent: Sent, fid: str) -> None:
    """A create asks once for the caller and once for law classes, then sends its rows together."""
    kinds = sent.of(lambda: stored(clinic, BASIC))
    if server.engine.database.dialect == "postgresql":
        assert kinds[-1] == "WITH", sent.texts
        assert kinds == ["SELECT"] * (len(kinds) - 1) + ["WITH"]
        assert len(kinds) <= 4
    else:
        tables = {kind for kind in kinds if kind != "SELECT"}
        assert tables == {f"INSERT INTO {name}" for name in ("res", "tok", "str", "words", "outbox", "audit")}
        assert kinds.count("SELECT") <= 3
