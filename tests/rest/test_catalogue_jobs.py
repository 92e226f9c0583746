"""The catalogue of malformed requests, rows 102 to 106: jobs.

Bulk export is not offered, so that rows 102 to 104 have one answer: the operation is not there.
"""

import pytest

from tests.live import Client, LiveServer
from tests.rest.catalogue import Row, ask, refused

LATER = {"Prefer": "respond-async"}
BATCH = {
    "resourceType": "Bundle",
    "type": "batch",
    "entry": [{"request": {"method": "GET", "url": "Patient?_count=1"}}],
}


@pytest.mark.parametrize(
    "path", ["$export", "Patient/$export", "Group/a/$export", "$export?_type=Foo&_since=2999-01-01"]
)
def test_there_is_no_bulk_export(clinic: Client, path: str) -> None:
    """Rows 102 to 104: whatever is asked of it, and by whom."""
    row = Row(102, "", "GET", path, None, 404, "not-supported", headers=LATER)
    refused(ask(clinic, row), row)


def begun(client: Client) -> str:
    """The path of the status of a batch that is answered later."""
    answer = client.post("", BATCH, headers=LATER)
    assert answer.status_code == 202, answer.text
    return answer.headers["Content-Location"].rpartition("/fhir/")[2]


def test_the_job_of_another(clinic: Client, stranger: Client) -> None:
    """Row 105: like one that does not exist."""
    row = Row(105, "", "GET", begun(clinic), None, 404, "not-found")
    absent = Row(105, "", "GET", "_jobs/absent", None, 404, "not-found")
    answers = [ask(stranger, one) for one in (row, absent)]
    refused(answers[0], row)
    assert answers[0].body == answers[1].body


def test_a_job_that_was_deleted(server: LiveServer, clinic: Client) -> None:
    """Row 106."""
    path = begun(clinic)
    assert ask(clinic, Row(106, "", "DELETE", path)).status == 202
    row = Row(106, "", "GET", path, None, 404, "not-found")
    refused(ask(clinic, row), row)
