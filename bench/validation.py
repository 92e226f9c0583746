"""What the validation of one resource costs: an example of every profile, beside a model library's check."""

import json
import time
from collections.abc import Callable, Iterator
from statistics import median, quantiles
from typing import Any

from fhir.resources.R4B import get_fhir_model_class

from bench.figures import Figure
from fhir_server.fhir.contents import compact
from fhir_server.fhir.definitions import load
from fhir_server.fhir.folders import data_folder
from fhir_server.terminology.codes import Terminology
from fhir_server.validation import attachments, structure
from fhir_server.validation.profile import ProfileValidator

_ROUNDS = 400
_WARM = 20
_HUNDREDTHS = 100


def measure_validation() -> list[Figure]:
    """Milliseconds of a resource under each profile of the exchange: structure and profiles, as on a write.

    The baseline is the model of the same type in `fhir.resources`, which checks the structure alone.
    """
    folders = [data_folder("profiles") / "ecm", data_folder("terminology") / "ecm"]
    definitions = load([folder for folder in folders if folder.is_dir()])
    profiles = ProfileValidator(definitions, Terminology(definitions))
    return [_figure(name, resource, profiles) for name, resource in _examples()]


def _examples() -> Iterator[tuple[str, dict[str, Any]]]:
    """The largest example of every profile."""
    found: dict[str, dict[str, Any]] = {}
    for path in sorted(
        (data_folder("profiles") / "ecm" / "examples").glob("*.json"), key=lambda one: one.stat().st_size
    ):
        resource = json.loads(path.read_bytes())
        for canonical in resource.get("meta", {}).get("profile", ()):
            found[canonical.rpartition("/")[2]] = resource
    yield from sorted(found.items())


def _figure(name: str, resource: dict[str, Any], profiles: ProfileValidator) -> Figure:
    type_, model = resource["resourceType"], get_fhir_model_class(resource["resourceType"])

    def ours() -> None:
        text = compact(resource)
        structure.check(type_, resource)
        attachments.check(type_, resource, text)
        if profiles.check(type_, resource, (), text):
            raise RuntimeError(name)

    mine, theirs = _times(ours), _times(lambda: model.model_validate(resource))
    rate, baseline = 1 / median(mine), 1 / median(theirs)
    return Figure(
        f"validation, {name} ({len(compact(resource)):,} bytes)", "none", rate, "resources", baseline, rate / baseline,
        median(mine) * 1000, quantiles(mine, n=_HUNDREDTHS)[-1] * 1000,
    )  # fmt: skip


def _times(work: Callable[[], object]) -> list[float]:
    """Seconds of each call once everything is compiled."""
    found = []
    for number in range(_WARM + _ROUNDS):
        started = time.perf_counter()
        work()
        if number >= _WARM:
            found.append(time.perf_counter() - started)
    return found
