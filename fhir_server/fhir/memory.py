"""Answers remembered by short texts alone: what is long is asked anew, or a few requests would fill the memory."""

from collections.abc import Callable
from functools import lru_cache, wraps
from typing import ParamSpec, TypeVar

LONGEST = 512  # characters of the texts by which something is remembered; references, systems and codes have fewer

P = ParamSpec("P")
T = TypeVar("T")


def remembered(most: int) -> Callable[[Callable[P, T]], Callable[P, T]]:
    """As `lru_cache(most)`, for functions of texts that clients write; arguments by place alone are looked at."""

    def made(function: Callable[P, T]) -> Callable[P, T]:
        kept = lru_cache(most)(function)

        @wraps(function)
        def asked(*given: P.args, **named: P.kwargs) -> T:
            for one in given:
                if one.__class__ is str and len(one) > LONGEST:
                    return function(*given, **named)
            return kept(*given, **named)  # type: ignore[arg-type]

        return asked

    return made
