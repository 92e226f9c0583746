"""docs/search.md says of every search type what the server does."""

import re
from pathlib import Path

from fhir_server.search.types import search_types

PAGE = Path(__file__).resolve().parents[2] / "docs" / "search.md"
PREFIXED = {"date", "number", "quantity"}


def test_the_table_is_that_of_the_server():
    """Modifiers and order of every type, as its file declares them."""
    rows = re.findall(r"^\| (\w+)(?: \(`near`\))? \| (.*?) \| (.*?) \| (yes|no) \|$", PAGE.read_text(), re.MULTILINE)
    assert [row[0] for row in rows] == sorted(search_types())
    for name, modifiers, prefixes, order in rows:
        kind = search_types()[name]
        stated = set(re.findall(r"`:([a-z-]+)`", modifiers))
        assert stated == kind.modifiers | {"missing"}, name
        assert (order == "yes") is bool(kind.sort), name
        assert (prefixes.startswith("eq")) is (name in PREFIXED), name
