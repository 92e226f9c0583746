"""The words of FHIRPath.  http://hl7.org/fhirpath/N1/#lexical-elements"""

import re
from typing import Final

Token = tuple[str, str]

_TOKEN: Final = re.compile(
    r"""\s*(?:(?P<text>'(?:[^'\\]|\\.)*')|(?P<number>\d+)|(?P<name>\$this|[A-Za-z_]\w*)|%(?P<variable>\w+|`[^`]+`|'[^']+')"""
    r"""|(?P<sign>!=|<=|>=|[=<>|.(),+*/-]))"""
)
_ESCAPE: Final = re.compile(r"\\(?:u([0-9a-fA-F]{4})|(.))")
_ESCAPED: Final = {"n": "\n", "t": "\t", "r": "\r", "f": "\f"}
END: Final = ("end", "")


class BeyondError(Exception):
    """The expression uses a part of FHIRPath that is left to the library."""


def unescaped(text: str) -> str:
    """What stands in a string literal."""
    return _ESCAPE.sub(_sign, text)


def _sign(found: re.Match[str]) -> str:
    return chr(int(found[1], 16)) if found[1] else _ESCAPED.get(found[2], found[2])


def tokens(expression: str) -> list[Token]:
    """(kind, text) of every word, and END; BeyondError for a sign that is not among them."""
    found, at, text = [], 0, expression.strip()
    while at < len(text):
        match = _TOKEN.match(text, at)
        if match is None or match.lastgroup is None:
            raise BeyondError
        found.append((match.lastgroup, match.group(match.lastgroup)))
        at = match.end()
    return [*found, END]
