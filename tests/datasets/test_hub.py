"""The real huggingface_hub against a small server on this machine with the Hub's protocol."""

from __future__ import annotations

import json
import shutil
import socket
from datetime import datetime, timedelta, timezone
from email.utils import format_datetime
from pathlib import Path

import pytest

from harness.datasets.download import download
from harness.datasets.hub import REPOSITORY, HuggingFace, translate_errors
from harness.datasets.identity import DOWNLOAD_RECORD
from harness.datasets.remote import FileFault, RemoteBusy, RemoteFile, retry_after
from harness.errors import DataError, UserError

from .hub_server import API, COMMIT, Server

FOLDERS = {"Été d'or2_OOP": ("rose hip", "Père #1?"), "Food1_IP": ("oak",)}
PORTAL = b"<!DOCTYPE html><html><title>Airport WLAN</title>Please log in</html>"


@pytest.fixture
def get(hub, tmp_path):
    """Download from the server into ``dest`` without waiting."""
    return lambda **options: download(tmp_path / "dest", remote=hub, sleep=lambda seconds: None, **options)


def content(root: Path) -> dict[str, bytes]:
    files = [path for path in root.rglob("*") if path.is_file() and path.parts[len(root.parts)] in FOLDERS]
    return {path.relative_to(root).as_posix(): path.read_bytes() for path in files}


def images(root: Path) -> list[Path]:
    return sorted(path for path in root.rglob("*.*") if "images" in path.parts)


def resolved(server: Server) -> dict[str, int]:
    """Requests for the content or the metadata of files, by path."""
    return {path: count for path, count in server.requests.items() if "/resolve/" in path}


def test_each_file_is_requested_once(server, get):
    dest = get()
    assert content(dest) == content(server.root)
    assert len(resolved(server)) == len(content(dest))
    assert set(resolved(server).values()) == {1}
    assert all(path.startswith("GET ") for path in resolved(server))
    assert json.loads((dest / DOWNLOAD_RECORD).read_bytes())["commit"] == COMMIT


def test_a_complete_download_sends_no_request(server, get):
    get()
    server.requests.clear()
    get()
    assert not server.requests


def test_files_with_another_content_and_the_right_size_are_fetched_again(server, get):
    dest = get()
    flipped, zeroed, split = images(dest)[0], images(dest)[1], dest / "Food1_IP" / "split_Xin_Food1_IP.json"
    for path in (flipped, split):
        path.write_bytes(bytes(255 - byte for byte in path.read_bytes()))
    zeroed.write_bytes(bytes(zeroed.stat().st_size))
    with pytest.raises(DataError, match="is incomplete: Food1_IP has 3 problems"):
        get(offline=True)
    server.requests.clear()
    get()
    assert content(dest) == content(server.root)
    assert len(resolved(server)) == 3


def test_bytes_that_differ_from_the_listing_are_not_stored(server, hub, get):
    hub.files("Food1_IP", COMMIT)  # the server lists the old content
    bad = images(server.root / "Food1_IP")[0]
    bad.write_bytes(bytes(bad.stat().st_size))
    with pytest.raises(
        DataError, match=r"1 problem after the download, .* other bytes than it lists: their sha256"
    ) as e:
        get()
    assert "fetches only what is missing" in e.value.hint
    dest = Path(bad.as_posix().replace("/source/", "/dest/"))
    assert not dest.exists()
    assert len(list(dest.parent.iterdir())) == len(list(bad.parent.iterdir())) - 1, "the others are there, and no rest"


def test_one_bad_file_does_not_stop_the_others(server, get):
    paths = ["/".join(path.parts[-3:]) for path in images(server.root / "Food1_IP")]
    server.faults = {
        paths[0]: [(404, {}, b"")],
        paths[1]: [(500, {}, b"")] * 8,
        paths[2]: [(200, {}, PORTAL)],
        paths[3]: [(200, {}, b"cut")],
    }
    with pytest.raises(DataError, match="4 problems after the download"):
        get()
    server.requests.clear()
    assert content(get()) == content(server.root)
    assert len(resolved(server)) == 4


def test_local_faults_are_not_retried(server, get, tmp_path):
    folder = tmp_path / "dest" / "Food1_IP" / "images" / "oak"
    names = [path.name for path in images(server.root / "Food1_IP")]
    (folder / names[0] / "inside").mkdir(parents=True)
    (server.root / "Food1_IP" / "images" / "oak" / ("x" * 250)).write_text("fits")
    (tmp_path / "dest" / "Food1_IP" / "label2name.json").mkdir()
    waits: list[float] = []
    with pytest.raises(DataError, match=r"2 problems .* cannot be written: is a directory"):
        download(tmp_path / "dest", remote=HuggingFace(endpoint=server.address), sleep=waits.append)
    assert not waits
    assert len(list(folder.iterdir())) == len(names) + 1


