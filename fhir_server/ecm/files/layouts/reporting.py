"""A plan asks its providers for no more than the state asks of it.

Its layout may hold columns of its own, and name or code the others as it likes; it cannot make a provider fill a column
that the layout it stands on leaves open. DHCS, ECM Policy Guide, data sharing: no reporting beyond what the state asks.
"""

from collections.abc import Iterator
from typing import Final

from fhir_server.ecm.files.layouts.column import Column, Layout

PROVIDER: Final = "provider"  # `sent_by` of the files that a provider fills
_RANK: Final = {"O": 0, "C": 1, "R": 2}
_LIMIT: Final = "A plan asks its providers for no more than the state does"


def excesses(layout: Layout, base: Layout | None) -> Iterator[str]:
    """What a layout demands of a provider beyond the one it stands on, one sentence each; none for other files."""
    if base is None or base.sent_by != PROVIDER:
        return
    known = {column.name: column for column in base.columns}
    for column in layout.columns:
        before = known.get(column.name)
        if before is None and _demands(column) > (0, False):
            yield (
                f"the column {column.name} is the plan's own, so that a provider may leave it blank: "
                f'give it "required": "O" and no "rejects". {_LIMIT}.'
            )
        elif before and (_RANK[column.required] > _RANK[before.required] or column.rejects > before.rejects):
            allowed = f'"required": "{before.required}"' + ("" if before.rejects else ' and no "rejects"')
            yield f"the column {column.name} may have {allowed} at most. {_LIMIT}."


def _demands(column: Column) -> tuple[int, bool]:
    return _RANK[column.required], column.rejects
