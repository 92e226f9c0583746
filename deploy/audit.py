"""The dependency audit: known vulnerabilities of every locked package, or a loud word that nobody looked.

`python deploy/audit.py requirements-dev.txt` ends with 0 when every locked package was looked up and is clean, or when
no vulnerability service answers and the offline checks pass; it then says DID NOT RUN. It ends with 1 when a package
has a known vulnerability, when only a part could be looked up, when the lock is empty or loose, and when the
environment is not what the lock says. https://github.com/pypa/pip-audit
"""

import json
import re
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

SERVICES = ("pypi", "osv")
# Advisories we live with, each with its reason and the day it is looked at again: {"PYSEC-0000-0": "reason, date"}.
ACCEPTED: Mapping[str, str] = {}
_PIN = re.compile(r"^(?P<name>[A-Za-z0-9][\w.-]*)(\[[\w,-]+\])?==(?P<version>[^\s;\\]+)(?P<rest>.*)$", re.MULTILINE)
_HASH = re.compile(r"--hash=sha256:[0-9a-f]{64}\b")


@dataclass(frozen=True)
class Answer:
    """What one vulnerability service said: packages it knew, packages it did not know, findings; or why none."""

    service: str
    known: int = 0
    unknown: tuple[str, ...] = ()
    findings: tuple[str, ...] = ()
    failure: str = ""


def locked(text: str) -> dict[str, tuple[str, int]]:
    """Package name -> (version, number of hashes) of a lock file's text."""
    starts = list(_PIN.finditer(text))
    ends = [match.start() for match in starts] + [len(text)]
    return {
        match["name"]: (match["version"], len(_HASH.findall(text[match.start() : end])))
        for match, end in zip(starts, ends[1:], strict=True)
    }


def read_report(service: str, report: str) -> Answer:
    """The Answer in pip-audit's JSON: it exits with 0 even when the service knew none of the packages."""
    try:
        packages = json.loads(report)["dependencies"]
    except (ValueError, KeyError):
        return Answer(service, failure="its answer is not a report")
    unknown = tuple(package["name"] for package in packages if "skip_reason" in package)
    findings = tuple(
        f"{package['name']} {package['version']}: {found['id']}, fixed in {', '.join(found['fix_versions']) or 'none'}"
        for package in packages
        for found in package.get("vulns", ())
        if found["id"] not in ACCEPTED and not set(found.get("aliases", ())) & ACCEPTED.keys()
    )
    known = len(packages) - len(unknown)
    failure = "" if known else "it knew none of the packages"
    return Answer(service, known, unknown, findings, failure)


def ask(service: str, lock: Path) -> Answer:
    """One service's Answer for every package of the lock; a failure where the service cannot be reached."""
    command = [
        sys.executable,
        "-m",
        "pip_audit",
        "--disable-pip",
        "--vulnerability-service",
        service,
        "--format",
        "json",
    ]
    command += ["--progress-spinner", "off", "--timeout", "20", "--requirement", str(lock)]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)  # noqa: S603 - our list
    except subprocess.TimeoutExpired:
        return Answer(service, failure="no answer in 300 seconds")
    if not done.stdout.strip():
        last = (done.stderr.strip().splitlines() or ["no output"])[-1]
        return Answer(service, failure=last.partition(":")[0].rpartition(".")[2][:64])
    return read_report(service, done.stdout)


def loose(pins: Mapping[str, tuple[str, int]]) -> list[str]:
    """What is wrong with the lock itself and with this environment, checked without any network."""
    problems = [f"{name} has no hash" for name, (_, hashes) in pins.items() if not hashes]
    for name, (pinned, _) in pins.items():
        try:
            installed = version(name)
        except PackageNotFoundError:
            problems.append(f"{name} {pinned} is locked but not installed")
            continue
        if installed != pinned:
            problems.append(f"{name} {installed} is installed, the lock says {pinned}")
    check = subprocess.run([sys.executable, "-m", "pip", "check"], capture_output=True, text=True, check=False)
    return problems + (check.stdout.splitlines() if check.returncode else [])


def verdict(pins: Mapping[str, tuple[str, int]], answers: Sequence[Answer]) -> tuple[int, list[str]]:
    """Exit code and lines to print, from what the services said."""
    if not pins:
        return 1, ["dependency audit FAILED: the lock file names no package, so nothing was audited"]
    heard = next((answer for answer in answers if not answer.failure), None)
    if heard is None:
        reasons = "; ".join(f"{answer.service}: {answer.failure}" for answer in answers)
        return 0, [f"dependency audit DID NOT RUN: no vulnerability service could be used ({reasons})"]
    if heard.findings:
        return 1, ["dependency audit FAILED: known vulnerabilities", *heard.findings]
    if heard.unknown:
        return 1, [f"dependency audit INCOMPLETE: {heard.service} does not know {', '.join(heard.unknown)}"]
    return 0, [f"dependency audit: {heard.known} of {len(pins)} locked packages looked up, no known vulnerability"]


def main(lock: Path) -> int:
    """Audit the lock file and print what was found; the exit code."""
    pins = locked(lock.read_text())
    answers: list[Answer] = []
    for service in SERVICES if pins else ():
        answers.append(ask(service, lock))
        if not answers[-1].failure:
            break
    code, lines = verdict(pins, answers)
    problems = loose(pins)
    lines += [f"lock: {problem}" for problem in problems]
    if not problems:
        lines.append(f"lock: {len(pins)} packages pinned with hashes, installed exactly so, and free of conflicts")
    print("\n".join(lines))
    return 1 if problems else code


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
