"""A file in a folder that a mail house or another system empties: the whole notice as FHIR JSON, never half of it."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from fhir_server.config import Settings
from fhir_server.ecm.notices.channel import Channel, Message

_ONLY_OURS = 0o600


def serves(settings: Settings, _recipient: Mapping[str, Any]) -> bool:
    """Whether there is a folder."""
    return bool(settings.notice_folder)


def send(settings: Settings, message: Message) -> str:
    """Put the file there under the name of the message; the name. Sent again, it replaces itself."""
    folder = Path(settings.notice_folder)
    name = message.id.partition("@")[0] + ".json"
    part = folder / f".{name}.part"
    handle = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, _ONLY_OURS)
    with os.fdopen(handle, "wb") as file:
        file.write(message.notice)
        file.flush()
        os.fsync(file.fileno())
    part.replace(folder / name)
    directory = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(directory)
    finally:
        os.close(directory)
    return name


CHANNEL = Channel("file-drop", serves, send)
