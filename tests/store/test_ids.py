"""Identities: unique over threads and processes, ordered by time, and placed where their patient is."""

import re
import threading
import uuid

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fhir_server.store.ids import Ids, part_of

NOW = 1_790_000_000_000
FHIR_ID = re.compile(r"[A-Za-z0-9\-.]{1,64}")


def clock() -> int:
    return NOW


def test_row_numbers_grow_and_are_even() -> None:
    """The odd number above is the contact view's."""
    ids = Ids(clock, 3)
    made = [ids.rid() for _ in range(10_000)]
    assert made == sorted(set(made))
    assert not [rid for rid in made if rid % 2]


def test_row_numbers_fit_sixty_three_bits_until_2089() -> None:
    end_of_2088 = 3_755_289_600_000
    assert 0 < Ids(lambda: end_of_2088, 1023).rid() < 2**63


def test_row_numbers_grow_when_the_clock_goes_back() -> None:
    times = iter([NOW, NOW + 5, NOW, NOW - 10_000, NOW + 6])
    ids = Ids(lambda: next(times), 1)
    made = [ids.rid() for _ in range(5)]
    assert made == sorted(set(made))


def test_row_numbers_are_unique_over_threads() -> None:
    ids, made, lock = Ids(clock, 1), [], threading.Lock()

    def work() -> None:
        own = [ids.rid() for _ in range(2000)]
        with lock:
            made.extend(own)

    threads = [threading.Thread(target=work) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(set(made)) == 16_000


def test_row_numbers_of_two_processes_differ() -> None:
    one, other = Ids(clock, 1), Ids(clock, 2)
    assert not {one.rid() for _ in range(5000)} & {other.rid() for _ in range(5000)}


def test_logical_ids_are_uuids_of_version_7_with_their_part() -> None:
    ids = Ids(clock, 1)
    for part in (0, 1, 2048, 4095):
        fid = ids.fid(part)
        assert FHIR_ID.fullmatch(fid)
        assert uuid.UUID(fid).version == 7
        assert uuid.UUID(fid).variant == uuid.RFC_4122
        assert part_of(fid) == part
        assert uuid.UUID(fid).int >> 80 == NOW


def test_logical_ids_are_unique_and_spread() -> None:
    ids = Ids(clock, 1)
    made = [ids.fid() for _ in range(5000)]
    assert len(set(made)) == 5000
    assert len({part_of(fid) for fid in made}) > 2000


@given(st.text("abcXYZ0189-.", min_size=1, max_size=64))
def test_a_client_s_id_has_one_place(fid: str) -> None:
    assert 0 <= part_of(fid) < 4096
    assert part_of(fid) == part_of(fid)


@pytest.mark.parametrize(
    ("fid", "part"), [("example", 1189), ("1", 1121), ("019f0000-0000-4abc-8000-000000000000", 3101), ("A" * 64, 2300)]
)
def test_the_place_of_a_client_s_id_never_changes(fid: str, part: int) -> None:
    """Stored rows carry it: another hash would make them unreachable."""
    assert part_of(fid) == part
    assert part_of("019f0000-0000-7abc-8000-000000000000") == 0xABC
