"""Where an extension may stand, by its definition.  https://hl7.org/fhir/R4/defining-extensions.html#context"""

from collections.abc import Iterator, Mapping
from typing import Any, Final

from fhir_server.fhir.definitions import Definitions
from fhir_server.fhir.memory import remembered
from fhir_server.validation.profile_tree import BASE

Steps = tuple[tuple[str, int], ...]
"""The way from the resource to what an extension stands in: member name and index, -1 where nothing repeats."""

_ANYWHERE: Final = frozenset({"Element", "Resource"})
_SHOWN: Final = 4


class Contexts:
    """The contexts of the installed extensions."""

    def __init__(self, definitions: Definitions) -> None:
        self._definitions = definitions
        self._allowed = remembered(4096)(self._asked)

    def missed(self, url: str, type_: str, steps: Steps, root: Any) -> str:
        """Where the extension is for, in words, if it is not for the place it stands at; "" if it is right there."""
        if not steps:
            return self._allowed(url, type_, (), "")
        names = tuple(name.removeprefix("_") for name, _ in steps)
        if "extension" in names or "modifierExtension" in names or "contained" in names or "resource" in names:
            type_, names, holder = _innermost(type_, steps, root)
            return self._allowed(url, type_, names, holder)
        return self._allowed(url, type_, names, "")

    def _asked(self, url: str, type_: str, names: tuple[str, ...], holder: str) -> str:
        contexts = (self._definitions.resource(url) or {}).get("context", ())
        if not contexts or any(one.get("type") == "fhirpath" for one in contexts):
            return ""
        here = frozenset(self._places(type_, names)) if not holder else frozenset({"Extension", holder})
        wanted = [str(one.get("expression", "")) for one in contexts]
        if any(one in _ANYWHERE or one.removeprefix(BASE).rpartition("#")[2] in here or one in here for one in wanted):
            return ""
        return " or ".join(wanted[:_SHOWN])

    def _places(self, type_: str, names: tuple[str, ...]) -> Iterator[str]:
        """Every name by which a definition may mean this place: paths from each type on the way, and data types."""
        paths, structure = [type_], type_
        for name in names:
            if structure not in self._definitions.elements:
                break
            found = self._definitions.elements.members(structure).get(name)
            if found is None:
                return
            element, structure = found
            starts = [*paths, *self._kinds(element.path.rpartition(".")[0])]
            paths = [f"{start}.{called}" for start in starts for called in {name, element.name}]
            paths += [path.removesuffix("[x]") for path in paths]
        yield from paths
        yield from self._kinds(structure)

    def _kinds(self, structure: str) -> Iterator[str]:
        """A type and what it specializes."""
        while structure:
            yield structure
            known = structure in self._definitions.elements
            structure = self._definitions.elements.base(structure) if known else ""


def _innermost(type_: str, steps: Steps, root: Any) -> tuple[str, tuple[str, ...], str]:
    """The type and path within the inner resource that an extension stands in; or the URL of the extension it is in."""
    names: list[str] = []
    holder, value = "", root
    for name, index in steps:
        value = value.get(name) if isinstance(value, Mapping) else None
        value = value[index] if isinstance(value, list) and 0 <= index < len(value) else value
        names.append(name.removeprefix("_"))
        holder = ""
        if isinstance(value, Mapping) and isinstance(value.get("resourceType"), str):
            type_, names = value["resourceType"], []
        elif name in ("extension", "modifierExtension") and isinstance(value, Mapping):
            holder = str(value.get("url", ""))
    return type_, tuple(names), holder
