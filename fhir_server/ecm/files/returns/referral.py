"""The loop of a referral in return files: which Task it is, how it is called, and its three columns."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from fhir_server.access.relations import local
from fhir_server.ecm import vocabulary as v
from fhir_server.ecm.facets import Resource, code_in, codes_in, day_of, extension
from fhir_server.ecm.files.returns.gathering import Entry, Report, Subject

ECM = "enhanced-care-management"


def referral(report: Report, subject: Subject) -> dict[str, Any]:
    """The closed-loop columns of the member's ECM referral; nothing if there is none."""
    zone = report.context.engine.settings.zone
    task = ecm_task(subject.entries, report.provider)
    return referral_facts(task.resource, zone) if task else {}


def ecm_task(entries: Sequence[Entry], provider: str) -> Entry | None:
    """The newest referral to ECM that the provider performs; one that nobody else's choice could change."""
    asked = {
        entry.reference
        for entry in entries
        if entry.type == "ServiceRequest" and ECM in codes_in(entry.resource.get("category", []), v.SERVICE_CATEGORIES)
    }
    tasks = [
        entry
        for entry in entries
        if entry.type == "Task"
        and local(entry.resource.get("focus"), "ServiceRequest") in asked
        and local(entry.resource.get("owner"), "Organization") == provider
        and entry.resource.get("status") != "entered-in-error"
    ]
    return max(tasks, key=lambda entry: (entry.resource.get("authoredOn", ""), entry.row.fid), default=None)


def referral_facts(task: Resource, zone: Any) -> dict[str, Any]:
    """The three closed-loop columns: status, the day of its last update, the reason of a closure."""
    status = task.get("businessStatus", {})
    return {
        "referral_status": code_in(status, v.REFERRAL_STATUSES),
        "referral_status_date": day_of(extension(status, v.REFERRAL_STATUS_DATE, "valueDateTime"), zone),
        "closure_reason": code_in(status, v.CLOSURE_REASONS),
    }


def record_number(task: Entry) -> str:
    """How a referral is called: its first business identifier, else its id."""
    first = next((item["value"] for item in task.resource.get("identifier", []) if item.get("value")), None)
    return first or task.row.fid
