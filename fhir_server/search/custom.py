"""Search parameters that come as resources: whether this server can search by them.

https://hl7.org/fhir/R4/searchparameter.html
"""

import re
from collections.abc import Mapping
from typing import Any

from fhir_server.fhir.definitions import Definitions, SearchParam, part_for, search_param
from fhir_server.fhir.errors import NotSupported
from fhir_server.search.expression import Unsupported, tracks
from fhir_server.search.model import Site
from fhir_server.search.text import shown
from fhir_server.search.types import search_types

_CODE = re.compile(r"[A-Za-z][A-Za-z0-9-]{0,63}")
_TYPES = frozenset({"date", "number", "quantity", "reference", "string", "token", "uri"})


def judged(definitions: Definitions, resource: Mapping[str, Any]) -> SearchParam:
    """The parameter that a SearchParameter defines; NotSupported says why it cannot be searched by.

    It must not have the name of another parameter, and its expression must be one that can be followed step by step.
    """
    param = search_param({"expression": "", **resource})
    if param.type not in _TYPES:
        raise NotSupported(f"A parameter of type {param.type[:64]} cannot be added.")
    if not _CODE.fullmatch(param.code):
        raise NotSupported("Its code must be letters, digits and -, beginning with a letter, 64 of them at most.")
    if not param.url or not param.expression:
        raise NotSupported("It needs a url and an expression.")
    for base in param.types:
        _require_followed(definitions, param, base)
    return param


def _require_followed(definitions: Definitions, param: SearchParam, base: str) -> None:
    if base not in definitions.types:
        raise NotSupported(f"{shown(base)} in base is no resource type that can be stored.")
    if param.code in definitions.search_params(base):
        raise NotSupported(f"{base} has a parameter {shown(param.code)} already; choose another code.")
    try:
        ends = tracks(definitions.elements, base, part_for(base, param.expression))
    except Unsupported:
        raise NotSupported(f"Its expression leads nowhere in a {base}, or uses what is not understood here.") from None
    known = search_types()[param.type].converters(Site(definitions))
    if not any(end.kind in known for end in ends):
        found = ", ".join(sorted({end.kind for end in ends}))
        raise NotSupported(f"Its expression leads to {found[:64]}, which cannot be searched as {param.type}.")
