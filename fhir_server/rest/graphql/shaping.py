"""What a query has gathered as JSON: names and aliases, and what @flatten, @singleton and @slice make of them.

https://hl7.org/fhir/R4/graphql.html#flattening
"""

from collections.abc import Sequence
from typing import Any

from fhir_server.fhir.errors import Unprocessable
from fhir_server.rest.graphql.failures import told_at
from fhir_server.rest.graphql.gathering import Part


def shaped(parts: Sequence[Part]) -> dict[str, Any]:
    """The object that these parts make; Unprocessable where several values, or of several types, meet under a name."""
    made = _Object()
    for part in parts:
        made.put(part)
    return made.values


class _Object:
    """An object of the answer in the making."""

    def __init__(self) -> None:
        self.values: dict[str, Any] = {}
        self._kinds: dict[str, str] = {}

    def put(self, part: Part, suffix: str = "", *, collated: bool = False) -> None:
        """Add what a field yields; `collated`: it comes from several objects, so that what it yields is a list."""
        marks = part.field.marks
        repeats = collated or (part.member.repeats and "first" not in marks)
        if part.member.how == "list" and repeats and not marks:
            self.values.setdefault(part.field.key + suffix, [])  # nothing was found, which is an answer
        for more, content in part.items:
            if "flatten" in marks:
                for inner in content or ():
                    self.put(inner, suffix + more, collated=repeats)
            else:
                value = shaped(content) if part.field.fields and content is not None else content
                with told_at(part.field.node):
                    self._add(part, part.field.key + suffix + more, value, repeats=repeats and "singleton" not in marks)

    def _add(self, part: Part, key: str, value: Any, *, repeats: bool) -> None:
        kind = part.member.kind.structure
        if self._kinds.setdefault(key, kind) != kind:
            raise Unprocessable(f"What comes together as {key[:64]} is of different types: give it other names.")
        if repeats and isinstance(self.values.setdefault(key, []), list):
            self.values[key].append(value)
        elif key in self.values:
            raise Unprocessable(f"There is more than one value for {key[:64]}, which is no list.")
        else:
            self.values[key] = value
