"""The end of the story: every referral with where its loop stands."""

from dataclasses import dataclass

from fhir_server.ecm import vocabulary as words
from fhir_server.ecm.demo.stage import PLAN, PROVIDER, Json, Stage, expect

SUPPORT = "Medically tailored meals"
REFERRALS = {
    "ecm-task": (PLAN, "Enhanced Care Management", "plan -> clinic"),
    "pantry-task": (PROVIDER, "Food pantry", "clinic -> food bank"),
    "meals-task": (PROVIDER, SUPPORT, "clinic -> plan"),
    "meals-child": (PLAN, SUPPORT, "plan -> meal provider"),
    "prepared-again": (PROVIDER, "Prepared meals", "clinic -> food bank (declined) -> meal provider"),
}


@dataclass(frozen=True)
class Loop:
    """Where one referral stands."""

    service: str
    way: str
    task: str
    status: str
    reason: str
    date: str


def loops(stage: Stage) -> list[Loop]:
    """Every referral of the story; NotAsTold unless all loops are closed by services received."""
    found = [_loop(stage.get(who, stage.made[name]), service, way) for name, (who, service, way) in REFERRALS.items()]
    closed = [loop for loop in found if (loop.status, loop.reason) == (words.LOOP_CLOSED, words.SERVICES_RECEIVED)]
    expect(len(closed) == len(found), "every loop is closed by services received")
    states = {loop.task for loop in found if loop.service == SUPPORT}
    expect(states == {"in-progress"}, "the meals go on though their loop is closed")
    return found


def _loop(task: Json, service: str, way: str) -> Loop:
    status = task.get("businessStatus", {})
    codes = {coding["system"]: coding["code"] for coding in status.get("coding", [])}
    dates = [one["valueDateTime"] for one in status.get("extension", []) if one["url"] == words.REFERRAL_STATUS_DATE]
    known = codes.get(words.REFERRAL_STATUSES, ""), codes.get(words.CLOSURE_REASONS, "")
    return Loop(service, way, task["status"], *known, dates[0][:10] if dates else "")
