"""A full file that would drop much of a roster is held: nothing is changed until the plan confirms or withdraws it.

What it would do is told exactly: counts per roster, and a file with each member who would come, go or change.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from fhir_server.ecm import vocabulary as words
from fhir_server.ecm.files.assignments.judging import Chunk, Reading
from fhir_server.ecm.member import number_of
from fhir_server.ecm.rosters import identity
from fhir_server.ecm.rosters.assignment import Assignment, load, row_hash
from fhir_server.engine import repository
from fhir_server.engine.context import Context
from fhir_server.search.include import Hit
from fhir_server.store import loads, members
from fhir_server.store.members import Member

_PAGE: Final = 2000
HEADER: Final = ("Change", "CIN", "Last Name", "First Name", "Date of Birth", "ECM Provider")


@dataclass
class Prospect:
    """What a file would do to one roster. present: members in force; leaving: how many of them would be dropped."""

    provider: str
    group: str
    version: int
    present: int = 0
    leaving: int = 0
    new: int = 0
    changed: int = 0
    unchanged: int = 0

    @property
    def told(self) -> dict[str, Any]:
        """As the job's result says it."""
        share = round(100 * self.leaving / self.present, 1) if self.present else 0
        counts = {"members": self.present, "dropped": self.leaving, "droppedPercent": share}
        references = {"provider": f"Organization/{self.provider}", "group": f"Group/{self.group}"}
        return {**references, **counts, "new": self.new, "changed": self.changed, "unchanged": self.unchanged}


@dataclass
class Preview:
    """What a file would do to the rosters of its plan, member by member."""

    rosters: dict[str, Prospect]
    rows: list[tuple[str, ...]] = field(default_factory=list)
    assigned: dict[str, str] = field(default_factory=dict)  # CIN -> provider id, of the rows that would be stored

    def is_too_much(self, percent: int) -> bool:
        """Whether some roster would lose more than this share of its members."""
        return any(one.leaving * 100 > percent * one.present for one in self.rosters.values())

    @property
    def versions(self) -> dict[str, int]:
        """Group id -> the version that the preview is about."""
        return {one.group: one.version for one in self.rosters.values() if one.group}

    @property
    def told(self) -> dict[str, Any]:
        """As the job's result says it."""
        names = ("new", "changed", "unchanged", "dropped")
        whole = Counter({name: sum(one.told[name] for one in self.rosters.values()) for name in names})
        return {**{name: whole[name] for name in names}, "rosters": [one.told for one in self.rosters.values()]}


def rosters_of(context: Context, providers: Iterable[str]) -> dict[str, Hit]:
    """Provider id -> the roster of the plan's contract with it, for those there are."""
    found, plan = {}, context.caller.org.rpartition("/")[2]
    for provider in sorted({*providers, *loads.rosters(context.connection, context.caller.org_hash)}):
        criteria = [("identifier", f"{words.CONTRACT}|{plan}.{provider}")]
        hits = repository.lookup(context, "Group", criteria)
        if hits and hits[0].owner == context.caller.org_hash:
            found[provider] = hits[0]
    return found


def may_drop_much(context: Context, reading: Reading, present: Mapping[str, Hit], percent: int) -> bool:
    """A quick look that never overlooks a drop: by the rows' CIN and NPI alone."""
    scan = reading.scan
    ids = [found.id if (found := reading.providers.get(npi)) else "" for npi in scan.npis]
    for provider, group in present.items():
        stays = leaves = 0
        for key in _keys(context, group.rh):
            named = scan.named.get(number_of(key))
            gone = provider in ids if named is None else ids[named] not in {"", provider}
            leaves += gone
            stays += not gone
        if leaves * 100 > percent * (leaves + stays):
            return True
    return False


def _keys(context: Context, group: int) -> Iterator[str]:
    after = ""
    while page := members.keys(context.connection, group, after, _PAGE):
        yield from page
        after = page[-1]


def preview(context: Context, reading: Reading, chunks: Iterator[Chunk], present: Mapping[str, Hit]) -> Preview:
    """What the file would do, exactly: its rows judged and compared with the rosters as they are."""
    found = Preview({provider: Prospect(provider, hit.fid, hit.ver) for provider, hit in present.items()})
    for chunk in chunks:
        _compare(context, chunk, present, found)
    covered = {*found.assigned.values()}
    if reading.declared.provider and (whole := reading.providers.get(reading.declared.provider)):
        covered.add(whole.id)
    for provider, group in present.items():
        _leaving(context, reading, found, provider, group, is_covered=provider in covered)
    return found


def _compare(context: Context, chunk: Chunk, present: Mapping[str, Hit], found: Preview) -> None:
    groups = [hit.rh for hit in present.values()]
    standing = members.in_groups(context.connection, groups, [entry.facts.cin for entry in chunk.entries])
    for _, facts, provider in chunk.entries:
        roster = found.rosters.setdefault(provider.id, Prospect(provider.id, "", 0))
        hit = present.get(provider.id)
        change = _change(standing.get((hit.rh, facts.cin)) if hit else None, facts)
        setattr(roster, change, getattr(roster, change) + 1)
        found.assigned[facts.cin] = provider.id
        if change != "unchanged":
            found.rows.append(_row(change, facts, provider.id))


def _change(known: Member | None, facts: Assignment) -> str:
    if known is None or known.change == "dropped":
        return "new"
    return "unchanged" if known.row_hash == row_hash(facts) else "changed"


def _leaving(
    context: Context, reading: Reading, found: Preview, provider: str, group: Hit, *, is_covered: bool
) -> None:
    roster, after = found.rosters[provider], ""
    while page := members.walk(context.connection, group.rh, after, _PAGE):
        after = page[-1].key
        roster.present += len(page)
        absent = {one.key for one in identity.absent(context, reading.scan.names, page)}
        for one in page:
            elsewhere = found.assigned.get(one.key, provider) != provider
            if elsewhere or (is_covered and one.key in absent):
                roster.leaving += 1
                found.rows.append(_row("moved" if elsewhere else "dropped", load(one.row), provider))


def _row(change: str, facts: Assignment, provider: str) -> tuple[str, ...]:
    return change, facts.cin, facts.last_name, facts.first_name, facts.birth_date, f"Organization/{provider}"
