"""What a return file keeps from the plan: no cell, row or column tells a member with hidden records from another."""

import json
from collections.abc import Iterator
from dataclasses import fields
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fhir_server.ecm.files.facts import MemberFacts, OutreachAttempt, ReferralFacts
from fhir_server.ecm.files.returns import withholding
from fhir_server.fhir.folders import data_folder
from tests.ecm.exchange import DAY, MEALS, MONTH, NPI, World, build, encounter, move, organization, read, referral
from tests.ecm.scene import npi
from tests.live import running

pytestmark = pytest.mark.heavy

A, BEE, C = "90000001A", "90000002B", "90000003C"
PART2 = {"security": [{"system": "http://terminology.hl7.org/CodeSystem/v3-ActCode", "code": "42CFRPart2"}]}
KINDS: dict[str, type[Any]] = {
    "return-transmission": MemberFacts, "outreach-tracker": OutreachAttempt, "community-supports-return": ReferralFacts,
}  # fmt: skip
LINES = json.loads((data_folder("profiles") / "ecm" / "part2-returns.json").read_bytes())["lines"]


@pytest.fixture(scope="module")
def world(module_database_url: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """Three members of the clinic."""
    with running(module_database_url, tmp_path_factory.mktemp("server"), hold_drop_percent=100) as live:
        yield build(live)
        live.app.extensions["worker"].stop()


def test_every_fact_of_every_file_stands_in_one_line_with_source_and_review():
    """The table is whole: a fact that is added to a file is withheld until a line names it, and this test says so."""
    for layout, kind in KINDS.items():
        mine = [line for line in LINES if line["file"] == layout]
        named = [fact for line in mine for fact in line.get("facts", ())]
        assert sorted(named) == sorted(field.name for field in fields(kind))
        assert sum(1 for line in mine if line.get("rows")) == 1
    for line in LINES:
        assert line["source"]
        assert line["reviewed"]
        assert line["confidence"] in {"seed", "found", "unverified", "defined"}
        assert line["file"] in KINDS


def test_a_line_that_nobody_reviewed_releases_nothing(tmp_path, monkeypatch):
    """Fail closed: without its mark a line is as if it said no."""
    (tmp_path / "ecm").mkdir()
    unread = [{**line, "reviewed": ""} for line in LINES]
    (tmp_path / "ecm" / "part2-returns.json").write_text(json.dumps({"lines": unread}))
    monkeypatch.setattr(withholding, "data_folder", lambda _: tmp_path)
    withholding.table.cache_clear()
    try:
        assert withholding.table() == {}
    finally:
        withholding.table.cache_clear()


FACTS = st.builds(
    MemberFacts, cin=st.sampled_from([A, BEE]), last_name=st.just("L"), first_name=st.just("F"),
    provider_npi=st.just("1"), in_person=st.sampled_from([None, 0, 1]),
    status=st.sampled_from(["assigned", "outreach"]),
    last_encounter=st.sampled_from([None, "2026-01-01", "2026-01-02"]),
    populations=st.sampled_from([(), ("smh-sud",), ("smh-sud", "birth-equity")]),
)  # fmt: skip


@given(st.lists(st.tuples(FACTS, FACTS), max_size=6))
def test_what_is_told_is_the_plans_own_knowledge_or_blank_for_all(pairs):
    """No cell differs from what the plan can see for itself but in a column that is blank for every member."""
    with withholding.tempfile.TemporaryFile() as spool:
        kind, closed, _ = withholding._spooled(spool, pairs, None)
        told = list(withholding._told(spool, MemberFacts, closed)) if kind else []
    assert len(told) == len(pairs)
    for (whole, own), (said, count) in zip(pairs, told, strict=True):
        for name in (field.name for field in fields(MemberFacts)):
            value = getattr(said, name)
            column = {getattr(one, name) for one, _ in told}
            assert value == getattr(own, name) or column == {None}
            assert value is None or value == getattr(whole, name)  # and nothing untrue is told
        assert count >= len(withholding.differences(whole, own))


def test_a_hidden_encounter_tells_nobody_apart(world: World) -> None:
    """42 CFR Part 2: beside the plan's own export, no cell of one member differs from it where others' do not."""
    for cin, day in ((A, f"{MONTH}-02"), (BEE, f"{MONTH}-02"), (C, f"{MONTH}-01")):
        world.add("clinic", encounter(world, cin, "ecm-service", "in-person", day=day))
    plain = world.operation("clinic", "export-return-file", f"period={MONTH}")
    assert plain.headers["X-Withheld"] == "0"
    world.add("clinic", encounter(world, C, "ecm-service", "in-person", day=DAY, meta=PART2))
    answer = world.operation("clinic", "export-return-file", f"period={MONTH}")
    own = world.rows("plan", f"period={MONTH}")
    closed = {"In Person", "Date of Most Recent Encounter with Member"}
    for told, seen in zip(read(answer.content), own, strict=True):
        assert {name for name in told if told[name] != seen[name]} == closed
        assert {told[name] for name in closed} == {""}
    assert answer.headers["X-Withheld"] == "6"  # both columns of three members


def test_what_a_unit_returns_is_the_table(world: World) -> None:
    """A Part 2 unit's file: a row for each member assigned to it, what the plan knows itself, and nothing it found."""
    number = npi(77)
    unit = world.server.client("program", law_class="part2", rights="update-create", identifiers=[f"{NPI}|{number}"])
    assert unit.put("Organization/program", organization("program", number)).status_code == 201
    for cin, last in (("90000004D", "Adams"), ("90000005E", "Baker")):
        cells = {"CIN": cin, "Last Name": last, "Authorization Number": f"AUTH-{cin}", "Provider NPI": number}
        group = world.assign([A], "delta", **cells)["rosters"][0]["group"]
    world.clients["program"] = unit
    (found,) = unit.get("Patient?family=Adams").json()["entry"]
    world.patients["90000004D"] = found["resource"]["id"]
    before = unit.get(f"{group}/$export-return-file?period={MONTH}")
    assert before.status_code == 200, before.text
    quiet = read(before.content)
    world.add("program", encounter(world, "90000004D", "ecm-service", "in-person"))
    world.add("program", encounter(world, "90000004D", "ecm-outreach", "in-person"))
    answer = unit.get(f"{group}/$export-return-file?period={MONTH}")
    rows = read(answer.content)
    assert rows == quiet
    assert [row["Member Last Name"] for row in rows] == ["Adams", "Baker"]
    told = {name for row in rows for name, value in row.items() if value}
    assert {"Authorization Number", "ECM Provider NPI", "RTF Reporting Period", "Member Acuity Level"} <= told
    assert told.isdisjoint(
        {"Member ECM Status", "In Person", "Member Residential Address", "POF SMH/SUD", "Member POF"}
    )
    assert int(answer.headers["X-Withheld"]) > int(before.headers["X-Withheld"]) > 0
    tracker = unit.get(f"{group}/$export-return-file?period={MONTH}&file=outreach")
    assert read(tracker.content) == []
    assert tracker.headers["X-Withheld"] == "1"


def test_a_hidden_procedure_behind_an_open_referral_is_not_told(world: World) -> None:
    """The days of a service come from Procedures; one that the plan may not see gives it no day."""
    task = move(world.clinic, referral(world, "plan", "clinic", BEE, MEALS), status="accepted")
    about = {"reference": f"Patient/{world.patients[BEE]}"}
    done = world.add(
        "clinic",
        {"resourceType": "Procedure", "status": "completed", "subject": about, "performedDateTime": DAY, "meta": PART2},
    )
    output = [{"type": {"text": "result"}, "valueReference": {"reference": f"Procedure/{done['id']}"}}]
    move(world.clinic, task, status="in-progress", output=output)
    answer = world.operation("clinic", "export-return-file", f"period={MONTH}&file=community-supports")
    (row,) = read(answer.content)
    assert (row["Service Start Date"], row["Service End Date"], answer.headers["X-Withheld"]) == ("", "", "2")
