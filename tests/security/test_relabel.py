"""Labels of what is stored follow the code lists when these change ($relabel), and access follows with them."""

import json
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from fhir_server.access.classes import HIV, SENS, SUD2
from fhir_server.cli import app
from fhir_server.jobs import relabel
from fhir_server.jobs.worker import Worker
from tests.live import Client, running
from tests.security.conftest import Exchange, joined
from tests.security.world import (
    Json,
    attempt,
    care_team,
    changed,
    condition,
    deny,
    listed,
    made,
    name_of,
    organization,
    patient,
    request,
    sees,
    task,
    to,
)  # fmt: skip

pytestmark = pytest.mark.heavy

CODES = "urn:codes"
KNOWN = {"intimate": SENS, "illness": HIV, "drug": SUD2}


class Killed(BaseException):
    """What ends a worker at once."""


@pytest.fixture
def exchange(database_url: str, tmp_path: Path) -> Iterator[Exchange]:
    """An exchange whose worker works when it is told to."""
    with running(database_url, tmp_path / "server", embedded_worker=False) as server:
        classes = {"plan": "covered", "clinic": "covered", "pantry": "non-hipaa", "stranger": "covered"}
        yield Exchange(server, *[joined(server, name, law) for name, law in classes.items()])


def coded(code: str) -> Json:
    return {"coding": [{"system": CODES, "code": code}]}


def list_codes(exchange: Exchange) -> None:
    """A new release of the code lists is installed."""
    exchange.server.engine.hooks.membership = lambda system, code: KNOWN.get(code, 0) if system == CODES else 0


def operator_of(exchange: Exchange) -> Client:
    """A client of the operator, a new one each time."""
    number = exchange.rows("SELECT count(*) FROM client")[0][0]
    return exchange.server.client(f"registrar-{number}", organization="Organization/registrar", law_class="operator")


def relabelled(exchange: Exchange) -> Json:
    operator = operator_of(exchange)
    kicked_off = operator.post("$relabel", {"resourceType": "Parameters"})
    assert kicked_off.status_code == 202, kicked_off.text
    assert Worker(exchange.server.engine).work_once()
    done = operator.get(kicked_off.headers["Content-Location"])
    assert done.status_code == 200, done.text
    return dict(done.json())


def test_a_new_list_hides_what_is_stored(exchange: Exchange) -> None:
    """R17: current versions, those whose past holds the code, contact views, deleted ones, and what speaks of them."""
    plan, clinic, pantry = exchange.plan, exchange.clinic, exchange.pantry
    person = patient(plan, communication=[{"language": coded("illness")}])
    care_team(plan, person, clinic)
    hidden = condition(plan, person, code=coded("intimate"))
    past = condition(plan, person, code=coded("intimate"))
    past = changed(plan, past, code={"text": "Asthma"})
    plain, listed_one = condition(plan, person, code=coded("other")), condition(plan, person, code=coded("illness"))
    gone = condition(plan, person, code=coded("intimate"))
    assert plan.delete(name_of(gone)).status_code == 204
    agent = {"agent": [{"who": organization(plan)}], "recorded": "2026-01-15T00:00:00Z"}
    about = made(plan, {"resourceType": "Provenance", "target": [to(hidden), to(person)], **agent})
    task(plan, person, request(plan, person), owner=organization(pantry), input=listed(listed_one, plain))
    assert all(sees(clinic, one) for one in (hidden, past, plain, listed_one, about))
    assert clinic.get(name_of(gone)).status_code == 410
    assert sees(pantry, person)
    list_codes(exchange)
    assert exchange.stranger.post("$relabel", {"resourceType": "Parameters"}).status_code == 403
    before = {name_of(one): plan.get(name_of(one)).content for one in (hidden, past, plain)}
    done = relabelled(exchange)
    assert done["labelled"] == 5, done
    assert [sees(clinic, one) for one in (hidden, past, about)] == [False] * 3
    assert clinic.get(f"{name_of(past)}/_history/1").status_code == 404
    assert clinic.get(name_of(gone)).status_code == 404
    assert sees(clinic, plain)
    assert sees(clinic, listed_one)
    assert [sees(pantry, one) for one in (listed_one, person, plain)] == [False, False, True]
    assert {name: plan.get(name).content for name in before} == before
    assert relabelled(exchange)["labelled"] == 0


def test_a_label_given_by_hand_stays(exchange: Exchange) -> None:
    """R12: a code that is taken from a list, and a class that nothing calls for any more, lower nothing."""
    plan, clinic = exchange.plan, exchange.clinic
    person = patient(plan)
    care_team(plan, person, clinic)
    by_hand = {"system": "http://terminology.hl7.org/CodeSystem/v3-ActCode", "code": "SEX"}
    given = condition(plan, person, meta={"security": [by_hand]})
    was_listed = condition(plan, person, code={"coding": [{"system": "http://hl7.org/fhir/sid/icd-10-cm",
                                                            "code": "Z30.012"}]})  # fmt: skip
    list_codes(exchange)
    assert relabelled(exchange)["labelled"] == 0
    assert not sees(clinic, given)
    assert not sees(clinic, was_listed)


