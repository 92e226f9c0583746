"""The package around a sheet: a zip that is checked before anything in it is read, and the parts a sheet needs.

Office Open XML, ECMA-376 parts 1 and 2.  https://ecma-international.org/publications-and-standards/standards/ecma-376/
"""

import os
import posixpath
import re
import struct
import zipfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from functools import lru_cache
from tempfile import TemporaryFile
from typing import IO, Any, BinaryIO, Final

from lxml import etree

from fhir_server.ecm.files.format import MAX_BYTES, Budget, refused

MAX_PARTS: Final = 1_000
MAX_RATIO: Final = 100
_SMALL: Final = 1 << 20  # a part that cannot hurt: its ratio is not asked
_MAX_UNPACKED: Final = 4 * MAX_BYTES
_ENCRYPTED: Final = 0x1
_STRINGS_IN_MEMORY: Final = 8_192
_PLACE, _SPAN = struct.Struct("<Q"), struct.Struct("<QQ")
_BUILT_IN_DATES: Final = frozenset((*range(14, 23), *range(27, 37), *range(45, 48), *range(50, 59)))
_NOT_A_DATE_LETTER: Final = re.compile(r'"[^"]*"|\\.|\[[^\]]*\]')
_DATE_LETTER: Final = re.compile(r"[dmyhs]", re.IGNORECASE)
_LONGEST_NAME: Final = 31  # of a sheet
_ESCAPED: Final = re.compile(r"_x([0-9A-Fa-f]{4})_")

Element = Any  # lxml's elements; its stubs do not cover iterparse events


@dataclass(frozen=True, slots=True)
class Sheet:
    """A sheet of a workbook: its name, the part it is in, and whether it is shown."""

    name: str
    part: str
    visible: bool


@dataclass(frozen=True, slots=True)
class Workbook:
    """The sheets in their order, the styles that are dates, whether days count from 1904, and the shared strings."""

    archive: zipfile.ZipFile
    sheets: tuple[Sheet, ...]
    date_styles: frozenset[int]
    counts_from_1904: bool
    shared: Callable[[int], str]


def open_workbook(stream: BinaryIO, stack: ExitStack) -> Workbook:
    """The workbook, its sheets ready to stream; what it opens is closed by `stack`.

    Unprocessable for a bomb, macros, a password, damage.
    """
    try:
        archive = stack.enter_context(zipfile.ZipFile(stream))
    except zipfile.BadZipFile:
        raise refused("The workbook is damaged or not complete. Save and send it again.") from None
    names = _checked(archive)
    main = _target(archive, "", "officeDocument")
    sheets, counts_from_1904 = _sheets(archive, main)
    styles = _target(archive, main, "styles", required=False)
    strings = _target(archive, main, "sharedStrings", required=False)
    return Workbook(
        archive=archive,
        sheets=sheets,
        date_styles=_date_styles(archive, styles) if styles in names else frozenset(),
        counts_from_1904=counts_from_1904,
        shared=_shared_strings(archive, strings, stack) if strings in names else _no_strings,
    )


def elements(part: IO[bytes], *tags: str, budget: Budget | None = None) -> Iterator[Element]:
    """Every element with one of the local names as it ends, without entities, document types or network."""
    source = _Metered(part, budget) if budget else part
    wanted = tuple(f"{{*}}{tag}" for tag in tags)
    first = True
    for _, element in etree.iterparse(
        source,
        tag=wanted,
        resolve_entities=False,
        load_dtd=False,
        no_network=True,
        collect_ids=False,
        remove_comments=True,
        remove_pis=True,
    ):
        if first and element.getroottree().docinfo.doctype:
            raise refused("The workbook holds a document type declaration, which no spreadsheet program writes.")
        first = False
        yield element


def release(element: Element) -> None:
    """Forget an element and all before it, so that a sheet of any length takes the memory of a row."""
    element.clear()
    parent = element.getparent()
    while element.getprevious() is not None:
        del parent[0]


def text_of(element: Element) -> str:
    """The text of a shared or inline string: its runs joined, phonetic hints left out, escapes resolved."""
    if len(element) == 1 and element[0].tag[-2:] == "}t":
        return unescape(element[0].text or "")
    runs = []
    for child in element:
        name = etree.QName(child).localname
        if name == "t":
            runs.append(child.text or "")
        elif name == "r":
            runs.extend(run.text or "" for run in child if etree.QName(run).localname == "t")
    return unescape("".join(runs))


def unescape(text: str) -> str:
    """A character that XML cannot hold is written _x0007_; give it back."""
    return _ESCAPED.sub(lambda found: chr(int(found[1], 16)), text) if "_x" in text else text


class _Metered:
    """A part whose bytes are counted against what one row may take."""

    def __init__(self, part: IO[bytes], budget: Budget) -> None:
        self._part = part
        self._budget = budget

    def read(self, size: int = -1) -> bytes:
        chunk = self._part.read(size)
        self._budget.spend(len(chunk))
        return chunk


