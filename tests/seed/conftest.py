"""One generated world for all tests of the seed."""

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console
from rich.progress import Progress

from seed import generate

AS_OF = date(2026, 9, 1)
_CONDITIONAL = re.compile(r'"reference": ?"([A-Za-z]+)\?[^"]*"')
LINKS = {
    "target": "CarePlan",
    "careTeam": "CareTeam",
    "goal": "Goal",
    "addresses": "Condition",
    "focus": "ServiceRequest",
}
_URN = re.compile(r'"reference": ?"urn:uuid:([^"]*)"')


@dataclass(frozen=True)
class World:
    """The folder of a generated world and what its manifest says."""

    folder: Path
    manifest: dict[str, Any]

    def steps(self, kind: str) -> list[dict[str, Any]]:
        return [step for step in self.manifest["steps"] if step["kind"] == kind]

    def content(self, step: dict[str, Any]) -> Any:
        return json.loads((self.folder / step["file"]).read_text(encoding="utf-8"))

    def entries(self) -> Iterator[tuple[dict[str, Any], dict[str, Any]]]:
        """(step, entry) of every transaction."""
        for step in self.steps("bundle"):
            for entry in self.content(step)["entry"]:
                yield step, entry

    def resources(self, *types: str) -> list[dict[str, Any]]:
        found = (entry["resource"] for _, entry in self.entries())
        return [one for one in found if not types or one["resourceType"] in types]

    def moves(self) -> list[dict[str, Any]]:
        return [move for step in self.steps("moves") for move in self.content(step)]


def write(folder: Path, seed: int = 7, members: int = 300) -> World:
    with Progress(console=Console(quiet=True)) as progress:
        manifest = generate.write_world(folder, seed, members, AS_OF, progress)
        generate.write_samples(folder, seed, members, AS_OF, progress)
    return World(folder, manifest)


@pytest.fixture(scope="session")
def world(tmp_path_factory: pytest.TempPathFactory) -> World:
    return write(tmp_path_factory.mktemp("world"))


def resolved(resource: dict[str, Any]) -> dict[str, Any]:
    """The resource as the server would store it: links inside the transaction and by criteria become plain ones."""
    text = _CONDITIONAL.sub(r'"reference": "\1/x"', json.dumps(resource, ensure_ascii=False))
    found = json.loads(text)
    for member, type_name in LINKS.items():
        links = found.get(member, [])
        for link in [links] if isinstance(links, dict) else links:
            if isinstance(link, dict) and str(link.get("reference", "")).startswith("urn:"):
                link["reference"] = f"{type_name}/x"
    assert not _URN.search(json.dumps(found)), "a link inside the transaction that this helper does not know"
    return found
