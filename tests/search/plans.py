"""How many rows a search touches, read off the plans that both databases really ran.

What PostgreSQL calls a sequential scan is switched off in our sessions, so a search without an index would walk one
from end to end: rows touched tell, names of nodes do not.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import pytest

from fhir_server.access.caller import Caller
from fhir_server.access.predicate import Visible
from fhir_server.access.scopes import parse as parse_scopes
from fhir_server.fhir.definitions import type_number
from fhir_server.search.extract import IndexRows, inside
from fhir_server.search.run import Page
from fhir_server.store import statements
from fhir_server.store.hashing import rh
from fhir_server.store.rows import Batch
from fhir_server.store.tables import contained, res
from fhir_server.store.tables.full_text import words
from tests.search.stored import LISTS, World

PLAN, PROVIDER = "Organization/plan", "Organization/provider"
NOW = 1_800_000_000_000
SCANS = {"Index Scan", "Index Only Scan", "Seq Scan", "Bitmap Heap Scan", "Bitmap Index Scan", "Function Scan"}


class Most(NamedTuple):
    """Rows that PostgreSQL may touch, and steps that SQLite may take."""

    rows: int
    steps: int


MOST = Most(12_000, 600_000)  # of a selective search, whatever the size of the store


def add(batch: Batch, extract: Any, rid: int, resource: dict[str, Any], patient: str) -> None:
    kind, fid = resource["resourceType"], resource["id"]
    body = str(resource).encode()
    batch.add(
        res, 1, 0, rid, type_number(kind), fid, 0, rh(f"{kind}/{fid}"), 1, NOW - rid, False, rh(PLAN), rh(patient), 0,
        1, 0, body,
    )  # fmt: skip
    index(batch, rid, extract.rows(kind, resource))
    for inner in resource.get("contained", ()):  # one at most: its row has the odd number
        batch.add(contained, 1, 0, rid + 1, type_number(inner["resourceType"]), inner["id"], rid, 1)
        index(batch, rid + 1, inside(extract.rows(inner["resourceType"], inner)))


def index(batch: Batch, rid: int, found: IndexRows) -> None:
    for name, table in LISTS.items():
        batch.extend(table, [(1, 0, values[0], rid, *values[1:]) for values in getattr(found, name)])
    batch.extend(words, [(rid, 1, 0, *texts) for texts in found.words])


def view(organization: str) -> Visible:
    return Visible(Caller("c", organization, rh(organization), "covered", parse_scopes("system/*.rs"), "TREAT"), NOW)


def searched(world: World, organization: str, kind: str, text: str, within: str = "") -> Page:
    pairs = [tuple(pair.split("=", 1)) for pair in text.split("&") if pair]
    query = world.searcher.parse(kind, pairs, within=within)
    return world.searcher.search(world.database.read(), query, view(organization), identity="x", now_ms=NOW)


def touched(world: World, act: Callable[[], Any], most: Most = MOST) -> int:
    """Rows touched (PostgreSQL) or steps of the virtual machine (SQLite) of all statements; fails beyond the bound."""
    if world.database.dialect == "sqlite":
        steps = [0]
        act()  # compiles the statements
        driver = world.database.read().connection.driver_connection
        driver.set_progress_handler(lambda: steps.__setitem__(0, steps[0] + 1), 100)
        try:
            act()
        finally:
            driver.set_progress_handler(None, 0)
        assert steps[0] * 100 <= most.steps
        return 1 + steps[0] * 100
    plans: list[Any] = []
    original = statements.run

    def explain(connection: Any, sql: str, values: Any) -> Any:
        plans.append((sql, original(connection, f"EXPLAIN (ANALYZE, FORMAT JSON, TIMING OFF) {sql}", values)[0][0]))
        return original(connection, sql, values)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(statements, "run", explain)
        act()
    for sql, plan in plans:
        rows, nodes = of(plan[0]["Plan"], 1)
        assert "Seq Scan" not in nodes, sql
        assert rows <= most.rows, (rows, sql)
    return len(plans)


def of(node: dict[str, Any], loops: float) -> tuple[float, set[str]]:
    """The rows that the scans of a plan read, and the kinds of its nodes."""
    own = 0.0
    if node["Node Type"] in SCANS:
        removed = node.get("Rows Removed by Filter", 0) + node.get("Rows Removed by Index Recheck", 0)
        own = (node["Actual Rows"] + removed) * node["Actual Loops"]
    rows, nodes = own, {node["Node Type"]}
    for child in node.get("Plans", ()):
        more, kinds = of(child, loops)
        rows, nodes = rows + more, nodes | kinds
    return rows, nodes
