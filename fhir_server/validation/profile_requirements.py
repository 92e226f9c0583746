"""Which profiles a resource must conform to even if it does not claim them, by a table of simple conditions."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import orjson

from fhir_server.validation.slicing import reach


@dataclass(frozen=True, slots=True)
class Condition:
    """Holds if some value at the path has the system, the code, or the beginning asked for; or if there is none."""

    path: tuple[str, ...]
    system: str | None = None
    code: str | None = None
    starts_with: str | None = None
    absent: bool = False

    def holds(self, resource: Mapping[str, Any]) -> bool:
        """Whether the resource meets it."""
        values = reach(resource, self.path)
        return not values if self.absent else any(self._meets(value) for value in values)

    def _meets(self, value: Any) -> bool:
        if self.starts_with is not None:
            return isinstance(value, str) and value.startswith(self.starts_with)
        if not isinstance(value, dict):
            return False
        wanted = (("system", self.system), ("code", self.code))
        return all(text is None or value.get(name) == text for name, text in wanted)


class Requirements:
    """Profiles by resource type with their conditions."""

    def __init__(self, rows: Sequence[Mapping[str, Any]]) -> None:
        self._rows: dict[str, list[tuple[str, tuple[Condition, ...]]]] = {}
        for row in rows:
            conditions = tuple(_condition(one) for one in row["when"])
            self._rows.setdefault(row["type"], []).append((row["profile"], conditions))

    @classmethod
    def load(cls, path: Path) -> Self:
        """The table in a file such as profiles/ecm/requirements.json."""
        return cls(orjson.loads(path.read_bytes())["rows"])

    def of(self, type: str, resource: Mapping[str, Any]) -> tuple[str, ...]:
        """The canonical URLs of the profiles required of a resource; empty for most."""
        found = (
            profile
            for profile, conditions in self._rows.get(type, ())
            if all(condition.holds(resource) for condition in conditions)
        )
        return tuple(dict.fromkeys(found))


def _condition(row: Mapping[str, Any]) -> Condition:
    return Condition(
        path=tuple(row["path"].split(".")),
        system=row.get("system"),
        code=row.get("code"),
        starts_with=row.get("startsWith"),
        absent=bool(row.get("absent")),
    )
