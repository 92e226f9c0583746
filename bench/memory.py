"""Memory of the server while files of very different length are taken in: it must not grow with the file."""

from collections.abc import Iterator

from bench import world
from bench.figures import Bench, Figure, next_file

_SMALL, _LARGE = 1_000, 100_000
_MEGABYTE = 1024 * 1024


def measure_memory(bench: Bench) -> Iterator[Figure]:
    """The server's highest memory during an import of 100,000 rows beside that of 1,000, for CSV and XLSX."""
    for kind in ("csv", "xlsx"):
        yield _compare(bench, kind)


def _compare(bench: Bench, kind: str) -> Figure:
    small, _ = _highest(bench, kind, _SMALL)
    large, seconds = _highest(bench, kind, _LARGE)
    return Figure(
        f"memory, {kind} of {_LARGE:,} rows (baseline: {_SMALL:,} rows; p50 = seconds)",
        bench.server.database.dialect, round(large / _MEGABYTE, 1), "MiB", round(small / _MEGABYTE, 1),
        round(large / small, 3), round(seconds, 1), round(_LARGE / seconds, 1),
    )  # fmt: skip


def _highest(bench: Bench, kind: str, number: int) -> tuple[int, float]:
    path = next_file(bench, number, kind)
    seen = [bench.server.memory()]
    done = world.import_file(bench.clients["plan-valley"], path, watch=lambda: seen.append(bench.server.memory()))
    path.unlink()
    return max(seen), done["seconds"]
