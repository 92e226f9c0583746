"""No second open referral of a member for the same service, unless somebody says why.

Judged only among the referrals the caller can see: one that it must not know of never counts.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final

from fhir_server.access.relations import local
from fhir_server.ecm import vocabulary as words
from fhir_server.engine import repository
from fhir_server.engine.context import Transaction
from fhir_server.fhir.errors import BusinessRule
from fhir_server.store.db import lock_keys
from fhir_server.store.hashing import rh

_OPEN: Final = "requested,accepted,in-progress,on-hold"
_SERVICES: Final = (words.SERVICES, words.COMMUNITY_SUPPORTS, words.COMMUNITY_RESOURCES)


def refuse(transaction: Transaction, fid: str, task: Mapping[str, Any], request: Mapping[str, Any]) -> None:
    """BusinessRule naming the open referral that this one would repeat; `fid` is its own id.

    A child of a referral is none, nor is a new Task after one that ended, nor one that gives its reason.
    """
    services, patient = list(_services(request)), local(task.get("for"), "Patient")
    if not services or patient is None or _has_reason(task) or _has_reason(request):
        return
    lock_keys(transaction.connection, [rh(f"{patient} {service}") for service in services])  # of two at once one waits
    same = [("patient", patient), ("status", _OPEN), ("focus:ServiceRequest.code", ",".join(services))]
    related = {f"Task/{fid}", *(local(parent, "Task") for parent in task.get("partOf", []))}
    for hit in repository.lookup(transaction.context, "Task", same, limit=len(related) + 1):
        if f"Task/{hit.fid}" not in related:
            message = (
                f"Task/{hit.fid} is an open referral of this member for the same service. Follow that one, or give the "
                "reason for a parallel one in the extension ecm-parallel-referral-reason."
            )
            raise BusinessRule(message, "Task.focus")


def _services(request: Mapping[str, Any]) -> Iterator[str]:
    """The requested service as tokens: by the programme's own codes where it has one."""
    codings = [one for one in request.get("code", {}).get("coding", []) if one.get("code")]
    own = [one for one in codings if one.get("system") in _SERVICES]
    for coding in own or codings:
        yield f"{_escaped(coding.get('system', ''))}|{_escaped(coding['code'])}"


def _escaped(text: str) -> str:
    for special in "\\,|$":
        text = text.replace(special, "\\" + special)
    return text


def _has_reason(resource: Mapping[str, Any]) -> bool:
    return any(
        one.get("url") == words.PARALLEL_REFERRAL_REASON and str(one.get("valueString", "")).strip()
        for one in resource.get("extension", [])
    )
