"""The chain of audit rows: sound under load, and no change to a stored row goes unseen."""

import threading
from collections.abc import Callable
from typing import Any

import pytest
from sqlalchemy import delete, insert, select, update

from fhir_server.engine import audit, heads
from fhir_server.engine.context import Engine, Transaction
from fhir_server.engine.events import Event
from fhir_server.engine.transaction import finish, run
from fhir_server.fhir.errors import BusinessRule
from fhir_server.store.db import Database
from fhir_server.store.rows import Batch
from fhir_server.store.tables import audit as table

PATIENT = {"resourceType": "Patient", "name": [{"family": "Rivera"}]}
Rows = list[dict[str, Any]]


def rows(database: Database) -> Rows:
    found = database.read().execute(select(table).order_by(table.c.chain, table.c.seq)).mappings()
    return [{**row, "entities": bytes(row["entities"]), "hash": bytes(row["hash"])} for row in found]


def at(row: dict[str, Any]) -> Any:
    return (table.c.chain == row["chain"]) & (table.c.seq == row["seq"])


def change(database: Database, statement: Any) -> None:
    database.write(lambda connection: connection.execute(statement).rowcount)


def is_sound(engine: Engine) -> bool:
    return audit.verify(engine.database, engine.secret)[1] is None


@pytest.fixture
def ten(engine: Engine, org: Callable[..., Any]) -> Rows:
    """Ten rows of one chain."""
    engine.reads.close()
    for _ in range(10):
        org().create(PATIENT)
    found = rows(engine.database)
    assert len({row["chain"] for row in found}) == 1
    assert [row["seq"] for row in found] == list(range(1, 11))
    engine.reads = audit.ReadLog(engine.settings.folder / "audit", engine.database, engine.secret, strict=False)
    _take_the_guards_away(engine.database)
    return found


def _take_the_guards_away(database: Database) -> None:
    """What who owns the database can do before changing a row."""
    statements = ["ALTER TABLE audit DISABLE TRIGGER ALL"]
    if database.dialect == "sqlite":
        statements = [f"DROP TRIGGER audit_no_{what}" for what in ("update", "delete", "replace")]
    for statement in statements:
        database.write(lambda connection, statement=statement: connection.exec_driver_sql(statement).rowcount)


def test_chains_are_sound_after_concurrent_writes(engine: Engine, org: Callable[..., Any]) -> None:
    """P6, F19: one event per write, whatever was rolled back beside it, and no gap in any chain."""
    failures = []

    def work(number: int) -> None:
        hands = org(f"org-{number}")
        for turn in range(12):
            try:
                made = hands.create(PATIENT)
                if turn % 3 == 0:
                    hands.update(made, {**PATIENT, "active": True})
                if turn % 4 == 0:
                    run(hands.context(), _fail)
            except BusinessRule:
                continue
            except Exception as error:  # noqa: BLE001 - told to the test below
                failures.append(error)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
    assert audit.verify(engine.database, engine.secret) == (8 * 16, None)


def _fail(transaction: Transaction) -> None:
    transaction.audit("update", 200, [])
    finish(transaction)
    raise BusinessRule("after the event was added to the chain")


def test_a_rolled_back_transaction_leaves_no_gap(engine: Engine, org: Callable[..., Any]) -> None:
    for _ in range(3):
        org().create(PATIENT)
        with pytest.raises(BusinessRule):
            run(org().context(), _fail)
    assert [row["seq"] for row in rows(engine.database)] == [1, 2, 3]
    assert is_sound(engine)


@pytest.mark.parametrize("size", [1, 3, 10])
def test_chains_are_walked_some_rows_at_a_time(
    engine: Engine, ten: Rows, monkeypatch: pytest.MonkeyPatch, size: int
) -> None:
    """T30: however long the trail, few of its rows are held at once."""
    monkeypatch.setattr(audit, "_VERIFIED", size)
    assert audit.verify(engine.database, engine.secret) == (len(ten), None)
    change(engine.database, update(table).where(at(ten[6])).values(outcome=500))
    assert audit.verify(engine.database, engine.secret) == (6, ten[6]["chain"])


def test_every_column_is_under_the_seal(engine: Engine, ten: Rows) -> None:
    """F19: flip any one bit of any column of any row, and the chain is broken there."""
    assert is_sound(engine)
    for row in ten[::3]:
        for name, value in row.items():
            for other in _flipped(value):
                change(engine.database, update(table).where(at(row)).values({name: other}))
                assert not is_sound(engine), (row["seq"], name, other)
                where = (table.c.chain == (other if name == "chain" else row["chain"])) & (
                    table.c.seq == (other if name == "seq" else row["seq"])
                )
                change(engine.database, update(table).where(where).values({name: value}))
    assert is_sound(engine)


def _flipped(value: Any) -> list[Any]:
    """The value with one bit changed; for texts, one character."""
    if isinstance(value, int):
        return [value ^ (1 << 9), value ^ (1 << 12)]  # a changed lowest bit of a number may meet its neighbour
    if isinstance(value, bytes):
        return [value[:n] + bytes([value[n] ^ (1 << n % 8)]) + value[n + 1 :] for n in range(0, len(value), 9)]
    return [value + "x", value[1:] or "y"]


def test_a_removed_row_is_found(engine: Engine, ten: Rows) -> None:
    for row in (ten[0], ten[4], ten[8]):
        change(engine.database, delete(table).where(at(row)))
        assert not is_sound(engine)
        change(engine.database, insert(table).values(row))
    assert is_sound(engine)


def test_exchanged_rows_are_found(engine: Engine, ten: Rows) -> None:
    first, second = ten[3], ten[4]
    change(engine.database, delete(table).where(at(first) | at(second)))
    change(engine.database, insert(table).values({**first, "seq": second["seq"]}))
    change(engine.database, insert(table).values({**second, "seq": first["seq"]}))
    assert not is_sound(engine)


