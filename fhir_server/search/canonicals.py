"""Canonical URLs in searches: a version behind |, and versions that begin alike (`:below`).

What refers by a canonical URL is found with and without its version, and is not followed: neither chains nor includes
lead from it.  https://hl7.org/fhir/R4/search.html#versions
"""

from collections.abc import Sequence

from fhir_server.fhir.definitions import Definitions, SearchParam
from fhir_server.search import letters
from fhir_server.search.expression import data_types
from fhir_server.search.model import AllOf, AnyOf, Asked, Criterion, Match, Term
from fhir_server.search.text import clip, next_text, split, unescape

_URL, _VERSION = "url", "version"
_NAMES = frozenset({"canonical", "uri"})


def is_canonical(definitions: Definitions, kind: str, param: SearchParam) -> bool:
    """Whether the values of a reference parameter name what they mean by URLs, and none by type and id."""
    found = data_types(definitions, kind, param.expression) if param.type == "reference" else frozenset()
    return bool(found) and found <= _NAMES


def below(text: str, _asked: Asked) -> tuple[Term, ...]:
    """`url` in every version, or `url|1` in 1, 1.0, 1.2-draft and the like."""
    value = unescape(text)
    if "|" not in value:
        return (Term("below", (value, f"{value}|", next_text(f"{value}|"))),)
    ways = [(clip(value), f"{value}{sign}", next_text(f"{value}{sign}")) for sign in ".-"]
    return tuple(Term("below", way) for way in ways)


def versions(asked: Asked, values: Sequence[str]) -> Criterion | None:
    """What `url=X|2` asks of a type that has a URL and a version; None if it has none, or no value has one.

    With `:below` every version that begins so: 2, 2.0, 2.1-draft.
    """
    params = asked.site.definitions.search_params(asked.type)
    if asked.param.code != _URL or _VERSION not in params or not any(len(split(one, "|")) > 1 for one in values):
        return None
    found = [_version(asked, *split(one, "|")) for one in values if len(split(one, "|")) > 1]
    plain = [Term("eq", (clip(unescape(one)),)) for one in values if len(split(one, "|")) == 1]
    if asked.modifier and plain:
        return None
    others = [Match(asked.type, _URL, "uri", (term,)) for term in dict.fromkeys(plain)]
    parts = (*dict.fromkeys(found), *others)
    return AnyOf(parts) if len(parts) > 1 else parts[0]


def _version(asked: Asked, url: str, *version: str) -> Criterion:
    code = letters.text_of(unescape("|".join(version)))
    terms: tuple[Term, ...] = (Term("code", (clip(code),)),)
    if asked.modifier:
        begun = [Term("under", (f"{code}{sign}", next_text(f"{code}{sign}"), 0)) for sign in ".-"]
        terms = (Term("none", (clip(code),)), *begun)
    return AllOf((
        Match(asked.type, _URL, "uri", (Term("eq", (clip(unescape(url)),)),)),
        Match(asked.type, _VERSION, "token", terms),
    ))  # fmt: skip
