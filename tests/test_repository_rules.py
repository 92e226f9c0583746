"""What reviewers would otherwise have to repeat: rules that hold for every file of this repository."""

import ast
import re
import subprocess
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
PACKAGE = ROOT / "fhir_server"
LOCKS = ("requirements.txt", "requirements-dev.txt")
LONGEST = 400
HEAVIEST = 8 * 1024 * 1024
# Rooms whose rules get time and ids handed in, so that they can be asked about any day.
TIMELESS = ("access", "ecm", "fhir", "search", "terminology", "validation")
TIMELY = {"today", "now", "utcnow", "time_ns", "uuid1", "uuid4", "uuid7", "token_hex", "token_urlsafe"}

# Written in pieces, so that this file keeps its own rule.
ADDRESSES = [
    "pypi" + r"\.org",
    "pythonhosted" + r"\.org",
    "npmjs" + r"\.(org|com)",
    "crates" + r"\.io",
    "proxy" + r"\.golang",
    "deb" + r"\.debian",
    "repo1?" + r"\.maven",
]
PLACES = [
    r"(?<![\w.{}-])/wo" + "rk/",
    r"(?<![\w.-])/r" + r"oot/(?!\")",
    r"/ho" + r"me/(?!ecm)[a-z]",
    r"C:\\" + r"\\Users",
]
WORKSHOP = ["shared/(des" + "ign|refer" + "ence)", "issues " + r"(show|file)\b", "/tmp/con" + "tract"]
SECRETS = ["-----BEGIN " + r"(\w+ )*PRIVATE KEY-----", "AK" + r"IA[0-9A-Z]{16}\b", "gh" + r"p_[0-9A-Za-z]{36}\b"]


def repository_files() -> list[Path]:
    """Every file that is or would be committed."""
    command = ["git", "ls-files", "--cached", "--others", "--exclude-standard", "-z"]
    try:
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    except (OSError, subprocess.CalledProcessError):
        pytest.skip("this copy is not a git checkout")
    return [path for name in done.stdout.split("\0") if name and (path := ROOT / name).is_file()]


def modules() -> list[Path]:
    return sorted(path for path in PACKAGE.rglob("*.py") if "versions" not in path.parts)


@cache
def texts() -> dict[Path, str]:
    found = {}
    for path in repository_files():
        try:
            found[path] = path.read_text()
        except UnicodeDecodeError:
            continue
    return found


@cache
def parsed(path: Path) -> ast.Module:
    return ast.parse(path.read_text())


def lines_with(pattern: re.Pattern[str]) -> list[str]:
    return [
        f"{path.relative_to(ROOT)}:{text.count(chr(10), 0, match.start()) + 1}: {match[0]}"
        for path, text in texts().items()
        for match in pattern.finditer(text)
    ]


@pytest.mark.parametrize("name", LOCKS)
def test_a_lock_pins_every_package_with_a_hash(name: str) -> None:
    text = (ROOT / name).read_text()
    packages = re.split(r"(?m)^(?=[A-Za-z0-9])", text)[1:]
    assert len(packages) > 20
    loose = [part.split()[0] for part in packages if not re.match(r"\S+==\S+ ", part) or "--hash=sha256:" not in part]
    assert loose == []


@pytest.mark.parametrize("name", LOCKS)
def test_a_lock_holds_no_address(name: str) -> None:
    assert re.findall(r"(?im)://|^\s*-(?!-hash=)\S+|\bfile:/| @ ", (ROOT / name).read_text()) == []


def test_the_development_lock_is_the_runtime_lock_and_more() -> None:
    runtime, development = (set(re.findall(r"(?m)^\S+==\S+", (ROOT / name).read_text())) for name in LOCKS)
    assert runtime - development == set()


@pytest.mark.parametrize(
    "patterns", [ADDRESSES, PLACES, WORKSHOP, SECRETS], ids=["addresses", "places", "workshop", "secrets"]
)
def test_no_file_names_what_differs_elsewhere_or_must_stay_secret(patterns: list[str]) -> None:
    """No host of a package index, no path of somebody's machine, no paper of the workshop, no private key."""
    assert lines_with(re.compile("|".join(patterns))) == []


def test_no_file_is_heavy() -> None:
    heavy = [str(path.relative_to(ROOT)) for path in repository_files() if path.stat().st_size > HEAVIEST]
    assert heavy == []


def test_no_module_is_long() -> None:
    lengths = {str(path.relative_to(ROOT)): path.read_text().count("\n") for path in modules()}
    assert {name: length for name, length in lengths.items() if length > LONGEST} == {}


def test_every_module_says_what_it_is() -> None:
    silent = [str(path.relative_to(ROOT)) for path in modules() if not ast.get_docstring(parsed(path))]
    assert silent == []


def public_functions(node: ast.Module | ast.ClassDef) -> list[ast.FunctionDef]:
    """The functions and methods that other files may call; not overloads, setters and methods of private classes."""
    found = []
    for child in node.body:
        if isinstance(child, ast.ClassDef) and not child.name.startswith("_"):
            found += public_functions(child)
        elif isinstance(child, ast.FunctionDef) and not child.name.startswith("_"):
            marks = {getattr(mark, "id", getattr(mark, "attr", "")) for mark in child.decorator_list}
            found += [] if marks & {"overload", "setter", "override"} else [child]
    return found


def test_every_public_function_says_what_comes_back() -> None:
    silent = [
        f"{path.relative_to(ROOT)}:{function.lineno} {function.name}"
        for path in modules()
        for function in public_functions(parsed(path))
        if not ast.get_docstring(function)
    ]
    assert silent == []


def calls(tree: ast.Module) -> list[tuple[int, str]]:
    return [
        (node.lineno, node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", ""))
        for node in ast.walk(tree)
        if isinstance(node, ast.Call)
    ]


def test_rules_read_no_clock_and_make_no_ids() -> None:
    """A rule asked about last March must answer for last March: time and ids are handed in."""
    timely = [
        f"{path.relative_to(ROOT)}:{line} {name}()"
        for path in modules()
        if path.relative_to(PACKAGE).parts[0] in TIMELESS
        for line, name in calls(parsed(path))
        if name in TIMELY
    ]
    assert timely == []