def _checked(archive: zipfile.ZipFile) -> frozenset[str]:
    parts = archive.infolist()
    if len(parts) > MAX_PARTS:
        raise refused(f"The workbook has more than {MAX_PARTS} parts.")
    if any(part.flag_bits & _ENCRYPTED for part in parts):
        raise refused("The workbook is protected by a password. Save it without one.")
    if any("vbaproject" in part.filename.lower() for part in parts):
        raise refused("The workbook holds macros. Save it as a plain workbook (.xlsx).")
    unpacked = sum(part.file_size for part in parts)
    bombs = any(p.file_size > _SMALL and p.file_size > MAX_RATIO * max(p.compress_size, 1) for p in parts)
    if bombs or unpacked > _MAX_UNPACKED:
        raise refused(f"The workbook unpacks to more than {MAX_RATIO} times its size or to more than is read.")
    names = [part.filename for part in parts]
    if len(set(names)) != len(names):
        raise refused("The workbook names a part twice.")
    return frozenset(names)


def _target(archive: zipfile.ZipFile, source: str, kind: str, *, required: bool = True) -> str:
    """The part that `source` names as its relation of this kind; "" is the package itself and its start."""
    folder, name = posixpath.split(source)
    for relation in _children(archive, posixpath.join(folder, "_rels", f"{name}.rels"), required=required):
        if relation.get("Type", "").endswith(f"/{kind}"):
            return _resolve(folder, relation.get("Target", ""))
    if required:
        raise refused("The workbook lacks its main part. Save it again as a plain workbook (.xlsx).")
    return ""


def _sheets(archive: zipfile.ZipFile, main: str) -> tuple[tuple[Sheet, ...], bool]:
    """(the sheets, whether days count from 1904); at least one sheet is visible."""
    folder, name = posixpath.split(main)
    relations = {
        r.get("Id"): r.get("Target", "") for r in _children(archive, posixpath.join(folder, "_rels", f"{name}.rels"))
    }
    counts_from_1904, sheets = False, []
    for element in _descendants(archive, main, "workbookPr", "sheet"):
        if etree.QName(element).localname == "workbookPr":
            counts_from_1904 = element.get("date1904", "") in {"1", "true"}
            continue
        identity = next((value for key, value in element.attrib.items() if key.endswith("}id")), None)
        part = _resolve(folder, relations.get(identity, ""))
        sheets.append(
            Sheet(element.get("name", "")[:_LONGEST_NAME], part, element.get("state", "visible") == "visible")
        )
    if not any(sheet.visible for sheet in sheets):
        raise refused("The workbook has no visible sheet.")
    return tuple(sheets), counts_from_1904


def _resolve(folder: str, target: str) -> str:
    return posixpath.normpath(target[1:] if target.startswith("/") else posixpath.join(folder, target))


def _children(archive: zipfile.ZipFile, part: str, *, required: bool = True) -> list[Element]:
    if part not in archive.namelist():
        if required:
            raise refused("The file is a zip archive but not a workbook.")
        return []
    return _descendants(archive, part, "Relationship")


def _descendants(archive: zipfile.ZipFile, part: str, *tags: str) -> list[Element]:
    with archive.open(part) as stream:
        return list(elements(stream, *tags, budget=Budget()))


def _date_styles(archive: zipfile.ZipFile, part: str) -> frozenset[int]:
    formats: dict[int, bool] = {}
    styles: list[int] = []
    for element in _descendants(archive, part, "numFmt", "cellXfs"):
        if etree.QName(element).localname == "numFmt":
            letters = _NOT_A_DATE_LETTER.sub("", element.get("formatCode", ""))
            formats[int(element.get("numFmtId", "0"))] = bool(_DATE_LETTER.search(letters))
        else:
            styles = [int(style.get("numFmtId", "0")) for style in element]
    return frozenset(i for i, number in enumerate(styles) if formats.get(number, number in _BUILT_IN_DATES))


def _no_strings(_: int) -> str:
    raise refused("A cell points at a shared text, but the workbook has none. Save it again.")


def _shared_strings(archive: zipfile.ZipFile, part: str, stack: ExitStack) -> Callable[[int], str]:
    """A reader by number. The strings lie in unnamed temporary files, found by where they end: memory stays flat."""
    texts = stack.enter_context(TemporaryFile())  # noqa: SIM115 - the stack closes both
    ends = stack.enter_context(TemporaryFile())  # noqa: SIM115
    end = 0
    ends.write(_PLACE.pack(end))
    for text in _strings(archive, part):
        texts.write(text)
        end += len(text)
        ends.write(_PLACE.pack(end))
    texts.flush()
    ends.flush()

    @lru_cache(maxsize=_STRINGS_IN_MEMORY)
    def shared(index: int) -> str:
        place = os.pread(ends.fileno(), _SPAN.size, index * _PLACE.size) if index >= 0 else b""
        if len(place) < _SPAN.size:
            return _no_strings(index)
        start, stop = _SPAN.unpack(place)
        return os.pread(texts.fileno(), stop - start, start).decode()

    return shared


def _strings(archive: zipfile.ZipFile, part: str) -> Iterator[bytes]:
    budget = Budget()
    with archive.open(part) as stream:
        for element in elements(stream, "si", budget=budget):
            yield text_of(element).encode("utf-8", "replace")
            release(element)
            budget.renew()
