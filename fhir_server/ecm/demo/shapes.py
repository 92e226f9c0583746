"""The resources that the story writes.  https://ecm-exchange.org/fhir (profiles/ecm)"""

from datetime import date
from typing import Any

from fhir_server.ecm import vocabulary as words
from fhir_server.ecm.demo.stage import Json, reference

STORY = f"{words.BASE}/sid/demo"  # identifiers of the story's resources, by which a second playing finds them again


def coded(system: str, code: str, text: str = "") -> Json:
    """A CodeableConcept with one coding."""
    return {"coding": [{"system": system, "code": code}]} | ({"text": text} if text else {})


def extension(url: str, kind: str, value: Any) -> Json:
    """A simple extension; `kind` is the type of its value, such as Coding."""
    return {"url": url, f"value{kind}": value}


def named(type_: str, name: str, profile: str, /, **members: Any) -> Json:
    """A resource with the story's identifier and a profile."""
    identifier = [{"system": STORY, "value": name}]
    claim = {"meta": {"profile": [profile]}} if profile else {}
    return {"resourceType": type_, **claim, "identifier": identifier, **members}


def transaction(*new: Json) -> Json:
    """A transaction that creates these resources, each once: they refer to each other by `urn`."""
    return {"resourceType": "Bundle", "type": "transaction", "entry": [_entry(one) for one in new]}


def urn(name: str) -> str:
    """The fullUrl under which the resource of that name is referred to inside its transaction."""
    return f"https://story.example.org/{name}"


def _entry(new: Json) -> Json:
    name = new["identifier"][0]["value"]
    request = {"method": "POST", "url": new["resourceType"], "ifNoneExist": f"identifier={STORY}|{name}"}
    return {"fullUrl": urn(name), "resource": new, "request": request}


def food_insecurity(member: str, asserter: str, today: date) -> Json:
    """The need behind the referrals, as an ICD-10-CM Z code."""
    core = "http://hl7.org/fhir/us/core/CodeSystem"
    return {
        "clinicalStatus": coded("http://terminology.hl7.org/CodeSystem/condition-clinical", "active"),
        "verificationStatus": coded("http://terminology.hl7.org/CodeSystem/condition-ver-status", "confirmed"),
        "category": [
            coded(f"{core}/condition-category", "health-concern"),
            coded(words.US_CORE_CATEGORY, "sdoh"),
            coded(words.GRAVITY, "food-insecurity"),
        ],
        "code": coded(words.ICD10CM, "Z59.41", "Food insecurity"),
        "subject": reference(member),
        "recordedDate": today.isoformat(),
        "asserter": reference(asserter),
    }


def service(category: str, code: str, hcpcs: str = "") -> Json:
    """ServiceRequest.category and code of a community resource or a Community Support."""
    system = words.COMMUNITY_SUPPORTS if category == "community-support" else words.COMMUNITY_RESOURCES
    codings = [{"system": system, "code": code}]
    if hcpcs:
        codings.append({"system": words.HCPCS, "code": hcpcs})
    domain = coded(words.GRAVITY, "food-insecurity")
    return {"category": [coded(words.SERVICE_CATEGORIES, category), domain], "code": {"coding": codings}}


def request(name: str, requester: str, performer: str, member: str, today: date, **members: Any) -> Json:
    """The ServiceRequest of a referral."""
    facts = {
        "status": "active", "intent": "order", "priority": "routine", "subject": reference(member),
        "authoredOn": today.isoformat(), "requester": reference(requester), "performer": [reference(performer)],
    }  # fmt: skip
    return named("ServiceRequest", name, words.SERVICE_REQUEST, **facts, **members)


def task(name: str, requester: str, owner: str, member: str, focus: str, today: date, **members: Any) -> Json:
    """The Task that asks an organization to fulfil a ServiceRequest."""
    facts = {
        "status": "requested", "intent": "order", "priority": "routine", "code": coded(words.TASK_CODE, "fulfill"),
        "focus": reference(focus), "for": reference(member), "authoredOn": today.isoformat(),
        "requester": reference(requester), "owner": reference(owner),
    }  # fmt: skip
    return named("Task", name, words.TASK, **facts, **members)


def loop_closed(reason: str) -> Json:
    """Task.businessStatus of a closed loop; the server adds the date."""
    status = {"system": words.REFERRAL_STATUSES, "code": words.LOOP_CLOSED}
    return {"coding": [status, {"system": words.CLOSURE_REASONS, "code": reason}]}


def done(text: str) -> list[Json]:
    """Task.output that says what was done."""
    return [{"type": coded(words.GRAVITY, "resulting-activity"), "valueCodeableConcept": {"text": text}}]


def authorization(number: str, today: date) -> Json:
    """The plan's decision, as an extension of Task or ServiceRequest."""
    decision = {"system": words.AUTHORIZATION_DECISIONS, "code": "authorized"}
    parts = [
        extension("number", "String", number),
        extension("decision", "Coding", decision),
        extension("date", "Date", today.isoformat()),
    ]
    return {"url": words.AUTHORIZATION, "extension": parts}
