"""What becomes of each row of an assignment file, as far as the file and the directory can tell."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import islice
from typing import Any

import xxhash

from fhir_server.ecm import member
from fhir_server.ecm import vocabulary as words
from fhir_server.ecm.directory import Provider, providers_by_npi
from fhir_server.ecm.files import response
from fhir_server.ecm.files.assignment import Assignment, parse_row
from fhir_server.ecm.files.layouts.binding import Bound, Finding
from fhir_server.ecm.files.rows import RowResult
from fhir_server.engine.context import Context

CHUNK = 250

Result = RowResult[Assignment]
Refusal = tuple[str, str, str]  # fact, code, advice


@dataclass
class Reading:
    """What has been read so far: members by the hash of their CIN, providers by NPI.

    `assigned` members have an accepted row; `mentioned` ones a rejected row, which changes nothing for them.
    """

    bound: Bound
    assigned: set[int] = field(default_factory=set)
    mentioned: set[int] = field(default_factory=set)
    providers: dict[str, Provider | None] = field(default_factory=dict)

    def names(self, cin: str) -> bool:
        """Whether the file has a row for this member, good or bad."""
        number = _number(cin)
        return number in self.assigned or number in self.mentioned

    def provider(self, facts: Assignment) -> Provider:
        """The provider of an accepted row."""
        found = self.providers[facts.provider_npi]
        if found is None:
            message = "An accepted row has a provider."
            raise LookupError(message)
        return found


def judged(context: Context, reading: Reading, rows: Iterator[Any]) -> Iterator[list[Result]]:
    """The rows' results in chunks: parsed, the provider registered, the member not named by a row above."""
    bound = reading.bound
    parsed = (parse_row(bound, cells, number) for number, cells in rows)
    while chunk := list(islice(parsed, CHUNK)):
        unknown = {result.facts.provider_npi for result in chunk if result.facts} - reading.providers.keys()
        found = providers_by_npi(context, unknown)
        reading.providers.update({npi: found.get(npi) for npi in unknown})
        yield [_judge(reading, result) for result in chunk]


def _judge(reading: Reading, result: Result) -> Result:
    facts = result.facts
    if facts is not None:
        number = _number(facts.cin)
        if reading.providers[facts.provider_npi] is None:
            advice = "No ECM Provider here has this NPI. Correct it, or have the provider registered first."
            result = refused(reading.bound, result, ("provider_npi", words.UNKNOWN_PROVIDER, advice))
        elif number in reading.assigned:
            advice = "A row above names this member, who has one ECM Provider at a time. Keep one of the rows."
            return refused(reading.bound, result, ("cin", words.DUPLICATE_MEMBER, advice))
        else:
            reading.assigned.add(number)
            return result
    _mention(reading, result)
    return result


def _mention(reading: Reading, result: Result) -> None:
    """A rejected row is about a member nevertheless, who is not absent from the file."""
    bound = reading.bound
    for name, cell in zip(bound.layout.key, result.keys, strict=True):
        if bound.layout.column(name).maps_to == "cin":
            try:
                reading.mentioned.add(_number(member.cin(cell)))
            except member.Unreadable:
                return


def _number(cin: str) -> int:
    return xxhash.xxh3_64_intdigest(cin.encode())


def refused(bound: Bound, result: Result, refusal: Refusal) -> Result:
    """The row, rejected for one more reason."""
    fact, code, advice = refusal
    header = next((column.header for column in bound.layout.columns if column.maps_to == fact), fact)
    return response.with_finding(result, Finding(result.number, header, code, advice, "error"), words.REJECTED)


def settled(bound: Bound, chunk: Sequence[Result], refusals: dict[int, Refusal]) -> list[Result]:
    """The chunk with the rows rejected that could not be stored."""
    if not refusals:
        return list(chunk)
    return [refused(bound, one, refusals[one.number]) if one.number in refusals else one for one in chunk]
