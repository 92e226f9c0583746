"""Text that a spreadsheet would run as a formula, made harmless in delimited files and restored when read again.

https://owasp.org/www-community/attacks/CSV_Injection
"""

import re
from collections.abc import Sequence
from typing import Final

# Signs that start a formula, also as full-width forms, after blanks that a spreadsheet may drop.
_BETWEEN: Final = "\x1f"
_MAY_START_FORMULA: Final = re.compile(r"\x1f['\s]*[=+\-@\t\r\n\x00\uff0b\uff0d\uff1d\uff20]")
_STARTS_FORMULA: Final = re.compile(r"'*\s*[=+\-@\t\r\n\x00\uff0b\uff0d\uff1d\uff20]")


def defuse(text: str) -> str:
    """The text with a leading apostrophe when a spreadsheet could take it for a formula."""
    return f"'{text}" if _STARTS_FORMULA.match(text) else text


def defused(cells: Sequence[str]) -> Sequence[str]:
    """A row with every cell defused; the row itself where none could be taken for a formula."""
    return list(map(defuse, cells)) if _MAY_START_FORMULA.search(_BETWEEN + _BETWEEN.join(cells)) else cells


def restore(text: str) -> str:
    """What `defuse` was given: exactly one apostrophe fewer where it added one."""
    return text[1:] if text[:1] == "'" and _STARTS_FORMULA.match(text) else text
