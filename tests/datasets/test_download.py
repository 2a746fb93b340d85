from __future__ import annotations

import hashlib
import json
import shutil
import threading
import tracemalloc
from collections import Counter
from pathlib import Path

import pytest

from harness.datasets.complete_folders import find_missing
from harness.datasets.download import REVISION, download
from harness.datasets.identity import DOWNLOAD_RECORD
from harness.datasets.layout import RELEASED
from harness.datasets.listing import LISTINGS
from harness.datasets.remote import FileFault, RemoteBusy, RemoteFile
from harness.errors import DataError, StorageError, UserError

from .roots import edit_split, make_root

FOLDERS = {"Animals2_OOP": ("ibex", "great auk"), "Animals1_IP": ("cat",), "Été d'or1_OOP": ("rose hip",)}


class FakeHub:
    """A repository on disk, one folder for each commit, with faults to order."""

    name = "a hub"

    def __init__(self, commits: dict[str, Path]) -> None:
        self.commits = commits
        self.branch = {REVISION: next(iter(commits))}
        self.faults: dict[str, list[Exception]] = {}  # path or call -> errors that come first
        self.unlisted: set[str] = set()  # files that the listing leaves out
        self.calls: Counter[str] = Counter()
        self.fetched: list[tuple[str, str]] = []
        self._lock = threading.Lock()

    def commit(self, revision: str) -> str:
        self._call("commit")
        return self.branch.get(revision, revision)

    def names(self, commit: str) -> list[str]:
        self._call("names")
        return [entry.name for entry in self.commits[commit].iterdir()]

    def files(self, folder: str, commit: str) -> list[RemoteFile]:
        self._call("files")
        root = self.commits[commit]
        paths = [path for path in (root / folder).rglob("*") if path.is_file()]
        files = [self._listed(path, root) for path in paths]
        return [file for file in files if file.path not in self.unlisted]

    def find(self, paths: list[str], commit: str) -> list[RemoteFile]:
        self._call("find")
        root = self.commits[commit]
        return [self._listed(root / path, root) for path in paths if (root / path).is_file()]

    def fetch(self, files, commit: str):
        (file,) = files
        self._call(file.path)
        with self._lock:
            self.fetched.append((commit, file.path))
        yield file, self._blocks((self.commits[commit] / file.path).read_bytes())

    def _blocks(self, content: bytes):
        """One byte, then the rest, in which the connection may end."""
        yield content[:1]
        self._call("rest")
        yield content[1:]

    def advice(self, files) -> None:
        """No limit."""

    def _listed(self, path: Path, root: Path) -> RemoteFile:
        content = path.read_bytes()
        checksum = f"sha256:{hashlib.sha256(content).hexdigest()}"
        if path.parent.parent.name != "images":
            blob = b"blob %d\0%b" % (len(content), content)
            checksum = f"git-sha1:{hashlib.sha1(blob, usedforsecurity=False).hexdigest()}"
        return RemoteFile(path=path.relative_to(root).as_posix(), size=len(content), checksum=checksum)

    def _call(self, name: str) -> None:
        with self._lock:
            self.calls[name] += 1
            fault = self.faults[name].pop(0) if self.faults.get(name) else None
        if fault:
            raise fault


@pytest.fixture
def hub(tmp_path: Path) -> FakeHub:
    source = make_root(tmp_path / "source", FOLDERS)
    (source / "README.md").write_text("card")
    return FakeHub({"a" * 40: source})


@pytest.fixture
def waits() -> list[float]:
    return []


@pytest.fixture
def get(hub, tmp_path, waits):
    """Download from the fake hub into ``dest``."""

    def get(domains=None, **options):
        return download(tmp_path / "dest", domains, remote=hub, sleep=waits.append, **options)

    return get


def content(root: Path) -> dict[str, bytes]:
    paths = [path for path in root.rglob("*") if path.is_file() and LISTINGS not in path.parts]
    return {path.relative_to(root).as_posix(): path.read_bytes() for path in paths}


def some_image(hub: FakeHub, folder: str = "Animals2_OOP", number: int = 0) -> str:
    (source,) = list(hub.commits.values())[:1]
    return sorted(path.relative_to(source).as_posix() for path in (source / folder / "images").rglob("*.*"))[number]


def test_download_is_complete(hub, get, waits):
    calls = []
    dest = get(progress=lambda *call: calls.append(call))
    wanted = content(hub.commits["a" * 40])
    del wanted["README.md"]
    found = content(dest)
    record = json.loads(found.pop(DOWNLOAD_RECORD))
    assert found == wanted
    assert record["commit"] == "a" * 40
    assert record["folders"] == sorted(FOLDERS)
    assert record["repository"] == "a hub"
    assert ("Animals2_OOP", 22, 22) in calls
    assert not waits


