"""A referral is declined with a reason, and sent elsewhere on the same request."""

import requests

from fhir_server.ecm import vocabulary as words
from fhir_server.ecm.demo import shapes
from fhir_server.ecm.demo.food_bank import send
from fhir_server.ecm.demo.stage import FOOD_BANK, MEALS, PROVIDER, Stage, codes_of, expect

REASON = "Our kitchen is closed until next month"


def food_bank_declines(stage: Stage) -> None:
    """The food bank is asked for prepared meals and declines; from then on it sees nothing of the member."""
    member = stage.made["third"]
    facts = shapes.service("community-resource", "prepared-meals")
    request = shapes.request("prepared-request", PROVIDER, FOOD_BANK, member, stage.today, **facts)
    focus = shapes.urn("prepared-request")
    send(stage, PROVIDER, request, shapes.task("prepared-task", PROVIDER, FOOD_BANK, member, focus, stage.today))
    before = stage.clients[FOOD_BANK].get(member).status_code
    why = shapes.coded(words.CLOSURE_REASONS, "provider-declined", REASON)
    task = stage.move(FOOD_BANK, "prepared-task", "rejected", statusReason=why)
    expect("declined" in codes_of(task["businessStatus"]), "the referral is declined")
    after = stage.clients[FOOD_BANK].get(member).status_code
    expect((before, after) == (requests.codes.ok, requests.codes.not_found), "who declines loses sight of the member")
    stage.tell(f"Prepared meals for a third member: the food bank declines ({REASON.lower()}),")
    stage.tell("and from the next request on it cannot see this member any more.")


def sent_elsewhere(stage: Stage) -> None:
    """The provider sends a new Task on the same ServiceRequest to another organization, which delivers."""
    member, request = stage.made["third"], stage.made["prepared-request"]
    send(stage, PROVIDER, shapes.task("prepared-again", PROVIDER, MEALS, member, request, stage.today))
    stage.move(MEALS, "prepared-again", "accepted")
    stage.move(MEALS, "prepared-again", "completed", output=shapes.done("Prepared meals for two weeks delivered"))
    tasks = stage.found(PROVIDER, f"Task?focus={request}&_sort=_lastUpdated")
    states = [task["status"] for task in tasks]
    expect(states == ["rejected", "completed"], "one request, two Tasks: rejected, then completed")
    stage.tell("The clinic sends a new Task on the same request to the meal provider, which delivers: loop closed.")
