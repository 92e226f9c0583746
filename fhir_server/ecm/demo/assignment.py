"""A plan loads its assignment file, and is told row by row what became of it."""

import json
from collections import Counter

from fhir_server.ecm.client.sending import Imported, rows_of, send
from fhir_server.ecm.demo.stage import PLAN, PROVIDER, Json, Stage, expect

_FIRST_ROW = 2  # below the header
SAMPLE = f"samples/{PLAN}.csv"
RESPONSE = f"samples/{PLAN}.response.csv"


def plan_sends_file(stage: Stage) -> Imported:
    """The file of 500 rows is taken in; every row ends as the sample promises."""
    imported = send(stage.clients[PLAN], stage.world / SAMPLE, "delta")
    (stage.world / RESPONSE).write_bytes(imported.response)
    counts, answers = imported.summary, rows_of(imported)
    stage.tell(f"{counts['rows']} rows: {counts['accepted']} accepted, {counts['warnings']} accepted with warnings, "
               f"{counts['parked']} parked for a decision, {counts['rejected']} rejected. "
               "Good rows are not held up by bad ones.")  # fmt: skip
    _compare(stage, answers)
    stage.made["roster"] = next(r["group"] for r in imported.rosters if r["provider"] == f"Organization/{PROVIDER}")
    return imported


def _compare(stage: Stage, answers: list[dict[str, str]]) -> None:
    expected = json.loads((stage.world / "samples/expected.json").read_text(encoding="utf-8"))[PLAN]
    by_row = dict(enumerate(answers, _FIRST_ROW))
    expect(len(by_row) == len(expected), "the response file has one row per row of the file")
    for row in expected:
        found = by_row[row["row"]]
        expect(found["Outcome"] == row["outcome"], f"row {row['row']} is {row['outcome']}")
        told = set(zip(_columns(found["Message"]), _listed(found["Code"]), strict=True))
        for finding in row["findings"]:
            pair = (finding["column"], finding["code"])
            expect(pair in told, f"row {row['row']} says {finding['code']} for {finding['column']}")
    bad = [row for row in expected if "fault" in row]
    stage.tell(f"The {len(bad)} bad rows ({100 * len(bad) // len(expected)} %) were planted, and each one is found:")
    _examples(stage, bad, by_row)


def _examples(stage: Stage, bad: list[Json], by_row: dict[int, dict[str, str]]) -> None:
    """One rejected row, one that waits and one that lost a field only, with the advice that the plan reads."""
    for outcome in ("rejected", "parked", "accepted-with-warnings"):
        row = next(row for row in bad if row["outcome"] == outcome)
        found = by_row[row["row"]]
        stage.tell(f"  {outcome}: {found['Message']}. {found['Advice']}")


def _columns(message: str) -> list[str]:
    """The columns that a message names: `Row 3: column: what; column: what`."""
    return [part.rpartition(": ")[0] for part in _listed(message.partition(": ")[2])]


def _listed(cell: str) -> list[str]:
    return cell.split("; ") if cell else []


def plan_sends_it_again(stage: Stage) -> None:
    """The same file once more changes nothing."""
    imported = send(stage.clients[PLAN], stage.world / SAMPLE, "delta")
    changes = Counter({name: imported.summary[name] for name in ("new", "changed", "dropped")})
    expect(changes.total() == 0, "the same file again changes nothing")
    expect(all(roster["published"] is None for roster in imported.rosters), "no roster gets a new version")
    stage.tell(f"The same file again: 0 new, 0 changed, {imported.summary['unchanged']} unchanged, no new roster.")
