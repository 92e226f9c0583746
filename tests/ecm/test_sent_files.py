"""Return files as sent and as now known: numbered versions, corrections that say what changed, rights of now."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fhir_server.ecm.files.returns.sending import ADDED, CHANGED, REMOVED, Row, differences
from tests.ecm.exchange import MEALS, MEMBERS, MONTH, World, build, encounter, move, read, referral
from tests.live import running

pytestmark = pytest.mark.heavy

A, BEE, C = MEMBERS
QUERY = f"period={MONTH}"


@pytest.fixture(scope="module")
def world(module_database_url: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    with running(module_database_url, tmp_path_factory.mktemp("sent"), hold_drop_percent=100) as live:
        made = build(live)
        yield made
        live.app.extensions["worker"].stop()


def send(world: World, who: str = "clinic", query: str = QUERY) -> Any:
    """The answer to a file that is sent."""
    return world.clients[who].post(f"Group/{world.group}/$send-return-file?{query}", None)


def told(parameters: dict[str, Any]) -> dict[str, Any]:
    """Parts by name; of those that repeat a list."""
    found: dict[str, Any] = {"column": []}
    for part in parameters.get("parameter", parameters.get("part", [])):
        value = next(value for name, value in part.items() if name.startswith("value"))
        if part["name"] == "column":
            found["column"].append(value)
        else:
            found[part["name"]] = value
    return found


def listed(world: World, who: str, path: str = "") -> list[dict[str, Any]]:
    """The versions that an organization is told of."""
    answer = world.clients[who].get(path or f"Group/{world.group}/$return-files")
    assert answer.status_code == 200, answer.text
    return [told(part) for part in answer.json().get("parameter", [])]


def file(world: World, who: str, **query: Any) -> bytes:
    """A file as it is given to an organization."""
    answer = world.operation(who, "export-return-file", "&".join([QUERY, *(f"{k}={v}" for k, v in query.items())]))
    assert answer.status_code == 200, answer.text
    return bytes(answer.content)


def test_a_correction_is_a_new_version_with_its_own_number(world: World) -> None:
    """R3 1, "Time": as sent, as now known; number, of which file, what changed; listed and fetchable later."""
    first = send(world)
    assert first.status_code == 201, first.text
    one = told(first.json())
    assert (one["number"], one["rows"], one["file"], one["period"]) == (1, 3, "return", MONTH)
    sent = file(world, "clinic", number=1)
    assert sent == file(world, "clinic", **{"as-of": one["as-of"]})
    assert hashlib.sha256(sent).hexdigest() == one["sha256"]
    again = send(world)
    assert (again.status_code, told(again.json())) == (200, one)  # nothing has changed
    world.add("clinic", encounter(world, A, "ecm-service", "in-person"))
    assert file(world, "clinic") != sent == file(world, "clinic", number=1)
    correction = send(world)
    two = told(correction.json())
    assert (correction.status_code, two["number"], two["corrects"]) == (201, 2, 1)
    assert (two["added"], two["removed"], two["changed"]) == (0, 0, 1)
    assert two["column"] == ["Date of Most Recent Encounter with Member", "In Person"]
    (changed,) = read(file(world, "plan", number=2, changes="true"))
    assert (changed["Member Client Index Number (CIN)"], changed["In Person"]) == (A, "1")
    assert (changed["Change"], changed["Changed Columns"].split("; ")) == (
        "changed",
        two["column"],
    )
    assert (
        [entry["number"] for entry in listed(world, "plan")] == [1, 2] == [e["number"] for e in listed(world, "clinic")]
    )
    assert listed(world, "plan")[1] == two
    assert file(world, "plan", number=1) == sent
    answer = world.operation("plan", "export-return-file", f"{QUERY}&number=2&format=xlsx")
    assert (answer.headers["X-File-Number"], answer.headers["X-Corrects"]) == ("2", "1")
    assert "-2.xlsx" in answer.headers["Content-Disposition"]


def test_what_was_sent_is_shown_to_whom_it_may_be_told_now(world: World) -> None:
    """ADR 21: rights are those of now; who left is in the file for the plan alone."""
    send(world)
    number = listed(world, "plan")[-1]["number"]
    before = file(world, "plan", number=number)
    assert before == file(world, "clinic", number=number)
    world.assign([A, C])
    assert file(world, "plan", number=number) == before
    assert BEE.encode() not in file(world, "clinic", number=number)
    assert A.encode() in file(world, "clinic", number=number)
    removed = told(send(world).json())
    assert (removed["removed"], removed["added"]) == (1, 0)
    (gone,) = [
        one for one in read(file(world, "plan", number=removed["number"], changes="true")) if one["Change"] == REMOVED
    ]
    assert gone["Member Client Index Number (CIN)"] == BEE
    assert BEE.encode() not in file(world, "clinic", number=removed["number"], changes="true")


@pytest.mark.parametrize(
    ("who", "query", "status"),
    [
        ("clinic", "number=99", 404), ("clinic", "number=0", 400), ("clinic", "number=x", 400),
        ("clinic", "number=1&as-of=2026-01-01", 400), ("clinic", "number=1&changes=maybe", 400),
        ("clinic", "number=1&changes=true", 422), ("clinic", "changes=true", 400), ("clinic", "provider=x", 400),
        ("rival", "number=1", 404), ("unit", "number=1", 404),
    ],
)  # fmt: skip
def test_what_is_refused(world: World, who: str, query: str, status: int) -> None:
    """Others are not told that something was sent; the words say what to give."""
    send(world)
    assert world.operation(who, "export-return-file", f"{QUERY}&{query}").status_code == status


def test_who_sends_and_who_is_told(world: World) -> None:
    """The provider alone sends; a stranger's roster is absent, and nothing is listed for it."""
    assert send(world, "plan").status_code == 422
    assert send(world, "rival").status_code == 404
    assert send(world, "clinic", "file=return").status_code == 400
    assert world.rival.get(f"Group/{world.group}/$return-files").status_code == 404
    assert listed(world, "rival", "Group/$return-files") == []
    assert listed(world, "clinic", f"Group/$return-files?period={MONTH}&file=outreach") == []
    assert listed(world, "clinic", "Group/$return-files?file=return") == listed(world, "clinic")


