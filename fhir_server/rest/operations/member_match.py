"""Patient/$member-match: one member by demographics and coverage, or nobody.

HRex 1.2 (http://hl7.org/fhir/us/davinci-hrex). Members are looked for among those that the caller may see: the
operation shows nobody who was hidden. No match, several, and a consent that cannot be honoured are one answer.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import orjson

from fhir_server.engine import repository
from fhir_server.engine.context import Context
from fhir_server.fhir.errors import BadValue, Issue, RequiredMissing, Throttled, Unprocessable
from fhir_server.fhir.values import parse_date
from fhir_server.rest.arguments import Arguments, arguments, parameters, value
from fhir_server.rest.message import Operation, Request, Response
from fhir_server.rest.operations import _person
from fhir_server.rest.operations._person import CERTAIN, PROBABLE, Candidate
from fhir_server.smart.throttle import Throttle

Json = Mapping[str, Any]

_DEFINITION = "http://hl7.org/fhir/us/davinci-hrex/OperationDefinition/member-match"
_UMB = {"system": "http://hl7.org/fhir/us/davinci-hrex/CodeSystem/hrex-temp", "code": "UMB"}
_BIRTH_SEX = "http://hl7.org/fhir/us/core/StructureDefinition/us-core-birthsex"
_POLICIES = ("#regular", "#sensitive")
_NARROWING = frozenset({"securityLabel", "purpose", "class", "code", "dataPeriod", "data", "provision"})
_SOURCE, _RECIPIENT = "performer", "IRCP"
_FAILURES = "20/hour"
_NOBODY = "No member could be matched. Check the demographics, the coverage and the consent."


def member_match(context: Context, request: Request) -> Response:
    """The identifier; 400 for what is malformed, 422 unless exactly one member matches, 429 after many misses."""
    context.require("s", "Patient")
    given = arguments(context.engine.definitions, _DEFINITION, request)
    person, coverage = given.one("MemberPatient"), given.one("CoverageToMatch")
    _require_demographics(person)
    _require_coverage(coverage, person)
    throttle = _throttle(context)
    if wait := throttle.wait(context.caller.client, "member-match"):
        raise Throttled("Too many members were not matched. Try again later.", headers={"Retry-After": str(wait)})
    found = _found(context, given, person, coverage)
    if found is None:
        throttle.failed(context.caller.client, "member-match")
        raise Unprocessable(issues=(Issue("not-found", _NOBODY),))
    shown = orjson.loads(repository.show(context, "member-match", "Patient", found.hit))
    return Response(200, orjson.dumps(parameters(_told(context, found, shown))))


def _throttle(context: Context) -> Throttle:
    kept: dict[str, Throttle] = context.engine.memo.setdefault("member-match", {})
    return kept.setdefault("failures", Throttle(_FAILURES))


def _found(context: Context, given: Arguments, person: Json, coverage: Json) -> Candidate | None:
    """The one member who is surely meant; None if there is none or more than one."""
    if "Consent" in given and not _is_honoured(given.one("Consent"), context.now):
        return None
    described = {**person, "identifier": [*person.get("identifier", ()), *coverage.get("identifier", ())]}
    found = [one for one in _person.candidates(context, described) if one.grade in {CERTAIN, PROBABLE}]
    sure = [one for one in found if one.grade == CERTAIN] or found
    if len(sure) != 1 or not _person.identifiers(orjson.loads(sure[0].hit.body)):
        return None
    return sure[0]


def _told(context: Context, found: Candidate, patient: Json) -> Iterator[dict[str, Any]]:
    system, number = min(_person.identifiers(patient) or _person.identifiers(orjson.loads(found.hit.body)))
    identifier = {"type": {"coding": [_UMB]}, "system": system, "value": number}
    yield value("MemberIdentifier", "Identifier", identifier)
    if context.caller.scopes.allows("r", "Patient") and not found.hit.view:
        yield value("MemberId", "Reference", {"reference": f"Patient/{found.hit.fid}"})


def _require_demographics(person: Json) -> None:
    names = [name for name in person.get("name", ()) if name.get("family") and name.get("given")]
    sex = person.get("gender") or any(one.get("url") == _BIRTH_SEX for one in person.get("extension", ()))
    for told, what in ((names, "name"), (person.get("birthDate"), "birthDate"), (sex, "gender")):
        if not told:
            raise RequiredMissing(f"MemberPatient needs {what}.", f"MemberPatient.{what}")


def _require_coverage(coverage: Json, person: Json) -> None:
    if not coverage.get("subscriberId") and not coverage.get("identifier"):
        raise RequiredMissing("CoverageToMatch needs a subscriberId or identifier.", "CoverageToMatch.identifier")
    if not coverage.get("relationship"):
        raise RequiredMissing("CoverageToMatch needs the relationship.", "CoverageToMatch.relationship")
    beneficiary, fid = coverage["beneficiary"].get("reference", ""), person.get("id")
    if fid and beneficiary and beneficiary.rpartition("/")[2].lstrip("#") != fid:
        raise BadValue("CoverageToMatch is about somebody else than MemberPatient.", "CoverageToMatch.beneficiary")


def _is_honoured(consent: Json, now_ms: int) -> bool:
    """Whether a consent is one that can be kept to, as HRex has it: in force, and a permit that nothing narrows."""
    uris = [policy.get("uri", "") for policy in consent.get("policy", ())]
    return (
        consent.get("status") == "active"
        and "patient-privacy" in _codes([consent.get("scope", {})])
        and "IDSCL" in _codes(consent.get("category", ()))
        and any(uri.endswith(_POLICIES) for uri in uris)
        and _permits(consent.get("provision", {}), now_ms)
    )


def _permits(provision: Json, now_ms: int) -> bool:
    """Whether it lets its source disclose to its recipient now, all or nothing (MM-04)."""
    roles = _codes(actor["role"] for actor in provision.get("actor", ()) if "role" in actor)
    return (
        provision.get("type") == "permit"
        and _codes(provision.get("action", ())) == {"disclose"}
        and {_SOURCE, _RECIPIENT} <= roles
        and _covers(provision.get("period", {}), now_ms)
        and _NARROWING.isdisjoint(provision)
    )


def _codes(concepts: Iterable[Json]) -> set[str]:
    return {coding.get("code", "") for concept in concepts for coding in concept.get("coding", ())}


def _covers(period: Json, now_ms: int) -> bool:
    if "start" not in period or "end" not in period:
        return False
    return parse_date(period["start"])[0] <= now_ms < parse_date(period["end"])[1]


OPERATION = Operation(
    name="member-match",
    levels=("type",),
    types=("Patient",),
    handler=member_match,
    methods=("POST",),
    definition=_DEFINITION,
)
