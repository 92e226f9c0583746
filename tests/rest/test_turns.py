"""Reads take turns, and no read holds up the others for long."""

import time
from threading import Event, Thread

import pytest

from fhir_server.rest.turns import Turns, reads


def test_a_turn_is_given_back() -> None:
    """P14: who comes while a turn is taken waits for it."""
    turns, order, taken = Turns(1), list[str](), Event()

    def second() -> None:
        taken.wait(5)
        with turns.one():
            order.append("second")

    thread = Thread(target=second)
    thread.start()
    with turns.one():
        taken.set()
        time.sleep(0.005)
        order.append("first")
    thread.join(5)
    assert order == ["first", "second"]


def test_a_long_read_holds_up_nobody() -> None:
    """P14: without a turn in a moment a read goes on, and what it did not take it does not give back."""
    turns = Turns(1)
    with turns.one():
        began = time.monotonic()
        with turns.one():
            assert time.monotonic() - began < 2
        with turns.one():
            pass
    with turns.one():
        assert not turns._free.acquire(blocking=False)


@pytest.mark.parametrize(
    ("method", "path", "expected"),
    [
        ("GET", "/fhir/Patient/1", True),
        ("HEAD", "/fhir/Patient", True),
        ("POST", "/fhir/Patient/_search", True),
        ("POST", "/fhir/$graphql", True),
        ("POST", "/fhir/Patient", False),
        ("PUT", "/fhir/Patient/_search", False),
    ],
)
def test_what_takes_a_turn(method: str, path: str, expected: bool) -> None:
    assert reads(method, path) is expected
