"""A day of work through fhir-kit-client, unchanged, in Node.  https://github.com/Vermonster/fhir-kit-client"""

import json
import shutil
import subprocess
from pathlib import Path

import pytest

from fhir_server.ecm import vocabulary as words
from tests.clients.conftest import Day
from tests.ecm.referral import OUTPUT, request, task

HERE = Path(__file__).parent / "fhir_kit"


@pytest.fixture(scope="session")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the script and the client beside it; skips where npm cannot bring it."""
    npm, folder = shutil.which("npm"), tmp_path_factory.mktemp("npm") / "day"
    if npm is None or shutil.which("node") is None:
        pytest.skip("Node and npm are not installed: fhir-kit-client cannot be tried")
    shutil.copytree(HERE, folder)
    done = subprocess.run(
        [npm, "ci", "--no-audit", "--no-fund"], cwd=folder, capture_output=True, text=True, check=False
    )
    if done.returncode:
        pytest.skip(f"npm cannot install fhir-kit-client: {done.stderr[-300:]}")
    return folder


@pytest.mark.long
def test_a_day_of_work(day: Day, installed: Path) -> None:
    """Capabilities, search with paging, create, the moves of a Task, JSON Patch, history, batch, and a refusal."""
    given = {
        "base": day.base, "provider": day.provider, "pantry": day.pantry, "members": len(day.cins),
        "identifier": f"{words.CIN}|{day.cins[2]}", "hidden": day.world.member(day.world.clinic, 701)["id"],
        "request": request("PERSON", "clinic"), "task": task("PERSON", "REQUEST", "clinic", "pantry"), "output": OUTPUT,
    }  # fmt: skip
    ran = subprocess.run(
        ["node", "day.mjs"], input=json.dumps(given), cwd=installed, capture_output=True, text=True, check=False
    )
    assert ran.stdout.endswith("done\n"), ran.stderr
