"""Words of displays as filters find them: lower case, without accents, letters and digits only."""

import re
import unicodedata
from collections.abc import Iterable

_WORD = re.compile(r"[a-z0-9]+")
LONGEST = 60


def words(*texts: str | None) -> list[str]:
    """The words of these texts, each once, in their order."""
    found = (word[:LONGEST] for text in texts if text for word in _WORD.findall(_plain(text)))
    return list(dict.fromkeys(found))


def begin_like(wanted: Iterable[str], *texts: str | None) -> bool:
    """Whether each wanted word is the beginning of some word of the texts."""
    present = words(*texts)
    return all(any(one.startswith(word) for one in present) for word in wanted)


def _plain(text: str) -> str:
    if text.isascii():
        return text.lower()
    return "".join(sign for sign in unicodedata.normalize("NFKD", text) if not unicodedata.combining(sign)).lower()
