"""E-mail by SMTP: a link to the notice and nothing of what it says.  https://www.rfc-editor.org/rfc/rfc5321"""

from __future__ import annotations

import smtplib
import ssl
from collections.abc import Mapping
from email.message import EmailMessage
from pathlib import Path
from typing import Any, Final

from fhir_server.config import Settings
from fhir_server.ecm.notices.channel import Channel, Message, Undeliverable

_SUBJECT: Final = "A notice is waiting for you"
_TEXT: Final = (
    "There is a notice for your organization on the exchange. Your system reads it here:\n\n{link}\n\n"
    "This message holds no information about any person. Please do not answer it.\n"
)
_SECONDS: Final = 20
_PERMANENT: Final = 500


def serves(settings: Settings, recipient: Mapping[str, Any]) -> bool:
    """Whether there is a mail server, and an address of the recipient."""
    return bool(settings.smtp_host and settings.notice_sender and _address(recipient))


def send(settings: Settings, message: Message) -> str:
    """Hand the message over; what the mail server said to the data."""
    mail = _mail(settings, message)
    with smtplib.SMTP(settings.smtp_host, settings.smtp_port, timeout=_SECONDS) as server:
        if settings.smtp_starttls:
            server.starttls(context=ssl.create_default_context())
        if settings.smtp_login_file:
            user, _, password = Path(settings.smtp_login_file).read_text(encoding="utf-8").strip().partition(":")
            server.login(user, password)
        try:
            refused = server.send_message(mail)
        except smtplib.SMTPRecipientsRefused as error:
            raise _refusal(error) from error
    return "refused" if refused else "accepted by the mail server"


def _mail(settings: Settings, message: Message) -> EmailMessage:
    mail = EmailMessage()
    try:
        mail["From"], mail["To"], mail["Subject"] = settings.notice_sender, _address(message.recipient), _SUBJECT
        mail["Message-ID"] = f"<{message.id}>"
        mail["Auto-Submitted"] = "auto-generated"
    except (ValueError, LookupError, AttributeError) as error:  # so the library answers addresses such as "<"
        raise Undeliverable("The address is no e-mail address.") from error
    mail.set_content(_TEXT.format(link=message.link))
    return mail


def _refusal(error: smtplib.SMTPRecipientsRefused) -> Exception:
    """Refused for good, or for now."""
    if all(code >= _PERMANENT for code, _ in error.recipients.values()):
        return Undeliverable("The mail server refuses this address.")
    return error


def _address(recipient: Mapping[str, Any]) -> str:
    found = [one.get("value") for one in recipient.get("telecom", []) if one.get("system") == "email"]
    return str(next(filter(None, found), ""))


CHANNEL = Channel("e-mail", serves, send)
