"""The number of a request, by which its answer, its events and the server's log are found."""

import re
import secrets
from typing import Final

HEADER: Final = "X-Request-Id"
FORM: Final = re.compile(r"[\w.:-]{1,128}")


def request_id(given: str) -> str:
    """The client's own number if it can stand in a header and a log, else a new one."""
    return given if FORM.fullmatch(given) else secrets.token_hex(8)
