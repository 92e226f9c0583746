"""FHIR packages as publishers give them out (.tgz): taken apart safely, their definitions kept in a folder each.

https://confluence.hl7.org/display/FHIR/NPM+Package+Specification
"""

import gzip
import json
import re
import shutil
import tarfile
import tempfile
import zlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fhir_server.fhir.definitions import PACKAGE_TYPES, Definitions

_MANIFEST = "package.json"
_FILE = re.compile(r"package/(?P<file>package\.json|[A-Z][A-Za-z]{1,63}-[A-Za-z0-9.-]{1,128}\.json)")
_NAME = re.compile(r"[a-z][a-z0-9-]*(\.[a-z0-9-]+)*")
_VERSION = re.compile(r"[0-9A-Za-z]+([.-][0-9A-Za-z]+)*")
_MOST_BYTES = 64 * 1024**2
_MOST_UNPACKED = 1024**3
_PIECE = 1024**2
_R4 = ("4.0.0", "4.0.1", "4.0")
_CORE = "hl7.fhir.r4.core"


@dataclass(frozen=True)
class Package:
    """One installed package: what it is, what is in it, and what it needs besides FHIR itself."""

    name: str
    version: str
    title: str
    needs: tuple[tuple[str, str], ...]
    folder: Path

    def count(self) -> dict[str, int]:
        """Definitions by resource type."""
        kinds = [path.name.partition("-")[0] for path in self.folder.glob("*-*.json")]
        return {kind: kinds.count(kind) for kind in sorted(set(kinds))}


def installed(folder: Path) -> list[Package]:
    """The packages in a folder, by name and version, the newest version last."""
    found = [path.parent for path in folder.glob(f"[a-z]*/{_MANIFEST}")]
    read = [_package(json.loads((path / _MANIFEST).read_text("utf-8")), folder) for path in found]
    return sorted(read, key=lambda one: (one.name, _order(one.version)))


def _order(version: str) -> tuple[list[tuple[bool, int, str]], bool, str]:
    """As versions follow each other (https://semver.org/#spec-item-11): 6.1.0, 7.0.0-ballot, 7.0.0, 10.0.0."""
    release, _, rest = version.partition("-")
    numbers = [(one.isdecimal(), int(one) if one.isdecimal() else 0, one) for one in release.split(".")]
    return numbers, not rest, rest


Usable = Callable[[str, dict[str, Any]], bool]  # (file, definition) -> whether it is kept; ValueError refuses it all


def install(archive: Path, folder: Path, definitions: Definitions, usable: Usable | None = None) -> Package:
    """Take a package into a folder, in place of the same version; ValueError if it is no package for FHIR R4.

    Only definitions are kept, and of search parameters those that FHIR R4 does not have. Nothing is written outside
    the folder, whatever the archive says, and nothing at all unless it can be read to its end and is `usable`.
    """
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    with tempfile.TemporaryDirectory(dir=folder, prefix=".installing-") as place:
        temporary = Path(place) / "package"
        temporary.mkdir()
        manifest: Mapping[str, Any] = {}
        for name, resource in _members(archive):
            if name == _MANIFEST:
                manifest = resource
            if name == _MANIFEST or (
                _is_kept(name, resource, definitions) and (usable is None or usable(name, resource))
            ):
                (temporary / name).write_text(json.dumps(resource, ensure_ascii=False), "utf-8")
        package = _package(manifest, folder)
        if package.folder.exists():
            shutil.rmtree(package.folder)
        temporary.rename(package.folder)
    return package


def remove(folder: Path, name: str, version: str) -> None:
    """Remove one version of a package; ValueError if it is not installed."""
    for package in installed(folder):
        if (package.name, package.version) == (name, version):
            shutil.rmtree(package.folder)
            return
    raise ValueError(f"{name} {version} is not installed.")


def _members(archive: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    """The definitions of an archive by file name; links, folders and paths that lead elsewhere are passed over."""
    unpacked = 0
    try:
        with gzip.open(archive) as unzipped, tarfile.open(fileobj=unzipped, mode="r:") as package:
            for member in package:
                unpacked += member.size
                if member.size > _MOST_BYTES or unpacked > _MOST_UNPACKED:
                    raise ValueError(f"{archive.name} unpacks to more than is taken.")
                named = _FILE.fullmatch(member.name)
                content = package.extractfile(member) if named and member.isreg() else None
                if named and content:
                    yield named["file"], _parsed(archive, content.read())
            while unpacked <= _MOST_UNPACKED and (rest := unzipped.read(_PIECE)):
                unpacked += len(rest)  # to the end, where gzip says whether all of it is there
    except (tarfile.TarError, EOFError, OSError, zlib.error) as error:
        raise ValueError(f"{archive.name} is no package: it cannot be read as .tgz.") from error


def _parsed(archive: Path, content: bytes) -> dict[str, Any]:
    try:
        found = json.loads(content)
    except (ValueError, RecursionError) as error:
        raise ValueError(f"{archive.name} holds a file that is no JSON.") from error
    if not isinstance(found, dict):
        raise ValueError(f"{archive.name} holds a file that is no JSON object.")  # noqa: TRY004 - of what is in it
    return found


def _is_kept(name: str, resource: dict[str, Any], definitions: Definitions) -> bool:
    kind = name.partition("-")[0]
    if kind not in PACKAGE_TYPES or resource.get("resourceType") != kind or not isinstance(resource.get("url"), str):
        return False
    resource.pop("text", None)  # for people; it is most of what a definition weighs
    return kind != "SearchParameter" or _is_new(resource, definitions)


def _is_new(resource: Mapping[str, Any], definitions: Definitions) -> bool:
    """Whether a search parameter has a code of its own on every type: R4's own definitions stay as they are."""
    bases = [base for base in resource.get("base", ()) if base in definitions.types]
    known = {code for base in bases for code in definitions.search_params(base)}
    return bool(bases) and resource.get("code") not in known


def _package(manifest: Mapping[str, Any], root: Path) -> Package:
    name, version = str(manifest.get("name", "")), str(manifest.get("version", ""))
    if not _NAME.fullmatch(name) or not _VERSION.fullmatch(version):
        raise ValueError("It is no FHIR package: its package.json has no proper name and version.")
    versions = manifest.get("fhirVersions") or manifest.get("fhir-version-list") or []
    if not any(one in _R4 for one in versions):
        raise ValueError(f"{name} {version} is not for FHIR R4.")
    needs = {one: str(text) for one, text in (manifest.get("dependencies") or {}).items() if one != _CORE}
    return Package(
        name, version, str(manifest.get("title", "")), tuple(sorted(needs.items())), root / f"{name}#{version}"
    )
