"""Refusals are counted by client, address and status, a minute at a time, in bounded space."""

import re

from hypothesis import given
from hypothesis import strategies as st

from fhir_server.engine.events import Event
from fhir_server.engine.refusals import OTHERS, TOLD_APART, Refusals

MINUTE = 60_000_000


def refusal(at: int, address: str = "203.0.113.7", status: int = 401, client: str = "") -> Event:
    return Event(at, f"r{at}", "GET", status, client, 0, "", address, [], "Patient")


def counted(events: list[Event]) -> int:
    """How many refusals these events tell of."""
    more = [re.match(r"(\d+) more within the minute", one.query) for one in events]
    return sum(int(found[1]) if found else 1 for found in more)


@given(
    st.lists(st.tuples(st.integers(0, 5 * MINUTE), st.integers(0, 300), st.sampled_from([400, 401, 503])), max_size=200)
)
def test_every_refusal_is_counted_in_bounded_space(asked: list[tuple[int, int, int]]) -> None:
    """T29, T30: the numbers told are those refused; of a minute no more events than two for each that is told apart."""
    told: list[Event] = []
    refusals = Refusals(told.append)
    for at, address, status in sorted(asked):
        refusals.note(refusal(at, f"203.0.113.{address}" if address < 256 else f"2001:db8:0:{address}::1", status))
    refusals.tell_all()
    assert counted(told) == len(asked)
    minutes = {at // MINUTE for at, _, _ in asked}
    assert len(told) <= len(minutes) * 2 * (TOLD_APART + 1)


def test_the_first_is_told_at_once_and_the_others_when_the_minute_is_over() -> None:
    """One sender has a whole network of IPv6 addresses; clients and statuses are told apart."""
    told: list[Event] = []
    refusals = Refusals(told.append)
    for number in range(50):
        refusals.note(refusal(number, f"2001:db8::{number:x}"))
    assert [one.request for one in told] == ["r0"]
    refusals.tell(MINUTE - 1)
    assert len(told) == 1
    refusals.tell(MINUTE)
    assert (told[1].address, told[1].request) == ("2001:db8::/64", "r49")
    assert told[1].query == "49 more within the minute, the last one: Patient"
    for one in (refusal(MINUTE), refusal(MINUTE, status=413), refusal(MINUTE, client="clinic")):
        refusals.note(one)
    assert len(told) == 5
    for number in range(TOLD_APART + 20):
        refusals.note(refusal(MINUTE, f"198.51.100.{number}"))
    refusals.tell_all()
    assert [one.address for one in told][-1] == OTHERS
    assert counted(told) == 50 + 3 + TOLD_APART + 20
