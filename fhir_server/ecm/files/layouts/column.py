"""A column of a file and the layout it belongs to, as the layout files describe them."""

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Column:
    """One column: its header, what it may hold, whether it is required, and the fact it carries.

    A column without a fact (`maps_to`) says something of the file alone. `of_file`: it may stand in a block above the
    header instead. `required`: R required, C conditional, O optional. `rejects`: without it the row cannot be used.
    `item`: a yes/no column that adds this item to the list it maps to, unless an item of `also` says it more exactly.
    `write`: "code" to write codes instead of their first spelling. `confidence`: seed, found, unverified or defined.
    """

    name: str
    header: str
    type: str
    maps_to: str = ""
    required: str = "O"
    rejects: bool = False
    synonyms: tuple[str, ...] = ()
    codes: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    pattern: str = ""
    item: str = ""
    also: tuple[str, ...] = ()
    write: str = ""
    of_file: bool = False
    confidence: str = "unverified"


@dataclass(frozen=True, slots=True)
class Layout:
    """The columns of one kind of file in order, and which of them name a row in a response file.

    `sent_by`: "provider" for files that a provider fills.
    """

    id: str
    version: str
    title: str
    source: str
    columns: tuple[Column, ...]
    key: tuple[str, ...] = ()
    dates: str = "%m/%d/%Y"
    blanks: frozenset[str] = frozenset()
    sent_by: str = ""

    def column(self, name: str) -> Column:
        """The column of this name; KeyError when the layout has none."""
        return next(iter(c for c in self.columns if c.name == name), None) or _no_column(self.id, name)


def _no_column(layout: str, name: str) -> Column:
    raise KeyError(f"The layout {layout} has no column {name}.")
