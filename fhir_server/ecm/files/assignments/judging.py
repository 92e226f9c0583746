"""What becomes of each row of an assignment file, as far as the file and the directory can tell."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice
from typing import Any, NamedTuple

from msgspec.structs import replace

from fhir_server.ecm import ages, member
from fhir_server.ecm import vocabulary as words
from fhir_server.ecm.directory import AMBIGUOUS, Provider, providers_by_npi
from fhir_server.ecm.files import response
from fhir_server.ecm.files.assignments.declaring import Declaration, same
from fhir_server.ecm.files.assignments.folding import Gathered, fold
from fhir_server.ecm.files.assignments.scanning import Scan
from fhir_server.ecm.files.layouts.binding import Bound, Finding
from fhir_server.ecm.files.layouts.rows import RowResult, header_of
from fhir_server.ecm.files.reading import parse_assignment
from fhir_server.ecm.member import number_of
from fhir_server.ecm.rosters.assignment import Assignment
from fhir_server.ecm.rosters.identity import Refusal
from fhir_server.ecm.rosters.newborn_numbers import recognised
from fhir_server.engine.context import Context

CHUNK = 250
_WAITS = frozenset({words.UNKNOWN_PROVIDER, words.AMBIGUOUS_PROVIDER, words.AMBIGUOUS_IDENTITY})

Result = RowResult[Assignment]


class Entry(NamedTuple):
    """A member to be stored: the last of its rows, the assignment that they make together, its provider."""

    number: int
    facts: Assignment
    provider: Provider


class Waiting(NamedTuple):
    """A row that waits for a decision."""

    number: int
    facts: Assignment
    code: str


@dataclass
class Chunk:
    """The results of some rows, what is to be stored of them and what is to be parked."""

    results: list[Result] = field(default_factory=list)
    entries: list[Entry] = field(default_factory=list)
    waiting: list[Waiting] = field(default_factory=list)
    mentioned: list[int] = field(default_factory=list)  # of rows that are not stored: the hash of the CIN

    @property
    def last(self) -> int:
        """The number of its last row."""
        return self.results[-1].number


@dataclass
class Reading:
    """What rows are judged by: what the file declares and names, the plan's codes, the providers found so far.

    open: number of a member's CIN -> its rows so far, while others follow; together: last row -> the other rows of it.
    """

    bound: Bound
    declared: Declaration
    scan: Scan
    today: str
    plan_codes: Collection[str] = ()
    providers: dict[str, Provider | None] = field(default_factory=dict)
    newborns: Collection[str] = ()
    open: dict[int, Gathered] = field(default_factory=dict)
    together: dict[int, tuple[int, ...]] = field(default_factory=dict)

    def learn(self, context: Context, npis: Collection[str]) -> None:
        """Find the providers of these NPIs."""
        unknown = set(npis) - self.providers.keys()
        if unknown:
            found = providers_by_npi(context, unknown)
            self.providers.update({npi: found.get(npi) for npi in unknown})


def judged(context: Context, reading: Reading, rows: Iterator[Any]) -> Iterator[Chunk]:
    """The rows in chunks: parsed, the provider registered, rows of one member made one."""
    bound = reading.bound
    parsed = (parse_assignment(bound, cells, number) for number, cells in rows)
    while results := list(islice(parsed, CHUNK)):
        reading.learn(context, {result.facts.provider_npi for result in results if result.facts})
        chunk = Chunk()
        for result in results:
            _judge(reading, result, chunk)
        yield chunk


def _judge(reading: Reading, result: Result, chunk: Chunk) -> None:
    facts = result.facts
    if facts is None:
        chunk.results.append(result)
        named = _number_in(reading.bound, result)
        if named is not None:
            chunk.mentioned.append(named)
            _count_down(reading, named, chunk)
        return
    result, facts = _of_the_file(reading, result, facts)
    result = _of_age(reading, result, facts)
    number = number_of(facts.cin)
    problem = _problem(reading, facts)
    child = recognised(facts, reading.newborns)
    if child is not facts and not problem:
        chunk.entries.append(Entry(result.number, child, _known(reading, facts)))
    elif number in reading.scan.repeated:
        result = _beside(reading, result, facts, number, problem, chunk)
    elif problem:
        result = _put_off(reading.bound, result, facts, problem, chunk)
    else:
        chunk.entries.append(Entry(result.number, facts, _known(reading, facts)))
    chunk.results.append(result)
    if number in reading.scan.repeated:
        _count_down(reading, number, chunk)


def _of_the_file(reading: Reading, result: Result, facts: Assignment) -> tuple[Result, Assignment]:
    """The row with the date and period of its file, which hold where its own differ."""
    declared = reading.declared
    for fact in ("production_date", "period"):
        own, stated = getattr(facts, fact), getattr(declared, fact)
        if own and stated and own != stated:
            facts = replace(facts, **{fact: stated})
            advice = f"The file says {stated[:20]}, which was taken. Send rows of another date in a file of their own."
            found = _finding(reading.bound, result.number, (fact, words.OTHER_FILE_DATE, advice), "warning")
            result = response.with_finding(result, found, words.ACCEPTED_WITH_WARNINGS)
    return result, facts


def _of_age(reading: Reading, result: Result, facts: Assignment) -> Result:
    """The row with a warning where a Population of Focus is not there for the member's age on the file's day."""
    day = facts.production_date or reading.today
    unfit = [code for code in facts.populations if not ages.exists(code, facts.birth_date, day)]
    if not unfit:
        return result
    advice = f"By age on {day} the member is not in {', '.join(unfit)}. It was kept; the return file leaves it out."
    found = _finding(reading.bound, result.number, ("populations", words.POPULATION_AGE, advice), "warning")
    return response.with_finding(result, found, words.ACCEPTED_WITH_WARNINGS)


def _problem(reading: Reading, facts: Assignment) -> Refusal | None:
    """Why the row opens nothing: its plan, its provider or the provider's tax identifier is not that of a contract."""
    declared, provider = reading.declared, reading.providers[facts.provider_npi]
    if facts.plan_code and reading.plan_codes and not _any_same(facts.plan_code, reading.plan_codes):
        return "plan_code", words.WRONG_PLAN, "Send rows with your own plan codes alone."
    if (
        declared.provider
        and facts.provider_npi != declared.provider
        and provider != reading.providers[declared.provider]
    ):
        advice = "The file was declared to be for another provider. Send this row in a file of its own."
        return "provider_npi", words.WRONG_PROVIDER, advice
    if provider is None:
        advice = "No ECM Provider here has this NPI. The row waits: correct it, or have the provider registered."
        return "provider_npi", words.UNKNOWN_PROVIDER, advice
    if provider is AMBIGUOUS:
        advice = "The row waits until the directory says which of the organizations with this NPI is meant."
        return "provider_npi", words.AMBIGUOUS_PROVIDER, advice
    if facts.provider_tin and provider.tins and facts.provider_tin not in provider.tins:
        return "provider_tin", words.WRONG_TIN, "Check NPI and tax identifier: they are not those of one provider."
    return None


