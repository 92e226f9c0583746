"""What the files in force, in their order, say of the members of some rosters, read from what the store remembers.

Of each member the last word counts: the row in which a file put the member, the same row that it found there already,
or the silence of a full file of the roster.
"""

from __future__ import annotations

from array import array
from bisect import bisect_left
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from fhir_server.ecm.member import number_of
from fhir_server.engine.context import Context
from fhir_server.store import loads, members
from fhir_server.store.loads import Load, Stand
from fhir_server.store.members import LAST, Member

_PAGE = 500
_Order = tuple[int, str, int]
_Word = tuple[_Order, Member | None, set[int]]
_BEFORE: _Order = (0, "", 0)
_PENDING: _Order = (2**62, "", 0)


@dataclass
class _Voice:
    """A file in force: when it came, where it stands, whom it names."""

    load: Load
    versions: dict[int, int] = field(default_factory=dict)  # roster -> the version that the file led to
    covers: set[int] = field(default_factory=set)
    stored: Sequence[int] = ()  # in order, as is the next
    named: Sequence[int] = ()

    @property
    def order(self) -> _Order:
        """When it came in."""
        return self.load.at, self.load.id, 0


class Verdict(NamedTuple):
    """A member whose roster rows do not say what the files in force say: both rows, None for no roster."""

    key: str
    current: Member | None
    wanted: Member | None


class Replay:
    """The files of one organization but one, ready to be asked about members."""

    def __init__(self, context: Context, without: str) -> None:
        self._context = context
        connection, owner = context.connection, context.caller.org_hash
        files = {one.id: one for one in loads.all_of(connection, owner)}
        stands = loads.stands(connection, owner)
        self.rosters = {one.grp: one.grp_fid for one in stands}
        self._source = {(one.grp, one.version): files[one.load] for one in stands if one.published}
        self._voices = _voices(context, files.values(), stands, without)
        self._latest = _latest(stands)
        self._without = without
        self.affected = {one.grp for one in stands if one.load == without}

    def verdicts(self) -> Iterator[Verdict]:
        """The members of the rosters that the left-out file is about for whom something must change."""
        told: set[str] = set()  # who was in several of these rosters is judged once
        for page in self._pages():
            for key, rows in members.history(self._context.connection, self.rosters, page).items():
                if key not in told and (verdict := self._verdict(key, rows)):
                    told.add(key)
                    yield verdict

    def said_of(self, key: str, passed_over: Collection[tuple[str, int]]) -> Member | None:
        """The roster row that the files in force lead to for a member; rows of (Group's id, version) are passed over.

        What is passed over are rows that no file wrote.
        """
        rows = members.history(self._context.connection, self.rosters, [key]).get(key, [])
        return self._wanted(key, [row for row in rows if (self.rosters[row.grp], row.from_version) not in passed_over])

    def mistaken(self) -> dict[int, set[int]]:
        """Roster -> the patients whom the left-out file put there, and none of the files in force."""
        found: dict[int, set[int]] = {}
        for page in self._pages():
            for key, rows in members.history(self._context.connection, self.affected, page).items():
                meant = {said.grp for _, said, _ in self._words(key, rows) if said}
                for row in rows:
                    if row.change != "dropped" and row.grp not in meant and self._is_left_out(row):
                        found.setdefault(row.grp, set()).add(row.patient)
        return found

    def opened(self) -> dict[int, Member]:
        """Patient -> the roster row, for those whom the left-out file put into a roster."""
        found: dict[int, Member] = {}
        for page in self._pages():
            for rows in members.history(self._context.connection, self.affected, page).values():
                found |= {row.patient: row for row in rows if row.change != "dropped" and self._is_left_out(row)}
        return found

    def _pages(self) -> Iterator[list[str]]:
        for group in sorted(self.affected):
            after = ""
            while page := members.ever(self._context.connection, group, after, _PAGE):
                after = page[-1]
                yield page

    def _verdict(self, key: str, rows: Sequence[Member]) -> Verdict | None:
        current = next((row for row in rows if row.to_version == LAST and row.change != "dropped"), None)
        wanted = self._wanted(key, rows)
        if (current and (current.grp, current.row_hash)) == (wanted and (wanted.grp, wanted.row_hash)):
            return None
        return Verdict(key, current, wanted)

    def _wanted(self, key: str, rows: Sequence[Member]) -> Member | None:
        """The row that the files in force lead to: their words put in order, the last one taken."""
        state: Member | None = None
        for _, said, silent in sorted(self._words(key, rows), key=lambda word: word[0]):
            if said or (state and state.grp in silent):
                state = said
        return state

    def _words(self, key: str, rows: Sequence[Member]) -> list[_Word]:
        """What the files in force say of a member: when, the row, the rosters from which their silence takes it."""
        words: list[_Word] = []
        spoken: set[str] = set()
        for row in rows:
            order, source = self._origin(row)
            if order is None:
                continue
            spoken.add(source)
            words.append((order, None, {row.grp}) if row.change == "dropped" else (order, row, set()))
        number = number_of(key)
        for voice in self._voices:
            if voice.load.id not in spoken and _holds(voice.stored, number):
                words += [(voice.order, row, set()) for row in rows if _stood(row, voice.versions)]
            elif not _holds(voice.named, number):
                words.append((voice.order, None, voice.covers))
        return words

    def _origin(self, row: Member) -> tuple[_Order | None, str]:
        """(when the word was spoken, by which file); None for the word of a file that is not in force.

        The rows in which somebody left are the consequence of other words, where a file is known to have written them.
        """
        source = self._source.get((row.grp, row.from_version))
        if source is None:
            pending = row.from_version > self._latest.get(row.grp, 0)
            if pending and not any(one.id == self._without for one in self._source.values()):
                return None, ""
            return (_PENDING if pending else (*_BEFORE[:2], row.from_version)), ""
        if source.id == self._without or source.state != loads.IN_FORCE:
            return None, ""
        if row.change == "dropped" and source.mode != loads.STEP:
            return None, ""
        return (source.at, source.id, 0), source.id

    def _is_left_out(self, row: Member) -> bool:
        source = self._source.get((row.grp, row.from_version))
        return source.id == self._without if source else row.from_version > self._latest.get(row.grp, 0)


def _voices(context: Context, files: Collection[Load], stands: Sequence[Stand], without: str) -> list[_Voice]:
    found = {one.id: _Voice(one) for one in files if one.state == loads.IN_FORCE and one.id != without}
    for stand in stands:
        voice = found.get(stand.load)
        if voice and stand.version:
            voice.versions[stand.grp] = max(stand.version, voice.versions.get(stand.grp, 0))
        if voice and stand.provider_fid and stand.version and voice.load.mode == "full":
            voice.covers.add(stand.grp)
    for voice in found.values():
        stored, others = array("Q"), array("Q")
        for part in loads.named(context.connection, voice.load.id):
            stored.frombytes(part.stored)
            others.frombytes(part.others)
        voice.stored, voice.named = array("Q", sorted(stored)), array("Q", sorted(stored + others))
    return list(found.values())


def _holds(numbers: Sequence[int], number: int) -> bool:
    at = bisect_left(numbers, number)
    return at < len(numbers) and numbers[at] == number


def _latest(stands: Sequence[Stand]) -> dict[int, int]:
    found: dict[int, int] = {}
    for stand in stands:
        found[stand.grp] = max(stand.version, found.get(stand.grp, 0))
    return found


def _stood(row: Member, versions: Mapping[int, int]) -> bool:
    """Whether the row was in force in the version that a file led to."""
    version = versions.get(row.grp)
    return version is not None and row.change != "dropped" and row.from_version <= version < row.to_version
