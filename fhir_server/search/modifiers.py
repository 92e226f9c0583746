"""Modifiers that ask another list, or for other values, than the parameter alone would.

:in and :not-in take value sets whose codes can all be listed; :above and :below take code systems whose hierarchy is
held here, or can be read off the code.  https://hl7.org/fhir/R4/search.html#modifiers
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

from fhir_server.fhir.definitions import Definitions, SearchParam
from fhir_server.fhir.errors import BadValue, NotSupported, TooCostly
from fhir_server.fhir.values import PACIFIC
from fhir_server.search import canonicals, hierarchy, letters
from fhir_server.search.expression import bound_to, data_types, implied_systems
from fhir_server.search.model import Asked, Converter, Term
from fhir_server.search.text import LONGEST, clip, next_text, shown, split, unescape
from fhir_server.search.types import search_types
from fhir_server.search.types.date import are_points, wide_converters
from fhir_server.search.types.quantity import canonical_converters
from fhir_server.search.types.token import text_converters, typed_converters, typed_value
from fhir_server.store.hashing import system_hash
from fhir_server.terminology.codes import BELOW, PREFIX, Among
from fhir_server.terminology.value_sets import BY_PREFIX

# What the lists are named by, after the parameter.
LOGICAL, TEXT, TYPED, CANONICAL, WIDE = ":identifier", ":text", ":of-type", ":canonical", ":wide"
MOST_CODES = 500

_SHORTEST_CATEGORY = 3
_TYPED_PARTS = 3
_MEDIA_TYPES = "http://hl7.org/fhir/ValueSet/mimetypes"


@dataclass(frozen=True, slots=True)
class Way:
    """Which list a modifier asks, how its values are read, and whether what is found is left out."""

    kind: str
    suffix: str
    parse: Callable[[str, Asked], tuple[Term, ...]]
    negative: bool = False


def way(definitions: Definitions, kind: str, param: SearchParam, modifier: str) -> Way | None:
    """What a modifier means on a parameter of a resource type; None if it has no meaning of its own there."""
    if param.type == "reference" and canonicals.is_canonical(definitions, kind, param):
        return _OF_CANONICALS.get(modifier)
    return _WAYS.get((param.type, modifier))


def lists(definitions: Definitions, kind: str, param: SearchParam) -> tuple[str, ...]:
    """The further lists that a parameter of a resource type has."""
    if param.type == "reference":
        return (LOGICAL,)
    if param.type not in OF_TYPE:
        return ()
    found = data_types(definitions, kind, param.expression)
    if param.type == "date":
        return (WIDE,) if are_points(found) else ()
    return tuple(suffix for suffix in OF_TYPE[param.type] if not found.isdisjoint(FURTHER[suffix]))


FURTHER: Mapping[str, Mapping[str, Converter]] = {
    TEXT: text_converters(),
    TYPED: typed_converters(),
    CANONICAL: canonical_converters(),
    WIDE: wide_converters(PACIFIC),
}
OF_TYPE = {"token": (TEXT, TYPED), "quantity": (CANONICAL,), "date": (WIDE,)}


# ---- tokens


def _logical(text: str, asked: Asked) -> tuple[Term, ...]:
    return search_types()["token"].parse(text, asked)


def _text(text: str, asked: Asked) -> tuple[Term, ...]:
    return search_types()["string"].parse(text, asked)


def _typed(text: str, asked: Asked) -> tuple[Term, ...]:
    parts = [unescape(part) for part in split(text, "|")]
    if len(parts) != _TYPED_PARTS or not all(parts):
        raise BadValue(f"{asked.name}: {shown(text)} is not of the form type-system|type-code|value")
    return (Term("both", (typed_value(parts[1], parts[2]), system_hash(parts[0]))),)


def _members(text: str, asked: Asked) -> tuple[Term, ...]:
    terminology, url = asked.site.terminology, unescape(text)
    found = terminology.enumerated(url) if terminology else None
    if found is None:
        raise NotSupported(
            f"{asked.name}: the codes of the value set {shown(url)} cannot all be listed here; it is not installed, "
            "or it takes codes from a system that is not"
        )
    if len(found) > MOST_CODES:
        raise TooCostly(f"{asked.name}: the value set {shown(url)} has more than {MOST_CODES} codes")
    terms = [term for one in found for term in _among(asked, one)]
    return tuple(terms) or (Term("both", ("", system_hash(url))),)  # an empty value set: nothing has such a code


def _among(asked: Asked, one: Among) -> list[Term]:
    if one.kind == BELOW:
        return [Term("below", (*one.place, system_hash(one.system)))]
    return [_under(one.system, one.code)] if one.kind == PREFIX else _coded(asked, one.system, [one.code])


def _coded(asked: Asked, system: str, codes: Iterable[str]) -> list[Term]:
    codes = [clip(letters.code_of(system, code)) for code in codes]
    found = [Term("both", (code, system_hash(system))) for code in codes]
    if system in implied_systems(asked.site.definitions, asked.type, asked.param.expression):
        found += [Term("none", (code,)) for code in codes]
    return found


def _under(system: str, code: str) -> Term:
    start = letters.code_of(system, code)
    return Term("under", (start, next_text(start), system_hash(system)))


def _below(text: str, asked: Asked) -> tuple[Term, ...]:
    if bound_to(asked.site.definitions, asked.type, asked.param.expression, _MEDIA_TYPES):
        return _media_type(text, asked)
    system, code = _system_and_code(text, asked)
    if system in BY_PREFIX:
        return (_under(system, code),)
    if asked.site.terminology and (place := asked.site.terminology.under(system, code)):
        return (Term("below", (*place, system_hash(system))),)
    codes = asked.site.terminology.below(system, code) if asked.site.terminology else None
    return _related(asked, system, codes)


def _media_type(text: str, asked: Asked) -> tuple[Term, ...]:
    """A media type with whatever parameters: text/xml; charset=UTF-8 as well.  search.html#mimetype"""
    value = unescape(text)
    if "|" in value or "/" not in value:
        raise BadValue(f"{asked.name}: {shown(text)} is no media type; write e.g. text/xml")
    return (Term("none", (clip(value),)), Term("under", (f"{value};", next_text(f"{value};"), 0)))


