"""Whether a service of the directory can serve a member: county, language, Population of Focus, capacity.

A referral that cannot be served is warned of before it is sent: `$check-referral` tells, and sending it needs a reason.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import orjson

from fhir_server.access.relations import items
from fhir_server.ecm import vocabulary as words
from fhir_server.ecm.referrals import stamps
from fhir_server.ecm.referrals.parties import Parties, referred
from fhir_server.engine import repository
from fhir_server.engine.context import Context, Transaction
from fhir_server.engine.law_classes import OPERATOR, law_classes
from fhir_server.fhir.errors import BusinessRule, Issue
from fhir_server.store.hashing import rh

Resource = Mapping[str, Any]

_MOST: Final = 100
_FULL, _WAITLIST = "no-capacity", "waitlist"


@dataclass(frozen=True)
class Need:
    """What is needed: the service as (system, code) pairs, and of the member what is known."""

    services: frozenset[tuple[str, str]]
    counties: frozenset[str] = frozenset()  # names, folded
    languages: frozenset[str] = frozenset()  # primary subtags
    populations: frozenset[str] = frozenset()


@dataclass(frozen=True)
class Finding:
    """What the directory says against asking an organization; `blocks` if it cannot serve the member for this."""

    organization: str
    text: str
    blocks: bool


def need(request: Resource, patient: Resource) -> Need:
    """What a ServiceRequest for this Patient asks for."""
    codings = request.get("code", {}).get("coding", [])
    concepts = [one.get("valueCodeableConcept", {}) for one in items(request, "extension") if _is_population(one)]
    return Need(
        frozenset((str(one.get("system")), str(one.get("code"))) for one in codings),
        frozenset(str(one["district"]).casefold() for one in items(patient, "address") if one.get("district")),
        frozenset(_languages(patient)),
        frozenset(code for concept in concepts for code in _codes(concept, words.POPULATIONS)),
    )


def findings(context: Context, wanted: Need, organization: str) -> list[Finding]:
    """What speaks against asking this organization; nothing blocks if one of its services fits, or none is listed."""
    fitting = [one for one in _listed(context, organization) if wanted.services & _types(one)]
    if not fitting:
        return [Finding(organization, "The directory lists no such service of this organization.", blocks=False)]
    told = [[*_against(context, one, wanted)] for one in fitting]
    if all(any(blocks for _, blocks in each) for each in told):
        return [Finding(organization, text, blocks) for each in told for text, blocks in each]
    return [Finding(organization, text, blocks=False) for each in told for text, blocks in each if not blocks]


def require_servable(transaction: Transaction, task: Resource, request: Resource, sides: Parties) -> None:
    """BusinessRule naming why nobody whom the referral asks can serve the member, unless it says why it is sent."""
    if str((stamps.stamp(task, words.SENT_DESPITE) or {}).get("valueString", "")).strip():
        return
    wanted = need(request, referred(transaction, task.get("for"), "Patient") or {})
    found = [findings(transaction.context, wanted, name) for name in sorted(sides.candidates)]
    if not found or not all(any(one.blocks for one in each) for each in found):
        return
    advice = "To send it nevertheless, give the reason in the extension ecm-sent-despite."
    texts = [f"{one.organization[:64]}: {one.text}" for each in found for one in each if one.blocks]
    raise BusinessRule(issues=[Issue("business-rule", f"{text} {advice}", "Task.owner") for text in texts])


def _listed(context: Context, organization: str) -> Iterator[Resource]:
    """Its active services as itself, the operator or the asking organization wrote them: nobody speaks for another."""
    criteria = [("organization", organization), ("active", "true")]
    classes = law_classes(context.connection)
    for hit in repository.lookup(context, "HealthcareService", criteria, limit=_MOST):
        if hit.owner in {rh(organization), context.caller.org_hash} or classes.get(hit.owner) == OPERATOR:
            yield orjson.loads(hit.body)


def _against(context: Context, service: Resource, wanted: Need) -> Iterator[tuple[str, bool]]:
    """(reason, whether it blocks) for all that speaks against this service."""
    counties = {_county(context, one["valueCoding"]) for one in _extensions(service, words.SERVICE_COUNTY)}
    if counties and wanted.counties and not counties & wanted.counties:
        yield "It does not serve the member's county.", True
    languages = {_primary(code) for one in items(service, "communication") for code in _codes(one, words.LANGUAGE)}
    if languages and wanted.languages and not languages & wanted.languages:
        yield "It is not given in the member's language.", True
    populations = {c for one in items(service, "eligibility") for c in _codes(one.get("code"), words.POPULATIONS)}
    if populations and wanted.populations and not populations & wanted.populations:
        yield "It is not for the member's Population of Focus.", True
    yield from _capacity(service)


def _capacity(service: Resource) -> Iterator[tuple[str, bool]]:
    for one in _extensions(service, words.SERVICE_CAPACITY):
        parts = {part["url"]: part for part in one.get("extension", [])}
        status = parts["status"]["valueCoding"].get("code")
        since = f" (said {parts['date']['valueDateTime'][:10]})" if "date" in parts else ""
        if status == _FULL:
            yield f"It has no capacity{since}.", True
        elif status == _WAITLIST:
            days = f" of {parts['wait-days']['valueUnsignedInt']} days" if "wait-days" in parts else ""
            yield f"It has a waiting list{days}{since}.", False


def _county(context: Context, coding: Resource) -> str:
    code = str(coding.get("code"))
    return (context.engine.terminology.display(words.COUNTIES, code) or code).casefold()


def _extensions(resource: Resource, url: str) -> Sequence[Resource]:
    return [one for one in items(resource, "extension") if one.get("url") == url]


def _is_population(extension: Resource) -> bool:
    return extension.get("url") == words.POPULATION_OF_FOCUS


def _languages(patient: Resource) -> Iterator[str]:
    """The preferred language; where none is said to be, all that the member speaks."""
    spoken = items(patient, "communication")
    for one in [entry for entry in spoken if entry.get("preferred")] or spoken:
        yield from (_primary(code) for code in _codes(one.get("language"), words.LANGUAGE))


def _primary(code: str) -> str:
    return code.partition("-")[0].lower()


def _types(service: Resource) -> set[tuple[str, str]]:
    codings = [coding for concept in items(service, "type") for coding in concept.get("coding", [])]
    return {(str(one.get("system")), str(one.get("code"))) for one in codings}


def _codes(concept: Resource | None, system: str) -> list[str]:
    codings = (concept or {}).get("coding", [])
    return [str(one["code"]) for one in codings if one.get("system") == system and one.get("code")]
