"""A small server on this machine with the Hub's protocol, for the real huggingface_hub."""

from __future__ import annotations

import hashlib
import json
import os
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import parse_qs, unquote, urlsplit

from harness.datasets.hub import REPOSITORY

COMMIT = "0123456789abcdef0123456789abcdef01234567"
API = f"/api/datasets/{REPOSITORY}"


class Server(ThreadingHTTPServer):
    """Serves a folder as a data set; ``latency`` seconds pass before each answer."""

    daemon_threads = True
    request_queue_size = 128

    def __init__(self, root: Path, latency: float = 0.0) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.root = root
        self.latency = latency
        self.faults: dict[str, list[tuple[int, dict[str, str], bytes]]] = {}  # end of a path -> answers that come first
        self.listing: object = None  # in place of each listing of files
        self.unlisted: set[str] = set()
        self.requests: Counter[str] = Counter()  # method and path
        self.digests: dict[str, dict] = {}

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"

    def entry(self, path: Path) -> dict:
        """The entry of a file in a listing; images are stored as LFS files."""
        name = path.relative_to(self.root).as_posix()
        if path.is_dir():
            return {"type": "directory", "oid": "0", "size": 0, "path": name}
        if name not in self.digests:
            data = path.read_bytes()
            found = {"type": "file", "size": len(data), "path": name}
            found["oid"] = hashlib.sha1(b"blob %d\0%b" % (len(data), data)).hexdigest()
            if "/images/" in name:
                found["lfs"] = {"oid": hashlib.sha256(data).hexdigest(), "size": len(data), "pointerSize": 130}
            self.digests[name] = found
        return self.digests[name]


@contextmanager
def serving(root: Path, latency: float = 0.0) -> Iterator[Server]:
    server = Server(root, latency)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def main(root: str, latency: str) -> None:
    """Serve in a process of its own, and print the address."""
    server = Server(Path(root), float(latency))
    print(server.address, flush=True)
    server.serve_forever()


class Handler(BaseHTTPRequestHandler):
    server: Server
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True  # an answer is two packets, and Nagle's would wait 40 ms for the second

    def log_message(self, *args) -> None:
        """Quiet."""

    def do_HEAD(self) -> None:
        self.do_GET()

    def do_POST(self) -> None:
        form = parse_qs(self.rfile.read(int(self.headers["Content-Length"])).decode())
        self.server.requests[f"POST {self.path}"] += 1
        paths = [self.server.root / name for name in form.get("paths", [])]
        self._json([self.server.entry(path) for path in paths if os.path.isfile(path)])  # noqa: PTH113 - below

    def do_GET(self) -> None:
        time.sleep(self.server.latency)
        path = unquote(urlsplit(self.path).path)
        self.server.requests[f"{self.command} {path}"] += 1
        for end, answers in self.server.faults.items():
            if path.endswith(end) and answers:
                status, headers, body = answers.pop(0)
                return self._send(status, body, headers)
        if path == f"{API}/revision/main":
            return self._json({"id": REPOSITORY, "sha": COMMIT})
        if path.startswith(f"{API}/tree/{COMMIT}"):
            folder = path.removeprefix(f"{API}/tree/{COMMIT}").strip("/")
            return self._tree(folder, "recursive=true" in self.path.lower())
        file = self.server.root / path.removeprefix(f"/datasets/{REPOSITORY}/resolve/{COMMIT}/").lstrip("/")
        # A name that is too long or has a NUL is no file either; Path.is_file raises.
        if path.count("/resolve/") and os.path.isfile(file):  # noqa: PTH113
            entry = self.server.entry(file)
            etag = entry.get("lfs", entry)["oid"]
            return self._send(200, file.read_bytes(), {"X-Repo-Commit": COMMIT, "ETag": f'"{etag}"'})
        return self._send(404, b"", {"X-Error-Code": "RevisionNotFound" if "revision" in path else "EntryNotFound"})

    def _tree(self, folder: str, recursive: bool) -> None:
        if recursive and self.server.listing is not None:
            return self._json(self.server.listing)
        paths = sorted((self.server.root / folder).glob("**/*" if recursive else "*"))
        entries = [self.server.entry(path) for path in paths]
        return self._json([entry for entry in entries if entry["path"] not in self.server.unlisted])

    def _json(self, content) -> None:
        self._send(200, json.dumps(content).encode(), {"Content-Type": "application/json"})

    def _send(self, status: int, data: bytes, headers: dict[str, str]) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(data)


if __name__ == "__main__":
    main(*sys.argv[1:])
