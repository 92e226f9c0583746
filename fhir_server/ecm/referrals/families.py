"""A family referred together: requests of one requester with one requisition, told as one story.

Each caller is told of the members whose requests it may see, and not how many there are besides.
https://hl7.org/fhir/R4/servicerequest-definitions.html#ServiceRequest.requisition
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from fhir_server.access.relations import local
from fhir_server.ecm.referrals import stories
from fhir_server.ecm.referrals.stories import Story
from fhir_server.engine import records
from fhir_server.engine.context import Context
from fhir_server.fhir.errors import BusinessRule, NotFound


def family(context: Context, requisition: str, requester: str = "") -> list[Story]:
    """The stories of the requests with this requisition (system|value) that the caller may see, in their order.

    NotFound if it may see none; BusinessRule if several organizations use the number and none of them is named.
    """
    found = [
        stories.story(context, fid)
        for fid in records.search_all(context, "ServiceRequest", ("requisition", requisition))
    ]
    told = [one for one in found if not requester or _requester(one) == requester]
    if not told:
        raise NotFound("There is no request with this requisition.")
    if len({_requester(one) for one in told}) > 1:
        raise BusinessRule("Several organizations use this requisition. Name the requester.", "requester")
    return sorted(told, key=lambda one: (str(one.request.get("authoredOn", "")), str(one.request["id"])))


def patient(told: Story) -> str:
    """Patient/id of the member whom a request is about."""
    return local(told.request.get("subject"), "Patient") or ""


def _requester(told: Story) -> str:
    return local(told.request.get("requester")) or ""


def as_parameters(told: Sequence[Story]) -> dict[str, Any]:
    """The stories as a Parameters resource: a `referral` for each request, with its `patient` and its attempts."""
    parts = [{"name": "referral", "part": [_about(one), *stories.as_parameters(one)["parameter"]]} for one in told]
    return {"resourceType": "Parameters", "parameter": parts}


def _about(told: Story) -> dict[str, Any]:
    return {"name": "patient", "valueReference": {"reference": patient(told)}}
