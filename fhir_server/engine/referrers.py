"""Referential integrity on delete, where a deployment wants it: what is referred to is not deleted (B-11).

Only referrers that the caller can see count, so that a refusal tells of nothing hidden; and only references that some
search parameter shows.
"""

from sqlalchemy import bindparam, literal_column, select

from fhir_server.engine.changes import Change
from fhir_server.engine.context import Engine, Transaction
from fhir_server.fhir.definitions import type_names
from fhir_server.fhir.errors import Conflict
from fhir_server.search.expression import reference_targets
from fhir_server.store.statements import Statement
from fhir_server.store.tables import ref


def require_none(transaction: Transaction, removed: list[Change]) -> None:
    """Conflict (409) naming a referrer, if something that the caller sees refers to what this transaction deletes."""
    view = transaction.context.visible("r")
    for change in removed:
        statements = transaction.context.engine.memo.setdefault("referrers", {})
        key = (change.type, view.shape)
        if key not in statements:
            statements[key] = _statement(transaction, change.type)
        statement: Statement | None = statements[key]
        found = statement.rows(transaction.connection, {**view.binds, "target": change.row.rh}) if statement else []
        if found:
            referrer = f"{type_names()[found[0][0]]}/{found[0][1]}"
            raise Conflict(f"{change.reference} is referred to by {referrer}. Change or delete that first.")


def _statement(transaction: Transaction, type_: str) -> Statement | None:
    numbers = _parameters(transaction.context.engine, type_)
    if not numbers:
        return None
    r = transaction.context.visible("r")("r")
    listed = ref.c.param.in_([literal_column(str(number)) for number in numbers])
    same = (ref.c.rid == r.c.rid, ref.c.part == r.c.part)
    query = select(r.c.type, r.c.fid).where(listed, ref.c.tgt == bindparam("target"), *same, r.c.deleted.is_(False))
    return Statement(query.limit(literal_column("1")))


def _parameters(engine: Engine, target: str) -> list[int]:
    """The numbers of all reference parameters that may lead to a type."""
    definitions = engine.definitions
    return sorted(
        engine.params[source, code]
        for source in definitions.types
        for code, param in definitions.search_params(source).items()
        if param.type == "reference"
        and (source, code) in engine.params
        and target in reference_targets(definitions, param)
    )
