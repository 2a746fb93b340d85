"""The real huggingface_hub against a small server on this machine with the Hub's protocol."""

from __future__ import annotations

import hashlib
import json
import threading
from collections import Counter
from datetime import datetime, timedelta, timezone
from email.utils import format_datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest

from harness.datasets import hub as module
from harness.datasets.download import DOWNLOAD_RECORD, download
from harness.datasets.hub import REPOSITORY, HubBusy, HuggingFace
from harness.errors import DataError, StorageError, UserError

from .roots import make_root

COMMIT = "0123456789abcdef0123456789abcdef01234567"
FOLDERS = {"Été d'or2_OOP": ("rose hip", "Père #1?"), "Food1_IP": ("oak",)}


class Server(ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self, root: Path) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.root = root
        self.faults: dict[str, list[tuple[int, dict[str, str]]]] = {}  # end of a path -> answers that come first
        self.requests: Counter[str] = Counter()


class Handler(BaseHTTPRequestHandler):
    server: Server
    protocol_version = "HTTP/1.1"

    def log_message(self, *args) -> None:
        """Quiet."""

    def do_HEAD(self) -> None:
        self.do_GET()

    def do_GET(self) -> None:
        path = unquote(urlsplit(self.path).path)
        self.server.requests[path] += 1
        for end, answers in self.server.faults.items():
            if path.endswith(end) and answers:
                status, headers = answers.pop(0)
                return self._send(status, b"", headers)
        if path == f"/api/datasets/{REPOSITORY}/revision/main":
            return self._json({"id": REPOSITORY, "sha": COMMIT})
        tree = f"/api/datasets/{REPOSITORY}/tree/{COMMIT}"
        if path.startswith(tree):
            return self._tree(path[len(tree) :].strip("/"), "recursive=True" in self.path)
        resolve = f"/datasets/{REPOSITORY}/resolve/{COMMIT}/"
        if path.startswith(resolve) and (self.server.root / path[len(resolve) :]).is_file():
            data = (self.server.root / path[len(resolve) :]).read_bytes()
            etag = hashlib.sha1(data).hexdigest()
            return self._send(200, data, {"X-Repo-Commit": COMMIT, "ETag": f'"{etag}"'})
        return self._send(404, b"", {"X-Error-Code": "RevisionNotFound" if "revision" in path else "EntryNotFound"})

    def _tree(self, folder: str, recursive: bool) -> None:
        entries = []
        for path in sorted((self.server.root / folder).glob("**/*" if recursive else "*")):
            name = path.relative_to(self.server.root).as_posix()
            entry = {"type": "directory", "oid": "0", "size": 0, "path": name}
            if path.is_file():
                entry |= {"type": "file", "size": path.stat().st_size}
            entries.append(entry)
        self._json(entries)

    def _json(self, content) -> None:
        self._send(200, json.dumps(content).encode(), {"Content-Type": "application/json"})

    def _send(self, status: int, data: bytes, headers: dict[str, str]) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        if self.command == "GET":
            self.wfile.write(data)


@pytest.fixture
def server(tmp_path, monkeypatch):
    for name in ("http_proxy", "https_proxy", "all_proxy", "HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)
    server = Server(make_root(tmp_path / "source", FOLDERS))
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield server
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture
def hub(server) -> HuggingFace:
    return HuggingFace(endpoint=f"http://127.0.0.1:{server.server_port}")


def test_complete_download(server, hub, tmp_path):
    dest = download(tmp_path / "dest", hub=hub)
    for folder in FOLDERS:
        source = {path.relative_to(server.root): path.read_bytes() for path in (server.root / folder).rglob("*.*")}
        assert source == {path.relative_to(dest): path.read_bytes() for path in (dest / folder).rglob("*.*")}
    assert json.loads((dest / DOWNLOAD_RECORD).read_bytes())["commit"] == COMMIT
    assert not [path for path in (dest / ".cache").rglob("*.metadata") if "_OOP" in str(path) or "_IP" in str(path)]


def test_a_cut_file_is_replaced(server, hub, tmp_path):
    dest = download(tmp_path / "dest", hub=hub)
    path = next((dest / "Food1_IP" / "images" / "oak").iterdir())
    whole = path.read_bytes()
    path.write_bytes(whole[:10])
    hub.fetch(path.relative_to(dest).as_posix(), COMMIT, dest)
    assert path.read_bytes() == whole


def test_too_many_requests(server, hub):
    server.faults["/revision/main"] = [(429, {"Retry-After": "7"})]
    with pytest.raises(HubBusy, match="HTTP 429") as error:
        hub.commit("main")
    assert error.value.retry_after == 7
    assert hub.commit("main") == COMMIT


@pytest.mark.parametrize(
    ("status", "error", "sentence"),
    [
        (401, DataError, "does not give access to revision main"),
        (403, DataError, "does not give access to revision main"),
        (404, DataError, "the Hub has no revision main"),
        (503, HubBusy, "HTTP 503 for revision main"),
    ],
)
def test_http_statuses_become_errors_or_retries(server, hub, status, error, sentence):
    server.faults["/revision/main"] = [(status, {})]
    with pytest.raises(error, match=sentence):
        hub.commit("main")


def test_missing_files_and_bad_names(server, hub, tmp_path):
    with pytest.raises(DataError, match=r"the Hub has no .*none\.jpg"):
        hub.fetch("Food1_IP/images/oak/none.jpg", COMMIT, tmp_path)
    with pytest.raises(DataError, match="is not a valid name"):
        HuggingFace("not//valid").commit("main")


def test_connection_errors_are_retried(tmp_path, monkeypatch):
    monkeypatch.setenv("NO_PROXY", "*")
    with pytest.raises(DataError, match="the Hub did not answer after 3 tries") as error:
        download(tmp_path, hub=HuggingFace(endpoint="http://127.0.0.1:9"), sleep=lambda seconds: None)
    assert "--offline" in error.value.hint


def test_disk_errors_become_storage_errors():
    with pytest.raises(StorageError, match="x cannot be written: No space left"), module._translate_errors("x"):
        raise OSError(28, "No space left on device")


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({}, None),
        ({"retry-after": "12"}, 12),
        ({"retry-after": " 0.5 "}, 0.5),
        ({"retry-after": "soon"}, None),
        ({"retry-after": "Wed, 21 Oct 2015 07:28:00 GMT"}, 0),
        ({"ratelimit": '"api";r=0;t=55'}, 55),
        ({"ratelimit": '"api";r=489;t=55'}, None),
    ],
)
def test_retry_after_headers(headers, seconds):
    assert module._retry_after(headers) == seconds


def test_retry_after_a_date():
    date = datetime.now(timezone.utc) + timedelta(seconds=100)
    assert module._retry_after({"retry-after": format_datetime(date, usegmt=True)}) == pytest.approx(100, abs=5)


@pytest.mark.parametrize("endpoint", ["hf-mirror.com", "hf-mirror.com:443", "https://", "ftp://hf-mirror.com"])
def test_an_invalid_endpoint_is_a_user_error(endpoint: str) -> None:
    with pytest.raises(UserError, match=f"HF_ENDPOINT is '{endpoint}', which is not the address") as found:
        HuggingFace(endpoint=endpoint)
    assert "HF_ENDPOINT=https://" in str(found.value.hint)
