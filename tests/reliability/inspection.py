"""Looks into the database itself: what must hold after any crash, said once for both databases."""

import json
import re
from collections import defaultdict
from collections.abc import Iterable
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sqlalchemy import select, union_all

from fhir_server.config import Settings
from fhir_server.engine import audit
from fhir_server.engine.build import build
from fhir_server.fhir.definitions import type_names, type_number
from fhir_server.search.extract import inside
from fhir_server.store.db import Database, open_database
from fhir_server.store.members import LAST
from fhir_server.store.tables import audit as trail
from fhir_server.store.tables import contained, dat, hist, member, outbox, ref, res, string, tok, uri
from tests.reliability.load import Memory

WRITING = {"create", "update", "patch", "delete", "import"}
LISTS = {"tok": tok, "string": string, "dat": dat, "ref": ref, "uri": uri}


@dataclass
class Found:
    """How many acknowledged writes were looked for, and how many writes were stored without an answer."""

    acknowledged: int
    unanswered: int
    unanswered_but_stored: int


def stored_versions(database: Database) -> dict[tuple[str, int], bytes]:
    """(Type/id, version) -> body, of every version there is; contact views left out."""
    found = {}
    both = [select(t.c.type, t.c.fid, t.c.ver, t.c.body).where(t.c.view == 0) for t in (res, hist)]
    for type_, fid, ver, body in database.read().execute(union_all(*both)):  # one statement: writers may be busy
        key = (f"{type_names()[type_]}/{fid}", ver)
        assert key not in found, f"{key} is stored twice"
        found[key] = bytes(body)
    return found


def markers(versions: dict[tuple[str, int], bytes]) -> dict[str, list[str]]:
    """Marker -> the resources whose first version carries it."""
    found = defaultdict(list)
    for (reference, version), body in versions.items():
        if version == 1:
            identifiers = json.loads(body).get("identifier", [])
            for identifier in identifiers:
                found[identifier["value"]].append(reference)
    return found


def check(database: Database, memory: Memory) -> Found:
    """Every acknowledged write is there with its content; transactions are whole or absent."""
    versions = stored_versions(database)
    for key, marker in memory.versions.items():
        assert key in versions, f"acknowledged and lost: {key}"
        assert marker.encode() in versions[key], f"acknowledged with other content: {key}"
    marked = markers(versions)
    for marker, places in memory.bundles.items():
        assert sorted(marked[marker]) == sorted(places), f"acknowledged transaction {marker}: {marked[marker]}"
    for marker in memory.open_bundles:
        assert len(marked.get(marker, [])) in {0, 5}, f"half a transaction {marker}: {marked[marker]}"
    _check_contiguous(versions)
    return _found(memory, versions, marked)


def _check_contiguous(versions: Iterable[tuple[str, int]]) -> None:
    numbers = defaultdict(set)
    for reference, version in versions:
        numbers[reference].add(version)
    for reference, there in numbers.items():
        assert there == set(range(1, len(there) + 1)), f"{reference} has versions {sorted(there)}"


def _found(memory: Memory, versions: dict[tuple[str, int], bytes], marked: dict[str, list[str]]) -> Found:
    unanswered = len(memory.open_creates) + len(memory.open_updates) + len(memory.open_bundles)
    stored = sum(marker in marked for marker in memory.open_creates | memory.open_bundles)
    stored += sum(marker.encode() in versions.get(key, b"") for key, marker in memory.open_updates.items())
    return Found(len(memory.versions) + len(memory.bundles), unanswered, stored)


def check_everything(url: str, folder: Path, base: str, memory: Memory) -> Found:
    """`check`, and: index equals what the content says, the trail is sound and complete, one outbox row a version."""
    engine = build(Settings(data_folder=str(folder), database_url=url, base_url=base))
    with closing(engine):
        found = check(engine.database, memory)
        _check_index(engine)
        _check_trail(engine, memory)
        _check_outbox(engine.database)
        _check_file(engine.database)
    return found


