"""What a value of each primitive type looks like, in patterns that take linear time.

The same pattern texts serve the JSON Schema and the wording of errors, so the two cannot disagree.
https://hl7.org/fhir/R4/datatypes.html#primitive
"""

import re
from base64 import b64decode
from collections.abc import Sequence
from functools import cache
from typing import Any

_YEAR = "(?:[0-9]{3}[1-9]|[0-9]{2}[1-9]0|[0-9][1-9]00|[1-9]000)"
_MONTH = "(?:0[1-9]|1[0-2])"
_LEAP_YEAR = "(?:[0-9]{2}(?:0[48]|[2468][048]|[13579][26])|(?:0[48]|[2468][048]|[13579][26])00)"
_DAY = (
    f"(?:{_YEAR}-(?:(?:0[13578]|1[02])-(?:0[1-9]|[12][0-9]|3[01])|(?:0[469]|11)-(?:0[1-9]|[12][0-9]|30)"
    f"|02-(?:0[1-9]|1[0-9]|2[0-8]))|{_LEAP_YEAR}-02-29)"
)
_CLOCK = r"(?:[01][0-9]|2[0-3]):[0-5][0-9]:(?:[0-5][0-9]|60)(?:\.[0-9]+)?"
_ZONE = "(?:Z|[+-](?:(?:0[0-9]|1[0-3]):[0-5][0-9]|14:00))"
_DATE = f"(?:{_YEAR}(?:-{_MONTH})?|{_DAY})"
_BASE64 = (
    r"[ \t\r\n]*(?:(?:[A-Za-z0-9+/][ \t\r\n]*){4})*"
    r"(?:(?:[A-Za-z0-9+/][ \t\r\n]*){2}=[ \t\r\n]*=[ \t\r\n]*|(?:[A-Za-z0-9+/][ \t\r\n]*){3}=[ \t\r\n]*)?"
)
ID = "[A-Za-z0-9.-]{1,64}"

# Type -> pattern of the whole string; a plain string only may not be empty.
PATTERNS = {
    "base64Binary": _BASE64,
    "canonical": r"[^ \t\r\n]+",
    "code": r"[^ \t\r\n]+(?:[ \t\r\n][^ \t\r\n]+)*",
    "date": _DATE,
    "dateTime": f"(?:{_DATE}|{_DAY}T{_CLOCK}{_ZONE})",
    "id": ID,
    "instant": f"{_DAY}T{_CLOCK}{_ZONE}",
    "oid": r"urn:oid:[0-2](?:\.(?:0|[1-9][0-9]*))+",
    "time": _CLOCK,
    "uri": r"[^ \t\r\n]+",
    "url": r"[^ \t\r\n]+",
    "uuid": "urn:uuid:[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}",
}
STRINGS = ("string", "markdown", "xhtml")
RANGES = {
    "integer": (-2147483648, 2147483647),
    "unsignedInt": (0, 2147483647),
    "positiveInt": (1, 2147483647),
}
PRIMITIVES = frozenset((*PATTERNS, *STRINGS, *RANGES, "boolean", "decimal"))

_HINTS = {
    "base64Binary": "base64, in groups of four characters",
    "code": "a code without spaces at its ends",
    "date": "a date such as 2026, 2026-03 or 2026-03-01 that exists in the calendar",
    "dateTime": "a date, or a date with a time and a zone such as 2026-03-01T10:00:00Z",
    "id": "1 to 64 letters, digits, '-' and '.'",
    "instant": "a moment with seconds and a zone such as 2026-03-01T10:00:00.000Z",
    "oid": "urn:oid: and an object identifier",
    "time": "a time such as 10:00:00, without a zone",
    "uuid": "urn:uuid: and a UUID in lower case",
}


def anchored(pattern: str) -> str:
    """The pattern as JSON Schema wants it, for the whole string."""
    return f"^(?:{pattern})$"


def reference_pattern(targets: Sequence[str]) -> str:
    """What a literal reference to one of these types looks like: relative, or absolute with any scheme."""
    types = "|".join(targets) or "[A-Z][A-Za-z]*"
    return rf"(?:{types})/{ID}(?:/_history/{ID})?|[A-Za-z][A-Za-z0-9+.-]*:[^ \t\r\n]+"


@cache
def _compiled(kind: str) -> re.Pattern[str]:
    return re.compile(PATTERNS[kind])


def problem(kind: str, value: Any) -> tuple[str, str] | None:
    """(issue code, message) if the JSON value is no value of the primitive type; None if it is one."""
    if kind == "boolean":
        return None if isinstance(value, bool) else ("structure", "must be true or false, without quotes")
    if kind in RANGES or kind == "decimal":
        return _number_problem(kind, value)
    if not isinstance(value, str):
        return "structure", f"must be a string ({kind})"
    if not value:
        return "structure", "must not be an empty string; leave the element out"
    if _right_form(kind, value):
        return None
    return "value", f"must be {_HINTS.get(kind, f'a {kind} without spaces')}"


def _right_form(kind: str, value: str) -> bool:
    if kind == "base64Binary":
        return _is_base64(value)
    return kind not in PATTERNS or _compiled(kind).fullmatch(value) is not None


def _number_problem(kind: str, value: Any) -> tuple[str, str] | None:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return "structure", f"must be a number ({kind}), without quotes"
    if kind == "decimal":
        return None
    least, most = RANGES[kind]
    if isinstance(value, float) or not least <= value <= most:
        return "value", f"must be a whole number from {least} to {most} ({kind})"
    return None


def _is_base64(value: str) -> bool:
    """As the pattern says, but without a regular expression's stack on megabytes."""
    bare = value.translate(dict.fromkeys(map(ord, " \t\r\n")))
    try:
        return bool(bare) and b64decode(bare, validate=True) is not None
    except ValueError:
        return False
