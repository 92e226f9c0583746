"""Rows that real writes left in the database, taken out and given new identities, to be written again by bare SQL."""

import random
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from sqlalchemy import Connection, Table, select

from fhir_server.engine import index_rows
from fhir_server.store import tables
from fhir_server.store.ids import Ids, part_of

Rows = dict[Table, list[tuple[Any, ...]]]

INDEX = tuple(index_rows.LISTS)
_BY_RID = (tables.res, *INDEX, tables.keys, tables.outbox)
_HASHES = {"rh", "patient", "tgt", "source", "target", "consent"}
_SOME = 500
NODE = 1000  # of the process that writes again what a server wrote


def written_after(connection: Connection, rid: int, at_us: int) -> Rows:
    """All rows of resources created after this row number, with what was written beside them."""
    found: Rows = {table: _fetch(connection, table, table.c.rid > rid) for table in _BY_RID}
    hashes = {row[tables.res.c.keys().index("rh")] for row in found[tables.res]}
    for table, column in (
        (tables.rel, "source"), (tables.rel, "patient"), (tables.access, "patient"), (tables.share, "source"),
        (tables.member, "patient"),
    ):  # fmt: skip
        rows = found.setdefault(table, [])
        rows += set(_in(connection, table, column, hashes)) - set(rows)
        if table is tables.rel:
            hashes |= {row[_places(table)["patient"]] for row in rows}  # whose access was computed anew
    found[tables.audit] = _fetch(connection, tables.audit, tables.audit.c.at >= at_us)
    return {table: rows for table, rows in found.items() if rows}


def _fetch(connection: Connection, table: Table, condition: Any) -> list[tuple[Any, ...]]:
    return [tuple(row) for row in connection.execute(select(table).where(condition))]


def _in(connection: Connection, table: Table, column: str, values: Iterable[Any]) -> list[tuple[Any, ...]]:
    wanted, found = sorted(values), []
    for start in range(0, len(wanted), _SOME):
        found += _fetch(connection, table, table.c[column].in_(wanted[start : start + _SOME]))
    return found


def newest(connection: Connection) -> int:
    """The highest row number."""
    return int(connection.execute(select(tables.res.c.rid).order_by(tables.res.c.rid.desc()).limit(1)).scalar() or 0)


class Renewal:
    """New identities for captured rows, again and again: row numbers, ids, hashes, keys and places in the audit."""

    def __init__(self, rows: Rows, ids: Ids, spread: random.Random) -> None:
        self._rows, self._ids, self._random = rows, ids, spread
        self._chain, self._seq = self._random.getrandbits(62), 0
        self._olds = [row[: len(tables.res.c)] for row in rows.get(tables.res, [])]

    def next(self) -> Rows:
        """The rows once more, none of which is in the database."""
        names = _places(tables.res)
        rids: dict[int, int] = {}
        fids: dict[str, str] = {}
        hashes: dict[int, int] = {}
        for row in self._olds:
            base = row[names["rid"]] // 2 * 2
            if base not in rids:
                rids[base] = self._ids.rid()
            rids[row[names["rid"]]] = rids[base] + row[names["rid"]] % 2
            fids.setdefault(row[names["fid"]], self._ids.fid(part_of(row[names["fid"]])))
            hashes.setdefault(row[names["rh"]], self._hash())
        suffix = f"{self._random.getrandbits(40):010x}"
        return {table: [self._renewed(table, row, rids, fids, hashes, suffix) for row in rows]
                for table, rows in self._rows.items()}  # fmt: skip

    def _hash(self) -> int:
        return self._random.getrandbits(63) - (1 << 62)

    def _renewed(
        self,
        table: Table,
        row: Sequence[Any],
        rids: Mapping[int, int],
        fids: Mapping[str, str],
        hashes: dict[int, int],
        suffix: str,
    ) -> tuple[Any, ...]:
        new = dict(zip(table.c.keys(), row, strict=True))
        if table is tables.audit:
            self._seq += 1
            return tuple({**new, "chain": self._chain, "seq": self._seq}.values())
        if table is tables.access and new["patient"] not in hashes:
            hashes[new["patient"]] = self._hash()
        for name, value in new.items():
            if name in {"owner", "org"} or (name == "giver" and value):
                new[name] = hashes.setdefault(value, self._hash())  # so that no client sees these rows
            elif name == "rid":
                new[name] = rids[value]
            elif name == "key":
                new[name] = value + suffix
            elif name in _HASHES:
                new[name] = hashes.get(value, value)
            elif isinstance(value, str):
                new[name] = fids.get(value, value)
        return tuple(new.values())


def _places(table: Table) -> dict[str, int]:
    return {name: place for place, name in enumerate(table.c.keys())}


def split(rows: Rows, size: int) -> Iterator[Rows]:
    """Rows in groups of about `size` patients, for baselines that commit more than once."""
    by_patient: dict[Any, Rows] = {}
    rid_patient = {row[2]: row[_places(tables.res)["patient"]] for row in rows.get(tables.res, [])}
    for table, each in rows.items():
        names = _places(table)
        for row in each:
            patient = rid_patient.get(row[names["rid"]]) if "rid" in names else row[names["patient"]] \
                if "patient" in names else None  # fmt: skip
            by_patient.setdefault(patient, {}).setdefault(table, []).append(row)
    pending: Rows = {}
    for number, part in enumerate(by_patient.values(), 1):
        for table, each in part.items():
            pending.setdefault(table, []).extend(each)
        if number % size == 0:
            yield pending
            pending = {}
    if pending:
        yield pending