def _check_index(engine: Any) -> None:
    """Every posting list holds exactly the rows that the stored content asks for."""
    database = engine.database
    expected: dict[str, set[tuple[Any, ...]]] = {name: set() for name in LISTS}
    rows = database.read().execute(select(res.c.rid, res.c.type, res.c.body).where(res.c.deleted.is_(False)))
    bodies = {rid: (type_names()[type_], json.loads(bytes(body))) for rid, type_, body in rows}
    parts = _contained(database, bodies)
    for rid, (kind, resource) in (bodies | parts).items():
        made = engine.extractor.rows(kind, resource)
        made = inside(made) if rid in parts else made
        for name in LISTS:
            expected[name] |= {(value[0], rid, *value[1:]) for value in getattr(made, name)}
    expected["ref"] |= _of_members(engine)
    for name, table in LISTS.items():
        there = {tuple(row)[2:] for row in database.read().execute(select(table))}
        missing, spare = expected[name] - there, there - expected[name]
        assert not missing, f"{name} lacks {len(missing)} rows, such as {next(iter(missing))}"
        assert not spare, f"{name} has {len(spare)} rows too many, such as {next(iter(spare))}"


def _contained(database: Database, bodies: dict[int, tuple[str, Any]]) -> dict[int, tuple[str, Any]]:
    """What these resources contain, by its own row number: all of it, and nothing else."""
    inner = {
        (rid, type_number(part["resourceType"]), part["id"]): (part["resourceType"], part)
        for rid, (_, resource) in bodies.items()
        for part in resource.get("contained", [])[::-1]  # of one id the first is found
        if "id" in part
    }
    there = {
        (holder, type_, fid): rid
        for holder, type_, fid, rid in database.read().execute(
            select(contained.c.holder, contained.c.type, contained.c.fid, contained.c.rid)
        )
    }
    assert set(inner) == set(there), "what is contained, and what the index says of it"
    return {there[key]: part for key, part in inner.items()}


def _of_members(engine: Any) -> set[tuple[Any, ...]]:
    """A roster is found by the members in force, though they do not stand in its body."""
    param = engine.params["Group", "member"]
    query = select(res.c.rid, member.c.patient).where(
        res.c.rh == member.c.grp, res.c.view == 0, member.c.to_version == LAST, member.c.change != "dropped"
    )
    return {(param, rid, patient) for rid, patient in engine.database.read().execute(query)}


def _check_trail(engine: Any, memory: Memory) -> None:
    """Chains are sound; each stored version has one event; each answered read is recorded once."""
    count, broken = audit.verify(engine.database, engine.secret)
    assert broken is None, f"chain {broken} is broken after {count} rows"
    events = engine.database.read().execute(select(trail.c.interaction, trail.c.entities, trail.c.request)).all()
    written = [tuple(one[:2]) for kind, entities, _ in events if kind in WRITING for one in json.loads(bytes(entities))]
    assert len(set(written)) == len(written), "a version has two events"
    there = set(stored_versions(engine.database))
    assert not there - set(written), f"versions without an event: {sorted(there - set(written))[:5]}"
    assert not set(written) - there, f"events without a version: {sorted(set(written) - there)[:5]}"
    reads = [request for kind, _, request in events if kind == "read"]
    assert len(set(reads)) == len(reads), "a read was counted twice"
    lost = memory.reads - set(reads)
    assert not lost, f"{len(lost)} answered reads are not in the trail"


def _check_outbox(database: Database) -> None:
    rows = database.read().execute(select(outbox.c.type, outbox.c.fid, outbox.c.ver)).all()
    there = [(f"{type_names()[type_]}/{fid}", ver) for type_, fid, ver in rows]
    assert len(set(there)) == len(there)
    assert set(there) == set(stored_versions(database)), "outbox and versions differ"


def _check_file(database: Database) -> None:
    """SQLite's own look at every page and index.

    SQLite 3.40 reports columns of WITHOUT ROWID tables outside the key as NULL whatever they hold; that is looked up.
    """
    if database.dialect != "sqlite":
        return
    sql = database.read().exec_driver_sql
    wrong = set(sql("PRAGMA integrity_check(1000000)").scalars()) - {"ok"}
    for message in wrong:
        column = re.fullmatch(r"NULL value in (\w+)\.(\w+)", message)
        assert column, message
        nulls = sql(f'SELECT count(*) FROM "{column[1]}" WHERE typeof("{column[2]}") = \'null\'').scalar()
        assert nulls == 0, message


def opened(url: str) -> Any:
    """The database, closed again at the end of the block."""
    return closing(open_database(url))
