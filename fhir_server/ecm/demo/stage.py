"""Where the story is played: the server, the organizations' clients, what was made so far, and how it is told."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path
from typing import Any

import requests

from fhir_server.ecm.client.outcomes import require
from fhir_server.smart.backend import BackendService

Json = dict[str, Any]

PLAN = "plan-valley"
PROVIDER = "almond-clinic"
FOOD_BANK = "open-table-food-bank"
MEALS = "harvest-meals"
STRANGER = "river-street-medicine"  # an ECM provider of another plan
WRONG_CBO = "clear-breath-homes"  # a community organization that was asked for nothing


class NotAsTold(ValueError):
    """The server did something else than the story says."""


@dataclass
class Stage:
    """One playing of the story.

    `tell` takes a sentence, `show` a title and the rows of a table. `made` maps a name to the "Type/id" it became.
    """

    base: str
    world: Path
    clients: Mapping[str, BackendService]
    tell: Callable[[str], None]
    show: Callable[[str, list[Json]], None]
    today: date
    made: dict[str, str] = field(default_factory=dict)

    def get(self, who: str, path: str) -> Json:
        """What the organization reads there; ClientError if it is refused."""
        return body(self.clients[who].get(path), requests.codes.ok)

    def found(self, who: str, query: str) -> list[Json]:
        """The resources of the first page of a search."""
        return list(resources(self.get(who, query)))

    def move(self, who: str, name: str, status: str, **members: Any) -> Json:
        """Take the Task of that name on: read it, change it, and put it back if nobody did so meanwhile."""
        path = self.made[name]
        answer = require(self.clients[who].get(path), requests.codes.ok)
        task = {**answer.json(), "status": status, **members}
        return body(self.clients[who].put(path, task, headers={"If-Match": answer.headers["ETag"]}), requests.codes.ok)


def body(answer: requests.Response, *statuses: int) -> Json:
    """The JSON of an answer of one of these statuses; ClientError otherwise."""
    found: Json = require(answer, *statuses).json()
    return found


def resources(bundle: Json) -> Iterator[Json]:
    """The resources of a Bundle."""
    return (entry["resource"] for entry in bundle.get("entry", []) if "resource" in entry)


def expect(what: bool, told: str) -> None:  # noqa: FBT001 - a condition
    """NotAsTold with the sentence that should have been true."""
    if not what:
        raise NotAsTold(f"Not as told: {told}")


def reference(who: str) -> Json:
    """A reference to an organization of the world, or to "Type/id"."""
    return {"reference": who if "/" in who or ":" in who else f"Organization/{who}"}


def codes_of(concept: Json | None) -> set[str]:
    """The codes of a CodeableConcept."""
    return {str(coding.get("code")) for coding in (concept or {}).get("coding", [])}