def test_a_file_in_the_place_of_a_folder_is_named(server, get, tmp_path):
    (tmp_path / "dest" / "Food1_IP").mkdir(parents=True)
    (tmp_path / "dest" / "Food1_IP" / "images").write_text("a file")
    with pytest.raises(DataError, match=r"cannot be written: (not a directory|file exists)"):
        get()
    assert (tmp_path / "dest" / "Food1_IP" / "split_Xin_Food1_IP.json").exists()


def test_a_full_disk_stops_the_download(server, get, monkeypatch):
    def full(path: Path, content: bytes) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("harness.datasets.download.write_atomic", full)
    with pytest.raises(Exception, match=r"cannot be written to .*: no space left on device"):
        get(workers=1)
    assert len(resolved(server)) < 40


@pytest.mark.parametrize("end", ["/revision/main", f"/tree/{COMMIT}", "/tree/" + COMMIT + "/Food1_IP"])
def test_a_captive_portal_is_named(server, get, end):
    server.faults[end] = [(200, {"Content-Type": "text/html"}, PORTAL)] * 3
    with pytest.raises(DataError, match="the server sent a web page: log in to this network"):
        get()


@pytest.mark.parametrize(
    "listing",
    [
        "text",
        [3],
        [{"type": "file", "size": 3, "oid": "a" * 40}],
        [{"type": "file", "path": "Food1_IP/a", "size": "3", "oid": "a" * 40}],
        [{"type": "file", "path": "Food1_IP/a", "size": -3, "oid": "a" * 40}],
        [{"type": "file", "path": "Food1_IP/a", "size": 10**400, "oid": "a" * 40}],
        [{"type": "file", "path": "Food1_IP/a", "size": 3, "oid": "../../x"}],
        [{"type": "file", "path": "Food1_IP/a", "size": 3, "oid": "a" * 40, "lfs": {"size": 3}}],
        [{"type": "file", "path": 7, "size": 3, "oid": "a" * 40}],
        [{"type": "file", "path": "Food1_IP/a", "size": 3, "oid": "a" * 40, "lfs": "x"}],
    ],
)
def test_malformed_listings_are_errors(server, get, listing):
    server.listing = listing
    with pytest.raises(DataError, match="answer is malformed"):
        get()


def test_a_listing_that_is_nested_too_deeply_is_not_asked_for_again(server, tmp_path):
    answers = [(200, {"Content-Type": "application/json"}, b"[" * 100_000)] * 2
    server.faults[f"/tree/{COMMIT}/Food1_IP"] = answers
    waits: list[float] = []
    with pytest.raises(DataError, match="answer is malformed: RecursionError"):
        download(tmp_path / "dest", remote=HuggingFace(endpoint=server.address), sleep=waits.append)
    assert (waits, len(answers)) == ([], 1)


@pytest.mark.parametrize("end", ["/revision/main", f"/tree/{COMMIT}/Food1_IP", "label2name.json"])
def test_a_server_that_asks_to_wait_for_ever_is_an_error(server, get, end):
    server.faults[end] = [(429, {"Retry-After": "9" * 20}, b"")] * 9
    with pytest.raises(DataError, match="asks to wait"):
        get()


def test_images_missing_from_the_listing_are_looked_up(server, get):
    server.unlisted = {path.relative_to(server.root).as_posix() for path in images(server.root)[:5]}
    assert content(get()) == content(server.root)
    server.requests.clear()
    get()
    assert not server.requests, "they are part of the stored listing"


def test_a_damaged_listing_is_fetched_again(server, get):
    dest = get()
    for path in (dest / ".laion_beyond").iterdir():
        path.write_bytes(path.read_bytes()[:-9])
    get()
    assert not resolved(server).keys() - {f"GET /datasets/{REPOSITORY}/resolve/{COMMIT}/{p}" for p in content(dest)}
    assert max(resolved(server).values()) == 1


def test_xet_files_come_from_xet_storage(server, hub, get, monkeypatch):
    calls = []

    def xet_get(*, incomplete_path, xet_file_data, headers, expected_size):
        calls.append((xet_file_data, expected_size))
        shutil.copy(images(server.root)[0], incomplete_path)

    monkeypatch.setattr("huggingface_hub.file_download.xet_get", xet_get)
    monkeypatch.setattr("harness.datasets.hub._xet_available", lambda: True)
    listed = next(
        f for f in hub.files("Food1_IP", COMMIT) if f.path == images(server.root)[0].relative_to(server.root).as_posix()
    )
    file = listed.model_copy(update={"xet": "b" * 64})
    assert b"".join(*(blocks for _, blocks in hub.fetch([file], COMMIT))) == images(server.root)[0].read_bytes()
    assert not resolved(server)
    assert calls[0][0].file_hash == "b" * 64
    assert calls[0][0].refresh_route == f"{server.address}{API}/xet-read-token/{COMMIT}"
    assert calls[0][1] == file.size


