"""Mirrors: tar archives with listings, written from a root, read from a folder or a web server."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tarfile
import threading
import time
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from harness.datasets.download import download
from harness.datasets.identity import DOWNLOAD_RECORD, read_revision
from harness.datasets.layout import open_dataset
from harness.datasets.mirror import INDEX, Mirror, pack
from harness.datasets.nouns import noun_of
from harness.errors import DataError, UserError

from .roots import make_root

FOLDERS = {"Été d'or2_OOP": ("rose hip", "Père #1?"), "Food2_IP": ("oak", "elm")}
COMMIT = "0123456789abcdef0123456789abcdef01234567"


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return make_root(tmp_path / "root", FOLDERS)


@pytest.fixture
def mirror(root: Path, tmp_path: Path) -> Path:
    pack(root, tmp_path / "mirror")
    return tmp_path / "mirror"


@pytest.fixture
def get(tmp_path: Path):
    """Download from a mirror into ``dest``; it never waits."""

    def get(mirror, **options):
        waits: list[float] = []
        root = download(tmp_path / "dest", remote=Mirror(str(mirror)), sleep=waits.append, **options)
        assert not waits
        return root

    return get


class Requests(SimpleHTTPRequestHandler):
    def log_message(self, *args) -> None:
        """Quiet."""


@pytest.fixture
def address(mirror, monkeypatch):
    """The mirror on a web server."""
    monkeypatch.setenv("NO_PROXY", "*")
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(Requests, directory=str(mirror)))
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}/"
    server.shutdown()
    thread.join()
    server.server_close()


def content(root: Path) -> dict[str, bytes]:
    files = [path for folder in FOLDERS for path in (root / folder).rglob("*") if path.is_file()]
    return {path.relative_to(root).as_posix(): path.read_bytes() for path in files}


def first_image(root: Path) -> Path:
    return sorted((root / "Food2_IP" / "images").rglob("*.*"))[0]


def test_a_mirror_in_a_folder_gives_the_same_files(root, mirror, get):
    said: list[str] = []
    dest = get(mirror, note=said.append)
    assert content(dest) == content(root)
    assert said[0].endswith(str(mirror))


def test_a_mirror_on_a_server_gives_the_same_files(root, address, get):
    assert content(get(address)) == content(root)


def test_files_next_to_the_folders_are_in_the_mirror(root, tmp_path, get):
    (root / "corpora").mkdir()
    files = dict.fromkeys(("nouns.json", "texts.json", "README.md", "corpora/a.json"), b'{"Food": "dish"}')
    files["dataset.json"] = b'{"name": "mine", "revision": "r1"}'
    for name, data in files.items():
        (root / name).write_bytes(data)
    (root / "my-notes.txt").touch()
    pack(root, tmp_path / "mirror")
    dest = get(tmp_path / "mirror", domains=["Food"])
    assert {name: (dest / name).read_bytes() for name in files} == files
    assert not (dest / "my-notes.txt").exists()
    assert (open_dataset(dest).name, noun_of(dest, "Food"), read_revision(dest)) == ("mine", "dish", "r1")
    (dest / "nouns.json").write_bytes(b"{}")
    with pytest.raises(DataError, match=r"root-files has 1 problem, the first: nouns\.json is missing or damaged"):
        get(tmp_path / "mirror", domains=["Food"], offline=True)
    get(tmp_path / "mirror", domains=["Food"])
    assert noun_of(dest, "Food") == "dish"


@pytest.mark.parametrize("path", ["../escaped", "corpora/../../escaped", "corpora/a/b.json", DOWNLOAD_RECORD])
def test_a_mirror_writes_known_files_next_to_the_folders_alone(root, tmp_path, get, path):
    (root / "nouns.json").write_text('{"Food": "dish"}')
    pack(root, tmp_path / "mirror")
    listing = json.loads((tmp_path / "mirror" / "root-files" / "listing.json").read_bytes())
    listing["files"].append(listing["files"][0] | {"path": path})
    (tmp_path / "mirror" / "root-files" / "listing.json").write_text(json.dumps(listing))
    dest = get(tmp_path / "mirror")
    assert noun_of(dest, "Food") == "dish"
    assert "repository" in json.loads((dest / DOWNLOAD_RECORD).read_bytes())
    assert not [*tmp_path.rglob("escaped"), *tmp_path.rglob("b.json")]


def test_packing_again_writes_the_same_bytes(root, mirror, tmp_path):
    pack(root, tmp_path / "again")
    first, second = (
        {p.relative_to(at): p.read_bytes() for p in at.rglob("*.*")} for at in (mirror, tmp_path / "again")
    )
    assert first == second
    assert len([path for path in first if path.suffix == ".tar"]) == 2 * (1 + 2)


def test_a_folder_with_a_file_in_the_place_of_its_images_is_packed_as_it_is(tmp_path):
    (tmp_path / "root" / "Food2_IP").mkdir(parents=True)
    (tmp_path / "root" / "Food2_IP" / "images").write_text("no folder")
    pack(tmp_path / "root", tmp_path / "mirror")
    with tarfile.open(tmp_path / "mirror" / "Food2_IP" / "0000.tar") as tar:
        assert tar.getnames() == ["Food2_IP/images"]


def test_archives_are_ordinary_tar_files(root, mirror, tmp_path):
    for archive in sorted(mirror.rglob("*.tar")):
        subprocess.run(["tar", "-xf", str(archive), "-C", str(tmp_path)], check=True)
    assert content(tmp_path) == content(root)


def test_a_mirror_keeps_the_commit_of_the_download(root, tmp_path):
    (root / DOWNLOAD_RECORD).write_text(json.dumps({"commit": COMMIT}))
    pack(root, tmp_path / "mirror")
    assert Mirror(str(tmp_path / "mirror")).commit("main") == COMMIT


def test_only_the_damaged_files_are_fetched_again(root, address, get):
    dest = get(address)
    first_image(dest).write_bytes(bytes(first_image(dest).stat().st_size))
    said: list[str] = []
    assert content(get(address, note=said.append)) == content(root)
    assert said[0].startswith("fetching 1 file,")


def test_another_commit_is_not_mixed_in(root, mirror, get, tmp_path):
    dest = get(mirror)
    first_image(dest).unlink()
    first_image(root).write_bytes(b"newer")
    pack(root, tmp_path / "newer")
    with pytest.raises(UserError, match="contains commit"):
        get(tmp_path / "newer")


def test_a_damaged_archive_does_not_stop_the_others(root, mirror, get):
    archive = mirror / "Food2_IP" / "0001.tar"
    with tarfile.open(archive) as tar:
        lost = set(tar.getnames())
    archive.write_bytes(bytes(archive.stat().st_size))
    (mirror / "Food2_IP" / "0002.tar").unlink()
    with pytest.raises(DataError, match=r"10 problems after the download, .* other bytes than it lists"):
        get(mirror)
    pack(root, mirror)
    assert lost
    assert content(get(mirror)) == content(root)


def test_an_archive_that_is_cut_is_named(mirror, get):
    archive = mirror / "Food2_IP" / "0001.tar"
    archive.write_bytes(archive.read_bytes()[:3000])
    with pytest.raises(DataError, match="another size than the"):
        get(mirror)


@pytest.mark.parametrize(
    "change",
    [
        {"archive": "../root/Food2_IP/0000.tar"},
        {"archive": "/etc/passwd"},
        {"archive": None},
        {"offset": 10**15},
        {"size": 10**15},
        {"path": "Food2_IP/../../escaped"},
        {"path": "/escaped"},
    ],
)
def test_a_hostile_listing_reads_and_writes_nothing_outside(mirror, get, tmp_path, change, monkeypatch):
    monkeypatch.setattr("harness.datasets.download._check_space", lambda dest, needed: None)
    path = mirror / "Food2_IP" / "listing.json"
    listing = json.loads(path.read_bytes())
    listing["files"][-1] |= change
    path.write_text(json.dumps(listing))
    with pytest.raises(DataError, match="problem"):
        get(mirror)
    assert not list(tmp_path.rglob("escaped"))


@pytest.mark.parametrize("text", ["", "[]", '{"commit": 3}', "<!DOCTYPE html><html>log in</html>", '{"folders": 3}'])
def test_a_damaged_index_is_an_error(mirror, get, text):
    (mirror / INDEX).write_text(text)
    with pytest.raises(DataError, match=INDEX):
        get(mirror)


def test_a_folder_that_is_no_mirror_is_an_error(tmp_path, get):
    with pytest.raises(DataError, match=r"no mirror: .*index.json cannot be read: no such file"):
        get(tmp_path)
    os.mkfifo(tmp_path / INDEX)
    with pytest.raises(DataError, match="named pipe"):
        get(tmp_path)
    with pytest.raises(UserError, match="is not a folder or an http"):
        Mirror("ftp://example.org")


def test_a_server_without_a_mirror_is_an_error(address, get):
    with pytest.raises(DataError, match="HTTP 404"):
        get(address + "elsewhere")


def test_killed_downloads_are_resumed(root, address, get, tmp_path):
    program = (
        "import sys, pathlib\n"
        "from harness.datasets.download import download\n"
        "from harness.datasets.mirror import Mirror\n"
        "print('ready', flush=True)\n"
        "download(pathlib.Path(sys.argv[1]), remote=Mirror(sys.argv[2]), workers=1)\n"
    )
    dest, wanted = tmp_path / "dest", content(root)
    for delay in (0.0, 0.03, 0.1):
        command = [sys.executable, "-c", program, str(dest), address]
        with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as process:
            assert process.stdout is not None
            process.stdout.readline()
            time.sleep(delay)
            process.send_signal(signal.SIGKILL)
        found = {path: data for path, data in content(dest).items() if not Path(path).name.startswith(".tmp-")}
        assert found.items() <= wanted.items(), "a file that has its name is complete"
    get(address)
    assert {path: data for path, data in content(dest).items() if ".tmp-" not in path} == wanted
