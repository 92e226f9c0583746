"""The search types. A file here exports TYPE and is found by that; nothing else has to name it.

https://hl7.org/fhir/R4/search.html#ptypes
"""

from collections.abc import Mapping
from functools import cache
from importlib import import_module
from pkgutil import iter_modules

from fhir_server.search.model import SearchType


@cache
def search_types() -> Mapping[str, SearchType]:
    """Name -> search type, for those the server offers."""
    modules = (import_module(f"{__name__}.{module.name}") for module in iter_modules(__path__))
    found = [module.TYPE for module in modules]
    return {kind.name: kind for kind in found}
