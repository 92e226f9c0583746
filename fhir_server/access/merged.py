"""Access to records of one person: who may see the record that stands may see the one it replaced, never the reverse.

What a person denied in one of them is denied in all.  https://hl7.org/fhir/R4/patient.html#links
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace

from fhir_server.access.relations import Inputs

Links = Sequence[tuple[int, int, int]]  # (the Patient that was replaced, the one that stands, since when)


def joined(found: Mapping[int, Inputs], links: Links) -> dict[int, Inputs]:
    """What access to each patient follows from, when these merges are taken into account."""
    result = dict(found)
    for source, target, since in links:
        own, standing = found[source], found[target]
        followed = tuple(
            rel._replace(patient=source, begins=max(rel.begins, since)) for rel in standing.rels if rel.ends > since
        )
        denied = tuple(replace(one, patient=source) for one in standing.directives)
        result[source] = replace(own, rels=(*own.rels, *followed), directives=(*own.directives, *denied))
        also = tuple(replace(one, patient=target) for one in own.directives)
        result[target] = replace(result[target], directives=(*result[target].directives, *also))
    for one in {patient for link in links for patient in link[:2]}:  # a run-out asks for what its own record denies
        result[one] = replace(result[one], rels=tuple(rel._replace(stays=0) for rel in result[one].rels))
    return result
