"""Who asks: a system client acting for one organization, with one purpose.

https://hl7.org/fhir/smart-app-launch/backend-services.html
"""

from dataclasses import dataclass

from fhir_server.access.classes import TPO
from fhir_server.access.scopes import Scopes


@dataclass(frozen=True, slots=True)
class Caller:
    """One authenticated client. `org` is "Organization/id", `org_hash` its reference hash.

    law_class: "covered" | "part2" | "non-hipaa". `purpose` comes from registration and token, never from a request
    alone. An operator runs the exchange and sees its directory, no clinical data. `rights` are the extra powers of
    registration (such as choosing ids when loading data).
    """

    client: str
    org: str
    org_hash: int
    law_class: str
    scopes: Scopes
    purpose: str
    operator: bool = False
    rights: frozenset[str] = frozenset()

    @property
    def clinical(self) -> bool:
        """Whether anything beyond the directory can be visible at all (R6, R9)."""
        return not self.operator and self.purpose in TPO
