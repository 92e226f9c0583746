"""What refers to several resources, found for all of them at once and told apart by what each match refers to.

https://hl7.org/fhir/R4/graphql.html#reverse
"""

from collections.abc import Iterable, Sequence

from fhir_server.engine import repository
from fhir_server.engine.context import Context
from fhir_server.engine.references import indexed
from fhir_server.fhir import literal
from fhir_server.rest.graphql.asking import Json, Wish, code_of, matches, refers, search_of, searched
from fhir_server.rest.graphql.failures import told_at
from fhir_server.rest.graphql.limits import Spent
from fhir_server.store.hashing import rh

Lists = dict[tuple[int, str], list[Json]]  # by the place of a field in its query, and what is referred to

_AT_ONCE = 100


def lists_of(context: Context, spent: Spent, wishes: Iterable[Wish]) -> Lists:
    """The complete lists that stand in more than one resource; what cannot be told apart is left out."""
    found: Lists = {}
    groups: dict[int, list[Wish]] = {}
    for one in wishes:
        if _is_complete(context, one):
            groups.setdefault(id(one.field.node), []).append(one)
    for place, group in groups.items():
        referred = sorted({one.holder_name for one in group})
        if len(referred) > 1:
            with told_at(group[0].field.node):
                found |= {
                    (place, name): list_ for name, list_ in _told_apart(context, spent, group[0], referred).items()
                }
    return found


def _is_complete(context: Context, wish: Wish) -> bool:
    """Whether all of a list inside a resource is wanted, and its matches are shown as they are stored."""
    if wish.member.how != "list" or not wish.is_own or not wish.holder or "_count" in wish.field.arguments:
        return False
    type_ = searched(wish.member)
    return type_ not in context.engine.hooks.render and refers(context, wish.field, type_, wish.holder_name)


def _told_apart(context: Context, spent: Spent, wish: Wish, referred: Sequence[str]) -> dict[str, list[Json]]:
    lists: dict[str, list[Json]] = {name: [] for name in referred}
    type_ = searched(wish.member)
    code = code_of(context, wish.field, type_)
    for start in range(0, len(referred), _AT_ONCE):
        names = {rh(name): name for name in referred[start : start + _AT_ONCE]}
        query = search_of(context, wish.field, wish.member, ",".join(names.values()))
        token: str | None = ""
        while token is not None:
            page, trees = matches(context, repository.resume(context, token) if token else query, spent)
            token = page.next_token
            for tree in trees:
                meant = names.keys() & indexed(context, type_, code, literal.plain(tree))
                if not meant:
                    return {}
                for one in meant:
                    lists[names[one]].append(tree)
    return lists
