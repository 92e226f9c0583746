"""Sending what is due: by the notice's channel, then on record with its proof; after a crash in between once more."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from typing import Any, Final
from urllib.parse import urlsplit

import orjson
import structlog

from fhir_server.access.relations import items, local
from fhir_server.ecm import vocabulary as words
from fhir_server.ecm.notices import channels
from fhir_server.ecm.notices.channel import Channel, Message, Undeliverable
from fhir_server.ecm.persons import is_deceased
from fhir_server.engine import behalf, records, repository
from fhir_server.engine.context import Context, Engine, Transaction
from fhir_server.fhir import wire
from fhir_server.fhir.errors import Gone, NotFound
from fhir_server.fhir.registry import entries
from fhir_server.fhir.values import instant
from fhir_server.jobs import deliveries
from fhir_server.jobs.deliveries import Delivery

log = structlog.get_logger()

BY_SERVER: Final = "a notice, by the server"  # the note of a context that may write notices
_CLIENT: Final = "notices"


@cache
def known_channels() -> Mapping[str, Channel]:
    """The channels by their codes."""
    return {one.code: one for one in entries(channels, "CHANNEL")}


def send_due(engine: Engine) -> bool:
    """Send the notice that is due the longest; False if none is."""
    due = deliveries.claim(engine)
    if due is None:
        return False
    context = behalf.context_for(engine, due.organization, _CLIENT)
    if due.attempts > deliveries.MOST_ATTEMPTS:
        _end(context, due, _not_sent(f"Given up after {deliveries.MOST_ATTEMPTS} attempts."), "failed")
        return True
    try:
        notice = repository.read(context, "Communication", due.id)
    except (NotFound, Gone):
        _end(context, due, {}, "failed")
        return True
    found = orjson.loads(notice.body)
    if found.get("status") != "preparation":
        _end(context, due, {}, "sent")
        return True
    try:
        told = _send(context, found, notice.body)
    except Undeliverable as error:
        _end(context, due, _not_sent(str(error)), "failed")
    except OSError as error:
        _failed(context, due, error)
    else:
        _end(context, due, _proof(context, found, told), "sent")
    return True


def _send(context: Context, notice: Mapping[str, Any], body: bytes) -> str:
    settings = context.engine.settings
    name = local(items(notice, "recipient")[0]) or ""
    recipient = records.by_reference(context, [name]).get(name, {})
    if is_deceased(recipient):
        raise Undeliverable("A death is recorded for the recipient.")
    link = f"{settings.base_url.rstrip('/')}/Communication/{notice['id']}"
    message = Message(message_id(context, notice), recipient, body, link)
    return known_channels()[_channel(notice)].send(settings, message)


def message_id(context: Context, notice: Mapping[str, Any]) -> str:
    """The id under which a notice is sent, however often."""
    return f"{notice['id']}@{urlsplit(context.engine.settings.base_url).hostname}"


def _channel(notice: Mapping[str, Any]) -> str:
    return str(notice["medium"][0]["coding"][0]["code"])


def _proof(context: Context, notice: Mapping[str, Any], told: str) -> dict[tuple[str | int, ...], Any]:
    now = instant(context.engine.clock())
    parts = [
        {"url": "channel", "valueCoding": {"system": words.NOTICE_CHANNELS, "code": _channel(notice)}},
        {"url": "message-id", "valueString": message_id(context, notice)},
        {"url": "at", "valueDateTime": now},
        {"url": "detail", "valueString": told},
    ]
    proof = {"url": words.PROOF_OF_SENDING, "extension": parts}
    return {("status",): "completed", ("sent",): now, ("extension",): [*items(notice, "extension"), proof]}


def _not_sent(why: str) -> dict[tuple[str | int, ...], Any]:
    return {("status",): "not-done", ("statusReason",): {"text": why}}


def _failed(context: Context, due: Delivery, error: OSError) -> None:
    log.warning("notice not sent", notice=due.id, attempts=due.attempts, error=type(error).__name__)
    if due.attempts < deliveries.MOST_ATTEMPTS:
        deliveries.postpone(context.engine, due)
    else:
        _end(context, due, _not_sent(f"Given up after {due.attempts} attempts."), "failed")


def _end(context: Context, due: Delivery, edits: Mapping[tuple[str | int, ...], Any], state: str) -> None:
    """Record what became of a notice, and that it is not to be sent any more, in one transaction."""

    def work(transaction: Transaction) -> None:
        acting = transaction.context
        acting.notes[BY_SERVER] = True
        if edits:
            repository.modify(
                acting, "Communication", due.id, None, lambda row: wire.edit(row.body, edits), required=False
            )
        deliveries.settle(transaction, due.id, state)

    context.transact(work)
