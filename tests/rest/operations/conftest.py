"""The server of `tests/rest`, and how a test asks for an operation."""

from typing import Any

from tests.served import organization, server_of_a_folder


def parameters(**given: Any) -> dict[str, Any]:
    """A Parameters body: url__uri="a" is a valueUri of the parameter url; without "__" it is a resource."""
    rows = []
    for name, content in given.items():
        stem, _, kind = name.partition("__")
        for one in content if isinstance(content, list) else [content]:
            member = f"value{kind[:1].upper()}{kind[1:]}" if kind else "resource"
            rows.append({"name": stem.replace("_", "-") if not stem.startswith("_") else stem, member: one})
    return {"resourceType": "Parameters", "parameter": rows}


def values(answer: Any) -> dict[str, Any]:
    """The parameters of an answer by name; parts as dictionaries, repeated ones as lists."""
    found: dict[str, Any] = {}
    for one in answer["parameter" if "parameter" in answer else "part"]:
        content = values(one) if "part" in one else next(v for k, v in one.items() if k != "name")
        if one["name"] in found:
            known = found[one["name"]]
            found[one["name"]] = [*(known if isinstance(known, list) else [known]), content]
        else:
            found[one["name"]] = content
    return found


# One server for all operations: none of their tests looks at what the others store.
server = server_of_a_folder()
clinic = organization("clinic", scope="package")
stranger = organization("stranger", scope="package")
registrar = organization(
    "registrar", scope="package", law_class="operator", rights="update-create"
)  # enters organizations
