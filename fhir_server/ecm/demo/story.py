"""The story as a table: acts in their order, each with its steps."""

from collections.abc import Callable, Sequence

from fhir_server.ecm.client import loading
from fhir_server.ecm.demo import (
    again,
    assignment,
    care_plan,
    cut_off,
    food_bank,
    outreach,
    return_files,
    sent_elsewhere,
    silence,
    strangers,
    tailored_meals,
)
from fhir_server.ecm.demo.stage import Stage

Step = Callable[[Stage], object]


def organizations_introduce_themselves(stage: Stage) -> None:
    """Every organization writes its own entries of the directory."""
    steps = [step for step in loading.steps_of(stage.world) if step["file"].startswith("directory/")]
    for step in steps:
        loading.load(step, stage.world, stage.clients)
    stage.tell(f"{len(steps)} organizations write their own entries of the directory, each with its own key and token.")


ACTS: Sequence[tuple[str, Sequence[Step]]] = (
    ("The organizations introduce themselves", (organizations_introduce_themselves,)),
    ("A plan assigns its members: 500 rows, 3 % of them bad", (assignment.plan_sends_file,)),
    (
        "A file goes wrong: cut off, held, confirmed by mistake, undone",
        (cut_off.file_is_held_confirmed_and_recalled, cut_off.corrected_rows_go_alone),
    ),
    (
        "A provider finds its members, reaches one and writes a care plan (fhirclient)",
        (
            care_plan.provider_finds_members,
            outreach.plan_refers_to_ecm,
            outreach.provider_reaches_member,
            care_plan.provider_writes_care_plan,
            outreach.provider_enrols_member,
        ),
    ),
    (
        "A referral to a food bank (plain HTTP requests)",
        (
            food_bank.provider_refers,
            food_bank.food_bank_opens_inbox,
            food_bank.food_bank_accepts_and_completes,
            food_bank.provider_sees_loop_closed,
        ),
    ),
    (
        "A Community Support through the plan",
        (
            tailored_meals.provider_asks_plan,
            tailored_meals.plan_authorizes,
            tailored_meals.meals_begin,
            tailored_meals.plan_mirrors,
        ),
    ),
    (
        "A referral that is declined and sent elsewhere",
        (sent_elsewhere.food_bank_declines, sent_elsewhere.sent_elsewhere),
    ),
    (
        "A silent referral is reassigned, and a phoned answer recorded",
        (
            silence.nobody_answers,
            silence.another_is_asked,
            silence.answer_is_phoned,
            silence.attempts_are_one_story,
        ),
    ),
    (
        "The return files come out",
        (
            return_files.provider_returns_members,
            return_files.provider_returns_outreach,
            return_files.meals_return_supports,
        ),
    ),
    ("Strangers", (strangers.strangers_see_nothing,)),
    ("The same again changes nothing", (again.second_run,)),
)
