"""What $merge and $unmerge take and tell alike.  https://hl7.org/fhir/R5/patient-operation-merge.html"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import orjson

from fhir_server.ecm import merging
from fhir_server.ecm.merging import Named, Outcome
from fhir_server.engine import repository
from fhir_server.engine.context import Context, Transaction
from fhir_server.engine.transaction import rehearse
from fhir_server.fhir import wire
from fhir_server.fhir.errors import BadValue, Issue, NotSupported
from fhir_server.fhir.outcome import outcome
from fhir_server.rest.arguments import Arguments, parameters, value
from fhir_server.rest.message import Response

Work = Callable[[Transaction], Outcome]


def named(given: Arguments, side: str) -> Named:
    """How the caller names one side; BadValue if it does not."""
    reference = str(given.one(f"{side}-patient", {}).get("reference", ""))
    identifiers = [f"{one.get('system', '')}|{one.get('value', '')}" for one in given.all(f"{side}-patient-identifier")]
    if not reference and not identifiers:
        raise BadValue(f"Give {side}-patient, or {side}-patient-identifier.", f"{side}-patient")
    return Named(reference, identifiers)


def answer(context: Context, given: Arguments, name: str, work: Work) -> Response:
    """200 and what was done, or for `preview` what would be: nothing of it is kept then.

    NotSupported (400) for a preview within a transaction.
    """
    merging.require_right(context)
    if not given.flag("preview"):
        return _told(context.transact(work), given)
    if context.transaction:
        raise NotSupported("A preview changes nothing: send it alone, and without an Idempotency-Key.", "preview")
    kept: list[Outcome] = []
    rehearse(context, lambda inner: kept.append(work(_open(inner))))
    repository.note(context, f"{name}-preview", 200, f"{kept[-1].source} Patient/{kept[-1].target.fid}")
    return _told(kept[-1], given)


def _open(context: Context) -> Transaction:
    if context.transaction is None:
        message = "A rehearsal has a transaction."
        raise LookupError(message)
    return context.transaction


def _told(done: Outcome, given: Arguments) -> Response:
    lists = {"left-roster": done.left, "back-on-roster": done.back, "sees-more": done.more}
    found: list[dict[str, Any]] = [
        {"name": "outcome", "resource": outcome(_issues(done, preview=given.flag("preview")))},
        {"name": "result", "resource": wire.parse(done.target.body)},
        *(value(name, "Reference", {"reference": one}) for name, listed in lists.items() for one in listed),
    ]
    return Response(200, orjson.dumps(parameters(found)))


def _issues(done: Outcome, *, preview: bool) -> list[Issue]:
    told = ["This is a preview. Nothing was changed."] if preview else []
    told.append(f"Source {done.source}, target Patient/{done.target.fid}: {len(done.numbers)} identifiers moved.")
    told += [f"The source left {one}." for one in done.left]
    told += [f"The source is back on {one}." for one in done.back]
    told += [f"{one} sees the source from now on." for one in done.more]
    return [Issue("informational", text, severity="information") for text in told]
