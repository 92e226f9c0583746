"""_list: what the entries of a List refer to, or what is current of a kind, as the server reads it off the resources.

https://hl7.org/fhir/R4/lifecycle.html#current
"""

from collections.abc import Mapping

from fhir_server.fhir.errors import BadValue, NotSupported
from fhir_server.search.text import shown

STORED = "_has:List:item:_id"  # a List by its id, as far as the caller sees it

_RIGHT = ("verification-status:not", "entered-in-error,refuted")
_ALLERGIES = (("clinical-status", "active"), _RIGHT)

# A list, and what of each type of resource is on it.
CURRENT: Mapping[str, Mapping[str, tuple[tuple[str, str], ...]]] = {
    "$current-problems": {
        "Condition": (
            ("clinical-status", "active,recurrence,relapse"),
            ("category:not", "encounter-diagnosis"),
            _RIGHT,
        ),
    },
    "$current-medications": {
        "MedicationRequest": (("status", "active"), ("intent:not", "proposal,plan,option")),
        "MedicationStatement": (("status", "active"),),
    },
    "$current-allergies": {"AllergyIntolerance": _ALLERGIES},
    "$current-drug-allergies": {"AllergyIntolerance": (*_ALLERGIES, ("category", "medication"))},
}


def on_list(kind: str, value: str) -> tuple[tuple[str, str], ...] | None:
    """The parameters by which what is current is found; None if the value is the id of a List.

    BadValue if there is no such list, NotSupported if it holds no resources of the type.
    """
    if not value.startswith("$"):
        return None
    if value not in CURRENT:
        raise BadValue(f"_list is the id of a List or one of {', '.join(CURRENT)}, not {shown(value)}")
    if kind not in CURRENT[value]:
        raise NotSupported(f"{value} lists no {kind[:64]}; ask it of {' or '.join(CURRENT[value])}")
    return CURRENT[value][kind]
