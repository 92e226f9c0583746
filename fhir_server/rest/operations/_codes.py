"""What the terminology operations have in common: the codes, the system or value set, the words of answers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import orjson

from fhir_server.engine import repository
from fhir_server.engine.context import Context
from fhir_server.fhir.errors import NotFound, NotSupported, RequiredMissing, TooCostly, Unprocessable
from fhir_server.rest.arguments import Arguments, parameters, present
from fhir_server.rest.message import Request, Response
from fhir_server.terminology import code_systems
from fhir_server.terminology.code_systems import Concept
from fhir_server.terminology.filters import System

_ECHOED = 64
_MOST = 100  # codings of one concept


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
    if len(found) > _MOST:
        raise TooCostly(f"At most {_MOST} codings are looked at.", ways[0])
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


def own_system(resource: Mapping[str, Any]) -> System:
    """The codes of a CodeSystem resource; Unprocessable if it holds none of its own."""
    if not code_systems.is_system(resource):
        raise Unprocessable(f"The CodeSystem is {resource.get('content')}: it holds no codes of its own.")
    return code_systems.compiled(resource)


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


def wrong_display(concept: Concept | None, asked: Asked, language: str = "") -> str:
    """What is wrong with the display that was given, in a language if one was named; "" if nothing is."""
    known = _displays(concept, language) if concept else []
    if not asked.display or not known or any(one.lower() == asked.display.lower() for one in known):
        return ""
    named = f" in {language[:_ECHOED]}" if language else ""
    return f"The display given is not the one of {asked.code[:_ECHOED]}{named}."


def _displays(concept: Concept, language: str) -> list[str]:
    """What a concept may be called: in a language, if it has a term in it, else by any of its terms."""
    spoken = [one for one in concept.designations if language and speaks(one, language)]
    named = [one.get("value") for one in spoken or concept.designations]
    return [one for one in (*named, None if spoken else concept.display) if one]


def speaks(designation: Mapping[str, Any], language: str) -> bool:
    """Whether a designation is in a language: `es` is found in es-MX, and es-MX in `es` where nothing is nearer."""
    one, other = designation.get("language", "").lower(), language.lower()
    return bool(one and other) and (f"{one}-".startswith(f"{other}-") or f"{other}-".startswith(f"{one}-"))


def in_language(designations: Sequence[Mapping[str, Any]], language: str) -> str | None:
    """The term in a language, one that is exactly in it before others; None if there is none."""
    fitting = [one for one in designations if language and speaks(one, language)]
    exact = [one for one in fitting if one["language"].lower() == language.lower()]
    return next((one.get("value") for one in (*exact, *fitting)), None)


def wrong_kind(concept: Concept | None, asked: Asked, given: Arguments) -> str:
    """What is wrong with a code that groups others, where `abstract` says that such are not taken; "" if nothing is."""
    if concept is None or not concept.abstract or "abstract" not in given or given.flag("abstract"):
        return ""
    return f"The code {asked.code[:_ECHOED]} groups others (it is abstract)."
