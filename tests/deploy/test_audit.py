"""The dependency audit says what it did: an audit of nothing never passes for a clean one."""

import importlib.util
import json
from pathlib import Path

import pytest

_FILE = Path(__file__).parents[2] / "deploy" / "audit.py"
_SPEC = importlib.util.spec_from_file_location("audit", _FILE)
audit = importlib.util.module_from_spec(_SPEC)
_SPEC.loader.exec_module(audit)

DIGEST = "--hash=sha256:" + "0" * 64
LOCK = (
    f"alpha==1.0 \\\n    {DIGEST} \\\n    {DIGEST}\n    # via beta\n"
    f"beta[extra]==2.1 ; python_version < '3.13' \\\n    {DIGEST}\n"
)


def report(*packages: dict) -> str:
    return json.dumps({"dependencies": list(packages)})


def clean(name: str) -> dict:
    return {"name": name, "version": "1", "vulns": []}


def skipped(name: str) -> dict:
    return {"name": name, "skip_reason": "not found"}


def vulnerable(name: str) -> dict:
    return {"name": name, "version": "1", "vulns": [{"id": "X-1", "fix_versions": ["2"], "aliases": ["Y-1"]}]}


def judge(*reports: str) -> tuple[int, str]:
    answers = [audit.read_report("service", text) for text in reports]
    code, lines = audit.verdict({"alpha": ("1", 1), "beta": ("1", 1)}, answers)
    return code, "\n".join(lines)


def test_a_lock_is_read_with_versions_and_hashes() -> None:
    assert audit.locked(LOCK) == {"alpha": ("1.0", 2), "beta": ("2.1", 1)}


def test_an_audit_of_a_clean_lock_says_how_many_it_looked_up() -> None:
    assert judge(report(clean("alpha"), clean("beta"))) == (
        0,
        "dependency audit: 2 of 2 locked packages looked up, no known vulnerability",
    )


def test_a_vulnerability_fails_and_is_named() -> None:
    code, text = judge(report(clean("alpha"), vulnerable("beta")))
    assert code == 1
    assert "FAILED" in text
    assert "beta 1: X-1, fixed in 2" in text


def test_an_accepted_vulnerability_passes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(audit, "ACCEPTED", {"Y-1": "the function concerned is not used; again in March"})
    assert judge(report(clean("alpha"), vulnerable("beta")))[0] == 0


def test_a_service_that_knows_nothing_is_no_audit() -> None:
    """The tool itself calls this clean and exits with 0."""
    code, text = judge(report(skipped("alpha"), skipped("beta")))
    assert (code, text) == (
        0,
        "dependency audit DID NOT RUN: no vulnerability service could be used (service: it knew none of the packages)",
    )


def test_a_service_that_knows_a_part_fails() -> None:
    code, text = judge(report(clean("alpha"), skipped("beta")))
    assert code == 1
    assert "INCOMPLETE: service does not know beta" in text


def test_a_report_that_is_none_is_a_failure() -> None:
    assert "DID NOT RUN" in judge("Traceback")[1]


def test_an_empty_lock_fails(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    lock = tmp_path / "requirements.txt"
    lock.write_text("# nothing\n")
    assert audit.main(lock) == 1
    assert "FAILED: the lock file names no package" in capsys.readouterr().out


def test_a_loose_lock_is_noticed() -> None:
    problems = audit.loose({"pytest": ("0.0.1", 0), "no-such-package": ("1", 1)})
    assert "pytest has no hash" in problems
    assert f"pytest {pytest.__version__} is installed, the lock says 0.0.1" in problems
    assert "no-such-package 1 is locked but not installed" in problems
