"""The same again changes nothing: the file, the care plan, the referrals."""

from dataclasses import replace

from fhir_server.ecm.demo import assignment, care_plan, food_bank, tailored_meals
from fhir_server.ecm.demo.stage import PLAN, PROVIDER, Stage, expect


def second_run(stage: Stage) -> None:
    """The file and the provider's transactions are sent once more; every version stays what it was."""
    before, made = _versions(stage), dict(stage.made)
    assignment.plan_sends_it_again(stage)
    quiet = replace(stage, tell=lambda _text: None, made=dict(stage.made))
    care_plan.provider_writes_care_plan(quiet)
    food_bank.provider_refers(quiet)
    tailored_meals.provider_asks_plan(quiet)
    expect(quiet.made == made, "what was there is found again, nothing is made twice")
    expect(_versions(stage) == before, "every resource still has the version it had")
    stage.tell(f"The care plan and the referrals again: nothing new, {len(before)} resources at the same versions.")


def _versions(stage: Stage) -> dict[str, str]:
    """The version of everything made, as its owner or the plan reads it."""
    found = {}
    for made in sorted(set(stage.made.values())):
        answers = (stage.clients[who].get(made) for who in (PROVIDER, PLAN))
        found[made] = next((str(answer.json()["meta"]["versionId"]) for answer in answers if answer.ok), "")
    return found
