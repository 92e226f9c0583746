"""Whether a caller may write what it sees, under which id, and whether it must name the version it has seen."""

from __future__ import annotations

from typing import Final

from fhir_server.access import inputs
from fhir_server.access.directory import is_directory
from fhir_server.access.writes import may_write
from fhir_server.engine.context import Context, Transaction
from fhir_server.engine.writing import Draft
from fhir_server.fhir.errors import BusinessRule, MethodNotAllowed, PreconditionRequired
from fhir_server.store.hashing import rh
from fhir_server.store.resources import Row

VERSIONED: Final = frozenset({"Task", "Consent"})  # updated with If-Match only (B-07)


def require_tag(type_: str, tag: int | None, done: str) -> None:
    """PreconditionRequired (428) for a type that is only updated by who names the version it has read."""
    if tag is None and type_ in VERSIONED:
        message = f"{type_} is {done} with If-Match only. Send If-Match with the ETag of the version you read."
        raise PreconditionRequired(message)


def require_writable(context: Context, letter: str, type_: str, current: Row | None, patient: int | None) -> None:
    """R12: BusinessRule (422), and nothing changes, for what is visible but not this caller's to write."""
    owner, task = None, 0
    if current:
        owner, patient, task = current.owner, current.patient, current.rh
    about = inputs.facts(context.connection, context.caller, patient, task, context.now)
    decision = may_write(context.caller, type_, owner, about, letter, context.engine.hooks.by_assigned)
    if not decision:
        raise BusinessRule(decision.reason)
    if current and current.view:
        raise BusinessRule(f"This {type_} is shown to you in part; only its owner may change it.")


def patient_of(transaction: Transaction, new: Draft) -> int | None:
    """The Patient whose record a new resource would be, by its hash; None if it is nobody's."""
    patient = transaction.context.engine.patients.find(new.type, None, new.resource)
    return rh(patient) if patient else None


def require_right(context: Context, type_: str) -> None:
    """MethodNotAllowed unless the client may choose the id of a new resource by an update."""
    # Where something is hidden, the answer to a chosen id tells whether it is taken: a right for loading data alone.
    wanted = {"update-create", "directory-ids"} if is_directory(type_) else {"update-create"}
    if not wanted & context.caller.rights:
        message = f"There is no such {type_} that you may update. Create one with POST; the server gives it an id."
        raise MethodNotAllowed(message, headers={"Allow": "GET, HEAD"})
    context.require("c", type_)


def require_own_name(transaction: Transaction, reference: str) -> None:
    """BusinessRule for who takes another's name: an organization's own entry is its own to make, or the operator's."""
    caller, organization = transaction.context.caller, rh(reference)
    taken = reference.startswith("Organization/") and transaction.law_class_of(organization) is not None
    if taken and organization != caller.org_hash and not caller.operator:
        raise BusinessRule("This id belongs to another organization of the exchange. Choose another one.")
