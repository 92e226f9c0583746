"""Access to records of one person: who may see the record that stands may see the one it replaced, never the reverse.

What a person denied in one of them is denied in all.  https://hl7.org/fhir/R4/patient.html#links
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace

from fhir_server.access.relations import Directive, Inputs

Links = Sequence[tuple[int, int, int]]  # (the Patient that was replaced, the one that stands, since when)


def joined(found: Mapping[int, Inputs], links: Links) -> dict[int, Inputs]:
    """What access to each patient follows from, when these merges are taken into account: all those of each person."""
    result = dict(found)
    said: dict[int, list[Directive]] = {target: list(found[target].directives) for _, target, _ in links}
    for source, target, _ in links:
        said[target] += found[source].directives
    for source, target, since in links:
        followed = [
            rel._replace(patient=source, begins=max(rel.begins, since))
            for rel in found[target].rels
            if rel.ends > since
        ]
        result[source] = replace(_denied(found[source], said[target]), rels=(*found[source].rels, *followed))
        result[target] = _denied(found[target], said[target])
    return result


def _denied(inputs: Inputs, said: Sequence[Directive]) -> Inputs:
    return replace(inputs, directives=tuple(replace(one, patient=inputs.patient) for one in said))