def test_a_large_file_comes_in_blocks(server, hub):
    path = images(server.root / "Food1_IP")[0]
    path.write_bytes(bytes(range(256)) * (1 << 14))
    file = next(f for f in hub.files("Food1_IP", COMMIT) if f.size == 1 << 22)
    ((_, blocks),) = hub.fetch([file], COMMIT)
    sizes = [len(block) for block in file.verified(blocks)]
    assert (sum(sizes), max(sizes) < file.size / 4) == (file.size, True)


def test_the_rate_limit_and_the_token_are_said_before_the_start(monkeypatch):
    files = [RemoteFile(path=f"a/{i}", size=1, checksum="sha256:" + "0" * 64) for i in range(9000)]
    monkeypatch.setenv("HF_TOKEN", "")
    monkeypatch.setattr("huggingface_hub.utils._headers.get_token", lambda: None)
    said = str(HuggingFace(endpoint="https://huggingface.co").advice(files))
    assert "3,000 files in 5 minutes without a token: 9,000 files take at least 15 minutes" in said
    assert "`hf auth login` or HF_TOKEN raises the limit to 5,000" in said
    monkeypatch.setattr("huggingface_hub.utils._headers.get_token", lambda: "hf_x")
    hub = HuggingFace(endpoint="https://huggingface.co")
    assert "5,000 files in 5 minutes with a token" in str(hub.advice(files))
    assert hub.advice(files[:100]) is None
    monkeypatch.setattr("harness.datasets.hub._xet_available", lambda: True)
    assert hub.advice([file.model_copy(update={"xet": "b" * 64}) for file in files]) is None


def test_what_is_fetched_is_said_before_the_start(server, get):
    said: list[str] = []
    get(note=said.append)
    assert said == [f"fetching {len(content(server.root))} files, 0.00 GB, from {REPOSITORY}"]
    get(note=said.append)
    assert len(said) == 1


def test_too_many_requests(server, hub):
    server.faults["/revision/main"] = [(429, {"Retry-After": "7"}, b"")]
    with pytest.raises(RemoteBusy, match="HTTP 429") as error:
        hub.commit("main")
    assert error.value.retry_after == 7
    assert hub.commit("main") == COMMIT


@pytest.mark.parametrize(
    ("status", "error", "sentence"),
    [
        (401, DataError, "does not give access to revision main"),
        (403, DataError, "does not give access to revision main"),
        (404, DataError, "the Hub has no revision main"),
        (503, RemoteBusy, "HTTP 503 for revision main"),
    ],
)
def test_http_statuses_become_errors_or_retries(server, hub, status, error, sentence):
    server.faults["/revision/main"] = [(status, {}, b"")]
    with pytest.raises(error, match=sentence):
        hub.commit("main")


def test_missing_files_and_bad_names(server, hub):
    missing = RemoteFile(path="Food1_IP/images/oak/none.jpg", size=1, checksum="sha256:" + "0" * 64)
    with pytest.raises(FileFault, match=r"the Hub has no .*none\.jpg"):
        [list(blocks) for _, blocks in hub.fetch([missing], COMMIT)]
    with pytest.raises(DataError, match="is not a valid name"):
        HuggingFace("not//valid").commit("main")


def test_connection_errors_are_retried(tmp_path, monkeypatch):
    monkeypatch.setenv("NO_PROXY", "*")
    hub = HuggingFace(endpoint="http://127.0.0.1:9")
    with pytest.raises(DataError, match="the server did not answer after 3 tries") as error:
        download(tmp_path, remote=hub, sleep=lambda seconds: None)
    assert "--offline" in error.value.hint


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
    assert retry_after(headers) == seconds


def test_retry_after_a_date():
    date = datetime.now(timezone.utc) + timedelta(seconds=100)
    assert retry_after({"retry-after": format_datetime(date, usegmt=True)}) == pytest.approx(100, abs=5)


@pytest.mark.parametrize("endpoint", ["hf-mirror.com", "hf-mirror.com:443", "https://", "ftp://hf-mirror.com"])
def test_an_invalid_endpoint_is_a_user_error(endpoint: str) -> None:
    with pytest.raises(UserError, match=f"HF_ENDPOINT is '{endpoint}', which is not the address") as found:
        HuggingFace(endpoint=endpoint)
    assert "HF_ENDPOINT=https://" in str(found.value.hint)


def test_a_name_that_does_not_resolve_is_not_tried_again() -> None:
    with pytest.raises(DataError, match="the server's name does not resolve"), translate_errors("a/b"):
        raise OSError("request failed") from socket.gaierror(socket.EAI_NONAME, "Name or service not known")
