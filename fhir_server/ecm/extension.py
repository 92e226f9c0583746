"""Everything the ECM programme adds to the engine, on one page."""

from fhir_server.ecm import consents, deaths, directory, merging, narrative, operations, purging, sensitivity, verifying
from fhir_server.ecm.files import opening
from fhir_server.ecm.files.assignments import intake
from fhir_server.ecm.files.returns import importing as returns
from fhir_server.ecm.notices import sending
from fhir_server.ecm.notices import writing as notices
from fhir_server.ecm.referrals import attempts, states
from fhir_server.ecm.requests import outcomes, steps
from fhir_server.ecm.requirements import required_profiles
from fhir_server.ecm.rosters import groups
from fhir_server.engine.context import Engine
from fhir_server.fhir.registry import entries


def register(engine: Engine) -> None:
    """Add the programme's rules, operations and jobs to an engine; LayoutError for a layout that cannot be used."""
    opening.layouts_of(engine)
    hooks = engine.hooks
    hooks.required_profiles.append(required_profiles())
    hooks.membership = sensitivity.membership(engine.terminology)
    hooks.before_write += [states.check, groups.check, consents.check, directory.check, narrative.add]
    hooks.before_write += [steps.check, notices.guard, merging.check, verifying.check]
    hooks.by_assigned.add("Patient")
    hooks.in_transaction += [attempts.follow, outcomes.follow, steps.follow, notices.announce, deaths.follow]
    hooks.on_purge.append(purging.forget)
    hooks.after_purge.append(purging.remove_letters)
    engine.chores.append(sending.send_due)
    hooks.render["Group"] = groups.render
    engine.searcher.veiled.add(("Group", "member"))
    hooks.headers["Group"] = groups.headers
    engine.operations = (*engine.operations, *entries(operations, "OPERATION"))
    engine.jobs |= {job.kind: job for job in (intake.JOB, returns.JOB)}
