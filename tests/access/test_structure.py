"""One door: who may name the resource tables, and where they may stand in a statement."""

import ast
import re
from pathlib import Path

import pytest
from sqlalchemy import select
from sqlalchemy.dialects import postgresql, sqlite

import fhir_server
from fhir_server.access import decide
from fhir_server.access.directory import DIRECTORY_TYPES
from fhir_server.access.law import standard
from fhir_server.access.predicate import Visible
from fhir_server.fhir.definitions import type_numbers
from tests.access.scene import DEFAULT, NOW, caller

ROOT = Path(fhir_server.__file__).parent
TABLES = {"res", "hist"}
WITHIN = re.compile(r"\b(?:FROM|JOIN) (?:res|hist) AS \w+_(?:row|now|row_full|now_full)\b")
IN_TEXT = re.compile(r"(?i)\b(from|join|into|update) (res|hist)\b")
NAMED = re.compile(r"\b(?:FROM|JOIN|,) (?:res|hist)\b")


def names_a_table(path: Path) -> bool:
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.ImportFrom) and node.module and node.module.startswith("fhir_server.store"):
            if TABLES & {alias.name for alias in node.names}:
                return True
        elif isinstance(node, ast.Attribute) and node.attr in TABLES and isinstance(node.value, ast.Name):
            if node.value.id in {"tables", "resources"}:
                return True
        elif isinstance(node, ast.Constant) and re.search(
            r"(?i)\b(from|join|into|update) (res|hist)\b", str(node.value)
        ):
            return True
    return False


def modules() -> list[Path]:
    return [path for path in sorted(ROOT.rglob("*.py")) if path.relative_to(ROOT).parts[0] != "store"]


def test_only_the_store_and_the_predicate_read_the_resource_tables():
    """Structural test (b). The engine hands the tables to the batch of inserts and reads nothing from them."""
    readers = {str(path.relative_to(ROOT)) for path in modules() if names_a_table(path)}
    assert readers - {"access/predicate.py"} == set()


def test_in_this_room_only_the_predicate_knows_sql():
    for path in sorted((ROOT / "access").glob("*.py")):
        knows = bool(re.search(r"^\s*(?:from|import) sqlalchemy", path.read_text("utf-8"), re.MULTILINE))
        assert knows == (path.name == "predicate.py"), path.name


@pytest.mark.parametrize("dialect", [sqlite.dialect(), postgresql.dialect()], ids=["sqlite", "postgresql"])
def test_the_tables_stand_inside_the_predicate_alone(dialect):
    """Structural test (a): every mention of a resource table carries an alias of the visible sub-select."""
    whoever = [caller("a"), caller("a", "non-hipaa"), caller("a", operator=True), caller("a", scopes="system/Task.rs")]
    for visible in (Visible(who, NOW) for who in whoever):
        for source in (visible("r"), visible("r", of="Patient"), visible("r", of="Task"), visible.history("r")):
            sql = re.sub(r"\s+", " ", str(select(source).compile(dialect=dialect)))
            assert len(NAMED.findall(sql)) == len(WITHIN.findall(sql)) >= 1
            assert source.name == "r"


def test_two_aliases_carry_two_predicates():
    visible = Visible(caller("a"), NOW)
    first, second = visible("x", of="Task"), visible("y", of="Patient")
    sql = str(select(first).join(second, first.c.patient == second.c.rh))
    assert len(re.findall(r"\w+_row\.owner = :v_org", sql)) == 2


def test_both_tellings_know_the_same_directory():
    assert decide._DIRECTORY == DIRECTORY_TYPES
    assert set(type_numbers()) >= DIRECTORY_TYPES
    assert not DIRECTORY_TYPES & {"Patient", "Group", "Endpoint", "Binary", "Subscription", "Task"}


@pytest.mark.parametrize(
    ("law_class", "kind", "purpose", "mask"),
    [
        ("covered", "plan", "HPAYMT", DEFAULT),
        ("part2", "assigned", "TREAT", DEFAULT),
        ("covered", "care-team", "CAREMGT", DEFAULT),
        ("non-hipaa", "referral", "TREAT", 0),
        ("non-hipaa", "care-team", "TREAT", None),
        ("non-hipaa", "assigned", "TREAT", None),
        ("covered", "plan", "HLEGAL", None),
        ("unheard-of", "plan", "TREAT", None),
    ],
)
def test_law_defaults(law_class, kind, purpose, mask):
    """R7, R9: no entry is no entitlement, which is less than an entitlement to ordinary information."""
    assert standard()(law_class, kind, purpose) == mask