def test_only_the_given_domains_are_downloaded(hub, get):
    dest = get(["Été d'or"])
    assert {path.name for path in dest.iterdir()} == {DOWNLOAD_RECORD, LISTINGS, "Été d'or1_OOP"}
    dest = get(["Animals"])
    assert {path.name for path in dest.iterdir()} == {DOWNLOAD_RECORD, LISTINGS, *FOLDERS}
    with pytest.raises(UserError, match="no domain named 'Animal'"):
        get(["Animal"])


def test_a_complete_download_needs_no_hub(hub, get):
    get()
    hub.calls.clear()
    get()
    assert not hub.calls


def test_a_deleted_or_cut_file_is_fetched_again(hub, get):
    dest = get()
    hub.fetched.clear()
    first, second = some_image(hub), some_image(hub, number=1)
    (dest / first).unlink()
    (dest / second).write_bytes(b"cut")
    get()
    assert {path for _, path in hub.fetched} == {first, second}
    assert not find_missing(dest / "Animals2_OOP")


def test_a_branch_that_moves_never_mixes_two_commits(hub, get, tmp_path):
    newer = shutil.copytree(hub.commits["a" * 40], tmp_path / "newer")
    for image in newer.rglob("*.jpg"):
        image.write_bytes(image.read_bytes() + b"\0")
    hub.commits["b" * 40] = newer
    path = some_image(hub, number=9)
    hub.faults[path] = [DataError("the power went off")]
    with pytest.raises(DataError, match="power"):
        get()
    hub.branch[REVISION] = "b" * 40
    dest = get()
    assert {commit for commit, _ in hub.fetched} == {"a" * 40}
    assert content(dest / "Animals2_OOP") == content(hub.commits["a" * 40] / "Animals2_OOP")
    with pytest.raises(UserError, match="contains revision main") as error:
        get(revision="b" * 40)
    assert "another folder for another revision" in error.value.hint
    assert get(revision="a" * 40) == dest


def test_an_interrupted_download_is_resumed(hub, get):
    path = some_image(hub, number=12)
    hub.faults[path] = [KeyboardInterrupt()]
    with pytest.raises(KeyboardInterrupt):
        get(["Animals"], workers=1)
    before = len(hub.fetched)
    assert before
    get(["Animals"])
    names = [path for _, path in hub.fetched]
    assert len(names) == len(set(names)), "nothing is fetched twice"


def test_retry_waits_as_requested_then_exponentially(hub, get, waits):
    hub.faults[some_image(hub)] = [
        RemoteBusy("HTTP 429", retry_after=37.0),
        RemoteBusy("HTTP 503"),
        RemoteBusy("HTTP 502"),
    ]
    hub.faults["files"] = [RemoteBusy("HTTP 500")]
    get(["Animals"])
    assert sorted(waits) == [1.0, 2.0, 4.0, 37.0]


def test_a_file_whose_connection_ends_early_is_fetched_again_and_leaves_no_rest(hub, get, waits):
    hub.faults["rest"] = [RemoteBusy("the connection was reset")]
    dest = get(["Animals"])
    assert waits == [1.0]
    assert len(hub.fetched) == len({path for _, path in hub.fetched}) + 1
    assert content(dest / "Animals2_OOP") == content(hub.commits["a" * 40] / "Animals2_OOP")


def test_a_file_is_verified_in_blocks_and_no_more_of_it_is_read_than_listed():
    content, read = b"abcdef" * 1000, []
    file = RemoteFile(path="a/b", size=len(content), checksum=f"sha256:{hashlib.sha256(content).hexdigest()}")

    def blocks(content: bytes):
        for start in range(0, len(content), 1000):
            read.append(start)
            yield content[start : start + 1000]

    passed_on = file.verified(blocks(content))
    assert (next(passed_on), read) == (content[:1000], [0]), "a block is passed on before the next is read"
    assert content[1000:] == b"".join(passed_on)
    for damaged, reason in (
        (content[:-1], "another size than the 6,000 bytes"),
        (content[:-1] + b"x", "other bytes than it lists: their sha256 differs"),
        (content * 9, "another size"),
    ):
        read.clear()
        with pytest.raises(FileFault, match=reason):
            list(file.verified(blocks(damaged)))
        assert len(read) <= 7


def test_memory_does_not_grow_with_the_size_of_a_file(hub, get):
    block, count = b"x" * (1 << 20), 64
    image = some_image(hub)
    size, digest = count * len(block), hashlib.sha256(block * count).hexdigest()
    files, fetch = hub.files, hub.fetch
    large = RemoteFile(path=image, size=size, checksum=f"sha256:{digest}")
    hub.files = lambda *where: [large if file.path == image else file for file in files(*where)]
    hub.fetch = lambda some, commit: (
        iter([(large, (bytes(block) for _ in range(count)))]) if large in some else fetch(some, commit)
    )
    tracemalloc.start()
    try:
        dest = get(["Animals"], workers=1)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert (dest / image).stat().st_size == size
    assert peak < size / 8