def test_an_inserted_row_is_found(engine: Engine, ten: Rows) -> None:
    change(engine.database, insert(table).values({**ten[4], "seq": 11}))
    assert not is_sound(engine)


def test_a_chain_moved_to_another_number_is_found(engine: Engine, ten: Rows) -> None:
    change(engine.database, update(table).where(table.c.chain == ten[0]["chain"]).values(chain=7))
    assert not is_sound(engine)


def test_a_renumbered_chain_without_its_first_row_is_found(engine: Engine, ten: Rows) -> None:
    change(engine.database, delete(table).where(at(ten[0])))
    for row in ten[1:]:
        change(engine.database, update(table).where(at(row)).values(seq=row["seq"] - 1))
    assert not is_sound(engine)


def test_a_key_of_somebody_else_seals_nothing(engine: Engine, ten: Rows) -> None:
    count, broken = audit.verify(engine.database, b"another key")
    assert (count, broken) == (0, ten[0]["chain"])


def test_what_the_chain_alone_cannot_show(engine: Engine, ten: Rows) -> None:
    """The end of a chain, and a chain as a whole, can go unseen: for those its head must be kept elsewhere too."""
    change(engine.database, delete(table).where(at(ten[-1])))
    assert is_sound(engine)
    change(engine.database, delete(table))
    assert audit.verify(engine.database, engine.secret) == (0, None)


def test_the_event_says_who_did_what_to_which_version(engine: Engine, org: Callable[..., Any]) -> None:
    """164.312(b): client, organization, purpose, address, request, interaction, outcome, entities."""
    hands = org("clinic", purpose="CAREMGT")
    made = hands.create(PATIENT)
    (row,) = rows(engine.database)
    assert row["client"] == "clinic-client"
    assert row["org"] == hands.who.org_hash
    assert (row["purpose"], row["address"], row["request"]) == ("CAREMGT", "127.0.0.1", "request-1")
    assert (row["interaction"], row["outcome"]) == ("create", 201)
    assert row["at"] // 1000 == made.row.ts
    assert f'"{made.reference}",1,' in row["entities"].decode()


# ---- the heads: what is cut from the end


def known(engine: Engine) -> heads.Known:
    return heads.read(engine.settings.folder / "audit", engine.database, engine.secret)


def verified(engine: Engine) -> tuple[int, int | None]:
    return audit.verify(engine.database, engine.secret, known(engine).heads)


@pytest.fixture
def noted(engine: Engine, ten: Rows) -> Rows:
    """Ten rows whose last one stands in the signed heads."""
    heads.note(engine.settings.folder / "audit", engine.database, engine.secret)
    assert known(engine) == heads.Known({ten[-1]["chain"]: (10, ten[-1]["hash"])}, "")
    assert verified(engine) == (10, None)
    return ten


@pytest.mark.parametrize("kept", [9, 5, 0])
def test_rows_cut_from_the_end_are_noticed(engine: Engine, noted: Rows, kept: int) -> None:
    """Section 3: the last rows of a chain, and a chain that is gone as a whole."""
    for row in noted[kept:]:
        change(engine.database, delete(table).where(at(row)))
    assert audit.verify(engine.database, engine.secret) == (kept, None)
    assert verified(engine) == (kept, noted[0]["chain"])


def test_a_chain_written_anew_is_noticed(engine: Engine, org: Callable[..., Any], noted: Rows) -> None:
    """Even by who has the key: the heads remember what the links were."""
    change(engine.database, delete(table))
    batch = Batch()

    def write(connection: Any) -> None:
        connection.info["audit"] = (noted[0]["chain"], 0, b"")
        events = [Event(1, "r", "read", 200, "c", 1, "TREAT", "", [], str(number)) for number in range(10)]
        audit.add(batch, connection, engine.secret, events)
        batch.flush(connection)

    engine.database.write(write)
    assert audit.verify(engine.database, engine.secret) == (10, None)
    assert verified(engine)[1] == noted[0]["chain"]


def test_chains_that_grew_are_noted_again(engine: Engine, org: Callable[..., Any], noted: Rows) -> None:
    folder = engine.settings.folder / "audit"
    assert not heads.note(folder, engine.database, engine.secret)
    org().create(PATIENT)
    assert heads.note(folder, engine.database, engine.secret)
    assert known(engine).heads[noted[0]["chain"]][0] == 11
    assert verified(engine) == (11, None)
    with (folder / heads.NAME).open("ab") as file:
        file.write(b"[3,0,[]")  # a line that a crash left unfinished
    org().create(PATIENT)
    assert heads.note(folder, engine.database, engine.secret)
    assert known(engine).wrong == ""
    assert verified(engine) == (12, None)


def test_the_heads_themselves_cannot_be_cut_or_changed_unseen(
    engine: Engine, org: Callable[..., Any], noted: Rows
) -> None:
    """A line that was changed, moved or removed, the last one too, and the whole file."""
    path = engine.settings.folder / "audit" / heads.NAME
    org().create(PATIENT)
    heads.note(path.parent, engine.database, engine.secret)
    one, two = path.read_bytes().splitlines(keepends=True)
    for content, said in (
        (one + two.replace(b",11,", b",10,"), "Line 2"), (two, "Line 1"), (two + one, "Line 1"),
        (one, "ends with line 1 of 2"), (b"", "ends with line 0 of 2"),
    ):  # fmt: skip
        path.write_bytes(content)
        assert said in known(engine).wrong, content
    path.unlink()
    assert "ends with line 0 of 2" in known(engine).wrong
    path.write_bytes(one + two)
    assert known(engine).wrong == ""
    assert noted
