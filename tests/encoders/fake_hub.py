"""A Hugging Face hub on this machine, as far as its own client needs one to download files."""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

COMMIT = "0123456789abcdef0123456789abcdef01234567"


@dataclass
class FakeHub:
    """What it has, and what it was asked."""

    files: dict[str, bytes] = field(default_factory=dict)
    """`owner/name/file` -> content."""
    gated: set[str] = field(default_factory=set)
    """Repositories whose terms have not been accepted."""
    breaks: set[str] = field(default_factory=set)
    """Files whose first download ends in the middle."""
    sent: list[tuple[str, int]] = field(default_factory=list)
    """Downloads: file, and the byte from which."""
    url: str = ""

    def answer(self, request: BaseHTTPRequestHandler) -> None:
        owner, name, *rest = [*request.path.strip("/").split("/"), "", ""]
        repository, file = f"{owner}/{name}", "/".join([owner, name, *rest[2:]]).strip("/")
        content = self.files.get(file)
        if repository in self.gated:
            return _head(request, 403, {"X-Error-Code": "GatedRepo"})
        if not any(known.startswith(f"{repository}/") for known in self.files):
            return _head(request, 401, {"X-Error-Code": "RepoNotFound"})
        if content is None:
            return _head(request, 404, {"X-Error-Code": "EntryNotFound", "X-Repo-Commit": COMMIT})
        start = int((request.headers.get("Range") or "bytes=0-").removeprefix("bytes=").split("-")[0])
        headers = {
            "X-Repo-Commit": COMMIT,
            "ETag": f'"{hashlib.sha256(content).hexdigest()}"',
            "Content-Length": str(len(content) - start),
        }
        if start:
            headers["Content-Range"] = f"bytes {start}-{len(content) - 1}/{len(content)}"
        _head(request, 206 if start else 200, headers)
        if request.command == "GET":
            self.sent.append((file, start))
            if file in self.breaks:
                self.breaks.remove(file)
                request.wfile.write(content[: len(content) // 2])
                request.close_connection = True
            else:
                request.wfile.write(content[start:])
        return None


def _head(request: BaseHTTPRequestHandler, status: int, headers: dict[str, str]) -> None:
    request.send_response(status)
    for name, value in {"Content-Length": "0", **headers}.items():
        request.send_header(name, value)
    request.end_headers()


@contextmanager
def serve(hub: FakeHub) -> Iterator[FakeHub]:
    """Answer at `hub.url` until the end of the context."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            hub.answer(self)

        def do_HEAD(self) -> None:
            hub.answer(self)

        def log_message(self, format: str, *args: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        server.daemon_threads = True
        hub.url = f"http://127.0.0.1:{server.server_address[1]}"
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        yield hub
        server.shutdown()
