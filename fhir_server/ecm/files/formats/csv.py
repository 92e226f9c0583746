"""Comma-separated values in UTF-8.  https://www.rfc-editor.org/rfc/rfc4180"""

from functools import partial
from typing import Final

from fhir_server.ecm.files import delimited
from fhir_server.ecm.files.format import Format

FORMAT: Final = Format(
    name="csv",
    media_types=("text/csv", "application/csv"),
    suffix="csv",
    pads=False,
    check=partial(delimited.check, delimiter=","),
    open=partial(delimited.read, delimiter=","),
    write=partial(delimited.write, delimiter=","),
)
