"""A server on this machine with the Hub's protocol for reading and writing: repositories with commits and requests."""

from __future__ import annotations

import base64
import hashlib
import json
import re
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import ThreadingHTTPServer
from urllib.parse import parse_qs, unquote, urlsplit

from ..datasets.hub_server import Handler

REPOSITORY = "lab/board"
SMALL = 1000
"""Files of fewer bytes are regular ones, larger ones LFS files."""

NOW = "2026-01-01T00:00:00.000Z"
USERS = {"hf_lab": "lab", "hf_ann": "ann", "hf_read": "reader"}
"""Token -> user; only lab may write to its own repositories, and the reader's token may not open requests."""


@dataclass
class Stored:
    """A repository: commits with their parent and files, the commits of branches and requests, and comments."""

    private: bool = False
    commits: dict[str, tuple[str, dict[str, bytes]]] = field(default_factory=dict)
    refs: dict[str, str] = field(default_factory=dict)
    comments: dict[int, list[str]] = field(default_factory=dict)

    def add(self, ref: str, parent: str, files: dict[str, bytes]) -> str:
        listed = sorted((path, hashlib.sha256(content).hexdigest()) for path, content in files.items())
        oid = hashlib.sha1(repr((parent, listed)).encode()).hexdigest()
        self.commits[oid], self.refs[ref] = (parent, files), oid
        return oid

    def history(self, oid: str) -> Iterator[str]:
        while oid:
            yield oid
            oid = self.commits[oid][0]

    def files(self, ref: str = "main") -> dict[str, bytes]:
        return self.commits[self.refs[ref]][1]


class HubServer(ThreadingHTTPServer):
    """Repositories by name; ``faults`` are answers that come first, by the end of a path."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), HubHandler)
        self.repositories: dict[str, Stored] = {}
        self.objects: dict[str, bytes] = {}
        self.faults: dict[str, list[int]] = {}
        self.spoiled: set[str] = set()  # paths of files whose bytes are sent reversed
        self.requests: Counter[str] = Counter()

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"

    @property
    def stored(self) -> Stored:
        return self.repositories[REPOSITORY]

    def create(self, name: str, private: bool = False) -> Stored:
        self.repositories[name] = made = Stored(private)
        made.add("main", "", {".gitattributes": b""})
        return made


@contextmanager
def serving() -> Iterator[HubServer]:
    server = HubServer()
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


class Refusal(Exception):
    """An answer that is an error: its status, and the Hub's code of it."""

    def __init__(self, status: int, code: str = "") -> None:
        self.status, self.code = status, code


