"""Who is who in the directory: ECM Providers by NPI, as a file names them."""

from collections.abc import Iterable
from dataclasses import dataclass

import orjson

from fhir_server.ecm import vocabulary as words
from fhir_server.engine import repository
from fhir_server.engine.context import Context


@dataclass(frozen=True)
class Provider:
    """An organization of the directory."""

    id: str
    name: str

    @property
    def reference(self) -> str:
        """Organization/id."""
        return f"Organization/{self.id}"


def providers_by_npi(context: Context, npis: Iterable[str]) -> dict[str, Provider]:
    """NPI -> organization, for those registered; an NPI that two organizations carry is left out as ambiguous."""
    found: dict[str, Provider] = {}
    for npi in sorted(set(npis)):
        hits = repository.lookup(context, "Organization", [("identifier", f"{words.NPI}|{npi}")])
        if len(hits) == 1:
            name = orjson.loads(hits[0].body).get("name", hits[0].fid)
            found[npi] = Provider(hits[0].fid, str(name))
    return found
