"""Who has no part in a member's care finds nothing, whatever they try; hidden looks like absent."""

from collections.abc import Iterator

import requests

from fhir_server.ecm.demo.stage import STRANGER, WRONG_CBO, Stage, expect

ABSENT = "01a00000-0000-7000-8000-000000000000"
OF_CBO = ("Task", "ServiceRequest", "Patient", "Condition")  # what a community organization's client may ask for


def strangers_see_nothing(stage: Stage) -> None:
    """Every resource of the story, by every way, for an ECM provider of another plan and for a wrong CBO."""
    for who, told, types in ((STRANGER, "An ECM provider of another plan", ()), (WRONG_CBO, "A wrong CBO", OF_CBO)):
        tried = sum(_nothing(stage, who, path) for path in _ways(stage, types))
        stage.tell(f"{told} tries {tried} ways to the same resources: 404 or an empty list each time.")
    expect(_told(stage, STRANGER, "hidden") == _told(stage, STRANGER, "absent"), "hidden and absent are told alike")
    stage.tell("What is hidden is answered exactly like what does not exist.")


def _ways(stage: Stage, types: tuple[str, ...]) -> Iterator[tuple[str, bool]]:
    """(path, whether it is a search) of every try."""
    for made in sorted(set(stage.made.values())):
        type_, id_ = made.split("/")
        if types and type_ not in types:
            continue
        yield made, False
        yield f"{made}/_history/1", False
        yield f"{made}/_history", False
        yield f"{type_}?_id={id_}", True
        if type_ not in {"Patient", "Group"}:
            yield f"{type_}?{'subject' if type_ != 'Task' else 'patient'}={stage.made['first']}", True
    yield "Patient?_count=5", True
    yield f"Task?patient={stage.made['second']}", True
    yield "Task?status=requested,accepted,in-progress,completed,rejected", True


def _nothing(stage: Stage, who: str, way: tuple[str, bool]) -> int:
    path, is_search = way
    answer = stage.clients[who].get(path)
    if is_search:
        expect(answer.status_code == requests.codes.ok and "entry" not in answer.json(), f"{who} finds nothing: {path}")
    else:
        expect(answer.status_code == requests.codes.not_found, f"{who} gets 404 for {path}")
    return 1


def _told(stage: Stage, who: str, which: str) -> str:
    id_ = stage.made["first"].partition("/")[2] if which == "hidden" else ABSENT
    return stage.clients[who].get(f"Patient/{id_}").text.replace(id_, "")
