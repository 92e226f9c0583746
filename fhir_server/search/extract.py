"""From a resource to its index rows: all parameters of a type compiled to one generated function.

https://hl7.org/fhir/R4/searchparameter.html
"""

import re
from collections.abc import Mapping
from dataclasses import replace
from datetime import tzinfo
from functools import lru_cache
from typing import Any, NamedTuple
from zlib import crc32

from fhirpathpy import compile as compile_path
from fhirpathpy.models import models

from fhir_server.fhir.definitions import Definitions, SearchParam
from fhir_server.fhir.values import PACIFIC
from fhir_server.search import queues
from fhir_server.search.expression import Unsupported
from fhir_server.search.generator import Extract, Node, generate, plant
from fhir_server.search.model import Adders, Converter, Site
from fhir_server.search.modifiers import FURTHER, LOGICAL, OF_TYPE, lists
from fhir_server.search.pairs import plant_pair
from fhir_server.search.types import search_types
from fhir_server.search.types.date import wide_converters
from fhir_server.search.words import texts

REVISION = "10"  # of the conversion of values; raise it when rows come out differently
UNSTORED = frozenset({"_id", "_lastUpdated"})  # columns of the resource row answer these

_SET = re.compile(r"(\w+)\.(\w+)\.exists\(\) and \1\.\2 != false")


class IndexRows(NamedTuple):
    """What the posting lists keep of a resource; no row twice."""

    tok: list[tuple[int, str, int]]
    string: list[tuple[int, str, str]]
    dat: list[tuple[int, int, int]]
    ref: list[tuple[int, int]]
    uri: list[tuple[int, str]]
    num: list[tuple[int, str, str]]
    qty: list[tuple[int, str, str, int, str, str]]
    comp: list[tuple[int, str, int, str, str, str, str, int, int]]
    geo: list[tuple[int, int, int, int]]
    words: list[tuple[str, str]]  # of the narrative, and of all


def inside(rows: IndexRows) -> IndexRows:
    """The index rows of a contained resource: under the same numbers with a minus, where no other search meets them."""
    lists = [[(-param, *values) for param, *values in one] for one in rows[:-1]]
    return IndexRows._make([*lists, rows.words])


def parameters(definitions: Definitions) -> list[tuple[str, str]]:
    """Every (type, code) that needs a number in the posting lists, in a stable order."""
    kinds = search_types()
    names = []
    for kind in definitions.types:
        for code, param in sorted(definitions.search_params(kind).items()):
            if param.type in kinds and code not in UNSTORED:
                names.append((kind, code))
                names += [(kind, code + suffix) for suffix in lists(definitions, kind, param)]
        names += queues.names(kind)
    return names


def _generation(definitions: Definitions, kind: str) -> int:
    params = sorted(definitions.search_params(kind).items())
    told = [f"{kind} {code} {param.type} {param.expression}" for code, param in params]
    told += [code for _, code in queues.names(kind)]
    told += [f"{code} of {len(param.components)}" for code, param in params if len(param.components) > 2]  # noqa: PLR2004 - pairs came first
    return crc32("\n".join([REVISION, *told]).encode()) & 0x7FFF  # the column holds a small whole number


class Extractor:
    """Extracts index rows; compiles a type's function when its first resource comes."""

    def __init__(
        self,
        definitions: Definitions,
        params: Mapping[tuple[str, str], int],
        zone: tzinfo = PACIFIC,
        base: str = "",
    ) -> None:
        self._site = Site(definitions, zone, base)
        self._params = params
        self._functions: dict[str, tuple[Extract, ...]] = {}
        self._generations = {kind: _generation(definitions, kind) for kind in definitions.types}

    def generation(self, kind: str) -> int:
        """Another number whenever the parameters of a type, or the way they are indexed, have changed.

        Rows stored under an older one must be made anew.
        """
        return self._generations[kind]

    def rows(self, kind: str, resource: Mapping[str, Any]) -> IndexRows:
        """The index rows of a valid resource of type `kind`; KeyError if R4 has no such type."""
        functions = self._functions.get(kind)
        if functions is None:
            functions = self._functions[kind] = compile_type(self._site, self._params, kind)
        found: list[set[Any]] = [set() for _ in Adders._fields]
        adders = Adders(*[rows.add for rows in found])
        for extract in functions:
            extract(resource, adders)
        said = texts(resource)
        return IndexRows._make([*[list(rows) for rows in found], [said] if said else []])


def compile_type(site: Site, params: Mapping[tuple[str, str], int], kind: str) -> tuple[Extract, ...]:
    """The generated function of a type, and one more per parameter that only a FHIRPath engine understands."""
    root, names, others = Node(), dict(_converters(site)), []
    flags: list[tuple[str, int]] = []
    for param in site.definitions.search_params(kind).values():
        key = _key(params, kind, param)
        if key is None:
            continue
        setting = _SET.fullmatch(param.expression)
        if setting and isinstance(key, int):
            flags.append((setting[2], key))
            continue
        if param.type == "composite":
            plant_pair(root, site, kind, param, key, names)
            continue
        for suffix in lists(site.definitions, kind, param) if param.type in OF_TYPE else ():
            plant(root, site, kind, replace(param, type=suffix[1:]), params[kind, param.code + suffix], names)
        try:
            plant(root, site, kind, param, key, names)
        except Unsupported:
            others.append(_by_engine(site, param, key))
    queues.plant_queue(root, site, kind, params, names)
    return (generate(kind, root, flags, site, names), *others)


def _key(params: Mapping[tuple[str, str], int], kind: str, param: SearchParam) -> Any:
    number = params.get((kind, param.code))
    if number is None or param.type not in search_types() or param.code in UNSTORED:
        return None
    if param.type != "reference":
        return number
    return number, params[kind, param.code + LOGICAL], ""


@lru_cache(maxsize=8)
def _converters(site: Site) -> dict[str, Converter]:
    """Every converter by the name it has in generated code: search type, data type."""
    found = {name: kind.converters(site) for name, kind in search_types().items()}
    found |= {suffix[1:].replace("-", "_"): converters for suffix, converters in FURTHER.items()}
    found["wide"] = wide_converters(site.zone)
    return {
        f"{name}_{datatype}": converter for name, by_type in found.items() for datatype, converter in by_type.items()
    }


_SHAPES = (
    ("Range", {"low", "high"}),
    ("CodeableConcept", {"coding", "text"}),
    ("Reference", {"reference"}),
    ("Period", {"start", "end"}),
    ("Coding", {"code", "display"}),
    ("HumanName", {"family", "given"}),
    ("Address", {"line", "city", "postalCode"}),
    ("Identifier", {"value"}),
)
_PRIMITIVES = {
    "token": "code",
    "string": "string",
    "date": "dateTime",
    "reference": "canonical",
    "uri": "uri",
    "number": "decimal",
}


def _by_engine(site: Site, param: SearchParam, key: Any) -> Extract:
    """A parameter whose expression a FHIRPath engine evaluates; data types are told by their members."""
    evaluate = compile_path(param.expression, model=models["r4"])
    names = _converters(site)

    def extract(resource: Mapping[str, Any], rows: Adders) -> None:
        for value in evaluate(dict(resource), {}):
            converter = names.get(f"{param.type}_{_datatype(value, param.type)}")
            if converter:
                converter(rows, key, value)

    return extract


def _datatype(value: Any, kind: str) -> str:
    if isinstance(value, bool):
        return "boolean"
    if not isinstance(value, dict):
        return _PRIMITIVES.get(kind, "")
    if kind == "quantity" and "value" in value:
        return "Quantity"
    return next((name for name, members in _SHAPES if members & value.keys()), "")
