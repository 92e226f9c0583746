"""What a publisher distributes: the files of a code system, and the concepts read from them.

https://hl7.org/fhir/R4/terminologies-systems.html
"""

import codecs
import hashlib
import io
import re
import zipfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

from fhir_server.fhir import registry
from fhir_server.terminology import distributions

_PIECE = 1024 * 1024


class Entry(NamedTuple):
    """One concept of a distribution; `more` are further terms that it is found by."""

    code: str
    display: str
    parents: Sequence[str] = ()
    active: bool = True
    definition: str = ""
    more: Sequence[str] = ()
    designations: Sequence[Mapping[str, Any]] = ()
    properties: Mapping[str, Sequence[Any]] = {}


@dataclass(frozen=True)
class Source:
    """A file, a folder or a zip archive with the files of a distribution."""

    path: Path

    @contextmanager
    def open(self, pattern: str) -> Iterator[BinaryIO]:
        """The first file whose path ends as the pattern says; ValueError if there is none."""
        name = self._find(pattern)
        if name is None:
            raise ValueError(f"{self.path.name} holds no file like that.")
        if self._is_zip():
            with zipfile.ZipFile(self.path) as archive, archive.open(name) as member:
                yield member  # type: ignore[misc]
        else:
            with (self.path / name if self.path.is_dir() else self.path).open("rb") as file:
                yield file

    def has(self, pattern: str) -> bool:
        """Whether a file that fits stands beside others; a file that was handed over alone has none beside it."""
        return (self.path.is_dir() or self._is_zip()) and self._find(pattern) is not None

    def _find(self, pattern: str) -> str | None:
        """The path of the first file that fits; a single file fits always."""
        if self.path.is_file() and not self._is_zip():
            return self.path.name
        wanted = re.compile(rf"(?:.*/)?{pattern}")
        return next((name for name in self._names() if wanted.fullmatch(name)), None)

    @contextmanager
    def text(self, pattern: str) -> Iterator[io.TextIOWrapper]:
        """The same as text: UTF-8, UTF-16 where it says so at its start, or Windows's Latin where it is neither."""
        with self.open(pattern) as file:
            encoding = _encoding(file.read(_PIECE))
        with self.open(pattern) as file:
            yield io.TextIOWrapper(file, encoding, newline="")

    def digest(self) -> str:
        """What tells this source from others: SHA-256 of the file, or of a folder's files."""
        found = hashlib.sha256()
        for path in sorted(self.path.rglob("*")) if self.path.is_dir() else [self.path]:
            if path.is_file():
                found.update(path.name.encode())
                with path.open("rb") as file:
                    while piece := file.read(_PIECE):
                        found.update(piece)
        return found.hexdigest()

    def _is_zip(self) -> bool:
        return self.path.is_file() and zipfile.is_zipfile(self.path)

    def _names(self) -> list[str]:
        if self._is_zip():
            with zipfile.ZipFile(self.path) as archive:
                return sorted(archive.namelist())
        return sorted(str(path.relative_to(self.path)) for path in self.path.rglob("*") if path.is_file())


def _encoding(start: bytes) -> str:
    if start.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        return "utf-16"
    return "utf-8-sig" if _is_utf8(start) else "cp1252"


def _is_utf8(start: bytes) -> bool:
    try:
        start.decode("utf-8")
    except UnicodeDecodeError as error:
        return error.start > len(start) - 4  # a letter that the piece cut in two
    return True


@dataclass(frozen=True)
class Distribution:
    """A code system and how its publisher's files are read; `url` is how FHIR names the system."""

    name: str
    url: str
    title: str
    files: str
    read: Callable[[Source], Iterator[Entry]]


def known() -> dict[str, Distribution]:
    """Every distribution that can be read, by its name on the command line."""
    return {one.name: one for one in registry.entries(distributions, "DISTRIBUTION")}
