"""A small mail server on a loopback socket: it keeps what it was sent, and can refuse or be told to fail."""

import socketserver
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from email import message_from_bytes
from email.message import Message


@dataclass
class Mailbox:
    """The messages accepted, and how the server behaves: refuse is an answer to RCPT, fail one to DATA's end."""

    port: int = 0
    messages: list[Message] = field(default_factory=list)
    refuse: str = ""
    fail: str = ""


class _Handler(socketserver.StreamRequestHandler):
    def handle(self) -> None:
        self._say("220 mail.example ready")
        while line := self.rfile.readline():
            verb = line[:4].upper().strip().decode()
            if verb == "DATA":
                self._data()
            elif verb == "QUIT":
                self._say("221 bye")
                return
            elif verb == "RCPT" and self._box.refuse:
                self._say(self._box.refuse)
            else:
                self._say("250 fine")

    def _data(self) -> None:
        self._say("354 go on")
        lines = []
        while (line := self.rfile.readline()) not in (b".\r\n", b""):
            lines.append(line.removeprefix(b"."))
        if self._box.fail:
            self._say(self._box.fail)
            return
        self._box.messages.append(message_from_bytes(b"".join(lines)))
        self._say("250 queued")

    @property
    def _box(self) -> Mailbox:
        return self.server.box  # type: ignore[attr-defined]

    def _say(self, text: str) -> None:
        self.wfile.write(text.encode() + b"\r\n")


@contextmanager
def mail_server() -> Iterator[Mailbox]:
    """A running mail server and what it keeps."""
    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), _Handler) as server:
        server.daemon_threads = True
        server.box = box = Mailbox(server.server_address[1])
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
        thread.start()
        yield box
        server.shutdown()
        thread.join()
