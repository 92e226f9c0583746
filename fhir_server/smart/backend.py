"""The other side of this authorization server: a backend service that gets a token and speaks FHIR over HTTP.

https://hl7.org/fhir/smart-app-launch/backend-services.html
"""

import json
import os
import secrets
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import requests

from fhir_server.smart import keys

ALL_SCOPES = "system/*.cruds"  # the answer is cut down to what the client is registered for
_FHIR_JSON = "application/fhir+json"
_FRESH_FOR = 240  # of the 300 seconds that a token lives
_TIMEOUT = 120


class ClientError(ValueError):
    """What keeps a client from working, in words for who runs it."""


@dataclass
class BackendService:
    """One client of an exchange: requests below the FHIR base, each with a token that is still good."""

    base: str
    id: str
    key: keys.Jwk
    scopes: str = ALL_SCOPES
    session: requests.Session = field(default_factory=requests.Session)
    _token: str = ""
    _until: float = 0.0

    def assertion(self) -> str:
        """A signed assertion for one token request; ClientError if no server answers."""
        return self._assertion(self._token_url())

    def token(self) -> str:
        """A good access token, a new one when the last gets old; ClientError says why there is none."""
        if time.monotonic() > self._until:
            url = self._token_url()
            answer = self._send("POST", url, data=keys.token_form(self._assertion(url), self.scopes))
            if answer.status_code != requests.codes.ok:
                raise ClientError(f"The server gives {self.id} no token: {_reason(answer)}")
            self._token, self._until = str(answer.json()["access_token"]), time.monotonic() + _FRESH_FOR
        return self._token

    def request(self, method: str, path: str, body: Any = None, **options: Any) -> requests.Response:
        """The answer to one request; bytes and streams are sent as they are, anything else as FHIR JSON."""
        headers = {"Authorization": f"Bearer {self.token()}", "Accept": _FHIR_JSON, **options.pop("headers", {})}
        if isinstance(body, dict):
            body = json.dumps(body).encode()
        if body is not None:
            headers.setdefault("Content-Type", _FHIR_JSON)
        url = path if path.startswith("http") else f"{self.base}/{path}".rstrip("/")
        return self._send(method, url, data=body, headers=headers, **options)

    def get(self, path: str, **options: Any) -> requests.Response:
        """GET below the FHIR base."""
        return self.request("GET", path, **options)

    def post(self, path: str, body: Any, **options: Any) -> requests.Response:
        """POST below the FHIR base."""
        return self.request("POST", path, body, **options)

    def put(self, path: str, body: Any, **options: Any) -> requests.Response:
        """PUT below the FHIR base."""
        return self.request("PUT", path, body, **options)

    def _token_url(self) -> str:
        answer = self._send("GET", f"{self.base}/.well-known/smart-configuration")
        if answer.status_code != requests.codes.ok:
            raise ClientError(f"{self.base} is no FHIR server with SMART: {_reason(answer)}")
        return str(answer.json()["token_endpoint"])

    def _assertion(self, url: str) -> str:
        return keys.sign_assertion(self.key, self.id, url, time.time_ns() // 1_000_000, jti=secrets.token_hex(16))

    def _send(self, method: str, url: str, **options: Any) -> requests.Response:
        try:
            return self.session.request(method, url, timeout=_TIMEOUT, **options)
        except requests.ConnectionError as error:
            raise ClientError(f"No server answers at {self.base}. Start one: ecm-fhir serve") from error


def key_path(folder: Path, client_id: str) -> Path:
    """Where a client's private key is kept in the data folder."""
    return folder / "clients" / f"{Path(client_id).name}.json"


def new_key(path: Path) -> keys.Jwk:
    """A new private key, written to a file that only its user can read; an older one is replaced."""
    key = keys.generate("ES384")
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    path.unlink(missing_ok=True)
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        json.dump(key, file)
    return key


def read_key(path: Path) -> keys.Jwk:
    """The private key in a file; ClientError if there is none."""
    try:
        key = json.loads(path.read_text())
    except FileNotFoundError as error:
        raise ClientError(f"There is no key at {path}. See: ecm-fhir clients register --help") from error
    except ValueError as error:
        raise ClientError(f"{path} holds no JSON Web Key.") from error
    if not isinstance(key, dict) or not {"kid", "alg", "d"} <= key.keys():
        raise ClientError(f"{path} holds no private JSON Web Key with kid and alg.")
    return key


def _reason(answer: requests.Response) -> str:
    try:
        found = answer.json()
        return f"{answer.status_code}, {found['error']}: {found.get('error_description', '')}"
    except (ValueError, KeyError, TypeError):
        return f"status {answer.status_code}"
