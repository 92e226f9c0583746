"""What a return file keeps from the plan, so that no cell tells a member with hidden records from any other.

What a hidden record would change is not told. Where the plan's own view has nothing there, the cell is as blank as that
of any member without such records. Where its view has another value, neither that nor a blank is told for the one
member: the column is blank for all members of the file. What a Part 2 unit returns at all without the member's consent
is a reviewed table (profiles/ecm/part2-returns.json); the rest is blank in every row. 42 CFR 2.13, ADR 21.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, fields, replace
from functools import cache
from typing import IO, Any, Final

import orjson

from fhir_server.ecm.files.returns.gathering import Report
from fhir_server.engine.law_classes import law_classes
from fhir_server.fhir.folders import data_folder

Pair = tuple[Any, Any]  # the facts of a row with everything, and with what the plan may see; None: no row for the plan
_UNIT: Final = "part2"  # the law class of a client


@dataclass(frozen=True)
class Release:
    """What a Part 2 unit returns of one file without consent."""

    rows: bool = False
    facts: frozenset[str] = frozenset()


@cache
def table() -> Mapping[str, Release]:
    """The releases by layout: the lines of the table that release something and carry the mark of a review."""
    read = orjson.loads((data_folder("profiles") / "ecm" / "part2-returns.json").read_bytes())
    found: dict[str, Release] = {}
    for line in read["lines"]:
        if line["returns"] and line.get("reviewed"):
            before = found.get(line["file"], Release())
            facts = before.facts.union(line.get("facts", ()))
            found[line["file"]] = Release(before.rows or line.get("rows", False), facts)
    return found


def released(report: Report, layout: str, pairs: Iterable[Pair]) -> Iterator[tuple[Any | None, int]]:
    """(the facts to tell, how many values are withheld from them), or (None, 1) for a row that is withheld as a whole.

    To the plan itself its own view is told, and nothing is counted.
    """
    if report.receiver is None:
        yield from ((told, 0) for _, told in pairs if told is not None)
        return
    unit = table().get(layout, Release()) if _is_unit(report) else None
    with tempfile.TemporaryFile() as spool:
        kind, closed, rows_withheld = _spooled(spool, pairs, unit)
        yield from ((None, 1) for _ in range(rows_withheld))
        if kind is not None:
            yield from _told(spool, kind, closed)


def _is_unit(report: Report) -> bool:
    caller = report.context.caller
    return _UNIT in (caller.law_class, law_classes(report.context.connection).get(caller.org_hash))


def _spooled(spool: IO[bytes], pairs: Iterable[Pair], unit: Release | None) -> tuple[type[Any] | None, set[str], int]:
    """Lay the rows down; (their kind, the columns that are blank for all members, the number of rows withheld)."""
    kind, closed, withheld = None, set[str](), 0
    for whole, told in pairs:
        if told is None or (unit and not unit.rows):
            withheld += 1
            continue
        if kind is None:
            kind = type(told)
            closed |= {field.name for field in fields(kind)} - unit.facts if unit else set()
        differing = differences(whole, told)
        closed |= {name for name in differing if getattr(told, name) is not None}
        spool.write(orjson.dumps([told, differing]) + b"\n")
    return kind, closed, withheld


def differences(whole: Any, told: Any) -> list[str]:
    """The names of the facts that hidden records change."""
    if whole is told:
        return []
    return [field.name for field in fields(told) if getattr(whole, field.name) != getattr(told, field.name)]


def _told(spool: IO[bytes], kind: type[Any], closed: set[str]) -> Iterator[tuple[Any, int]]:
    spool.seek(0)
    for line in spool:
        said, differing = orjson.loads(line)
        facts = kind(**{name: tuple(value) if isinstance(value, list) else value for name, value in said.items()})
        kept_back = {name for name in closed if getattr(facts, name) is not None}.union(differing)
        blank: dict[str, Any] = dict.fromkeys(closed)
        yield replace(facts, **blank) if blank else facts, len(kept_back)
