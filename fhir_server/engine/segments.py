"""The lines of the log of reads as events, as far as they are any.

Whatever spoils a file (a disk, a hand) must not keep what is sound in it, or behind it, out of the trail.
"""

from collections.abc import Iterable
from typing import Annotated, Any, Final

import msgspec
import orjson

from fhir_server.engine.events import Event

SET_ASIDE: Final = "spoiled-"  # before the name of a file that holds lines which are none

_Text = Annotated[str, msgspec.Meta(pattern="^[^\x00]*$")]  # PostgreSQL's text holds no NUL
_Number = Annotated[int, msgspec.Meta(ge=-(2**63), le=2**63 - 1)]
_Status = Annotated[int, msgspec.Meta(ge=0, le=2**15 - 1)]
_Line = tuple[_Number, _Text, _Text, _Status, _Text, _Number, _Text, _Text, list[Any], _Text]


def read(lines: Iterable[bytes]) -> tuple[list[Event], int]:
    """(the events in these lines, how many lines are none)."""
    decoder, events, spoiled = msgspec.json.Decoder(_Line), list[Event](), 0
    for line in lines:
        try:
            event = Event._make(decoder.decode(line))
            orjson.dumps(event.entities)
        except (msgspec.MsgspecError, TypeError, UnicodeError):
            spoiled += 1
            continue
        events.append(event)
    return events, spoiled
