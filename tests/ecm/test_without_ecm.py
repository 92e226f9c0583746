"""The engine without its guest: the programme's folders deleted, the FHIR server still builds, migrates and serves."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]

SERVE = """
import sys, tempfile
from contextlib import closing
from pathlib import Path
import fhir_server
assert Path(fhir_server.__file__).is_relative_to(sys.argv[1]), fhir_server.__file__
from fhir_server.store.db import open_database
from fhir_server.store.migrations import migrate
from tests.live import running

folder = Path(tempfile.mkdtemp(dir=sys.argv[1]))
url = f"sqlite:///{folder}/plain.db"
with closing(open_database(url)) as database:
    migrate(database)
with running(url, folder) as server:
    clinic, other = server.client("clinic"), server.client("other")
    made = clinic.post("Patient", {"resourceType": "Patient", "name": [{"family": "Plain"}]})
    assert made.status_code == 201, made.text
    patient = made.json()["id"]
    about = {"reference": f"Patient/{patient}"}
    task = {"resourceType": "Task", "status": "completed", "intent": "order", "for": about}
    assert clinic.post("Task", task).status_code == 201
    assert clinic.get("Patient?family=plain&_count=5").json()["entry"][0]["resource"]["id"] == patient
    assert len(clinic.get(f"Task?patient=Patient/{patient}&_include=Task:patient").json()["entry"]) == 2
    changed = {**made.json(), "active": True}
    assert clinic.put(f"Patient/{patient}", changed, headers={"If-Match": 'W/"1"'}).status_code == 200
    assert clinic.get(f"Patient/{patient}/_history/1").status_code == 200
    assert len(clinic.get(f"Patient/{patient}/_history").json()["entry"]) == 2
    bundle = {"resourceType": "Bundle", "type": "transaction", "entry": [{
        "resource": {"resourceType": "Goal", "lifecycleStatus": "active", "description": {"text": "x"},
                     "subject": about},
        "request": {"method": "POST", "url": "Goal"}}]}
    assert clinic.post("", bundle).status_code == 200
    assert other.get(f"Patient/{patient}").status_code == 404
    assert clinic.delete(f"Patient/{patient}").status_code == 204
    assert clinic.get(f"Patient/{patient}").status_code == 410
    said = clinic.get("metadata").text
    assert "import-assignments" not in said and "ecm-exchange.org" not in said, "the guest is named"
print("served")
"""


def test_the_engine_without_its_guest(tmp_path: Path):
    """ECM is a guest, and nothing below needs it."""
    leave_out = shutil.ignore_patterns("__pycache__", "ecm", "portal")
    for name in ("fhir_server", "profiles", "terminology"):
        shutil.copytree(ROOT / name, tmp_path / name, ignore=leave_out)
    shutil.copy(ROOT / "pyproject.toml", tmp_path)  # by which a checkout is known
    (tmp_path / "tests").mkdir()
    shutil.copy(ROOT / "tests" / "live.py", tmp_path / "tests" / "live.py")
    assert not list(tmp_path.rglob("ecm"))
    done = subprocess.run(
        [sys.executable, "-c", SERVE, str(tmp_path)],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(tmp_path)},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    assert done.stdout.strip().endswith("served")
