"""Notices of closed-loop referrals: written with their cause, sent by a channel, on record with proof, never lost."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from fhir_server.ecm import vocabulary as words
from fhir_server.ecm.notices import sending
from fhir_server.jobs import deliveries
from tests.ecm import referral
from tests.ecm.referral import issue, made, moved, sent, walked
from tests.ecm.scene import Killed, Scene, cin, row, scene
from tests.smtp import Mailbox, mail_server


@pytest.fixture(scope="module")
def box() -> Iterator[Mailbox]:
    """A real mail server on a loopback socket."""
    with mail_server() as found:
        yield found


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of the file drop."""
    return tmp_path_factory.mktemp("drop")


@pytest.fixture(scope="module")
def world(
    module_database_url: str, tmp_path_factory: pytest.TempPathFactory, box: Mailbox, folder: Path
) -> Iterator[Scene]:
    """The world with a mail server; the clinic has an address, the meals provider a telephone."""
    settings = {
        "smtp_host": "127.0.0.1", "smtp_port": box.port, "smtp_starttls": False, "notice_folder": str(folder),
        "notice_sender": "exchange@plan.example",
    }  # fmt: skip
    with scene(module_database_url, tmp_path_factory.mktemp("world"), **settings) as found:
        for name, kind, value in (("clinic", "email", "desk@clinic.example"), ("meals", "phone", "619-555-0123")):
            own = found.clients[name].get(f"Organization/{name}").json()
            told = {**own, "telecom": [{"system": kind, "value": value}]}
            assert found.clients[name].put(f"Organization/{name}", told).status_code == 200
        found.take_in(found.plan, [row(1), row(2), row(3), row(4), row(5), row(6)], mode="delta")
        yield found


@pytest.fixture(autouse=True)
def clean(world: Scene, box: Mailbox) -> Iterator[None]:
    """Nothing waits from test to test."""
    yield
    box.refuse = box.fail = ""
    world.work()
    box.messages.clear()


def asked(world: Scene, number: int) -> dict[str, Any]:
    """A Community Support that the clinic asks the plan for."""
    patient = world.member(world.clinic, number)["id"]
    focus = made(world.clinic, referral.request(patient, "clinic", support=True))["id"]
    return made(world.clinic, referral.task(patient, focus, "clinic", "plan"))


def passed_on(world: Scene, parent: dict[str, Any]) -> dict[str, Any]:
    """The plan's part of it, which the meals provider performs."""
    patient, focus = (parent[name]["reference"].split("/")[1] for name in ("for", "focus"))
    based = {"basedOn": [{"reference": f"ServiceRequest/{focus}"}], "intent": "filler-order"}
    filler = made(world.plan, referral.request(patient, "plan", support=True, **based))["id"]
    part = {"partOf": [{"reference": f"Task/{parent['id']}"}]}
    return made(world.plan, referral.task(patient, filler, "plan", "meals", **part))


def notices(client: Any, number: dict[str, Any]) -> dict[tuple[str, str], dict[str, Any]]:
    """(event, type of recipient) -> notice, of one member."""
    found = client.get(f"Communication?subject={number['for']['reference']}").json().get("entry", [])
    each = [one["resource"] for one in found]
    return {
        (one["category"][0]["coding"][0]["code"], one["recipient"][0]["reference"].partition("/")[0]): one
        for one in each
    }


def proof(notice: dict[str, Any]) -> dict[str, Any]:
    """The parts of the proof of sending, {} if there is none."""
    found = [one["extension"] for one in notice.get("extension", []) if one["url"] == words.PROOF_OF_SENDING]
    return {part["url"]: next(v for k, v in part.items() if k != "url") for part in (found[0] if found else [])}


def test_authorization_assignment_and_closure_are_told(world: Scene, box: Mailbox, folder: Path):
    """R: to member and referring entity, as Communications with time, channel and proof; the e-mail is a link only."""
    parent = asked(world, 1)
    assert notices(world.plan, parent) == {}
    parent = walked(world, parent, ("plan", "accepted"))
    child = walked(world, passed_on(world, parent), ("meals", "accepted"))
    walked(world, child, ("meals", "in-progress"), ("meals", "completed"))
    told = notices(world.plan, parent)
    assert set(told) == {(event, to) for event in ("authorized", "assigned", "closed")
                         for to in ("Patient", "Organization")}  # fmt: skip
    assert {one["status"] for one in told.values()} == {"preparation"}
    assert "Medically" in told["authorized", "Patient"]["payload"][0]["contentString"]
    assert "Meals" in (text := told["assigned", "Patient"]["payload"][0]["contentString"])
    assert "619-555-0123" in text
    assert "Services received" in told["closed", "Organization"]["payload"][0]["contentString"]
    world.work()
    told = notices(world.plan, parent)
    assert {one["status"] for one in told.values()} == {"completed"}
    assert all(one["sent"] and proof(one)["at"] == one["sent"] for one in told.values())
    mailed = told["assigned", "Organization"]
    assert mailed["medium"][0]["coding"][0]["code"] == proof(mailed)["channel"]["code"] == "e-mail"
    ids = {f"<{proof(one)['message-id']}>" for (_, to), one in told.items() if to == "Organization"}
    assert {one["Message-ID"] for one in box.messages} == ids
    for message in box.messages:
        text = message.as_string()
        assert message["To"] == "desk@clinic.example"
        assert "/fhir/Communication/" in text
        for secret in (cin(1), "Family1", "Meals", "meals", parent["for"]["reference"], "ember", "Plan"):
            assert secret not in text.replace("exchange@plan.example", ""), secret
    dropped = [json.loads(path.read_bytes()) for path in folder.iterdir()]
    assert {one["id"] for one in dropped} == {one["id"] for (_, to), one in told.items() if to == "Patient"}


