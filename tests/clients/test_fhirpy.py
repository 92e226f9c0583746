"""A day of work through fhirpy, unchanged; but for its count(), which sends a parameter of one vendor.

https://github.com/beda-software/fhir-py
"""

import pytest
from fhirpy import SyncFHIRClient
from fhirpy.base.exceptions import OperationOutcome, ResourceNotFound

from fhir_server.ecm import vocabulary as words
from tests.clients.conftest import Day
from tests.ecm.referral import OUTPUT, request, task


def test_a_day_of_work(day: Day) -> None:
    """Find a member, refer it, let the pantry accept and complete, follow the loop, and clean up."""
    provider = SyncFHIRClient(day.base, authorization=f"Bearer {day.provider}")
    pantry = SyncFHIRClient(day.base, authorization=f"Bearer {day.pantry}")
    person = provider.resources("Patient").search(identifier=f"{words.CIN}|{day.cins[0]}").get()
    paged = list(provider.resources("Patient").limit(1))
    assert sorted(one["id"] for one in paged) == sorted({one["id"] for one in paged})
    assert len(paged) == len(day.cins)

    wanted = provider.resource(**_of(request(person["id"], "clinic")))
    wanted.save()
    asked = provider.resource(**_of(task(person["id"], wanted["id"], "clinic", "pantry")))
    asked.save()
    assert asked["meta"]["versionId"] == "1"

    mine = pantry.resources("Task").search(owner="Organization/pantry", status="requested").fetch_all()
    assert [one["id"] for one in mine] == [asked["id"]]
    for status, more in (("accepted", {}), ("in-progress", {}), ("completed", {"output": OUTPUT})):
        now = pantry.execute(f"Task/{asked['id']}", method="get")
        tag = {"If-Match": f'W/"{now["meta"]["versionId"]}"'}
        sender = SyncFHIRClient(day.base, authorization=f"Bearer {day.pantry}", extra_headers=tag)
        sender.execute(f"Task/{asked['id']}", method="put", data={**now, "status": status, **more})
    asked.refresh()
    assert asked["status"] == "completed"
    found = provider.resources("Task").search(_id=asked["id"]).include("Task", "focus").fetch_raw()
    assert {entry["resource"]["resourceType"] for entry in found["entry"]} == {"Task", "ServiceRequest"}


def test_refusals_are_exceptions_of_the_client(day: Day) -> None:
    """404 for what is hidden, an OperationOutcome for what is wrong."""
    pantry = SyncFHIRClient(day.base, authorization=f"Bearer {day.pantry}")
    hidden = day.world.member(day.world.clinic, 702)["id"]
    with pytest.raises(ResourceNotFound):
        pantry.reference("Patient", hidden).to_resource()
    with pytest.raises(OperationOutcome, match="nonsense"):
        pantry.resources("Task").search(nonsense="1").fetch()


def _of(resource: dict[str, object]) -> dict[str, object]:
    return {"resource_type": resource["resourceType"], **resource}
