"""The folders on disk: LAION-Beyond's format, the same bytes every time, nothing overwritten."""

import errno
import hashlib
import json
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import psutil
import pytest

from harness.corpus.record import read_record
from harness.datasets.identity import IDENTITY
from harness.datasets.layout import RECORDS
from harness.errors import DataError, HarnessError, StorageError
from harness.execution.executors import here
from harness.miniature import build as built
from harness.miniature.build import PARTS, build, classes, folder, instances
from harness.miniature.fingerprint import verify
from harness.miniature.names import oop_stems
from harness.miniature.world.domains import DOMAINS
from harness.miniature.world.photograph import jpeg, photograph

from ..processes import gone


def one_picture(concept, instance) -> bytes:
    """The image file of a class that the fingerprint has a sample of, in the place of each of its images."""
    label = classes(concept.domain, concept.role).index(concept)
    key = (concept.domain, concept.number)
    if key not in PICTURES:
        PICTURES[key] = jpeg(photograph(concept, label))
    return PICTURES[key]


PICTURES: dict[tuple[str, int], bytes] = {}


@pytest.fixture(scope="module")
def root(shared_folder) -> Path:
    """The miniature with one picture a class, which tests only read: the first process that needs it builds it."""
    home = shared_folder / "miniature"
    home.mkdir(exist_ok=True)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(built, "photograph", one_picture)
        patch.setattr(built, "jpeg", bytes)
        return build(home / "mini", workers=1)


@pytest.fixture
def small(monkeypatch):
    """A world of one domain, for tests that build more than once."""
    monkeypatch.setattr(built, "DOMAINS", {"Food": DOMAINS["Food"]})
    monkeypatch.setattr(built, "PARTS", {"ip": {"train": 1, "val": 1, "test": 1}, "oop": {"train": 1, "test": 1}})


