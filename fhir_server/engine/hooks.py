"""The gates by which a guest (the ECM programme) adds its rules without the engine naming it.

Order inside one transaction: decide, before_write, validate, row, index, in_transaction, outbox, audit; then commit;
then after_commit. `render` changes how a stored resource is shown to one caller.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from fhir_server.access.labels import Membership, no_lists
from fhir_server.store.resources import Version

if TYPE_CHECKING:
    from fhir_server.engine.context import Context
    from fhir_server.engine.purging import Purged
    from fhir_server.engine.transaction import Change, Transaction

Edits = Mapping[tuple[str | int, ...], Any]
BeforeWrite = Callable[["Transaction", "Change"], Edits | None]
InTransaction = Callable[["Transaction", "Change"], None]
AfterCommit = Callable[["Context", "list[Change]"], None]
Render = Callable[["Context", Version], bytes]
Headers = Callable[["Context", Version], dict[str, str]]
OnPurge = Callable[["Transaction", "Purged"], None]
AfterPurge = Callable[["Context", "Purged"], None]
RequiredProfiles = Callable[[str, Mapping[str, Any]], tuple[str, ...]]


@dataclass
class Hooks:
    """What guests registered; filled once while the engine is built.

    before_write: may refuse (BusinessRule) or return edits to the body, by path.
    in_transaction: writes further rows beside the resource.
    after_commit: tells others; its failures never undo the write.
    render: by resource type; returns the body this caller is shown.
    headers: by resource type; response headers that go with what `render` shows.
    membership: the classes of sensitive information that a code stands for, by a guest's reviewed lists.
    by_assigned: types that the provider assigned to the patient may update as well; who adds one says in before_write
    what of it.
    required_profiles: the profiles that policy demands of a resource, beyond those it claims.
    on_purge: removes what is kept of a record beside it, in the transaction that removes it for good; may refuse.
    after_purge: the same for what no database holds, once the record is gone.
    """

    before_write: list[BeforeWrite] = field(default_factory=list)
    in_transaction: list[InTransaction] = field(default_factory=list)
    after_commit: list[AfterCommit] = field(default_factory=list)
    render: dict[str, Render] = field(default_factory=dict)
    headers: dict[str, Headers] = field(default_factory=dict)
    membership: Membership = no_lists
    by_assigned: set[str] = field(default_factory=set)
    required_profiles: list[RequiredProfiles] = field(default_factory=list)
    on_purge: list[OnPurge] = field(default_factory=list)
    after_purge: list[AfterPurge] = field(default_factory=list)
