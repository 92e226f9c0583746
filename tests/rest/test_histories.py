"""The histories of a type and of the server: pages, spans, what others may not see, and writers at the same time."""

from collections import Counter
from collections.abc import Iterator
from threading import Event, Thread
from typing import Any

import pytest

from tests.live import Client, LiveServer
from tests.rest.scene import stored

BASIC = {"resourceType": "Basic", "code": {"text": "a"}}
HUMAN = {"resourceType": "Patient", "name": [{"family": "Quintero"}]}
LEVELS = ["Basic/_history", "_history"]


def pages(client: Client, path: str) -> Iterator[dict[str, Any]]:
    """Each page of a walk."""
    url = path
    while url:
        answer = client.get(url)
        assert answer.status_code == 200, answer.text
        yield answer.json()
        url = next((link["url"] for link in answer.json()["link"] if link["relation"] == "next"), "")


def walked(client: Client, path: str) -> list[dict[str, Any]]:
    return [entry for page in pages(client, path) for entry in page.get("entry", [])]


def named(entries: list[dict[str, Any]]) -> list[tuple[str, str]]:
    """(full URL, version) of each entry."""
    return [(entry["fullUrl"], entry["response"]["etag"]) for entry in entries]


@pytest.fixture(scope="module")
def keeper(server: LiveServer) -> Client:
    """An organization with a past: two Basics, one of them changed and deleted, and a Patient."""
    client = server.client("keeper")
    stored(client, HUMAN)
    kept, gone = stored(client, BASIC), stored(client, BASIC)
    for _ in range(3):
        client.put(f"Basic/{gone['id']}", gone)
    client.put(f"Basic/{kept['id']}", kept)
    client.delete(f"Basic/{gone['id']}")
    return client


@pytest.mark.parametrize(("path", "expected"), [("Basic/_history", 7), ("_history", 8), ("Patient/_history", 1)])
def test_every_version_once_newest_first(keeper: Client, path: str, expected: int) -> None:
    """B-62: by pages of any size, with request and response; a deletion has no resource."""
    whole = walked(keeper, path)
    assert len(whole) == len(set(named(whole))) == expected
    times = [entry["response"]["lastModified"] for entry in whole]
    assert times == sorted(times, reverse=True)
    for count in (1, 2, 3, 50):
        assert named(walked(keeper, f"{path}?_count={count}")) == named(whole)
    for entry in whole:
        assert ("resource" in entry) is (entry["request"]["method"] != "DELETE")
        assert entry["fullUrl"].endswith(entry["request"]["url"]) or entry["request"]["method"] == "POST"
    methods = Counter(entry["request"]["method"] for entry in whole)
    assert methods["DELETE"] == (path != "Patient/_history")


def test_versions_of_one_resource_stand_in_their_order(keeper: Client) -> None:
    """B-62: by version, also where several share an instant."""
    seen: dict[str, list[int]] = {}
    for url, tag in named(walked(keeper, "Basic/_history?_count=2")):
        seen.setdefault(url, []).append(int(tag.strip('W/"')))
    assert sorted(seen.values()) == [[2, 1], [5, 4, 3, 2, 1]]


@pytest.mark.parametrize("path", LEVELS)
def test_since(keeper: Client, path: str) -> None:
    """B-62: what was stored at that instant or later."""
    whole = walked(keeper, path)
    since = whole[2]["response"]["lastModified"]
    expected = [entry for entry in whole if entry["response"]["lastModified"] >= since]
    assert named(walked(keeper, f"{path}?_since={since}&_count=1")) == named(expected)
    empty = keeper.get(f"{path}?_since=2100-01-01T00:00:00Z").json()
    assert "entry" not in empty


@pytest.mark.parametrize("path", LEVELS)
def test_at(keeper: Client, path: str) -> None:
    """B-62: what was current at some instant of that time; one version each, where it is an instant."""
    whole = walked(keeper, path)
    now = walked(keeper, f"{path}?_at=2100-01-01T00:00:00Z")
    assert len({url for url, _ in named(whole)}) == len(now)
    latest: dict[str, str] = {}
    for url, tag in named(whole):
        latest.setdefault(url, tag)
    assert dict(named(now)) == latest
    assert walked(keeper, f"{path}?_at=2001") == []
    assert named(walked(keeper, f"{path}?_at={now[0]['response']['lastModified'][:4]}")) == named(whole)


def test_at_of_one_resource(keeper: Client) -> None:
    """B-62."""
    deletion = next(entry for entry in walked(keeper, "Basic/_history") if "resource" not in entry)
    path = f"{deletion['request']['url']}/_history"
    assert named(walked(keeper, f"{path}?_at=2100")) == named([deletion])


@pytest.mark.parametrize("path", [*LEVELS, "Patient/_history"])
def test_what_is_hidden_is_not_there(keeper: Client, stranger: Client, path: str) -> None:
    """Every row passes the caller's view, superseded ones too."""
    assert len(walked(keeper, path)) > 0
    assert not set(named(walked(keeper, path))) & set(named(walked(stranger, path)))


def test_scopes_of_histories(server: LiveServer, keeper: Client) -> None:
    """403 by the token alone; the server's history holds the types in scope and no other."""
    narrow = server.client("narrow", organization="Organization/keeper", scopes="system/Patient.r")
    assert narrow.get("Basic/_history").status_code == 403
    assert {url.split("/")[-2] for url, _ in named(walked(narrow, "_history"))} == {"Patient"}
    nothing = server.client("nothing", organization="Organization/keeper", scopes="system/Patient.s")
    assert nothing.get("_history").status_code == 403


def test_page_links_are_sealed(keeper: Client, stranger: Client) -> None:
    """Row 88: altered, another caller's, of another history, or with parameters added."""
    link = next(one["url"] for one in keeper.get("Basic/_history?_count=1").json()["link"] if one["relation"] == "next")
    assert keeper.get(link).status_code == 200
    assert stranger.get(link).status_code == 404
    assert keeper.get(link[:-2]).status_code == 400
    assert keeper.get(link + "&_count=2").status_code == 400
    assert keeper.get(link.replace("Basic/_history", "_history")).status_code == 400
    assert keeper.get(link.replace("/_history", "")).status_code == 400


def test_a_walk_while_others_write(server: LiveServer) -> None:
    """B-62: what was there when the walk began is met exactly once; what came later is found by the timestamp."""
    client, writer = server.client("walker"), server.client("writer", organization="Organization/walker")
    made = [stored(client, BASIC) for _ in range(12)]
    before, stop = set(named(walked(client, "Basic/_history"))), Event()

    def write() -> None:
        while not stop.is_set():
            for one in made:
                writer.put(f"Basic/{one['id']}", one)
            stored(writer, BASIC)

    thread = Thread(target=write)
    thread.start()
    try:
        walks = [list(pages(client, "Basic/_history?_count=3")) for _ in range(2)]
    finally:
        stop.set()
        thread.join()
    final = set(named(walked(client, "Basic/_history")))
    for walk in walks:
        met = named([entry for page in walk for entry in page["entry"]])
        assert len(met) == len(set(met))
        assert before <= set(met)
        later = named(walked(client, f"Basic/_history?_since={walk[0]['timestamp']}"))
        assert final == set(met) | set(later)
        assert len({page["timestamp"] for page in walk}) == 1
