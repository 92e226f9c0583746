"""What is remembered of long posting lists, and for how long."""

from fhir_server.search.lengths import LongLists
from fhir_server.search.model import Chain, Match, Term

ACTIVE = Match("Task", "status", "token", (Term("code", ("active",)),))


def test_a_list_is_counted_again_after_a_while() -> None:
    known = LongLists()
    assert not known.has(ACTIVE)
    known.add(ACTIVE)
    assert not known.has(Match("Task", "status", "token", (Term("code", ("draft",)),)))
    asked = [known.has(Match("Task", "status", "token", (Term("code", ("active",)),))) for _ in range(1000)]
    assert asked.index(False) == asked.count(True) > 100
    assert not known.has(ACTIVE)


def test_what_depends_on_who_asks_is_counted_each_time() -> None:
    known = LongLists()
    chain = Chain("Task", "patient", (("Patient", ACTIVE),))
    known.add(chain)
    assert not known.has(chain)


def test_no_more_than_so_many_are_kept() -> None:
    known = LongLists()
    for number in range(30_000):
        known.add(Match("Task", "identifier", "token", (Term("code", (f"n{number}",)),)))
    assert len(known._left) <= 10_000