def _above(text: str, asked: Asked) -> tuple[Term, ...]:
    system, code = _system_and_code(text, asked)
    if system in BY_PREFIX:
        shorter = [code[:end] for end in range(_SHORTEST_CATEGORY, len(code)) if code[end - 1] != "."]
        return _related(asked, system, [*shorter, code])
    codes = asked.site.terminology.above(system, code) if asked.site.terminology else None
    return _related(asked, system, codes)


def _related(asked: Asked, system: str, codes: list[str] | None) -> tuple[Term, ...]:
    if codes is None:
        raise NotSupported(f"{asked.name}: the hierarchy of the code system {shown(system)} is not held here")
    if len(codes) > MOST_CODES:
        raise TooCostly(f"{asked.name} means more than {MOST_CODES} codes; ask for a narrower one")
    return tuple(_coded(asked, system, codes))


def _system_and_code(text: str, asked: Asked) -> tuple[str, str]:
    parts = [unescape(part) for part in split(text, "|")]
    if len(parts) == 1:
        parts = [*implied_systems(asked.site.definitions, asked.type, asked.param.expression), *parts]
    if len(parts) != 2 or not all(parts):  # noqa: PLR2004 - a system and a code
        raise BadValue(f"{asked.name}: {shown(text)} is not of the form system|code, which a hierarchy needs")
    return parts[0], letters.code_of(*parts)


# ---- URIs, whose hierarchy is that of their path segments


def _url(text: str, asked: Asked) -> str:
    url = unescape(text).rstrip("/")
    if "://" not in url or len(url) >= LONGEST:
        raise BadValue(f"{asked.name}: {shown(text)} is no URL with a path; nothing stands above or below it")
    return url


def _is_name(text: str) -> bool:
    """Whether a URI is a URN, which has no path: nothing but itself stands above or below it."""
    return text.startswith("urn:")


def _uri_below(text: str, asked: Asked) -> tuple[Term, ...]:
    if "|" in text:
        return canonicals.below(text, asked)
    if _is_name(text):
        return (Term("below", (clip(unescape(text)), "", "")),)
    url = _url(text, asked)
    return (Term("below", (url, f"{url}/", next_text(f"{url}/"))),)


def _uri_above(text: str, asked: Asked) -> tuple[Term, ...]:
    if _is_name(text):
        return (Term("eq", (clip(unescape(text)),)),)
    url = _url(text, asked)
    scheme, _, path = url.partition("://")
    steps = path.split("/")
    found = [f"{scheme}://{'/'.join(steps[:size])}" for size in range(1, len(steps) + 1)]
    return tuple(Term("eq", (one,)) for url in found for one in (url, f"{url}/"))


_WAYS = {
    ("reference", "identifier"): Way("token", LOGICAL, _logical),
    ("reference", "above"): Way("reference", "", hierarchy.above),
    ("reference", "below"): Way("reference", "", hierarchy.below),
    ("token", "text"): Way("string", TEXT, _text),
    ("token", "of-type"): Way("token", TYPED, _typed),
    ("token", "in"): Way("token", "", _members),
    ("token", "not-in"): Way("token", "", _members, negative=True),
    ("token", "above"): Way("token", "", _above),
    ("token", "below"): Way("token", "", _below),
    ("uri", "above"): Way("uri", "", _uri_above),
    ("uri", "below"): Way("uri", "", _uri_below),
}
_OF_CANONICALS = {"below": Way("uri", LOGICAL, canonicals.below)}
OWN_WAYS = frozenset(modifier for _, modifier in _WAYS)  # modifiers that mean nothing but such a way