def test_a_community_supports_provider_sends_its_file(world: World) -> None:
    """Without a roster: the provider names the plan, the plan the provider."""
    task = referral(world, "plan", "kitchen", A, MEALS)
    at = f"Group/$send-return-file?{QUERY}&file=community-supports&plan=Organization/plan"
    assert told(world.kitchen.post(at, None).json())["rows"] == 1
    move(world.kitchen, task, status="accepted")
    two = told(world.kitchen.post(at, None).json())
    assert (two["number"], two["changed"], two["column"]) == (2, 1, ["Referral Status"]), two
    path = f"Group/$export-return-file?{QUERY}&file=community-supports"
    plan = world.plan.get(f"{path}&provider=Organization/kitchen&number=1")
    kitchen = world.kitchen.get(f"{path}&plan=Organization/plan&number=1")
    assert (plan.status_code, kitchen.status_code) == (200, 200), plan.text
    assert plan.content == kitchen.content
    assert len(read(plan.content)) == 1
    assert world.rival.get(f"{path}&provider=Organization/kitchen&number=1").status_code == 404
    assert [one["number"] for one in listed(world, "kitchen", "Group/$return-files")] == [1, 2]


def test_two_that_are_sent_at_once_get_two_numbers_or_one(world: World) -> None:
    """No number is given twice, and neither sender is told of an error of the server's."""
    send(world)
    before = listed(world, "plan")[-1]["number"]
    world.add("clinic", encounter(world, C, "ecm-service", "in-person"))
    with ThreadPoolExecutor(3) as pool:
        answers = [one.result() for one in [pool.submit(send, world) for _ in range(3)]]
    assert sum(answer.status_code == 201 for answer in answers) == 1
    assert {answer.status_code for answer in answers} <= {200, 201, 409}
    assert [one["number"] for one in listed(world, "plan") if one["file"] == "return"][-1] == before + 1


CELLS = st.dictionaries(st.sampled_from("xy"), st.sampled_from("12"))
ROWS = st.lists(st.builds(lambda key, cells: Row(key, [key], cells), st.sampled_from("abc"), CELLS))


@given(before=ROWS, after=ROWS)
def test_differences_account_for_every_row(before: list[Row], after: list[Row]) -> None:
    """What the later version has is as before, added or changed; what it has not is removed, or became another."""
    found = differences(before, after)
    kinds = [one.kind for one in found]
    assert len(after) - kinds.count(ADDED) == len(before) - kinds.count(REMOVED)
    assert differences(before, before) == []
    for one in found:
        assert one.row in (before if one.kind == REMOVED else after)
        assert bool(one.columns) == (one.kind == CHANGED)
