"""Which requirement is proven by which test, as a page: `pytest -p tests.conformance.plugin --conformance PAGE`.

Tests cite requirements in their docstrings; those that cite none are left out of such a run. A file beside this one
names the requirements of one source, and the reason where one is not met.
"""

import ast
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

HERE = Path(__file__).parent
_CITED = re.compile(r"\b([A-Z]{1,3})-(\d\d)\b(?:\s+to\s+\1-(\d\d)\b)?")
_KEPT = "requirements"


def cited(text: str) -> list[str]:
    """The requirements named in a text; "B-26 to B-29" are four."""
    found: dict[str, None] = {}
    for kind, first, last in _CITED.findall(text):
        for number in range(int(first), int(last or first) + 1):
            found[f"{kind}-{number:02d}"] = None
    return list(found)


def sources() -> list[dict[str, Any]]:
    """What is required, by source."""
    return [json.loads(path.read_text(encoding="utf-8")) for path in sorted(HERE.glob("*.json"))]


def cited_in_tests(folder: Path) -> set[str]:
    """Every requirement that some test below a folder cites."""
    texts = (ast.get_docstring(node) or "" for node in _tests(folder))
    return {one for text in texts for one in cited(text)}


def _tests(folder: Path) -> Iterator[ast.FunctionDef]:
    for path in sorted(folder.rglob("test_*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.FunctionDef) and node.name.startswith("test_"):
                yield node


# ---- the run ---------------------------------------------------------------------------------------------------------


def pytest_addoption(parser: pytest.Parser) -> None:
    """The page to write."""
    parser.addoption("--conformance", help="write the page of requirements and their tests to this file")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Only what cites a requirement is run."""
    known = {name for source in sources() for name in source["lines"]}
    kept = []
    for item in items:
        names = [name for name in _cited_by(item) if name in known]
        if names:
            item.user_properties.append((_KEPT, names))
            kept.append(item)
    config.hook.pytest_deselected(items=[item for item in items if item not in kept])
    items[:] = kept


def _cited_by(item: pytest.Item) -> list[str]:
    """The requirements in the parameters of this case, or else in the docstring of its test."""
    return cited(item.nodeid.partition("[")[2]) or cited(getattr(item.obj, "__doc__", "") or "")


def pytest_configure(config: pytest.Config) -> None:
    """The controller of a distributed run gathers what its workers report."""
    if config.getoption("--conformance") and not hasattr(config, "workerinput"):
        config.pluginmanager.register(_Page(Path(config.getoption("--conformance"))))


class _Page:
    def __init__(self, path: Path) -> None:
        self._path = path
        self._tests: dict[str, dict[str, list[str]]] = {}

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if report.when == "call" or not report.passed:
            name = report.nodeid.partition("[")[0].removeprefix("tests/")
            for requirement in dict(report.user_properties).get(_KEPT, []):
                self._tests.setdefault(requirement, {}).setdefault(name, []).append(report.outcome)

    def pytest_sessionfinish(self) -> None:
        text = "".join(self._section(source) for source in sources())
        self._path.write_text(_HEAD + text, encoding="utf-8")

    def _section(self, source: dict[str, Any]) -> str:
        rows = [self._row(name, words, source.get("reasons", {}).get(name, ""))
                for name, words in source["lines"].items()]  # fmt: skip
        head = "| | requirement | state | proven by |\n|---|---|---|---|\n"
        return f"\n## {source['title']}\n\n{source['source']}\n\n{head}" + "".join(rows)

    def _row(self, name: str, words: str, reason: str) -> str:
        tests = self._tests.get(name, {})
        outcomes = {outcome for found in tests.values() for outcome in found}
        state = reason or ("pass" if outcomes == {"passed"} else "**fail**" if "failed" in outcomes else "not shown")
        shown = ", ".join(f"`{test.split('::')[-1]}`" for test in sorted(tests)[:6])
        more = f" and {len(tests) - 6} more" if len(tests) > 6 else ""
        return f"| {name} | {words} | {state} | {shown}{more} |\n"


_HEAD = """# Conformance

Which requirement is proven by which test. `make conformance` writes this page by running them on SQLite and PostgreSQL.
"""
