"""The catalogue of malformed requests, row 107: assignment files that cannot be taken (108 is proved in tests/ecm)."""

import io
import zipfile

import pytest

from tests.ecm.exchange import MEMBERS, mif
from tests.live import Client
from tests.rest.catalogue import Answer, Row, refused, send

PATH = "Group/$import-assignments?mode=delta"
GOOD = mif(list(MEMBERS))
XLSX = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"
XLSM = "application/vnd.ms-excel.sheet.macroEnabled.12"
OLE = bytes.fromhex("d0cf11e0a1b11ae1")


def workbook(*more: str) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as packed:
        for name in ("[Content_Types].xml", "xl/workbook.xml", *more):
            packed.writestr(name, "<a/>")
    return out.getvalue()


FILES = [
    ("wrong header", "text/csv", b"Foo,Bar\n1,2\n", 422, "structure"),
    ("wrong delimiter", "text/csv", GOOD.replace(b",", b";"), 422, "structure"),
    ("UTF-16", "text/csv", GOOD.decode().encode("utf-16"), 422, "structure"),
    ("empty", "text/csv", b"", 422, "structure"),
    ("password", XLSX, OLE + bytes(2000), 422, "structure"),
    ("macros inside", XLSX, workbook("xl/vbaProject.bin"), 422, "structure"),
    ("no workbook", XLSX, GOOD, 422, "structure"),
    ("declared macros", XLSM, workbook("xl/vbaProject.bin"), 415, "not-supported"),
    ("PDF", "application/pdf", b"%PDF-1.7", 415, "not-supported"),
]


def upload(client: Client, body: bytes, kind: str, **headers: str) -> Answer:
    token = f"Bearer {client.authorize_once()}"
    given = {name.replace("_", "-"): value for name, value in headers.items()}
    return send(client.server, "POST", PATH, body, {"Authorization": token, "Content-Type": kind, **given})


@pytest.mark.parametrize(("name", "kind", "body", "status", "code"), FILES)
def test_a_file_that_cannot_be_read(clinic: Client, name: str, kind: str, body: bytes, status: int, code: str) -> None:
    """Row 107: refused before a job exists."""
    refused(upload(clinic, body, kind), Row(107, name, "POST", PATH, body, status, code))


def test_a_file_too_long_is_refused_by_its_length(clinic: Client) -> None:
    """Row 107: 2 GiB are not waited for."""
    token = f"Bearer {clinic.authorize_once()}"
    given = {"Authorization": token, "Content-Type": "text/csv", "Content-Length": str(2 * 1024**3)}
    answer = send(clinic.server, "POST", PATH, GOOD, given)
    refused(answer, Row(107, "size", "POST", PATH, b"", 413, "too-long"))


def test_mode_and_layout_are_checked(clinic: Client) -> None:
    """What the URL says is looked at first."""
    for query, code in (
        ("mode=some", "value"),
        ("layout=foo", "value"),
        ("foo=a", "not-supported"),
        ("format=doc", "value"),
    ):
        row = Row(107, query, "POST", f"Group/$import-assignments?{query}", GOOD, 400, code)
        token = {"Authorization": f"Bearer {clinic.authorize_once()}", "Content-Type": "text/csv"}
        refused(send(clinic.server, row.method, row.path, GOOD, token), row)
