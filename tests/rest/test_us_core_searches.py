"""US Core's combinations of search parameters: each finds its resource, and by other values finds nothing."""

import json
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import pytest

from tests.conformance.plugin import sources
from tests.live import Client, LiveServer
from tests.rest.scene import stored

DATA = json.loads((Path(__file__).parent / "us_core_searches.json").read_text(encoding="utf-8"))
REASONS = {name for source in sources() for name in source.get("reasons", {})}
ORDER = ("Organization", "Practitioner", "PractitionerRole", "Location", "Patient", "Encounter")
FORM = {"Content-Type": "application/x-www-form-urlencoded"}
NOTHING = {"date": "2001-01-01", "token": "urn:nothing|nothing", "string": "nothing", "uri": "urn:nothing",
           "reference": "Patient/nothing"}  # fmt: skip


class Stored:
    """The samples as they are stored, and the names by which they refer to each other."""

    def __init__(self, client: Client) -> None:
        self.client = client
        self.names: dict[str, str] = {}
        rest = [kind for kind in DATA["samples"] if kind not in ORDER]
        for kind in (*ORDER, *rest):
            body = json.loads(self.filled(json.dumps(DATA["samples"][kind])))
            self.names[f"${kind}"] = f"{kind}/{stored(client, body)['id']}"
            if kind == "Patient":
                self.names["$patient"] = self.names["$Patient"]

    def filled(self, text: str, kind: str = "") -> str:
        """A text with the names it holds replaced."""
        if kind and text == "$id":
            return self.names[f"${kind}"].split("/")[1]
        for name in sorted(self.names, key=len, reverse=True):
            text = text.replace(name, self.names[name])
        return text


@pytest.fixture(scope="module")
def samples(server: LiveServer) -> Stored:
    return Stored(server.client("uscore"))


@pytest.mark.parametrize("line", sorted(set(DATA["combinations"]) - REASONS))
def test_a_combination_finds_its_resource(server: LiveServer, samples: Stored, line: str) -> None:
    """USC-01 to USC-88: by GET and POST alike; with one value of another resource it finds nothing."""
    kind, names = DATA["combinations"][line]
    values = {name: samples.filled(DATA["values"][kind][name], kind) for name in names}
    wanted = samples.names[f"${kind}"]
    assert wanted in found(samples.client, kind, values)
    for name in names:
        params = server.engine.definitions.search_params(kind)
        of = params[name].type if name in params else "token"
        other = "1999-01-01" if name == "_lastUpdated" else "nothing" if name == "_id" else NOTHING[of]
        assert wanted not in found(samples.client, kind, {**values, name: other}, twice=False), name
    if "patient" in values:
        values["patient"] = values["patient"].split("/")[1]
        assert wanted in found(samples.client, kind, values, twice=False)


def found(client: Client, kind: str, values: dict[str, Any], *, twice: bool = True) -> set[str]:
    """What a search finds; by POST (`twice`) it finds the same."""
    query = urlencode(values)
    got = client.get(f"{kind}?{query}")
    posted = client.post(f"{kind}/_search", query.encode(), headers=FORM) if twice else got
    assert (got.status_code, posted.status_code) == (200, 200), got.text
    urls = [{"/".join(one["fullUrl"].split("/")[-2:]) for one in answer.json().get("entry", [])}
            for answer in (got, posted)]  # fmt: skip
    assert urls[0] == urls[1]
    return urls[0]
