"""What a channel of notices is, and what it is given to send."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from fhir_server.config import Settings


class Undeliverable(Exception):
    """What is to be sent cannot be sent this way, now or later; says why."""


@dataclass(frozen=True)
class Message:
    """One notice on its way: `id` is the same at every try, so that a receiver knows what it has already."""

    id: str
    recipient: Mapping[str, Any]  # an Organization or a Patient as the sender may see it
    notice: bytes  # the Communication
    link: str


@dataclass(frozen=True)
class Channel:
    """A way of sending.

    `serves`: whether this deployment and this recipient have it. `send` returns what the receiving side said; it raises
    OSError for what may pass (smtplib's errors are such) and Undeliverable for what will not.
    """

    code: str
    serves: Callable[[Settings, Mapping[str, Any]], bool]
    send: Callable[[Settings, Message], str]
