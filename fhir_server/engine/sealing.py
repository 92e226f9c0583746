"""Opaque tokens of the server's own: what is in them is for one caller, one purpose and some hours."""

import base64
import binascii
import hashlib
import os
from typing import Any

import orjson
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from fhir_server.engine.context import Context
from fhir_server.fhir.errors import BadValue, NotFound
from fhir_server.search.paging import LIFETIME_MS, ExpiredPage

_NONCE = 12


def seal(context: Context, purpose: str, content: Any) -> str:
    """A token that holds JSON content for this caller and purpose, for LIFETIME_MS."""
    nonce = os.urandom(_NONCE)
    text = orjson.dumps([content, _identity(context), context.now + LIFETIME_MS])
    sealed = nonce + _cipher(context, purpose).encrypt(nonce, text, purpose.encode())
    return base64.urlsafe_b64encode(sealed).rstrip(b"=").decode()


def opened(context: Context, purpose: str, token: str) -> Any:
    """What `seal` put in; BadValue if altered, NotFound if it is another caller's, ExpiredPage (410) if too old."""
    try:
        sealed = base64.urlsafe_b64decode(token.encode() + b"=" * (-len(token) % 4))
        text = _cipher(context, purpose).decrypt(sealed[:_NONCE], sealed[_NONCE:], purpose.encode())
    except (binascii.Error, UnicodeError, ValueError, InvalidTag):
        raise BadValue("The page token is damaged. Follow the link exactly as it was given.") from None
    content, identity, until = orjson.loads(text)
    if identity != _identity(context):
        raise NotFound("This page does not exist.")
    if until <= context.now:
        raise ExpiredPage("This page has expired. Begin again.")
    return content


def _cipher(context: Context, purpose: str) -> AESGCM:
    kept: dict[str, AESGCM] = context.engine.memo.setdefault("ciphers", {})
    if purpose not in kept:
        kept[purpose] = AESGCM(hashlib.sha256(purpose.encode() + b"\0" + context.engine.secret).digest())
    return kept[purpose]


def _identity(context: Context) -> str:
    return f"{context.caller.client} {context.caller.org}"
