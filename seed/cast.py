"""The cast: members by the part they play, from seed/data/cast.json, written as files to play them with."""

import csv
import io
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

from seed import numbers, world

FIRST = 9_500_000  # the serial of the first CIN of the cast, apart from those of the world's members
MOST = 10  # persons in one role
_PLACE = re.compile(r"\{(\w+)(?: (\d+))?\}")

Step = Mapping[str, Any]


@dataclass(frozen=True)
class Role:
    """One part: its name, what it tells, and its steps in order."""

    number: int
    name: str
    tells: str
    steps: Sequence[Step]

    def serial(self, person: int) -> int:
        """A number that is this person's alone."""
        return FIRST + self.number * MOST + person

    def cin(self, person: int) -> str:
        """The person's Client Index Number."""
        return f"9{self.serial(person):07d}A"


@cache
def _data() -> dict[str, Any]:
    return dict(json.loads((world.DATA / "cast.json").read_text(encoding="utf-8")))


def roles() -> Iterator[Role]:
    """Every part of the cast."""
    for number, facts in enumerate(_data()["roles"]):
        yield Role(number, facts["role"], facts["tells"], facts["steps"])


def rows(role: Role, step: Step, npis: Mapping[str, str], more: Mapping[str, str] | None = None) -> list[list[str]]:
    """Header and cells of a step that is a file; `npis` by the provider's name in the cast, `more` for other words."""
    used = {name for one in step["file"]["rows"] for name in one["cells"]}
    defaults = {name: text for name, text in _data()["row"].items() if text or name in used}
    found = [list(defaults)]
    for one in step["file"]["rows"]:
        words = {"npi": npis[one["provider"]], **(more or {})}
        found.append([_filled(role, one["member"], text, words) for text in {**defaults, **one["cells"]}.values()])
    return found


def as_csv(table: Sequence[Sequence[str]]) -> bytes:
    """The rows as a CSV file."""
    text = io.StringIO(newline="")
    csv.writer(text, lineterminator="\r\n").writerows(table)
    return text.getvalue().encode()


def _filled(role: Role, person: int, text: str, words: Mapping[str, str]) -> str:
    def word(found: re.Match[str]) -> str:
        who = int(found[2]) if found[2] else person
        own = {"cin": role.cin(who), "member": f"C{role.serial(who)}", "family": f"Family{role.serial(who)}"}
        return {**own, **words}[found[1]]

    return _PLACE.sub(word, text)


def files() -> Iterator[tuple[str, bytes]]:
    """(name, content) of every file of the cast, for the organizations of the seed's world."""
    providers = world.those("provider")
    npis = {"provider": providers[0].npi, "other-provider": providers[1].npi, "site": numbers.npi(95_000_000)}
    for role in roles():
        steps = [step for step in role.steps if "file" in step]
        for number, step in enumerate(steps, 1):
            yield f"{role.name}-{number}.csv", as_csv(rows(role, step, npis, {"tin": providers[0].tin}))
