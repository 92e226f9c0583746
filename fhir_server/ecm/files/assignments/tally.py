"""What became of the rows of an assignment file so far; it is kept in the job's cursor."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from fhir_server.ecm import vocabulary as words
from fhir_server.ecm.files.layouts.rows import Outcomes, RowResult
from fhir_server.ecm.rosters.identity import Refusal
from fhir_server.ecm.rosters.known import Enrolment


@dataclass
class Tally(Outcomes):
    """Counts by outcome and by change.

    rosters: provider id -> Group id; touched: Groups to publish; refused: "fact|code|advice" -> row numbers.
    """

    parked: int = 0
    new: int = 0
    changed: int = 0
    unchanged: int = 0
    dropped: int = 0
    rosters: dict[str, str] = field(default_factory=dict)
    touched: list[str] = field(default_factory=list)
    refused: dict[str, list[int]] = field(default_factory=dict)

    def copy(self) -> Tally:
        """One that can be changed while this one stays, because a transaction may be run again."""
        refused = {reason: list(rows) for reason, rows in self.refused.items()}
        return Tally(**{**vars(self), "rosters": dict(self.rosters), "touched": list(self.touched), "refused": refused})

    def count(self, results: Sequence[RowResult[Any]]) -> None:
        """Count rows by their outcome, parked ones too."""
        super().count(results)
        self.parked += sum(one.outcome == words.PARKED for one in results)

    def add(self, enrolment: Enrolment, together: Mapping[int, Sequence[int]]) -> dict[int, Refusal]:
        """Count what a chunk changed; the rows refused, with those that were one with them."""
        self.new += enrolment.new
        self.changed += enrolment.changed
        self.unchanged += enrolment.unchanged
        self.dropped += enrolment.moved
        self.rosters |= enrolment.rosters
        self.touch(enrolment.touched)
        refused = {row: why for last, why in enrolment.refused.items() for row in (last, *together.get(last, ()))}
        for row, why in (*refused.items(), *enrolment.noted.items()):
            self.refused.setdefault("|".join(why), []).append(row)
        return refused

    def touch(self, groups: set[str]) -> None:
        """Remember Groups whose members changed."""
        self.touched = sorted({*self.touched, *groups})

    @property
    def refusals(self) -> dict[int, Refusal]:
        """Row number -> why the server could not store the row."""
        found: dict[int, Refusal] = {}
        for reason, rows in self.refused.items():
            fact, code, advice = reason.split("|", 2)
            found.update(dict.fromkeys(rows, (fact, code, advice)))
        return found

    @property
    def summary(self) -> dict[str, int]:
        """The numbers alone."""
        return {name: value for name, value in vars(self).items() if isinstance(value, int)}