def _any_same(code: str, codes: Collection[str]) -> bool:
    return code in codes or any(same(code, one) for one in codes)


def _known(reading: Reading, facts: Assignment) -> Provider:
    found = reading.providers[facts.provider_npi]
    if found is None:
        message = "An accepted row has a provider."
        raise LookupError(message)
    return found


def _beside(
    reading: Reading, result: Result, facts: Assignment, number: int, problem: Refusal | None, chunk: Chunk
) -> Result:
    """A row of a member who has several: kept until the last of them, unless it cannot stand beside the others."""
    gathered = reading.open.setdefault(number, Gathered(reading.scan.repeated[number]))
    provider = reading.providers[facts.provider_npi]
    problem = problem or (gathered.problem(facts, provider.id) if provider else None)
    if problem or provider is None:
        return _put_off(reading.bound, result, facts, problem or ("", "", ""), chunk)
    for fact in gathered.conflicts(facts):
        advice = "Rows of one member say different things; the last one was taken."
        found = _finding(reading.bound, result.number, (fact, words.CONFLICTING_ROWS, advice), "warning")
        result = response.with_finding(result, found, words.ACCEPTED_WITH_WARNINGS)
    gathered.provider = provider.id
    gathered.parts.append((result.number, facts))
    return result


def _count_down(reading: Reading, number: int, chunk: Chunk) -> None:
    """After the last row that names a member its rows become one assignment."""
    if number not in reading.scan.repeated:
        return
    gathered = reading.open.setdefault(number, Gathered(reading.scan.repeated[number]))
    gathered.left -= 1
    if gathered.left:
        return
    del reading.open[number]
    if gathered.parts:
        *others, (last, facts) = gathered.parts
        reading.together[last] = tuple(row for row, _ in others)
        whole = fold([part for _, part in gathered.parts], reading.today)
        chunk.entries.append(Entry(last, whole, _known(reading, facts)))


def _put_off(bound: Bound, result: Result, facts: Assignment, problem: Refusal, chunk: Chunk) -> Result:
    """The row parked if somebody can decide what is meant, else rejected."""
    found = _finding(bound, result.number, problem, "error")
    chunk.mentioned.append(number_of(facts.cin))
    if problem[1] not in _WAITS:
        return response.with_finding(result, found, words.REJECTED)
    chunk.waiting.append(Waiting(result.number, facts, problem[1]))
    return response.with_finding(result, found, words.PARKED)


def _number_in(bound: Bound, result: Result) -> int | None:
    """The member whom a rejected row is about, if its CIN can be read."""
    at = bound.place("cin")
    try:
        return number_of(member.cin(result.cells[at].strip())) if at < len(result.cells) else None
    except member.Unreadable:
        return None


def _finding(bound: Bound, row: int, problem: Refusal, severity: str) -> Finding:
    fact, code, advice = problem
    return Finding(row, header_of(bound, fact), code, advice, severity)


def settled(bound: Bound, results: Sequence[Result], refusals: Mapping[int, Refusal]) -> list[Result]:
    """The results with the rows put off that could not be stored."""
    if not refusals:
        return list(results)
    return [_refused(bound, one, refusals[one.number]) if one.number in refusals else one for one in results]


def _refused(bound: Bound, result: Result, refusal: Refusal) -> Result:
    if refusal[1] == words.DECEASED:
        found = _finding(bound, result.number, refusal, "warning")
        return response.with_finding(result, found, words.ACCEPTED_WITH_WARNINGS)
    outcome = words.PARKED if refusal[1] in _WAITS else words.REJECTED
    return response.with_finding(result, _finding(bound, result.number, refusal, "error"), outcome)