def test_who_reads_a_notice(world: Scene):
    """The plan, the referring entity by the link, the member's provider; nobody else; and nobody changes one."""
    parent = walked(world, asked(world, 2), ("plan", "accepted"))
    notice = notices(world.plan, parent)["authorized", "Organization"]
    assert world.clinic.get(f"Communication/{notice['id']}").status_code == 200
    for name in ("meals", "stranger", "other-plan", "street"):
        assert world.clients[name].get(f"Communication/{notice['id']}").status_code == 404
    for client in (world.plan, world.clinic):
        assert issue(client.put(f"Communication/{notice['id']}", {**notice, "status": "completed"})) == (
            422, "business-rule",
        )  # fmt: skip
    assert world.plan.delete(f"Communication/{notice['id']}").status_code == 422
    forged = {name: value for name, value in notice.items() if name not in {"id", "meta"}}
    assert issue(world.plan.post("Communication", forged)) == (422, "business-rule")


def test_a_denial_is_told_with_its_reason(world: Scene):
    """To both, and to the member that a Notice of Action follows."""
    no = {"text": "Another program gives this already."}
    moved(world.plan, asked(world, 3), "rejected", statusReason=no)
    told = notices(world.plan, asked(world, 3))
    assert set(told) == {("denied", "Patient"), ("denied", "Organization")}
    assert all(no["text"] in one["payload"][0]["contentString"] for one in told.values())
    assert "Notice of Action" in told["denied", "Patient"]["payload"][0]["contentString"]


def test_what_is_no_closed_loop_service_is_not_told(world: Scene):
    """A food pantry, and a sobering center."""
    patient = world.member(world.clinic, 4)["id"]
    first = walked(world, sent(world, patient, "pantry"), ("pantry", "accepted"), ("pantry", "completed"))
    focus = made(world.plan, referral.request(patient, "plan", support=True, service="sobering-centers"))["id"]
    walked(world, made(world.plan, referral.task(patient, focus, "plan", "meals")), ("meals", "accepted"))
    assert notices(world.plan, first) == {}


def test_a_notice_is_as_sensitive_as_what_it_tells(world: Scene):
    """R17: that a Part 2 unit was assigned is told to the plan and the member, not to who may not know it."""
    unit = world.server.client("unit", law_class="part2")
    setup = world.server.client("unit-setup", "Organization/unit", law_class="part2", rights="update-create")
    setup.put("Organization/unit", {"resourceType": "Organization", "id": "unit", "name": "Unit"})
    world.take_in(world.plan, [row(7)], mode="delta")
    patient = world.member(world.clinic, 7)["id"]
    focus = made(world.plan, referral.request(patient, "plan", support=True))["id"]
    asked_unit = made(world.plan, referral.task(patient, focus, "plan", "unit"))
    accepted = moved(unit, asked_unit, "accepted")
    assert accepted.status_code == 200, accepted.text
    told = f"Communication?subject=Patient/{patient}&category=assigned"
    assert len(world.plan.get(told).json().get("entry", [])) == 1
    assert world.clinic.get(told).json().get("entry", []) == []


class Dies:
    """Lets the sender die right after the mail server took a message."""

    def __init__(self, world: Scene) -> None:
        self.world = world

    def __enter__(self) -> None:
        self.kept = sending._end
        sending._end = self.die

    def die(self, *_: Any) -> None:
        raise Killed

    def __exit__(self, *_: object) -> None:
        sending._end = self.kept


@pytest.fixture
def back(world: Scene) -> Iterator[None]:
    """The clock as it was, after a test that moved it."""
    yield
    world.move_clock(-world.ahead)


@pytest.mark.usefixtures("back")
def test_a_crash_between_sending_and_recording_loses_nothing(world: Scene, box: Mailbox):
    """At least once: sent again under the same message id, and on record once."""
    parent = walked(world, asked(world, 5), ("plan", "accepted"))
    world.work()
    box.messages.clear()
    walked(world, passed_on(world, parent), ("meals", "accepted"))
    engine = world.server.engine
    with Dies(world):
        for _ in range(2):
            with pytest.raises(Killed):
                sending.send_due(engine)
    assert not sending.send_due(engine)  # its lease lasts
    assert [one["status"] for one in notices(world.plan, parent).values()].count("preparation") == 2
    world.move_clock(61_000)
    world.work()
    assert len(box.messages) == 2
    assert len({one["Message-ID"] for one in box.messages}) == 1
    mailed = notices(world.plan, parent)["assigned", "Organization"]
    assert (mailed["status"], mailed["meta"]["versionId"]) == ("completed", "2")


@pytest.mark.usefixtures("back")
def test_a_mail_server_in_trouble(world: Scene, box: Mailbox):
    """What may pass is tried again, later and later; an address refused for good is on record as not done."""
    box.fail = "451 try again"
    parent = walked(world, asked(world, 6), ("plan", "accepted"))
    world.work()
    assert notices(world.plan, parent)["authorized", "Organization"]["status"] == "preparation"
    assert box.messages == []
    box.fail = ""
    world.work()
    assert box.messages == []
    world.move_clock(31_000)
    world.work()
    assert notices(world.plan, parent)["authorized", "Organization"]["status"] == "completed"
    box.refuse = "550 no such user"
    walked(world, passed_on(world, parent), ("meals", "accepted"))
    world.work()
    refused = notices(world.plan, parent)["assigned", "Organization"]
    assert (refused["status"], refused["statusReason"]["text"]) == ("not-done", "The mail server refuses this address.")
    assert proof(refused) == {}
    assert deliveries.claim(world.server.engine) is None
