"""What the month should leave behind, kept beside the server by whoever plays it: the oracle of the checker."""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from statistics import median

from tests.ecm.scene import npi

PLANS = ("poppy-health", "redwood-care")
PROVIDERS = ("clinic", "county", "street", "reentry", "tribal", "shelter")
PANTRIES = ("pantry", "meals", "kitchen")
BY_TELEPHONE = "church"  # an organization without a system: its answers are recorded by the requester
STRANGER = "stranger"


NPIS = {name: npi(300 + place) for place, name in enumerate(PROVIDERS)}
NOBODY = npi(999)


@dataclass
class Member:
    """One member: whose it is, and who is to look after it now (nobody once it is dropped)."""

    cin: str
    plan: str
    provider: str
    changes: int = 0
    patient: str = ""  # the logical id, once it was looked up


@dataclass
class Referral:
    """One Task: where it stands, which versions it has had, and when what happened (in days of the month)."""

    task: str
    request: str
    cin: str
    plan: str
    provider: str
    pantry: str
    sent: int
    nature: str
    statuses: list[str] = field(default_factory=lambda: ["requested"])
    answered: int | None = None
    is_replaced: bool = False

    @property
    def status(self) -> str:
        """The state it is in."""
        return self.statuses[-1]


@dataclass
class Model:
    """Everything that was acknowledged."""

    members: dict[str, Member] = field(default_factory=dict)
    referrals: list[Referral] = field(default_factory=list)
    happened: Counter[str] = field(default_factory=Counter)

    def of(self, plan: str, provider: str = "") -> list[Member]:
        """The members that a plan has assigned, to anybody or to one provider."""
        mine = (one for one in self.members.values() if one.plan == plan and one.provider)
        return [one for one in mine if not provider or one.provider == provider]

    def measures(self) -> Iterator[tuple[str, ...]]:
        """The closed-loop measures: a line for each plan and provider."""
        for plan in PLANS:
            for provider in PROVIDERS:
                mine = [one for one in self.referrals if (one.plan, one.provider) == (plan, provider)]
                ends = Counter(one.status for one in mine)
                waits = [one.answered - one.sent for one in mine if one.answered is not None]
                closed = f"{100 * ends['completed'] / len(mine):.0f} %" if mine else "-"
                days = f"{median(waits):.0f}" if waits else "-"
                numbers = (len(mine), ends["completed"], ends["rejected"], ends["cancelled"], ends["requested"])
                yield (plan, provider, *map(str, numbers), closed, days)
