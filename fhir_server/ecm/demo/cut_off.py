"""A full file arrives cut off: it is held, confirmed by mistake, recalled; then the corrected rows go through alone."""

import csv
from collections.abc import Iterable, Sequence
from itertools import islice
from typing import Any

from fhir_server.ecm import vocabulary as words
from fhir_server.ecm.client.sending import Imported, decide, rows_of, send
from fhir_server.ecm.demo.assignment import RESPONSE, SAMPLE
from fhir_server.ecm.demo.stage import PLAN, PROVIDER, NotAsTold, Stage, expect

CUT_OFF, CORRECTED = "samples/cut-off.csv", "samples/corrected.csv"
_ROWS = 80  # what is left of the clinic's members
_CIN, _NPI = "Member Client Index Number (CIN)", "ECM Provider NPI"
# Code of a finding -> what the plan writes into the column that it names.
_RIGHT = {"bad-date": "05/02/1984", "end-before-start": "12/31/2099"}


def file_is_held_confirmed_and_recalled(stage: Stage) -> None:
    """Held, it changes nothing; confirmed, it does what its preview said; recalled, everything is as before."""
    before, stray = _members(stage), _cut(stage)
    held = _held(stage, before)
    _confirmed(stage, held, before, stray)
    _recalled(stage, held.job, before, stray)


def _held(stage: Stage, before: int) -> Imported:
    held = send(stage.clients[PLAN], stage.world / CUT_OFF, "full")
    expect(held.state == "held", "a full file that would empty a roster is held")
    expect(_members(stage) == before, "a held file changes nothing")
    roster, preview = _roster(held), rows_of(held)
    share = f"{roster['dropped']} of {roster['members']} members would leave ({roster['droppedPercent']} %)"
    stage.tell(f"The clinic's full file was cut off after {_ROWS} rows; the last names a member of another clinic.")
    stage.tell(f"It is HELD, and nothing is changed: {share}.")
    shown = [next(row for row in preview if row["Change"] == change) for change in ("dropped", "new")]
    stage.show(f"The preview names all {len(preview)} who would come, go or change; one of each", _told(shown))
    return held


def _confirmed(stage: Stage, held: Imported, before: int, stray: str) -> None:
    done = _decided(stage, "confirm-file", held.job)
    expect(done.state == "in-force", "a confirmed file is in force")
    roster = _roster(held)
    expect(_members(stage) == before - roster["dropped"] + roster["new"], "what the preview said has happened")
    (shown,) = stage.found(PROVIDER, _by_cin(stray))
    stage.get(PROVIDER, f"Patient/{shown['id']}")
    stage.tell(f"The plan confirms it by mistake ($confirm-file): {roster['dropped']} members leave the roster,")
    stage.tell("and the clinic reads the member who is not its own.")


def _recalled(stage: Stage, job: str, before: int, stray: str) -> None:
    undone = _decided(stage, "recall-file", job)
    expect(undone.state == "recalled", "the file is recalled")
    expect(_members(stage) == before, "every member is back")
    expect(stage.found(PROVIDER, _by_cin(stray)) == [], "the other clinic's member is hidden from this one again")
    readers = [(row["Client"], row["CIN"]) for row in rows_of(undone)]
    expect((PROVIDER, stray) in readers, "the list of readers names the clinic")
    stage.tell(f"$recall-file undoes it in one transaction: the {before} members are back, the stray one is hidden,")
    stage.tell(f"and the plan learns who read whom meanwhile: {PROVIDER}, member {stray}.")


def corrected_rows_go_alone(stage: Stage) -> None:
    """Two rejected rows are corrected where they stand in the response file and sent back without the others."""
    with (stage.world / RESPONSE).open(encoding="utf-8-sig", newline="") as file:
        answered = list(csv.DictReader(file))
    rows = [_corrected(row) for row in answered if row["Code"] in _RIGHT][: len(_RIGHT)]
    _write(stage, CORRECTED, rows)
    before = stage.get(PLAN, "Patient?_total=accurate&_count=1")["total"]
    done = send(stage.clients[PLAN], stage.world / CORRECTED, "correction")
    expect(done.summary["rejected"] == 0, "the corrected rows are right")
    expect((done.summary["new"], done.summary["dropped"]) == (len(rows), 0), "who is not in a correction stays")
    expect(stage.get(PLAN, "Patient?_total=accurate&_count=1")["total"] == before + len(rows), "they are there")
    stage.tell(f"{len(rows)} rejected rows of the first file, corrected in the response file and sent back alone:")
    stage.tell(f"{len(rows)} new members; the {len(answered) - len(rows)} absent rows drop nobody.")


def _decided(stage: Stage, operation: str, job: str) -> Imported:
    done = decide(stage.clients[PLAN], operation, job)
    if done is None:
        raise NotAsTold(f"Not as told: ${operation} is a job")
    return done


def _roster(held: Imported) -> dict[str, Any]:
    """What the file would do to the clinic's roster."""
    return next(one for one in held.rosters if one["provider"] == f"Organization/{PROVIDER}")


def _by_cin(cin: str) -> str:
    return f"Patient?identifier={words.CIN}|{cin}"


def _members(stage: Stage) -> int:
    """How many members the clinic sees."""
    return int(stage.get(PROVIDER, "Patient?_total=accurate&_count=1")["total"])


def _cut(stage: Stage) -> str:
    """Write the file; the CIN of its last row, a member of another clinic: a number was filled down."""
    with (stage.world / SAMPLE).open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    npi = rows[0][_NPI]
    stray = next(row for row in reversed(rows) if row[_NPI] != npi and row[_CIN])
    kept = [*islice((row for row in rows if row[_NPI] == npi), _ROWS - 1), stray | _provider(rows[0])]
    _write(stage, CUT_OFF, kept)
    return str(stray[_CIN])


def _provider(row: dict[str, str]) -> dict[str, str]:
    return {name: cell for name, cell in row.items() if name.startswith("ECM Provider") and "Date" not in name}


def _corrected(row: dict[str, str]) -> dict[str, str]:
    column = row["Message"].partition(": ")[2].rpartition(": ")[0]
    return row | {column: _RIGHT[row["Code"]]}


def _write(stage: Stage, name: str, rows: Sequence[dict[str, str]]) -> None:
    with (stage.world / name).open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)


def _told(rows: Iterable[dict[str, str]]) -> list[dict[str, str]]:
    return [{name: row[name] for name in ("Change", "CIN", "ECM Provider")} for row in rows]
