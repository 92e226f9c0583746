"""What a client's registration changes in what its organization may see."""

from fhir_server.access.caller import Caller
from fhir_server.access.scopes import parse
from fhir_server.engine.context import Engine, Transaction
from fhir_server.engine.transaction import run
from fhir_server.store import rights
from fhir_server.store.hashing import rh

_SYSTEM = Caller("", "", 0, "non-hipaa", parse(""), "")
_CHUNK = 500


def recompute_for(engine: Engine, organization: str) -> int:
    """Recompute access to every patient the organization is related to, as its law class may be new; their number."""
    patients = sorted(rights.patients_of(engine.database.read(), rh(organization)))
    for start in range(0, len(patients), _CHUNK):
        chunk = patients[start : start + _CHUNK]
        run(engine.context(_SYSTEM, "registration"), lambda open_, some=chunk: _touch(open_, some))  # type: ignore[misc]
    return len(patients)


def _touch(transaction: Transaction, patients: list[int]) -> None:
    transaction.touched_patients |= set(patients)
