"""The return files come out, rendered from the same record that the referrals and care plans are."""

import csv
import io
from collections.abc import Mapping, Sequence

import requests

from fhir_server.ecm import vocabulary as words
from fhir_server.ecm.client.outcomes import require
from fhir_server.ecm.demo.stage import MEALS, PLAN, PROVIDER, Json, Stage, expect

_CIN = "Member Client Index Number (CIN)"
_STATUS, _CLOSURE = "Referral Status", "Reason for Referral Loop Closure"
_RETURN = (
    _CIN,
    "Member ECM Status",
    "Date of Latest Care Plan Revision",
    "ECM Lead Care Manager Name",
    _STATUS,
    _CLOSURE,
)
_OUTREACH = (_CIN, "Date of Outreach Attempt", "Outreach Attempt Method", "Outreach Attempt Successful",
             "Time Spent Performing Outreach")  # fmt: skip
_SUPPORTS = ("Member Last Name", "Member First Name", "Community Support", "Authorization Number", _STATUS, _CLOSURE)


def provider_returns_members(stage: Stage) -> None:
    """The Return Transmission File: one row per member, the enrolled one with its care plan and closed loop."""
    rows, again = _file(stage, PROVIDER, f"{stage.made['roster']}/$export-return-file", "return")
    expect(again, "the return file of a past state is the same, byte for byte")
    members = stage.get(PROVIDER, "Patient?_total=accurate&_count=1")["total"]
    expect(len(rows) == members, "the return file has one row per member")
    cin = _cin(stage)
    mine = next(row for row in rows if row[_CIN] == cin)
    others = [row for row in rows if row[_CIN] != cin]
    expect(mine[_STATUS] != "" and mine[_CLOSURE] != "", "the enrolled member's row tells that the loop is closed")
    title = f"Return Transmission File: {len(rows)} rows, one per member; the enrolled member and the next two"
    stage.show(title, _shown(_RETURN, [mine, *others[:2]]))


def provider_returns_outreach(stage: Stage) -> None:
    """The Outreach Tracker: one row per attempt."""
    rows, _ = _file(stage, PROVIDER, f"{stage.made['roster']}/$export-return-file", "outreach")
    expect(len(rows) == 2, "the outreach file has one row per attempt")  # noqa: PLR2004 - the story's two attempts
    stage.show("Outreach Tracker File: one row per attempt", _shown(_OUTREACH, rows))


def meals_return_supports(stage: Stage) -> None:
    """The Community Supports provider's own return file: one row per referral."""
    where = f"Group/$export-return-file?plan=Organization/{PLAN}"
    rows, _ = _file(stage, MEALS, where, "community-supports")
    expect(len(rows) == 1, "the meal provider's file has one row per referral of the plan")
    expect(rows[0][_CIN] == "", "the meal provider cannot tell a CIN that it was never shown")
    stage.show("Community Supports return file of the meal provider: one row per referral", _shown(_SUPPORTS, rows))


def _file(stage: Stage, who: str, where: str, file: str) -> tuple[list[dict[str, str]], bool]:
    """(the rows of this month's file, whether asking for the same state again gives the same bytes)."""
    query = {"period": f"{stage.today:%Y-%m}", "file": file, "format": "csv"}
    service, csv_only = stage.clients[who], {"Accept": "text/csv"}
    answer = require(service.get(where, params=query, headers=csv_only), requests.codes.ok)
    past = {**query, "as-of": answer.headers["X-As-Of"]}
    again = require(service.get(where, params=past, headers=csv_only), requests.codes.ok)
    return list(csv.DictReader(io.StringIO(answer.content.decode("utf-8-sig")))), again.content == answer.content


def _cin(stage: Stage) -> str:
    member = stage.get(PROVIDER, stage.made["first"])
    return next(str(one["value"]) for one in member["identifier"] if one["system"] == words.CIN)


def _shown(names: Sequence[str], rows: Sequence[Mapping[str, str]]) -> list[Json]:
    return [{name: row[name] for name in names} for row in rows]
