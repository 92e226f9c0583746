"""The command line of code systems."""

from pathlib import Path

import pytest
from typer.testing import CliRunner

from fhir_server.cli import app
from tests.terminology import distributions as files

pytestmark = pytest.mark.heavy

ROWS = [("E11", False, "Type 2 diabetes mellitus"), ("E119", True, "Type 2 diabetes mellitus without complications")]


@pytest.fixture
def run(database_url: str, tmp_path: Path):
    environment = {"ECM_FHIR_DATABASE_URL": database_url, "ECM_FHIR_DATA_FOLDER": str(tmp_path), "COLUMNS": "200"}

    def call(*arguments: str, fails: bool = False) -> str:
        result = CliRunner().invoke(app, ["terminology", *arguments], env=environment)
        assert bool(result.exit_code) is fails, result.output
        return result.output + str(result.exception or "")

    return call


def test_load_list_and_remove(run, tmp_path: Path) -> None:
    path = str(files.icd_10_cm(tmp_path, ROWS))
    assert "2 concepts" in run("load", "icd-10-cm", path, "--release", "2026")
    assert "2 concepts" in run("load", "icd-10-cm", path, "--release", "2026")
    listed = run("list")
    assert "http://snomed.info/sct" in listed
    assert "2026" in listed
    assert "ready" in listed
    run("remove", "http://hl7.org/fhir/sid/icd-10-cm", "--release", "2026")
    assert "not loaded" in run("remove", "http://hl7.org/fhir/sid/icd-10-cm", "--release", "2026", fails=True)
    assert "Known: " in run("load", "icd-11", path, "--release", "1", fails=True)
