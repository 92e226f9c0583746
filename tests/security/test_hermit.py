"""The watch over every response of the tests is awake: the hermit lives on the server, and its mark would be seen."""

import gzip
from typing import Any

import pytest

from fhir_server.engine import repository
from fhir_server.store.hashing import rh
from tests import hermit
from tests.security.conftest import Exchange


def test_the_hermit_is_there(fresh_exchange: Exchange) -> None:
    """It sees its own records; everybody else finds as many of them as there are, none."""
    context = fresh_exchange.server.engine.context(hermit.CALLER, "hermit")
    for type_ in hermit.RECORDS.keys() - {"DocumentReference"}:
        row = repository.read(context, type_, f"{hermit.MARK}-{type_}")
        assert row.body.count(hermit.MARK.encode()) > 5
        for client in (fresh_exchange.plan, fresh_exchange.stranger, fresh_exchange.pantry):
            assert (
                client.get(f"{type_}/{hermit.MARK}-{type_}".replace(hermit.MARK, "%68" + hermit.MARK[1:])).status_code
                == 404
            )
            assert client.get(f"{type_}?_summary=count").json()["total"] == 0


@pytest.mark.parametrize("way", ["whole", "packed", "streamed"])
@pytest.mark.parametrize("place", ["body", "headers", "nowhere"])
def test_the_watch_notices(place: str, way: str) -> None:
    """The mark in a body, cut in two by a stream, packed, or in a header."""
    body = f"before {hermit.MARK if place == 'body' else 'nothing'} after".encode()
    headers = [("Location", hermit.MARK if place == "headers" else "elsewhere")]
    if way == "packed":
        body, headers = gzip.compress(body), [*headers, ("Content-Encoding", "gzip")]

    def app(_environ: Any, start: Any) -> Any:
        start("200 OK", headers)
        return iter([body[:12], body[12:]]) if way == "streamed" else [body]

    watch = hermit.Watch(app)
    answered = b"".join(watch({"REQUEST_METHOD": "GET", "PATH_INFO": "/"}, lambda *_: None))
    assert answered == body
    assert watch.found == {"body": ["GET /"], "headers": ["GET /: headers"], "nowhere": []}[place]


def test_everybody_keeps_a_secret(fresh_exchange: Exchange) -> None:
    """L1-L25: each organization finds its own secret and no other; the watch tells whose it is by the token."""
    watch = hermit.Watch(lambda *_: [], fresh_exchange.server.engine)
    clients = (fresh_exchange.plan, fresh_exchange.clinic, fresh_exchange.pantry, fresh_exchange.stranger)
    marks = {client.id: hermit.secret_of(rh(f"Organization/{client.id}")) for client in clients}
    for client in clients:
        told = client.get("Flag").text
        assert [name for name, mark in marks.items() if mark in told] == [client.id]
        told_of = {name for name, mark in marks.items() if watch._is_told(mark.encode(), client.authorize_once())}
        assert told_of == marks.keys() - {client.id}
    assert watch._is_told(marks["plan"].encode(), "no token")
