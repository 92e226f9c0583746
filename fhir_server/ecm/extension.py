"""Everything the ECM programme adds to the engine, on one page."""

from fhir_server.ecm import consents, narrative, referrals
from fhir_server.ecm.requirements import required_profiles
from fhir_server.engine.context import Engine


def register(engine: Engine) -> None:
    """Add the programme's rules, operations and jobs to an engine."""
    hooks = engine.hooks
    hooks.required_profiles.append(required_profiles())
    hooks.before_write += [referrals.check, consents.check, narrative.add]
