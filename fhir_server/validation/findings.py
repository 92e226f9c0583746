"""What a check of one resource gathers: its issues, and the resource itself, in which references are looked up.

https://hl7.org/fhir/R4/references.html#contained
"""

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from fhir_server.fhir.errors import Issue

Json = Mapping[str, Any]

_PARTS = 2


class Target(NamedTuple):
    """A reference whose target stands elsewhere, and the profiles of which the target must keep one."""

    where: str
    reference: str
    profiles: tuple[str, ...]


class Findings(list[Issue]):
    """The issues of a resource, and what is met on the way: made for every write, so that it costs next to nothing.

    `root` is the resource in whose contained ones references are looked up, `bundle` the Bundle it stands in,
    `resource` the one that is checked, `now` the instant of the check in milliseconds, 0 if it is not known.
    """

    __slots__ = ("_shared", "bundle", "now", "resource", "root")

    def __init__(
        self, root: Any = None, now: int = 0, bundle: Any = None, resource: Any = None, known: "_Known | None" = None
    ) -> None:
        if known is not None:
            self._shared = known
        self.root = root
        self.now = now
        self.bundle = bundle
        self.resource = root if resource is None else resource

    @property
    def _known(self) -> "_Known":
        if not hasattr(self, "_shared"):
            self._shared = _Known({}, set(), {}, {}, [])
        return self._shared

    @property
    def elsewhere(self) -> list[Target]:
        """References whose targets the resource cannot tell about."""
        return self._known.elsewhere

    @property
    def entered(self) -> set[tuple[str, int]]:
        """The profile and the identity of each value that is being checked at this moment."""
        return self._known.entered

    @property
    def verdicts(self) -> dict[tuple[str, int], bool]:
        """The profile and the identity of each value that was checked, and whether it keeps the profile."""
        return self._known.verdicts

    @property
    def reached(self) -> dict[tuple[int, int], frozenset[object] | None]:
        """What the paths of extensions' contexts led to in each resource; None where this cannot be told."""
        return self._known.reached

    @property
    def in_bundle(self) -> bool:
        """Whether the resource is a Bundle or stands in one."""
        return self.bundle is not None or (isinstance(self.root, dict) and self.root.get("resourceType") == "Bundle")

    def within(self, value: Any = None) -> "Findings":
        """As `inside`, for an attempt whose issues are of no interest."""
        return self._over(value, self._known._replace(elsewhere=[]))

    def surroundings(self) -> Mapping[str, Any]:
        """What rules may name as %resource and %rootResource."""
        return {"resource": self.resource, "rootResource": self.root}

    def inside(self, value: Any) -> "Findings":
        """An empty list of issues over an inner resource, or over the same one if the value is none."""
        return self._over(value, self._known)

    def _over(self, value: Any, known: "_Known") -> "Findings":
        inner = value if isinstance(value, dict) and "resourceType" in value else self.resource
        if inner is not self.root and isinstance(inner, dict) and "contained" in inner:
            return Findings(inner, self.now, self._bundle, known=known)
        return Findings(self.root, self.now, self.bundle, inner, known)

    @property
    def _bundle(self) -> Any:
        return self.root if isinstance(self.root, dict) and self.root.get("resourceType") == "Bundle" else self.bundle

    def resolved(self, reference: Any) -> Mapping[str, Any] | None:
        """The resource that a Reference leads to inside this resource: contained, or in an entry; None otherwise."""
        text = reference.get("reference") if isinstance(reference, dict) else None
        if not isinstance(text, str) or not isinstance(self.root, dict):
            return None
        if text.startswith("#"):
            return self._index(self.root, _contained).get(text)
        bundle = self._bundle
        return None if bundle is None else self._index(bundle, _entries).get(text.partition("/_history/")[0])

    def _index(self, holder: Mapping[str, Any], made: Callable[[Json], dict[str, Json]]) -> dict[str, Json]:
        indexes = self._known.indexes
        if id(holder) not in indexes:
            indexes[id(holder)] = made(holder)
        return indexes[id(holder)]


class _Known(NamedTuple):
    """What the findings of one check share."""

    indexes: dict[int, dict[str, Json]]
    entered: set[tuple[str, int]]
    verdicts: dict[tuple[str, int], bool]
    reached: dict[tuple[int, int], frozenset[object] | None]
    elsewhere: list[Target]


def _contained(holder: Json) -> dict[str, Json]:
    inner = [one for one in holder.get("contained", ()) if isinstance(one, dict)]
    return {f"#{one.get('id')}": one for one in reversed(inner)}


def _entries(bundle: Json) -> dict[str, Json]:
    """By full URL, and by the Type/id at its end."""
    found: dict[str, Json] = {}
    for one in bundle.get("entry", ()):
        if (
            isinstance(one, dict)
            and isinstance(one.get("resource"), dict)
            and isinstance(url := one.get("fullUrl"), str)
        ):
            found.setdefault(url, one["resource"])
            found.setdefault("/".join(url.split("/")[-_PARTS:]), one["resource"])
    return found


def named_type(reference: Mapping[str, Any]) -> str | None:
    """The type that a reference names; None for a contained resource, a urn, or an address that does not tell."""
    parts = str(reference.get("reference", "")).partition("/_history/")[0].split("/")
    if len(parts) >= _PARTS and parts[-2][:1].isupper() and parts[-2].isalpha():
        return parts[-2]
    kind = reference.get("type")
    return kind if isinstance(kind, str) and "reference" not in reference else None
