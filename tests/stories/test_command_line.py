"""The command line as a visitor uses it: the world loaded, a token fetched, a file sent, against a running server."""

import csv
import re
import stat
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import requests
from sqlalchemy import func, select
from typer.testing import CliRunner, Result

from fhir_server.cli import app
from fhir_server.store import tables
from tests.live import LiveServer, running

pytestmark = pytest.mark.heavy

Command = Callable[..., Result]


@pytest.fixture
def server(database_url: str, tmp_path: Path) -> Iterator[LiveServer]:
    with running(database_url, tmp_path) as live:
        yield live
        live.app.extensions["worker"].stop()


@pytest.fixture
def command(server: LiveServer, database_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Command:
    monkeypatch.setenv("ECM_FHIR_DATA_FOLDER", str(tmp_path))
    monkeypatch.setenv("ECM_FHIR_DATABASE_URL", database_url)
    monkeypatch.setenv("ECM_FHIR_BASE_URL", server.base)
    monkeypatch.setenv("COLUMNS", "200")
    return lambda *words: CliRunner().invoke(app, list(words))


def _versions(server: LiveServer) -> list[int]:
    """How many current and how many superseded versions there are."""
    connection = server.engine.database.read()
    return [connection.execute(select(func.count()).select_from(table)).scalar_one() for table in TABLES]


TABLES = (tables.res, tables.hist)


@pytest.mark.long
def test_a_visitor_loads_the_world_and_sends_a_file(command: Command, server: LiveServer, tmp_path: Path) -> None:
    """Loading twice changes nothing; keys are readable by their user only; the CLI twin reports like the operation."""
    first = command("seed", "load", "--members", "20")
    assert first.exit_code == 0, first.output
    assert "17 clients registered" in first.output
    assert stat.S_IMODE((tmp_path / "clients" / "plan-valley.json").stat().st_mode) == 0o600
    before = _versions(server)
    assert "0 clients registered" in command("seed", "load", "--members", "20").output
    assert _versions(server) == before
    assert "not loaded" in command("seed", "load", "--if-empty").output

    token = command("clients", "token", "almond-clinic").output.strip()
    answer = requests.get(f"{server.base}/Group", headers={"Authorization": f"Bearer {token}"}, timeout=30)
    assert len(answer.json()["entry"]) == 1

    sample = tmp_path / "seed" / "samples" / "plan-bay.csv"
    sent = command("assignments", "import", str(sample), "--client", "plan-bay")
    assert sent.exit_code == 0, sent.output
    assert "500" in sent.output
    assert "485" in sent.output
    with (sample.parent / "plan-bay.response.csv").open(encoding="utf-8-sig") as file:
        assert len(list(csv.DictReader(file))) == 500
    _a_file_is_held_and_decided(command, sample)


def _a_file_is_held_and_decided(command: Command, sample: Path) -> None:
    """A truncated file is held, withdrawn, sent again, confirmed and recalled, all from the terminal."""
    cut = sample.with_name("cut.csv")
    cut.write_text("".join(sample.read_text(encoding="utf-8").splitlines(keepends=True)[:200]), encoding="utf-8")
    plan, held = ("--client", "plan-bay"), re.compile(r"assignments confirm ([0-9a-f-]{36})")
    sent = command("assignments", "import", str(cut), "--mode", "full", *plan)
    assert "HELD and nothing was changed" in sent.output, sent.output
    assert cut.with_name("cut.preview.csv").exists()
    job = held.findall(sent.output)[0]
    assert "withdrawn" in command("assignments", "withdraw", job, *plan).output
    job = held.findall(command("assignments", "import", str(cut), "--mode", "full", *plan).output)[0]
    assert "in-force" in command("assignments", "confirm", job, *plan).output
    readers = sample.with_name("readers.csv")
    assert "recalled" in command("assignments", "recall", job, "--readers", str(readers), *plan).output
    assert readers.read_text().startswith("Organization,Client,CIN")
    assert "unknown-provider" in command("assignments", "parked", "--resolve", *plan).output


def test_what_cannot_be_done_is_said(command: Command, tmp_path: Path) -> None:
    """A missing key, a wrong mode and a key of nobody end with a reason, not with a trace."""
    file = tmp_path / "members.csv"
    file.write_text("a,b\n1,2\n")
    unknown = command("assignments", "import", str(file), "--client", "nobody")
    assert unknown.exit_code == 1
    assert "There is no key at" in str(unknown.exception)
    assert command("assignments", "import", str(file), "--client", "nobody", "--mode", "half").exit_code == 2
    made = command(
        "clients", "register", "valley", "--organization", "Organization/valley", "--law-class", "covered",
        "--scopes", "system/*.cruds", "--new-key", str(tmp_path / "clients" / "valley.json"),
    )  # fmt: skip
    assert made.exit_code == 0, made.output
    assert "the right assign" in str(command("assignments", "import", str(file), "--client", "valley").exception)
    granted = command("clients", "extend", "valley", "--rights", "assign", "--identifier", "urn:numbers|7")
    assert (granted.exit_code, "urn:numbers|7" in granted.output) == (0, True), granted.output
    refused = command("assignments", "import", str(file), "--client", "valley")
    assert "was answered 422" in str(refused.exception)
    assert "urn:numbers|7" in command("clients", "list").output
    assert "is registered" in str(command("clients", "extend", "nobody", "--rights", "assign").exception)


def test_what_an_administrator_does_to_a_client(command: Command, server: LiveServer, tmp_path: Path) -> None:
    """Section 3 (admin acts), T10: keys are changed, scopes and rights taken away, and the trail says by whom."""
    old, new = tmp_path / "old.json", tmp_path / "new.json"
    asked = ("clients", "token", "lake", "--key")
    for words in (
        ("register", "lake", "--organization", "Organization/lake", "--law-class", "covered",
         "--scopes", "system/*.cruds", "--rights", "assign purge", "--new-key", str(old)),
        ("rekey", "lake", "--new-key", str(new)),
        ("narrow", "lake", "--scopes", "system/Patient.rs system/Task.cruds", "--without", "purge"),
    ):  # fmt: skip
        done = command("clients", *words)
        assert done.exit_code == 0, done.output
    assert "gives lake no token" in str(command(*asked, str(old)).exception)
    assert command(*asked, str(new), "--scopes", "system/Patient.rs").exit_code == 0
    assert command(*asked, str(new), "--scopes", "system/Condition.rs").exit_code == 1
    assert "takes away" in str(command("clients", "narrow", "lake", "--scopes", "system/Condition.rs").exception)
    assert "is registered" in str(command("clients", "narrow", "nobody").exception)
    assert "either a key set" in str(command("clients", "rekey", "lake").exception)
    [row] = server.engine.database.read().execute(
        select(tables.client.c.scopes, tables.client.c.rights).where(tables.client.c.id == "lake")
    )
    assert tuple(row) == ("system/Patient.rs system/Task.cruds", "assign")
    assert command("clients", "deactivate", "lake").exit_code == 0
    assert command(*asked, str(new)).exit_code == 1
    told = select(tables.audit.c.query).where(tables.audit.c.interaction == "admin").order_by(tables.audit.c.at)
    deeds = [text.partition(": clients ")[2] for text in server.engine.database.read().execute(told).scalars()]
    assert [deed.split()[:2] for deed in deeds] == [
        [what, "lake"] for what in ("register", "rekey", "narrow", "deactivate")
    ]