def test_the_command_line_watches_the_job(exchange: Exchange, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """`ecm-fhir stored relabel` asks a running server, and says what came of it; to others than the operator, no."""
    condition(exchange.plan, patient(exchange.plan), code=coded("intimate"))
    list_codes(exchange)
    monkeypatch.setenv("ECM_FHIR_BASE_URL", exchange.server.base)
    worker = Worker(exchange.server.engine)
    worker.start()
    told = []
    for client in (operator_of(exchange), exchange.plan):
        key = tmp_path / f"{client.id}.json"
        key.write_text(json.dumps(client.key))
        told.append(CliRunner().invoke(app, ["stored", "relabel", "--client", client.id, "--key", str(key)]))
    worker.stop()
    assert '"labelled": 1' in told[0].output
    assert (told[0].exit_code, told[1].exit_code) == (0, 1)
    assert "Only the operator" in str(told[1].exception)


def test_a_denial_follows_a_list_and_is_never_narrowed(exchange: Exchange) -> None:
    """R6, R17: directives and access rows change with the labels; what a denial has shut stays shut."""
    plan, clinic, stranger = exchange.plan, exchange.clinic, exchange.stranger
    person, other = patient(plan), patient(plan, "Other")
    for one in (person, other):
        care_team(plan, one, clinic, stranger)
    exchange.server.engine.hooks.membership = lambda _system, code: HIV if code in {"illness", "wide"} else 0
    ill, plain = condition(plan, person, code=coded("illness")), condition(plan, other)
    deny(plan, person, clinic, code=[coded("wide")])
    deny(plan, other, clinic, code=[coded("unheard")])  # understood by nobody: it shuts everything
    assert (sees(clinic, ill), sees(clinic, plain), sees(stranger, ill)) == (False, False, True)
    lists = {"illness": HIV, "wide": HIV | SENS, "unheard": SENS}
    intimate = condition(plan, person, code=coded("later"))
    assert sees(clinic, intimate)
    exchange.server.engine.hooks.membership = lambda _system, code: lists.get(code, 0)
    relabelled(exchange)
    assert (sees(clinic, ill), sees(clinic, plain), sees(stranger, ill)) == (False, False, True)
    [mask] = exchange.rows("SELECT DISTINCT classes FROM directive WHERE classes > 0")
    assert mask[0] == HIV | SENS


def test_a_job_that_is_killed_goes_on(exchange: Exchange, monkeypatch: pytest.MonkeyPatch) -> None:
    """P11: after the death of its worker the job goes on behind the last stored chunk, and nothing is left out."""
    plan, clinic = exchange.plan, exchange.clinic
    person = patient(plan)
    care_team(plan, person, clinic)
    entries: list[Any] = [
        {"resource": {"resourceType": "Condition", "subject": to(person), "code": coded("intimate")},
         "request": {"method": "POST", "url": "Condition"}} for _ in range(250)
    ]  # fmt: skip
    assert plan.post("", {"resourceType": "Bundle", "type": "transaction", "entry": entries}).status_code == 200
    assert clinic.get("Condition?_summary=count").json()["total"] == 250
    list_codes(exchange)
    look = relabel.relabelling.look

    def dying(context: Any, place: Any) -> Any:
        if exchange.rows("SELECT count(*) FROM res WHERE labels > 0")[0][0]:
            raise Killed
        return look(context, place)

    monkeypatch.setattr(relabel.relabelling, "look", dying)
    operator = operator_of(exchange)
    place = operator.post("$relabel", {"resourceType": "Parameters"}).headers["Content-Location"]
    with pytest.raises(Killed):
        Worker(exchange.server.engine).work_once()
    assert operator.get(place).headers["X-Progress"].startswith("100 of ")
    assert clinic.get("Condition?_summary=count").json()["total"] == 150
    monkeypatch.setattr(relabel.relabelling, "look", look)
    clock = exchange.server.engine.clock
    monkeypatch.setattr(exchange.server.engine, "clock", lambda: clock() + 120_000)
    assert Worker(exchange.server.engine).work_once()
    monkeypatch.undo()
    assert operator.get(place).json()["labelled"] == 250
    assert clinic.get("Condition?_summary=count").json()["total"] == 0


def test_writes_beside_it_lose_no_label(exchange: Exchange) -> None:
    """P4, R17: resources that are written while the job walks end with the labels of their earlier versions."""
    plan, clinic = exchange.plan, exchange.clinic
    person = patient(plan)
    care_team(plan, person, clinic)
    found = [condition(plan, person, code=coded("intimate")) for _ in range(15)]
    list_codes(exchange)
    refused: list[str] = []

    def write() -> None:
        for one in found:
            last = one
            for number in range(3):
                answer = attempt(plan, last, code={"text": f"version {number}"})
                refused.extend([answer.text] * (answer.status_code != 200))
                last = answer.json()

    writer = threading.Thread(target=write)
    writer.start()
    relabelled(exchange)
    writer.join()
    assert refused == []
    assert clinic.get("Condition?_summary=count").json()["total"] == 0