def digest(root: Path) -> dict[str, str]:
    files = sorted(path for path in root.rglob("*") if path.is_file())
    return {str(path.relative_to(root)): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


def test_the_folders_are_complete(root):
    folders = {path.name for path in root.iterdir() if path.is_dir()}
    assert folders == {folder(domain, role) for domain in DOMAINS for role in PARTS} | {RECORDS}
    assert read_record(root / RECORDS / "beyond-mini.json").kind == "counted"
    assert {"Animals20_IP", "Plants_Fugi24_OOP"} < folders
    identity = json.loads((root / IDENTITY).read_text())
    assert identity["images"] == len(list(root.rglob("*.jpg"))) == 14400
    assert [path.name for path in root.parent.iterdir() if ".partial" in path.name] == []


@pytest.mark.parametrize("domain", DOMAINS)
@pytest.mark.parametrize("role", PARTS)
def test_the_format_is_the_released_one(root, domain, role):
    here = root / folder(domain, role)
    split = json.loads((here / f"split_Xin_{here.name}.json").read_text())
    label2name = json.loads((here / "label2name.json").read_text())
    name2label = json.loads((here / "name2label.json").read_text())
    assert {int(label): name for label, name in label2name.items()} == {v: k for k, v in name2label.items()}
    assert sorted(path.name for path in (here / "images").iterdir()) == sorted(name2label)
    seen = set()
    for part, count in PARTS[role].items():
        items = split[part]
        assert list(items) == [str(i) for i in range(len(name2label) * count)]
        for item in items.values():
            assert item["label"] == name2label[item["classname"]]
            seen.add(f"{item['classname']}/{item['image_name']}")
    assert seen == {f"{p.parent.name}/{p.name}" for p in (here / "images").rglob("*.jpg")}
    listed = json.loads((here / "merged_mapping.json").read_text())  # class -> files, as the released clustering reads
    assert list(listed) == list(name2label)
    assert sorted(seen) == sorted(f"{name}/{file}" for name, files in listed.items() for file in files)
    captions = [item.get("INFO", {}).get("Refined_caption3") for part in split.values() for item in part.values()]
    assert 0 < captions.count(None) < 0.1 * len(captions)


def test_the_shipped_fingerprint_fits(root):
    assert verify(root) in ("exact", "within tolerance")


@pytest.mark.slow
def test_the_whole_miniature_fits_the_shipped_fingerprint(tmp_path):
    assert verify(build(tmp_path / "mini")) in ("exact", "within tolerance")


def test_processes_draw_every_image_of_its_number(tmp_path, monkeypatch):
    monkeypatch.setattr(built, "DOMAINS", {"Food": DOMAINS["Food"]})
    root, drawn = build(tmp_path / "mini", workers=2), []
    for role in PARTS:
        for concept in classes("Food", role):
            place = root / folder("Food", role) / "images" / built.names("Food")[concept.number].text
            files = [place / built.file_name(number) for _, number in instances(role)]
            drawn.append(hashlib.sha256(b"".join(file.read_bytes() for file in files)).hexdigest())
        assert files[5].read_bytes() == jpeg(photograph(concept, 5))
    identity = json.loads((root / IDENTITY).read_text())
    assert identity["images_sha256"] == hashlib.sha256("".join(drawn).encode()).hexdigest()


def test_verify_sees_another_image_and_a_missing_one(root, tmp_path):
    for path in root.rglob("*"):
        target = tmp_path / path.relative_to(root)
        if path.is_dir():
            target.mkdir(exist_ok=True)
        else:
            target.hardlink_to(path)
    victim, other = (
        tmp_path / folder("Food", "oop") / "images" / built.names("Food")[concept.number].text / "00000.jpg"
        for concept in classes("Food", "oop")[:2]
    )
    victim.unlink()
    victim.write_bytes(other.read_bytes())
    assert verify(tmp_path) == "different"
    victim.unlink()
    with pytest.raises(DataError, match="not a complete miniature"):
        verify(tmp_path)


def test_a_finished_miniature_is_left_alone(root):
    before = (root / IDENTITY).stat().st_mtime_ns
    assert build(root, workers=1) == root
    assert (root / IDENTITY).stat().st_mtime_ns == before


def test_a_finished_miniature_is_served_where_nothing_can_be_written(root, monkeypatch):
    def read_only(*arguments):
        raise OSError(errno.EROFS, "Read-only file system")

    monkeypatch.setattr("harness.datasets.whole_folder.FileLock", read_only)
    assert build(root) == root
    with pytest.raises(StorageError, match=r"the miniature cannot be written to .*other: read-only file system"):
        build(root.parent / "other")


@pytest.mark.usefixtures("small")
def test_every_build_has_the_same_bytes(tmp_path):
    calls = []
    one = build(tmp_path / "one", lambda done, total: calls.append((done, total)), workers=1)
    two = build(tmp_path / "two", workers=1)
    assert digest(one) == digest(two)
    assert calls == [(i, 44) for i in range(1, 45)]


@pytest.mark.usefixtures("small")
def test_what_a_killed_build_left_is_replaced(tmp_path):
    (tmp_path / ".mini.partial" / "Food20_IP" / "images").mkdir(parents=True)
    (tmp_path / "mini").mkdir()  # an empty folder is no obstacle
    assert verify_small(build(tmp_path / "mini", workers=1))


@pytest.mark.usefixtures("small")
def test_a_build_that_fails_leaves_nothing_that_takes_room(tmp_path, monkeypatch):
    def full(path, content):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(built, "write_document", full)
    with pytest.raises(StorageError, match=r"cannot be written to .*: no space left") as error:
        build(tmp_path / "mini", workers=1)
    assert error.value.hint == "free some space, or choose another folder with --out"
    assert list(tmp_path.iterdir()) == []


def test_a_full_disk_is_a_sentence_in_processes_too(tmp_path, monkeypatch):
    def full(task):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(built, "processes", here)
    monkeypatch.setattr(built, "_write_class", full)
    with pytest.raises(StorageError, match=r"cannot be written to .*: no space left"):
        build(tmp_path / "mini", workers=2)
    assert list(tmp_path.iterdir()) == []


def test_no_process_outlives_a_build_that_is_killed(tmp_path):
    code = (
        f"from pathlib import Path\nfrom harness.miniature.build import build\nbuild(Path({str(tmp_path / 'mini')!r}))"
    )
    with subprocess.Popen([sys.executable, "-c", code]) as building:
        try:
            deadline = time.monotonic() + 60
            while not any(tmp_path.rglob("*.jpg")) and time.monotonic() < deadline:
                time.sleep(0.02)
            drawing = [process.pid for process in psutil.Process(building.pid).children(recursive=True)]
            assert len(drawing) >= 2
        finally:
            building.kill()
    assert gone(*drawing)
    assert not (tmp_path / "mini").exists()


def test_a_file_system_without_locks_is_a_sentence(tmp_path, monkeypatch):
    def missing(path):
        raise NotImplementedError("FileSystem does not appear to support flock; use SoftFileLock instead")

    monkeypatch.setattr("harness.datasets.whole_folder.FileLock", missing)
    with pytest.raises(StorageError, match=r"cannot be written to .*mini: the file system has no locks"):
        build(tmp_path / "mini")


def verify_small(root: Path) -> bool:
    return len(list(root.rglob("*.jpg"))) == 20 * 3 + 24 * 2


@pytest.mark.usefixtures("small")
def test_two_builds_at_once_do_not_collide(tmp_path):
    with ThreadPoolExecutor(2) as pool:
        roots = list(pool.map(lambda _: build(tmp_path / "mini", workers=1), range(2)))
    assert roots[0] == roots[1]
    assert verify_small(roots[0])


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ({"notes.txt": "mine"}, "is not a miniature"),
        ({IDENTITY: '{"revision": "beyond-mini-0"}'}, "another world"),
        ({IDENTITY: "{"}, "is damaged"),
        ({IDENTITY: "[]"}, "is damaged"),
    ],
)
def test_nothing_is_overwritten(tmp_path, content, message):
    for name, text in content.items():
        (tmp_path / "mini").mkdir(exist_ok=True)
        (tmp_path / "mini" / name).write_text(text)
    before = digest(tmp_path / "mini")
    with pytest.raises(HarnessError, match=message):
        build(tmp_path / "mini", workers=1)
    assert digest(tmp_path / "mini") == before


def test_a_file_in_the_way_is_a_sentence(tmp_path):
    (tmp_path / "mini").write_text("a file")
    with pytest.raises(StorageError, match="is not a miniature"):
        build(tmp_path / "mini")


def test_parts_do_not_overlap():
    for role, parts in PARTS.items():
        every = list(instances(role))
        assert [number for _, number in every] == list(range(sum(parts.values())))
    assert len(oop_stems()) == 216


def test_building_needs_no_torch():
    modules = ", ".join(f"harness.miniature.{name}" for name in ("build", "corpus", "fingerprint", "model"))
    code = f"import sys, {modules}; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
