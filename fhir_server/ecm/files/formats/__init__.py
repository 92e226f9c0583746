"""File formats, one file each, and the choice among them by media type, file name and first bytes.

A file of this folder that exports FORMAT is a format; nothing else has to know it.
"""

import sys
from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from fhir_server.ecm.files.format import MAX_BYTES, Format
from fhir_server.fhir.errors import TooLarge, UnsupportedMedia
from fhir_server.fhir.registry import entries

_CHARSETS: Final = {"", "utf-8", "utf8", "us-ascii", "windows-1252", "cp1252", "iso-8859-1"}
_UNDECLARED: Final = {"", "application/octet-stream"}


FORMATS: Final[Mapping[str, Format]] = MappingProxyType(
    {entry.name: entry for entry in entries(sys.modules[__name__], "FORMAT")}
)


def detect(media_type: str, file_name: str, head: bytes, size: int | None = None) -> Format:
    """The format of a file by its declared media type, else its name, checked against its first bytes.

    UnsupportedMedia (415) for a type or character set not offered, TooLarge (413) beyond the limit, Unprocessable
    (422, issue code `structure`) when the bytes are not what was declared: another delimiter, UTF-16, a password.
    """
    if size is not None and size > MAX_BYTES:
        raise TooLarge(f"The file is larger than {MAX_BYTES >> 20} MiB. Send it in parts, mode=delta.")
    found = _declared(media_type, file_name)
    found.check(head)
    return found


def _declared(media_type: str, file_name: str) -> Format:
    kind, _, parameters = media_type.lower().partition(";")
    kind = kind.strip()
    if _charset(parameters) not in _CHARSETS:
        raise UnsupportedMedia("Only UTF-8 and Windows-1252 are read. Save the file as UTF-8.")
    for candidate in FORMATS.values():
        if kind in candidate.media_types or (kind in _UNDECLARED and _suffix(file_name) == candidate.suffix):
            return candidate
    offered = ", ".join(candidate.media_types[0] for candidate in FORMATS.values())
    raise UnsupportedMedia(f"Send the file as one of {offered}.")


def _charset(parameters: str) -> str:
    pairs = (part.partition("=") for part in parameters.split(";"))
    return next((value.strip().strip('"') for name, _, value in pairs if name.strip() == "charset"), "")


def _suffix(file_name: str) -> str:
    return file_name.lower().rpartition(".")[2]
