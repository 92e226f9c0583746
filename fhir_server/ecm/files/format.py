"""What a file format is, what it may cost to read one, and how a file that cannot be read is refused."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Final

from fhir_server.fhir.errors import Issue, Unprocessable

Cells = list[str]
NumberedRow = tuple[int, Cells]

MAX_BYTES: Final = 1 << 30  # a file; 100,000 members are about 50 MiB
MAX_COLUMNS: Final = 512
MAX_RECORD: Final = 4 << 20  # characters of text or bytes of XML that one row may take


@dataclass(slots=True)
class Opening:
    """What opening a file needs to know and finds out.

    is_header: whether cells, below the cells of the row above, are the header of the table that is looked for. `mended`
    says what was mended in the file as a whole; `hidden` are columns that the sender's program does not show.
    """

    is_header: Callable[[Cells, Cells], bool]
    mended: list[str] = field(default_factory=list)
    hidden: set[int] = field(default_factory=set)


@dataclass(frozen=True, slots=True)
class Format:
    """How bytes become numbered rows of text cells, and rows become bytes.

    `check` looks at the first bytes and refuses what cannot be this format. `open(stream, opening)` yields (row number,
    cells) for every row that is not blank, counted from 1 as a spreadsheet shows them; the stream must be seekable. A
    workbook's further sheets with the same header follow, their rows counted on and in the order of the first header;
    without an Opening the first visible sheet is all. All of them raise Unprocessable with issue code `structure`.
    `pads` says that short rows are natural here.
    """

    name: str
    media_types: tuple[str, ...]
    suffix: str
    pads: bool
    check: Callable[[bytes], None]
    open: Callable[..., Iterator[NumberedRow]]
    write: Callable[[Iterable[Sequence[str]]], Iterator[bytes]]


def refused(diagnostics: str) -> Unprocessable:
    """The error for a file that cannot be read as what it claims to be: 422 with issue code `structure`."""
    return Unprocessable(issues=[Issue("structure", diagnostics)])


class Budget:
    """What one row may still cost; a row without end is refused before it is held."""

    def __init__(self, allowed: int = MAX_RECORD) -> None:
        self._allowed = allowed
        self._left = allowed

    def spend(self, amount: int) -> None:
        """Take from the budget; Unprocessable when nothing is left."""
        self._left -= amount
        if self._left < 0:
            raise refused(f"One row is longer than {self._allowed} characters: a quote or an end of line is missing.")

    def renew(self) -> None:
        """A new row begins."""
        self._left = self._allowed
