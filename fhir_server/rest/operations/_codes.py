"""What the terminology operations have in common: the codes, the system or value set, the words of answers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import orjson

from fhir_server.engine import repository
from fhir_server.engine.context import Context
from fhir_server.fhir.errors import NotFound, NotSupported, RequiredMissing
from fhir_server.rest.arguments import Arguments, parameters, present
from fhir_server.rest.message import Request, Response
from fhir_server.terminology.code_systems import Concept
from fhir_server.terminology.filters import System

_ECHOED = 64


class Asked(NamedTuple):
    """One code that is asked about."""

    system: str
    code: str
    version: str = ""
    display: str = ""


def codings(given: Arguments, *, system: str = "system", version: str = "version") -> list[Asked]:
    """The codes in `code`, `coding` or `codeableConcept`; RequiredMissing if none is there, or several ways are."""
    ways = [name for name in ("code", "coding", "codeableConcept") if name in given]
    if len(ways) != 1:
        raise RequiredMissing("Give one of code, coding and codeableConcept.", "code")
    if ways == ["code"]:
        return [Asked(*(given.one(name, "") for name in (system, "code", version, "display")))]
    whole = given.one(ways[0])
    found = [asked(coding) for coding in whole.get("coding", [whole]) if "code" in coding]
    if not found:
        raise RequiredMissing(f"There is no code in {ways[0]}.", ways[0])
    return found


def asked(coding: Mapping[str, str]) -> Asked:
    """A Coding as a code that is asked about."""
    return Asked(*(coding.get(name, "") for name in ("system", "code", "version", "display")))


def system_of(context: Context, url: str, version: str = "") -> System:
    """The code system with this URL; RequiredMissing without one, NotFound if it is not here."""
    if not url:
        raise RequiredMissing("Give the system of the code.", "system")
    found = context.engine.terminology.system(url, version)
    if found is None:
        which = f", version {version[:_ECHOED]}," if version else ""
        raise NotFound(f"The code system {url[:_ECHOED]}{which} is not here.")
    return found


def concept_of(system: System, asked: Asked) -> Concept:
    """The concept of a code; NotFound if the system has no such code."""
    found = system.find(asked.code)
    if found is None:
        raise NotFound(f"The code system {asked.system[:_ECHOED]} has no code {asked.code[:_ECHOED]}.")
    return found


def stored(context: Context, request: Request) -> Mapping[str, Any] | None:
    """The resource in the URL; None at type level."""
    if not request.id:
        return None
    found: Mapping[str, Any] = orjson.loads(repository.read(context, request.type, request.id).body)
    return found


def value_set(context: Context, request: Request, given: Arguments) -> Mapping[str, Any]:
    """The value set in the URL, in the body or by its canonical; NotFound if it is not here."""
    url, version = given.one("url", ""), given.one("valueSetVersion", "")
    found = stored(context, request) or given.one("valueSet")
    if found is None:
        if not url:
            raise RequiredMissing("Name the value set: url, or valueSet in the body.", "url")
        found = context.engine.terminology.value_set(f"{url}|{version}" if version else url)
    if found is None:
        raise NotFound(f"The value set {url[:_ECHOED]} is not here.")
    return found


def refuse(given: Arguments, names: Sequence[str]) -> None:
    """NotSupported for what the definition has, but this server does not do."""
    for name in names:
        if name in given:
            raise NotSupported(f"{name} is not offered.", name)


def verdict(context: Context, interaction: str, message: str, display: str | None) -> Response:
    """The answer of a validation of codes: right without a message; audited."""
    repository.note(context, interaction, 200)
    rows = [("result", "boolean", not message), ("message", "string", message or None), ("display", "string", display)]
    return Response(200, orjson.dumps(parameters(present(rows))))


def wrong_display(concept: Concept | None, asked: Asked) -> str:
    """What is wrong with the display that was given; "" if nothing is."""
    known = concept and [concept.display, *(one.get("value") for one in concept.designations)]
    if not asked.display or not known or any(one and one.lower() == asked.display.lower() for one in known):
        return ""
    return f"The display given is not the one of {asked.code[:_ECHOED]}."
