"""Rows of a text file with a delimiter, streamed; what CSV and pipe-delimited files have in common.

https://www.rfc-editor.org/rfc/rfc4180
"""

import codecs
import csv
import io
from collections.abc import Iterable, Iterator, Sequence
from typing import BinaryIO, Final

from fhir_server.ecm.files.format import MAX_COLUMNS, Budget, NumberedRow, Opening, refused
from fhir_server.ecm.files.formats._formula import defused, restore

_NAMES: Final = {",": "commas", "|": "pipes (|)", ";": "semicolons", "\t": "tabs"}
_LINE: Final = 1 << 20
_CHUNK_ROWS: Final = 500
_ZIP, _OLE, _GZIP, _PDF = b"PK\x03\x04", b"\xd0\xcf\x11\xe0", b"\x1f\x8b", b"%PDF"
_UTF8, _WINDOWS = "utf-8-sig", "cp1252"
_UTF16: Final = (b"\xff\xfe", b"\xfe\xff")


def check(head: bytes, delimiter: str) -> None:
    """Nothing when the first bytes can be text with this delimiter; Unprocessable saying what they are otherwise."""
    if head.startswith((_ZIP, _OLE, _GZIP, _PDF)):
        raise refused("The file is declared as text but holds a workbook, an archive or a document. Send it as it is.")
    if head.startswith(_UTF16) or b"\x00" in head:
        raise refused("The file is in UTF-16 or is not text. Save it as UTF-8.")
    text = head.decode("utf-8", errors="replace")
    if not text.strip():
        raise refused("The file is empty. Its first row must hold the column headers.")
    if delimiter not in text:
        found = [name for sign, name in _NAMES.items() if sign in text.splitlines()[0]]
        hint = f"; its first line has {found[0]}" if found else ""
        raise refused(
            f"The columns must be separated by {_NAMES[delimiter]}{hint}. Check the format or the media type."
        )


def read(stream: BinaryIO, opening: Opening | None = None, *, delimiter: str) -> Iterator[NumberedRow]:
    """(row number, cells) of every row that is not blank; Unprocessable when the text or its quoting is broken.

    Text that is not UTF-8 from its first accent on is read as Windows-1252.
    """
    encoding = _encoding(stream)
    if opening and encoding == _WINDOWS:
        opening.mended.append("The text was in Windows-1252, not in UTF-8.")
    text = io.TextIOWrapper(stream, encoding=encoding, newline="")
    budget = Budget()
    number = 0
    try:
        for number, cells in enumerate(csv.reader(_lines(text, budget), delimiter=delimiter, strict=True), 1):
            budget.renew()
            if len(cells) > MAX_COLUMNS:
                raise refused(f"Row {number} has more than {MAX_COLUMNS} columns.")
            if any(map(str.strip, cells)):
                yield number, _restored(cells)
    except UnicodeDecodeError:
        raise refused(
            f"After row {number} there are bytes that are neither UTF-8 nor Windows-1252. Save the file as UTF-8."
        ) from None
    except csv.Error:
        raise refused(f"After row {number} a quote is not closed or stands in the wrong place.") from None
    finally:
        if not stream.closed:  # a reader that was given up may end after its file
            text.detach()


def _encoding(stream: BinaryIO) -> str:
    """UTF-8, unless the first bytes that are not ASCII are none of it."""
    decoder, start = codecs.getincrementaldecoder("utf-8")(), stream.tell()
    try:
        while piece := stream.read(_LINE):
            if not decoder.decode(piece).isascii():
                return _UTF8
        decoder.decode(b"", final=True)
    except UnicodeDecodeError as error:
        return _WINDOWS if error.object[: error.start].isascii() else _UTF8
    finally:
        stream.seek(start)
    return _UTF8


def write(rows: Iterable[Sequence[str]], delimiter: str) -> Iterator[bytes]:
    """The file in chunks of UTF-8 bytes, every cell defused against formula injection."""
    buffer = io.StringIO(newline="")
    writer = csv.writer(buffer, delimiter=delimiter, lineterminator="\r\n")
    pending = 0
    for row in rows:
        writer.writerow(defused(row))
        pending += 1
        if pending == _CHUNK_ROWS:
            yield _drain(buffer)
            pending = 0
    if pending:
        yield _drain(buffer)


def _lines(text: io.TextIOWrapper, budget: Budget) -> Iterator[str]:
    while line := text.readline(_LINE):
        budget.spend(len(line))
        yield line


def _restored(cells: list[str]) -> list[str]:
    return [restore(cell) for cell in cells] if "'" in "".join(cells) else cells


def _drain(buffer: io.StringIO) -> bytes:
    chunk = buffer.getvalue().encode()
    buffer.seek(0)
    buffer.truncate()
    return chunk
