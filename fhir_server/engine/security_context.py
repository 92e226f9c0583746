"""Whose record a Binary is: that of the resource named as its security context, which it is as visible as.

https://hl7.org/fhir/R4/binary.html#security
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from fhir_server.access.relations import local
from fhir_server.engine.context import Transaction
from fhir_server.store import resources
from fhir_server.store.hashing import rh
from fhir_server.store.resources import Row


def patient_of(
    transaction: Transaction,
    binary: Mapping[str, Any],
    before: Row | None = None,
    old: Mapping[str, Any] = MappingProxyType({}),
) -> int | None:
    """The hash of the patient of a Binary's security context; None where there is none.

    A Binary that keeps its context keeps its patient, even where its owner does not see the context any more.
    """
    reference = local(binary.get("securityContext"))
    if reference is None:
        return None
    if before is not None and local(old.get("securityContext")) == reference:
        return before.patient
    transaction.flush()
    rows = resources.by_hash(transaction.connection, transaction.context.visible_targets(), [rh(reference)])
    return rows[0].patient if rows else None
