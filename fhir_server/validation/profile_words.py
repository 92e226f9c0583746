"""What the profile validator says, in words a developer of a small organization understands.

https://hl7.org/fhir/R4/operationoutcome.html
"""

from collections.abc import Sequence
from typing import Final

from fhir_server.fhir.errors import Issue

LONGEST_ECHO: Final = 64
"""Characters of a value that an issue repeats at most."""


def ending(url: str) -> str:
    """A URL that was sent; of a long one the end, which tells it from others."""
    return url if len(url) <= LONGEST_ECHO else "..." + url[3 - LONGEST_ECHO :]


def broken(where: str, text: str) -> Issue:
    """A rule that the element breaks; the text says what to do."""
    return Issue("invariant", f"{where}: {text}", where)


def too_few(where: str, count: int, least: int, name: str = "") -> Issue:
    """An element, or the slice `name` of it, that occurs too seldom."""
    what = f"{where} ({name})" if name else where
    found = f"there is only {count}" if count else "it is missing"
    return Issue("invariant", f"{what} is needed at least {_times(least)}, but {found}. Add it.", where)


def too_many(where: str, count: int, most: int, name: str = "") -> Issue:
    """An element, or the slice `name` of it, that occurs too often, or must not occur."""
    what = f"{where} ({name})" if name else where
    if most == 0:
        return Issue("invariant", f"{what} must not be sent under this profile. Leave it out.", where)
    text = f"{what} may occur at most {_times(most)}, but there are {count}. Remove the others."
    return Issue("invariant", text, where)


def off_profile(kind: str, profiles: Sequence[str]) -> str:
    """What is said of a reference whose target keeps none of the profiles."""
    return f"The {kind} that it names does not keep the profile asked for here: {' or '.join(profiles[:3])}."


def _times(count: int) -> str:
    return {1: "once", 2: "twice"}.get(count, f"{count} times")
