"""Memory of the server while files of very different length are taken in: it must not grow with the file."""

from collections.abc import Iterator

from bench import world
from bench.figures import Bench, Figure, next_file

_SMALL, _LARGE = 1_000, 100_000
_MEGABYTE = 1024 * 1024


def measure_memory(bench: Bench) -> Iterator[Figure]:
    """Two figures each for CSV and XLSX, in MiB.

    The server's highest memory during an import of 100,000 rows beside that of 1,000, which has a second process for a
    moment only; and during the last fifth of the long file beside the second, when all is as it will be.
    """
    for kind in ("csv", "xlsx"):
        small, _ = _held(bench, kind, _SMALL)
        large, seconds = _held(bench, kind, _LARGE)
        fifth = len(large) // 5
        sizes = f"{kind} of {_LARGE:,} rows beside {_SMALL:,}"
        yield _compare(bench, f"memory, {sizes} (p50 = seconds, p99 = rows/s)", large, small, seconds)
        name = f"memory, {kind} of {_LARGE:,} rows, last fifth beside second"
        yield _compare(bench, name, large[-fifth:], large[fifth : 2 * fifth], seconds)


def _compare(bench: Bench, name: str, large: list[int], small: list[int], seconds: float) -> Figure:
    ours, base = max(large), max(small)
    return Figure(
        name, bench.server.database.dialect, round(ours / _MEGABYTE, 1), "MiB", round(base / _MEGABYTE, 1),
        round(ours / base, 3), round(seconds, 1), round(_LARGE / seconds, 1),
    )  # fmt: skip


def _held(bench: Bench, kind: str, number: int) -> tuple[list[int], float]:
    """What the server held, again and again while a file was taken in, and the seconds that took."""
    path = next_file(bench, number, kind)
    seen = [bench.server.memory()]
    done = world.import_file(bench.clients["plan-valley"], path, watch=lambda: seen.append(bench.server.memory()))
    path.unlink()
    return seen, done["seconds"]
