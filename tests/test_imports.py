"""The order of the rooms holds, and breaking it is noticed."""

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
NOT_CODE = shutil.ignore_patterns("__pycache__", "static", "templates", "*.json")

CIRCLE = "No file and no folder imports in a circle"
# file (new or appended to) -> (text, the contract that must break)
VIOLATIONS = {
    "fhir_server/fhir/errors.py": ("import fhir_server.store.hashing", "A room imports rooms below it only"),
    "fhir_server/cellar/__init__.py": ('"""A room nobody gave a place."""', "A room imports rooms below it only"),
    "fhir_server/engine/context.py": ("import flask", "The web framework stays at the edge"),
    "fhir_server/rest/routes.py": ("import sqlalchemy", "SQL is written where the data is kept, searched and guarded"),
    "fhir_server/search/query.py": ("import psycopg", "Database drivers are known to the store alone"),
    "fhir_server/store/rows.py": ("import joserfc", "OAuth libraries are known to the authorization server alone"),
    "fhir_server/engine/changes.py": (
        "import fhir_server.engine.transaction",
        CIRCLE,
    ),
    "fhir_server/ecm/rosters/groups.py": (
        "import fhir_server.ecm.files.opening",
        "Files know the rosters they fill, and rosters know no files",
    ),
    "fhir_server/ecm/files/assignments/intake.py": (
        "import fhir_server.ecm.files.returns.reporting",
        "Assignment files and return files do not know each other",
    ),
    "fhir_server/rest/interactions/read.py": (
        "import fhir_server.rest.interactions.delete",
        "Entries of rest/interactions do not know each other",
    ),
}


def lint_imports(folder: Path) -> tuple[int, str]:
    """Exit code and output of the import check of the package in `folder`."""
    command = [sys.executable, "-c", "from importlinter.cli import lint_imports_command as run; run()", "--no-cache"]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=120, check=False)
    return done.returncode, done.stdout + done.stderr


def test_the_order_of_the_rooms_holds() -> None:
    """design: a room imports rooms below it only."""
    code, output = lint_imports(ROOT)
    assert code == 0, output


@pytest.mark.parametrize("alone", [False, True], ids=["together", "an upward import alone"])
def test_a_planted_violation_is_caught(tmp_path: Path, alone: bool) -> None:
    """Every contract can break: one planted import for each, in a copy of the package."""
    shutil.copytree(ROOT / "fhir_server", tmp_path / "fhir_server", ignore=NOT_CODE)
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    planted = dict(list(VIOLATIONS.items())[:1]) if alone else VIOLATIONS
    for name, (text, _) in planted.items():
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        with path.open("a") as file:
            file.write(f"\n{text}\n")
    code, output = lint_imports(tmp_path)
    assert code == 1, output
    broken = set(re.findall(r"(?m)^(.+) BROKEN", output))
    assert broken == {contract for _, contract in planted.values()} | {CIRCLE}  # who imports upward closes a circle
    if not alone:
        assert "cellar" in output