class HubHandler(Handler):
    server: HubServer  # type: ignore[assignment]

    def do_GET(self) -> None:
        self._answer("GET", b"")

    def do_POST(self) -> None:
        self._answer("POST", self.rfile.read(int(self.headers["Content-Length"] or 0)))

    def do_PUT(self) -> None:
        self._answer("PUT", self.rfile.read(int(self.headers["Content-Length"] or 0)))

    @property
    def user(self) -> str | None:
        return USERS.get((self.headers["Authorization"] or "").removeprefix("Bearer "))

    def _answer(self, method: str, body: bytes) -> None:
        parts = urlsplit(self.path)
        path = unquote(parts.path)
        self.server.requests[f"{method} {path}"] += 1
        try:
            for end, statuses in self.server.faults.items():
                if path.endswith(end) and statuses and (status := statuses.pop(0)) != 200:
                    raise Refusal(status)
            for pattern, call in ROUTES:
                found = re.fullmatch(f"{method} {pattern}", f"{method} {path}")
                if found:
                    return call(self, body, {k: v[0] for k, v in parse_qs(parts.query).items()}, *found.groups())
            raise Refusal(404, "EntryNotFound")
        except Refusal as refusal:
            return self._send(refusal.status, b"{}", {"X-Error-Code": refusal.code})

    def _stored(self, name: str) -> Stored:
        found = self.server.repositories.get(name)
        if found is None or (found.private and self.user != name.split("/")[0]):
            raise Refusal(401 if self.user is None else 404, "RepoNotFound")
        return found

    def _commit(self, stored: Stored, revision: str) -> str:
        oid = stored.refs.get(revision, revision)
        if oid not in stored.commits:
            raise Refusal(404, "RevisionNotFound")
        return oid

    def _require_write(self, name: str, query: dict[str, str]) -> None:
        if self.user is None:
            raise Refusal(401)
        if self.user == "reader" or (self.user != name.split("/")[0] and not query.get("create_pr")):
            raise Refusal(403)

    def create(self, body: bytes, query: dict[str, str]) -> None:
        asked = json.loads(body)
        if self.user != asked.get("organization"):
            raise Refusal(401 if self.user is None else 403)
        name = f"{asked['organization']}/{asked['name']}"
        there = name in self.server.repositories
        if not there:
            self.server.create(name, asked.get("private", asked.get("visibility") == "private"))
        self._send(409 if there else 200, json.dumps({"url": f"{self.server.address}/datasets/{name}"}).encode(), {})

    def revision(self, body: bytes, query: dict[str, str], name: str, revision: str) -> None:
        self._json({"id": name, "sha": self._commit(self._stored(name), revision)})

    def tree(self, body: bytes, query: dict[str, str], name: str, oid: str) -> None:
        stored = self._stored(name)
        self._json([entry(path, content) for path, content in stored.commits[self._commit(stored, oid)][1].items()])

    def resolve(self, body: bytes, query: dict[str, str], name: str, oid: str, path: str) -> None:
        content = self._stored(name).commits[oid][1].get(path)
        if content is None:
            raise Refusal(404, "EntryNotFound")
        sent = content[::-1] if path in self.server.spoiled else content
        self._send(200, sent, {"X-Repo-Commit": oid})

    def preupload(self, body: bytes, query: dict[str, str], name: str, revision: str) -> None:
        self._stored(name)
        self._require_write(name, query)
        files = json.loads(body)["files"]
        modes = {file["path"]: "lfs" if file["size"] >= SMALL else "regular" for file in files}
        self._json({"files": [{"path": p, "uploadMode": mode, "shouldIgnore": False} for p, mode in modes.items()]})

    def batch(self, body: bytes, query: dict[str, str], name: str) -> None:
        objects = [{"oid": one["oid"], "size": one["size"]} for one in json.loads(body)["objects"]]
        for one in objects:
            if one["oid"] not in self.server.objects:
                one["actions"] = {"upload": {"href": f"{self.server.address}/lfs/{one['oid']}"}}
        self._json({"transfer": "basic", "objects": objects})

    def upload(self, body: bytes, query: dict[str, str], oid: str) -> None:
        assert hashlib.sha256(body).hexdigest() == oid
        self.server.objects[oid] = body
        self._send(200, b"", {})

    def commit(self, body: bytes, query: dict[str, str], name: str, revision: str) -> None:
        stored = self._stored(name)
        self._require_write(name, query)
        head, *lines = (json.loads(line) for line in body.splitlines())
        parent = self._commit(stored, revision)
        if head["value"].get("parentCommit") not in (None, parent):
            raise Refusal(412)
        files = dict(stored.commits[parent][1])
        for line in lines:
            value = line["value"]
            content = (
                self.server.objects[value["oid"]] if line["key"] == "lfsFile" else base64.b64decode(value["content"])
            )
            files[value["path"]] = content
        number = 1 + len(stored.comments)
        ref = f"refs/pr/{number}" if query.get("create_pr") else revision
        oid, at = stored.add(ref, parent, files), f"{self.server.address}/datasets/{name}"
        made = {"commitUrl": f"{at}/commit/{oid}", "commitOid": oid}
        if query.get("create_pr"):
            stored.comments[number] = []
            made["pullRequestUrl"] = f"{at}/discussions/{number}"
        self._json(made)

    def commits(self, body: bytes, query: dict[str, str], name: str, revision: str) -> None:
        stored = self._stored(name)
        found = list(stored.history(self._commit(stored, revision)))
        self._json([{"id": oid, "authors": [], "date": NOW, "title": "", "message": ""} for oid in found])

    def discussions(self, body: bytes, query: dict[str, str], name: str) -> None:
        assert (query["type"], query["status"]) == ("pull_request", "open")
        found = [discussion(name, number) for number in self._stored(name).comments]
        self._json({"count": len(found), "start": 0, "discussions": found})

    def discussion(self, body: bytes, query: dict[str, str], name: str, number: str) -> None:
        texts = self._stored(name).comments[int(number)]
        more = {"changes": {"base": "refs/heads/main"}, "filesWithConflicts": [], "events": [*map(event, texts)]}
        self._json({**discussion(name, int(number)), **more})

    def comment(self, body: bytes, query: dict[str, str], name: str, number: str) -> None:
        if self.user is None:
            raise Refusal(401)
        text = json.loads(body)["comment"]
        self._stored(name).comments[int(number)].append(text)
        self._json({"newMessage": event(text)})


def entry(path: str, content: bytes) -> dict:
    """A file in a listing."""
    blob = hashlib.sha1(b"blob %d\0%b" % (len(content), content)).hexdigest()
    found = {"type": "file", "path": path, "size": len(content), "oid": blob}
    lfs = {"oid": hashlib.sha256(content).hexdigest(), "size": len(content), "pointerSize": 130}
    return {**found, "lfs": lfs} if len(content) >= SMALL else found


def discussion(name: str, number: int) -> dict:
    author, repo = {"name": "ann"}, {"name": name, "type": "dataset"}
    found = {"title": "", "num": number, "status": "open", "isPullRequest": True}
    return {**found, "author": author, "repo": repo, "createdAt": NOW}


def event(text: str) -> dict:
    data = {"edited": False, "hidden": False, "latest": {"raw": text}}
    return {"id": "1", "type": "comment", "createdAt": NOW, "author": {"name": "lab"}, "data": data}


NAME = r"/api/datasets/([\w-]+/[\w.-]+)"
ROUTES = [
    ("/api/repos/create", HubHandler.create),
    (f"{NAME}/revision/(.+)", HubHandler.revision),
    (f"{NAME}/tree/(.+)", HubHandler.tree),
    (r"/datasets/([\w-]+/[\w.-]+)/resolve/(\w+)/(.+)", HubHandler.resolve),
    (f"{NAME}/preupload/(.+)", HubHandler.preupload),
    (r"/datasets/([\w-]+/[\w.-]+)\.git/info/lfs/objects/batch", HubHandler.batch),
    ("/lfs/(.+)", HubHandler.upload),
    (f"{NAME}/commit/(.+)", HubHandler.commit),
    (f"{NAME}/commits/(.+)", HubHandler.commits),
    (f"{NAME}/discussions", HubHandler.discussions),
    (rf"{NAME}/discussions/(\d+)", HubHandler.discussion),
    (rf"{NAME}/discussions/(\d+)/comment", HubHandler.comment),
]
