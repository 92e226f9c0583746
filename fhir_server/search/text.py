"""Text as search sees it: escapes taken apart, letters folded, long values cut.  https://hl7.org/fhir/R4/search.html#escaping"""

import hashlib
import re
import unicodedata

LONGEST = 200  # characters of a value kept in an index; longer ones end in a hash, so that they stay different

_ESCAPE = re.compile(r"\\([,|$\\])")
_SIGN = re.compile(r"[^\w\s]|_")
_DROPPED = str.maketrans("", "", "'.`\u00b4")
_SIGNS = str.maketrans({"\u2019": "'", "\u02bc": "'", "\u2018": "'", "\u2010": "-", "\u2011": "-", "\u2013": "-"})


def split(text: str, separator: str) -> list[str]:
    """The parts between unescaped separators, still escaped."""
    if "\\" not in text:
        return text.split(separator)
    parts, start, at = [], 0, 0
    while at < len(text):
        if text[at] == separator:
            parts.append(text[start:at])
            start = at + 1
        at += 2 if text[at] == "\\" else 1
    return [*parts, text[start:]]


def unescape(text: str) -> str:
    r"""Text with \, \| \$ and \\ as the characters they stand for."""
    return _ESCAPE.sub(r"\1", text) if "\\" in text else text


def fold(text: str) -> str:
    """Lower case, without accents, with plain apostrophes and hyphens and single spaces."""
    if not text.isascii():
        decomposed = unicodedata.normalize("NFKD", text.translate(_SIGNS))
        text = "".join([sign for sign in decomposed if not unicodedata.combining(sign)]).casefold()
    return " ".join(text.lower().split())


def bare(folded: str) -> str:
    """Folded text without punctuation: apostrophes and full stops fall away, other signs part words as spaces do."""
    return " ".join(_SIGN.sub(" ", folded.translate(_DROPPED)).split())


def clip(text: str) -> str:
    """The form of a value kept in an index: the value itself, or its beginning and a hash of the whole."""
    if len(text) <= LONGEST:
        return text
    return f"{text[:LONGEST]}\u2026{hashlib.blake2b(text.encode(), digest_size=16).hexdigest()}"


def shown(text: str) -> str:
    """A value as messages may repeat it."""
    return repr(text if len(text) <= 40 else text[:40] + "...")  # noqa: PLR2004 - well below the 64 allowed


def next_text(prefix: str) -> str:
    """The smallest text, by code points, that is greater than every text with this prefix."""
    for end in range(len(prefix), 0, -1):
        sign = ord(prefix[end - 1]) + 1
        if sign == 0xD800:  # noqa: PLR2004 - surrogates are no characters
            sign = 0xE000
        if sign <= 0x10FFFF:  # noqa: PLR2004 - the last code point
            return prefix[: end - 1] + chr(sign)
    return "\U0010ffff" * (len(prefix) + 1)
