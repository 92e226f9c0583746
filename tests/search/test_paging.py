"""Page tokens: opaque, for one caller, for some hours (B-45; catalogue row 88)."""

import base64
from contextlib import closing

import pytest

from fhir_server.fhir.errors import BadValue, NotFound
from fhir_server.search.paging import LIFETIME_MS, ExpiredPage, Place, Sealer
from fhir_server.store.db import open_database
from tests.search.stored import Everything, World

PLACE = Place("Patient", "", (("family", "Muñoz"), ("_count", "5")), (12, "é", -(2**63), 42), 7)


def test_a_place_comes_back():
    sealer = Sealer(b"secret")
    assert sealer.open(sealer.seal(PLACE, "client org", 5), "client org", 6) == PLACE


def test_what_is_in_it_cannot_be_read():
    """A token says nothing of the query to who sees the URL."""
    token = Sealer(b"secret").seal(PLACE, "client org", 5)
    opened = base64.urlsafe_b64decode(token + "==")
    assert b"family" not in opened
    assert b"client" not in opened


@pytest.mark.parametrize(
    "change", [lambda t: t[:-2], lambda t: "A" + t[1:], lambda t: t + "xx", lambda t: "", lambda t: "é"]
)
def test_altered(change):
    """Row 88: 400 value."""
    sealer = Sealer(b"secret")
    token = sealer.seal(PLACE, "client org", 5)
    with pytest.raises(BadValue):
        sealer.open(change(token if token[0] != "A" else "B" + token), "client org", 5)


def test_every_changed_byte_is_noticed():
    """Row 88."""
    sealer = Sealer(b"secret")
    sealed = base64.urlsafe_b64decode(sealer.seal(PLACE, "x", 5) + "==")
    for position in range(len(sealed)):
        changed = bytearray(sealed)
        changed[position] ^= 1
        with pytest.raises(BadValue):
            sealer.open(base64.urlsafe_b64encode(changed).decode(), "x", 5)


def test_another_caller():
    """Row 88: 404 not-found."""
    sealer = Sealer(b"secret")
    with pytest.raises(NotFound):
        sealer.open(sealer.seal(PLACE, "client org", 5), "client other", 6)


def test_another_secret():
    with pytest.raises(BadValue):
        Sealer(b"other").open(Sealer(b"secret").seal(PLACE, "x", 5), "x", 6)


def test_expired():
    """Row 88: 410 expired."""
    sealer = Sealer(b"secret")
    token = sealer.seal(PLACE, "x", 5)
    assert sealer.open(token, "x", 4 + LIFETIME_MS) == PLACE
    with pytest.raises(ExpiredPage) as caught:
        sealer.open(token, "x", 5 + LIFETIME_MS)
    assert (caught.value.status, caught.value.issues[0].code) == (410, "expired")


@pytest.fixture
def world(database_url):
    with closing(open_database(database_url)) as database:
        yield World(database)


def patients(*names):
    return [{"resourceType": "Patient", "id": name, "gender": "male"} for name in names]


def test_pages_stay_stable_while_rows_come(world):
    """B-45: what is created meanwhile neither repeats nor displaces anything."""
    world.store(patients("a", "b", "c", "d"))
    first = world.page("Patient", [("gender", "male"), ("_count", "2")], identity="x", now_ms=1)
    world.store(patients("e", "f"))
    query = world.searcher.resume(first.next_token, "x", 2)
    second = world.searcher.search(world.database.read(), query, Everything(), identity="x", now_ms=2)
    assert [hit.fid for hit in (*first.hits, *second.hits)] == ["d", "c", "b", "a"]
    assert second.next_token is None
    assert query.pairs == first.query.pairs


def test_totals(world):
    """B-26, B-47: known where it costs nothing, asked for otherwise; none by default."""
    assert world.page("Patient", [("gender", "male")]).total == 0
    world.store(patients("a", "b", "c"))
    assert world.page("Patient", [("gender", "male")]).total == 3
    assert world.page("Patient", [("gender", "male"), ("_count", "2")]).total is None
    for how in ("accurate", "estimate"):
        assert world.page("Patient", [("gender", "male"), ("_count", "2"), ("_total", how)]).total == 3
    assert world.page("Patient", [("gender", "male"), ("_count", "0")]).total == 3
