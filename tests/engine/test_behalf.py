"""Writing in the name of another: by its view and rights, in the open transaction, and on record as what it is."""

from collections.abc import Callable
from typing import Any

import orjson
import pytest
from sqlalchemy import select

from fhir_server.engine import behalf, repository
from fhir_server.engine.context import Engine, Transaction
from fhir_server.engine.transaction import run
from fhir_server.fhir import wire
from fhir_server.fhir.errors import BusinessRule, NotFound
from fhir_server.store.hashing import rh
from fhir_server.store.tables import audit

PATIENT = {"resourceType": "Patient", "name": [{"family": "Rivera"}]}


def activate(context: Any, fid: str) -> Any:
    """Change a Patient as this context's caller."""
    edit = {("active",): True}
    return repository.modify(context, "Patient", fid, None, lambda row: wire.edit(row.body, edit), required=False)


def test_only_the_others_rights_count(org: Callable[..., Any]) -> None:
    """Neither more than the other may, nor anything of one's own; afterwards the caller is oneself again."""
    owner, stranger = org("owner"), org("stranger")
    patient, own = owner.create(PATIENT), stranger.create(PATIENT)

    def work(transaction: Transaction) -> None:
        with pytest.raises(NotFound):
            activate(transaction.context, patient.row.fid)
        with behalf.acting_for(transaction, "Organization/owner") as acting:
            assert transaction.context is acting
            assert activate(acting, patient.row.fid).row.ver == 2
            with pytest.raises(NotFound):
                activate(acting, own.row.fid)
        with pytest.raises(BusinessRule), behalf.acting_for(transaction, "Organization/nobody"):
            raise BusinessRule("What goes wrong leaves nobody in another's place.")
        assert transaction.context.caller.org == "Organization/stranger"

    run(stranger.context(), work)
    assert not stranger.sees(patient)
    assert orjson.loads(owner.read(patient).body)["active"] is True


def test_all_or_nothing(org: Callable[..., Any]) -> None:
    """What was done in another's name goes with the transaction it belongs to."""
    owner, stranger = org("owner"), org("stranger")
    patient = owner.create(PATIENT)

    def work(transaction: Transaction) -> None:
        with behalf.acting_for(transaction, "Organization/owner") as acting:
            activate(acting, patient.row.fid)
        raise BusinessRule("It was not to be.")

    with pytest.raises(BusinessRule):
        run(stranger.context(), work)
    assert owner.read(patient).ver == 1


def test_the_audit_names_both(engine: Engine, org: Callable[..., Any]) -> None:
    """The client whose request it was, the organization in whose name it was done."""
    owner, stranger = org("owner"), org("stranger")
    patient = owner.create(PATIENT)

    def work(transaction: Transaction) -> None:
        with behalf.acting_for(transaction, "Organization/owner") as acting:
            activate(acting, patient.row.fid)

    run(stranger.context(), work)
    rows = engine.database.read().execute(select(audit.c.client, audit.c.org).where(audit.c.interaction == "patch"))
    assert [tuple(row) for row in rows] == [("stranger-client", rh("Organization/owner"))]


def test_the_server_itself_acts_for_an_organization(engine: Engine, org: Callable[..., Any]) -> None:
    """Outside any request, such as a sender of messages does."""
    patient = org("owner").create(PATIENT)
    assert repository.read(behalf.context_for(engine, "Organization/owner", "sender"), "Patient", patient.row.fid)
    with pytest.raises(NotFound):
        repository.read(behalf.context_for(engine, "Organization/other", "sender"), "Patient", patient.row.fid)
