"""What a Subscription must be to be stored: nothing is sent on its account, so that none may ask for it.

https://hl7.org/fhir/R4/subscription.html
"""

import re
from collections.abc import Mapping
from ipaddress import ip_address
from typing import Any, Final
from urllib.parse import SplitResult, urlsplit

from fhir_server.engine.changes import Change
from fhir_server.engine.context import Engine, Transaction
from fhir_server.fhir.errors import BusinessRule, Issue, Unprocessable

_ENDPOINT: Final = "Subscription.channel.endpoint"
_ASKING: Final = {"requested", "active"}
_SENT_BY_OTHERS: Final = {"mailto", "tel", "sms"}
_ENCRYPTED: Final = {"https", "wss"}
_INSIDE: Final = ("localhost", "local", "internal", "home.arpa")
_PUBLIC: Final = re.compile(r"(?:[\w-]+\.)+(?!0x)[^\W\d][\w-]*", re.ASCII)  # its last label is no number in any form


def use(engine: Engine) -> None:
    """Let the engine look at every Subscription before it is written."""
    engine.hooks.before_write.append(check)


def check(_transaction: Transaction, change: Change) -> None:
    """before_write: BusinessRule (422) for an endpoint that is no public, encrypted address; Unprocessable (422,
    not-supported) for one that asks to be told, by whatever criteria.
    """
    if change.type != "Subscription" or change.interaction == "delete":
        return
    _require_public(change.resource.get("channel", {}))
    if change.resource.get("status") in _ASKING:
        message = (
            "No criteria are known here: this server sends nothing by Subscription. Ask again with _lastUpdated, or by "
            "_history with _since; a Subscription with status off can be kept."
        )
        raise Unprocessable(issues=(Issue("not-supported", message, "Subscription.criteria"),))


def _require_public(channel: Mapping[str, Any]) -> None:
    endpoint = channel.get("endpoint")
    if endpoint is None:
        return
    try:
        url = urlsplit(endpoint)
        reachable = url.scheme in _SENT_BY_OTHERS or (url.scheme in _ENCRYPTED and _is_public(url))
    except ValueError:
        reachable = False
    if not reachable:
        message = "An endpoint is an https address that everybody can reach, without a user name or password in it."
        raise BusinessRule(message, _ENDPOINT)


def _is_public(url: SplitResult) -> bool:
    """Whether a URL leads to a public host and names no user; ValueError for a port that is none."""
    host = (url.hostname or "").rstrip(".")
    if "@" in url.netloc or url.port == 0:
        return False
    try:
        return ip_address(host).is_global
    except ValueError:
        return bool(_PUBLIC.fullmatch(host)) and not host.endswith(tuple(f".{name}" for name in _INSIDE))