def test_no_network_is_an_error(hub, get, waits):
    hub.faults["commit"] = [RemoteBusy("Name or service not known")] * 3
    with pytest.raises(DataError) as error:
        get()
    assert error.value.message == "the server did not answer after 3 tries: Name or service not known"
    assert "--offline" in error.value.hint
    assert waits == [1.0, 2.0]


def test_images_missing_from_a_truncated_listing_are_downloaded(hub, get):
    source = hub.commits["a" * 40]
    hub.unlisted = {path for path in content(source) if "/images/ibex/" in path}
    assert content(get() / "Animals2_OOP") == content(source / "Animals2_OOP")


def test_files_missing_from_the_repository_are_reported(hub, get):
    path = some_image(hub)
    (hub.commits["a" * 40] / path).unlink()
    with pytest.raises(DataError, match=r"1 problem after the download, the first: Animals2_OOP/images/.* is missing"):
        get()


def test_a_split_file_that_does_not_match_the_images_is_an_error(hub, get):
    edit_split(hub.commits["a" * 40] / "Animals2_OOP", lambda split: split["test"]["0"].update(classname=".."))
    with pytest.raises(DataError, match=r"1 problem after the download, .* '\.\.' is not a"):
        get()


def test_listed_paths_that_escape_are_not_fetched(hub, get, tmp_path):
    real = hub.files
    hub.files = lambda folder, commit: [
        *real(folder, commit),
        RemoteFile(path=f"{folder}/../../evil.txt", size=1, checksum="sha256:" + "0" * 64),
    ]
    get()
    assert not list(tmp_path.rglob("evil.txt"))


def test_archives_are_mentioned_in_the_error(tmp_path):
    (tmp_path / "Animals92_OOP.tar.gz").write_text("")
    with pytest.raises(DataError, match=r"only archives such as Animals92_OOP\.tar\.gz"):
        download(tmp_path / "dest", remote=FakeHub({"a" * 40: tmp_path}))


def test_a_repository_without_folders_is_an_error(tmp_path):
    with pytest.raises(DataError, match=r"contains no \{Domain\}\{N\}_IP"):
        download(tmp_path / "dest", remote=FakeHub({"a" * 40: tmp_path}))


def test_an_empty_listing_is_an_error(hub, get):
    hub.files = lambda folder, commit: []
    with pytest.raises(DataError, match="lists no file in Animals1_IP"):
        get()


def test_too_little_space_is_an_error(hub, get, monkeypatch):
    real = hub.files
    hub.files = lambda folder, commit: [file.model_copy(update={"size": 10**18}) for file in real(folder, commit)]
    with pytest.raises(StorageError, match="GB free; the download needs"):
        get()
    assert not hub.fetched


def test_a_destination_that_is_a_file_is_an_error(hub, tmp_path):
    (tmp_path / "dest").write_text("")
    with pytest.raises(StorageError):
        download(tmp_path / "dest", remote=hub)


@pytest.mark.usefixtures("ordinary")
def test_an_unreadable_record_is_not_reported_as_damaged(get, tmp_path):
    (tmp_path / "dest").mkdir()
    (tmp_path / "dest" / DOWNLOAD_RECORD).touch(0o000)
    with pytest.raises(StorageError, match="cannot be read: permission denied"):
        get()


@pytest.mark.parametrize("text", ["", "[]", '{"commit": 3}', '{"a": 1}'])
def test_a_damaged_record_is_an_error(get, tmp_path, text):
    (tmp_path / "dest").mkdir()
    (tmp_path / "dest" / DOWNLOAD_RECORD).write_text(text)
    with pytest.raises(StorageError, match="is damaged, so the commit of this download is unknown"):
        get()


def test_offline_uses_only_existing_files(hub, get):
    with pytest.raises(DataError, match="does not exist"):
        get(offline=True)
    dest = get()
    hub.calls.clear()
    assert get(offline=True) == dest
    (dest / some_image(hub)).unlink()
    shutil.rmtree(dest / "Animals1_IP")
    with pytest.raises(DataError) as error:
        get(offline=True)
    assert "Animals1_IP is missing; Animals2_OOP has 1 problem, the first: Animals2_OOP/images/" in error.value.message
    assert get(["Été d'or"], offline=True) == dest
    assert not hub.calls


def test_a_record_that_names_folders_outside_is_not_followed(hub, get, tmp_path):
    dest = get()
    record = json.loads((dest / DOWNLOAD_RECORD).read_bytes())
    (dest / DOWNLOAD_RECORD).write_text(json.dumps(record | {"folders": ["../outside1_IP", "Animals1_IP"]}))
    get()
    assert not (tmp_path / "outside1_IP").exists()


def test_offline_without_a_record_knows_the_release(tmp_path):
    make_root(tmp_path, {"Food53_OOP": ("rose",), "Food20_IP": ("oak",)})
    assert download(tmp_path, ["Food"], offline=True) == tmp_path
    with pytest.raises(DataError, match="and 13 more folders") as error:
        download(tmp_path, offline=True)
    assert len(RELEASED) - 2 - 3 == 13
    assert error.value.hint
