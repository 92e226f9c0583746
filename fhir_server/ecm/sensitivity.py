"""Which codes stand for sensitive information: the reviewed lists of the programme (R17).

The lists are value sets (`ecm-label-*`), so that a reviewer can read and change them; a code in a list labels whatever
holds it when it is written.
"""

from typing import Final

from fhir_server.access.classes import BH, HIV, SENS, SUD2
from fhir_server.access.labels import Membership
from fhir_server.ecm.vocabulary import BASE
from fhir_server.fhir.memory import remembered
from fhir_server.terminology.codes import Terminology

_LISTS: Final = {"bh": BH, "hiv": HIV, "sens": SENS, "sud": SUD2}
_REMEMBERED: Final = 65_536


def membership(terminology: Terminology) -> Membership:
    """(system, code) -> the classes of the lists that hold it; 0 for none."""

    @remembered(_REMEMBERED)
    def bits(system: str, code: str) -> int:
        found = 0
        for name, bit in _LISTS.items():
            if system and terminology.contains(f"{BASE}/ValueSet/ecm-label-{name}", system, code):
                found |= bit
        return found

    return bits
