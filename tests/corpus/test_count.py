"""Counting whole corpora: formats, damage, shards, threads, order, interruption, addresses."""

from __future__ import annotations

import gzip
import itertools
import json
import signal
import subprocess
import sys
import time

import fsspec
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from harness.corpus import count as counting_module
from harness.corpus.caption_files import CaptionSource, choose_shard, find_sources
from harness.corpus.count import CountRequest, count_corpus
from harness.corpus.merge import merge
from harness.corpus.record import Counting, record_content
from harness.errors import DataError, HarnessError, StorageError, UserError
from harness.progress import NullReporter

NAMES = {"rose": (), "rose hip": ("dog rose",), "wolf": (), "zebra": (), "玫瑰": ()}
CAPTIONS = [
    "a red rose",
    "Rose hip tea",
    None,
    "wolves, rosé &amp; snow",
    "红玫瑰花",
    "dog-rose",
    "",
    "nothing",
    "a wolf",
]
SETTINGS = Counting(context_length=77, min_hits=1, evidence_per_concept=2)


def request(*patterns, **options):
    options = {"sources": find_sources(map(str, patterns)), "counting": SETTINGS, **options}
    return CountRequest("corpus", options.pop("names", NAMES), **options)


def counted(tmp_path, *patterns, **options):
    return count_corpus(request(*patterns, **options), tmp_path / "unfinished", NullReporter())


def text(captions):
    return "\n".join(caption or "" for caption in captions)


@pytest.fixture
def shards(tmp_path):
    """Four parquet files with rows of their own, of several row groups."""
    folder = tmp_path / "shards"
    folder.mkdir()
    for number in range(4):
        captions = [f"{caption} {number}" if caption else caption for caption in CAPTIONS * (number + 1)]
        pq.write_table(
            pa.table({"URL": captions, "TEXT": captions}), folder / f"part-{number}.parquet", row_group_size=5
        )
    return folder


def write(path, captions):
    """A file of captions in the format of its suffixes."""
    filled = [caption for caption in captions if caption is not None]
    content = {
        ".csv": lambda: "id,caption\n" + "".join(f'1,"{caption}"\n' for caption in filled),
        ".tsv": lambda: "id\tcaption\n" + "".join(f"1\t{caption}\n" for caption in filled),
        ".jsonl": lambda: "".join(json.dumps({"id": 1, "caption": caption}) + "\n" for caption in captions),
        ".txt": lambda: "\r\n".join(filled) + "\r\n",
    }[path.suffixes[0]]().encode()
    if path.suffix == ".gz":
        content = gzip.compress(content)
    if path.suffix == ".zst":
        sink = pa.BufferOutputStream()
        with pa.CompressedOutputStream(sink, "zstd") as stream:
            stream.write(content)
        content = sink.getvalue().to_pybytes()
    path.write_bytes(content)


@pytest.mark.parametrize(
    "name", ["a.csv", "a.tsv", "a.jsonl", "a.txt", "a.csv.gz", "a.jsonl.zst", "a.txt.gz", "a.tsv.zst"]
)
def test_formats_give_the_counts_of_parquet(tmp_path, name):
    pq.write_table(pa.table({"caption": CAPTIONS}), tmp_path / "a.parquet")
    write(tmp_path / name, CAPTIONS)
    expected, found = counted(tmp_path, tmp_path / "a.parquet"), counted(tmp_path, tmp_path / name)
    assert [(c.within, c.beyond) for c in found.concepts] == [(c.within, c.beyond) for c in expected.concepts]
    assert found.counting.captions == expected.counting.captions == 8
    assert [e.caption for e in found.by_name["rose hip"].evidence if e.rule == "phrase"] == ["Rose hip tea"]


@pytest.mark.parametrize(
    "kind",
    [pa.large_string(), pa.string_view(), pa.binary(), pa.binary_view(), pa.dictionary(pa.int32(), pa.string())],
)
def test_columns_of_any_text_type_are_read(tmp_path, kind):
    pq.write_table(pa.table({"caption": pa.array(CAPTIONS)}), tmp_path / "a.parquet")
    pq.write_table(pa.table({"caption": pa.array(CAPTIONS).cast(kind)}), tmp_path / "b.parquet")
    expected, found = (counted(tmp_path, tmp_path / name) for name in ("a.parquet", "b.parquet"))
    assert [c.within for c in found.concepts] == [c.within for c in expected.concepts]


def test_record_is_the_same_for_any_threads_order_and_sharding(tmp_path, shards):
    expected = record_content(counted(tmp_path, shards))
    files = sorted(shards.iterdir())
    for threads, order in ((3, files), (1, files[::-1]), (2, [files[2], files[0], files[3], files[1]])):
        assert record_content(counted(tmp_path, *order, threads=threads)) == expected
    assert record_content(counted(tmp_path, shards, in_python=True)) == expected
    for count in (2, 3, 4):
        parts = {}
        for number in range(1, count + 1):
            sources = choose_shard(find_sources([str(shards)]), f"{number}/{count}")
            parts[f"{number}.json"] = counted(tmp_path, sources=sources)
        for order in itertools.islice(itertools.permutations(parts), 6):
            assert record_content(merge({name: parts[name] for name in order})) == expected


def test_records_of_the_same_file_or_of_other_questions_do_not_add_up(tmp_path, shards):
    one, other = (counted(tmp_path, shards / f"part-{number}.parquet") for number in (0, 1))
    (tmp_path / "copy.parquet").write_bytes((shards / "part-0.parquet").read_bytes())
    with pytest.raises(UserError, match=r"a and b both count .*copy\.parquet"):
        merge({"a": one, "b": counted(tmp_path, tmp_path / "copy.parquet")})
    for change, reason in (
        ({"names": {"rose": ()}}, "different names"),
        ({"counting": SETTINGS.model_copy(update={"context_length": 32})}, "different context lengths: 77 and 32"),
    ):
        with pytest.raises(UserError, match=reason):
            merge({"a": one, "b": counted(tmp_path, shards / "part-1.parquet", **change)})
    assert merge({"a": one, "b": other}).counting.rows == one.counting.rows + other.counting.rows


def test_tsv_has_no_quoting(tmp_path):
    (tmp_path / "a.tsv").write_text('id\tcaption\n1\t"Rose" tea\n2\t"an open quotation mark\n3\ta wolf\n')
    found = counted(tmp_path, tmp_path / "a.tsv")
    assert found.counting.captions == 3
    assert [found.by_name[name].within.phrase for name in ("rose", "wolf")] == [1, 1]


def test_missing_column_lists_those_there_are(tmp_path, shards):
    with pytest.raises(UserError, match="has no column 'CAPTION': its columns are URL, TEXT"):
        counted(tmp_path, shards, column="CAPTION")
    for name in ("a.csv", "a.jsonl"):
        write(tmp_path / name, CAPTIONS)
        with pytest.raises(UserError, match="its columns are id, caption"):
            counted(tmp_path, tmp_path / name, column="text")
    write(tmp_path / "a.txt", CAPTIONS)
    with pytest.raises(UserError, match="plain text without columns"):
        counted(tmp_path, tmp_path / "a.txt", column="text")
    (tmp_path / "b.csv").write_text("caption,caption\nrose,wolf\n")
    with pytest.raises(UserError, match="several columns 'caption'"):
        counted(tmp_path, tmp_path / "b.csv")
    pq.write_table(pa.table({"caption": [1, 2]}), tmp_path / "a.parquet")
    with pytest.raises(UserError, match="of type int64, not text"):
        counted(tmp_path, tmp_path / "a.parquet")


@pytest.mark.parametrize("name", ["bad.parquet", "bad.jsonl.gz", "bad.txt.zst", "bad.csv"])
def test_damaged_file_is_an_error_or_skipped(tmp_path, shards, name):
    if name == "bad.parquet":
        (shards / name).write_bytes((shards / "part-3.parquet").read_bytes()[:-100])
    elif name == "bad.csv":
        (shards / name).write_text('caption,id\n"a rose",1\n"a",2,3\n')
    else:
        write(shards / name, [f"{caption} {i}" for i in range(200) for caption in CAPTIONS])
        (shards / name).write_bytes((shards / name).read_bytes()[:-20])
    with pytest.raises(DataError, match=f"{name} is damaged"):
        counted(tmp_path, shards)
    found = counted(tmp_path, shards, keep_going=True)
    assert [file.path.rpartition("/")[2] for file in found.counting.skipped] == [name]
    (shards / name).unlink()
    whole = counted(tmp_path, shards)
    assert found.concepts == whole.concepts
    assert found.counting.files == whole.counting.files


def test_a_damaged_row_group_leaves_nothing_of_its_file(tmp_path, shards):
    content = bytearray((shards / "part-3.parquet").read_bytes())
    page = pq.read_metadata(shards / "part-3.parquet").row_group(5).column(1).dictionary_page_offset
    content[page : page + 30] = b"\xff" * 30
    (shards / "part-3.parquet").write_bytes(content)
    found = counted(tmp_path, shards, keep_going=True)
    assert len(found.counting.skipped) == 1
    assert found.concepts == counted(tmp_path, *(shards / f"part-{i}.parquet" for i in range(3))).concepts


def test_finished_files_are_not_counted_again(tmp_path, shards, monkeypatch):
    expected = counted(tmp_path, shards)
    good = (shards / "part-3.parquet").read_bytes()
    (shards / "part-3.parquet").write_bytes(b"PAR1")
    with pytest.raises(DataError):
        counted(tmp_path, shards)
    (shards / "part-3.parquet").write_bytes(good)
    read = []
    monkeypatch.setattr(counting_module, "read_blocks", lambda source, column: read.append(source.path) or iter(()))
    resumed = counted(tmp_path, shards)
    assert [path.rpartition("/")[2] for path in read] == ["part-3.parquet"]
    assert [file.rows for file in resumed.counting.files[:3]] == [file.rows for file in expected.counting.files[:3]]
    monkeypatch.undo()
    assert record_content(counted(tmp_path, shards)) == record_content(expected)


@pytest.mark.parametrize("change", ["file", "names", "settings", "damage"])
def test_a_checkpoint_of_something_else_is_not_used(tmp_path, shards, change):
    (shards / "part-3.parquet").write_bytes(b"PAR1")
    with pytest.raises(DataError):
        counted(tmp_path, shards)
    (shards / "part-3.parquet").unlink()
    options = {}
    if change == "file":
        (shards / "part-0.parquet").write_bytes((shards / "part-2.parquet").read_bytes())
    elif change == "names":
        options["names"] = {"wolf": ()}
    elif change == "settings":
        options["counting"] = SETTINGS.model_copy(update={"min_hits": 2})
    else:
        (tmp_path / "unfinished").write_bytes((tmp_path / "unfinished").read_bytes()[:-50])
    found = counted(tmp_path, shards, **options)
    (tmp_path / "unfinished").unlink()
    assert record_content(found) == record_content(counted(tmp_path, shards, **options))


def test_addresses_are_read_through_fsspec(tmp_path, shards):
    memory = fsspec.filesystem("memory")
    for file in shards.iterdir():
        memory.pipe(f"/corpus/{file.name}", file.read_bytes())
    local, remote = counted(tmp_path, shards), counted(tmp_path, "memory://corpus/*.parquet", threads=2)
    assert [(c.verdict, c.within) for c in remote.concepts] == [(c.verdict, c.within) for c in local.concepts]
    assert [[(e.row, e.caption) for e in c.evidence] for c in remote.concepts] == [
        [(e.row, e.caption) for e in c.evidence] for c in local.concepts
    ]
    assert [(file.path, file.sha256) for file in remote.counting.files[:1]] == [
        ("memory:///corpus/part-0.parquet", None)
    ]
    assert all(file.etag for file in remote.counting.files)
    with pytest.raises(UserError, match="no file of captions matches memory://nowhere"):
        find_sources(["memory://nowhere/*.parquet"])
    with pytest.raises(StorageError, match="nosuchprotocol://a cannot be read"):
        find_sources(["nosuchprotocol://a"])


def test_sources_are_found_once_and_sorted(tmp_path, shards):
    files = [str(file) for file in sorted(shards.iterdir())]
    assert [s.path for s in find_sources([files[2], f"{shards}/*.parquet", str(shards)])] == files
    (shards / "readme.md").touch()
    with pytest.raises(UserError, match=r"none of the suffixes"):
        find_sources([str(shards / "readme.md")])
    with pytest.raises(UserError, match="no file of captions matches"):
        find_sources([f"{tmp_path}/*.csv"])
    for shard in ("0/2", "3/2", "x", "1/", "4/9"):
        with pytest.raises(UserError):
            choose_shard([CaptionSource("a.txt")] * 3, shard)


def test_a_path_that_is_not_utf8_is_refused(tmp_path):
    (tmp_path / "b\udcff.txt").touch()
    with pytest.raises(DataError, match=r"b.udcff\.txt' cannot be named in a record"):
        find_sources([str(tmp_path)])


def test_a_file_with_several_paths_is_counted_once(tmp_path):
    (tmp_path / "sub").mkdir()
    (tmp_path / "a.txt").write_text("a rose")
    (tmp_path / "link.txt").symlink_to("a.txt")
    found = find_sources(
        [str(tmp_path / name) for name in ("link.txt", "sub/../a.txt", "a.txt")] + [f"file://{tmp_path}/a.txt"]
    )
    assert [source.path for source in found] == [str(tmp_path / "a.txt")]


def test_files_without_a_caption_decide_nothing(tmp_path):
    (tmp_path / "a.txt").touch()
    with pytest.raises(DataError, match="no caption in these files"):
        counted(tmp_path, tmp_path / "a.txt")


def test_unreadable_file_is_named(tmp_path, shards):
    (shards / "part-4.parquet").symlink_to("nowhere")
    sources = [*find_sources([str(shards)]), CaptionSource(str(shards / "part-4.parquet"))]
    with pytest.raises(HarnessError, match=r"part-4\.parquet cannot be read: no such file"):
        counted(tmp_path, sources=sources)


@pytest.mark.slow
def test_killed_count_leaves_no_record_and_goes_on(tmp_path):
    for number in range(30):
        captions = [f"{caption} {number}" for caption in CAPTIONS] * 1_000
        pq.write_table(pa.table({"TEXT": captions}), tmp_path / f"part-{number:02}.parquet")
    (tmp_path / "names.json").write_text(json.dumps({name: list(synonyms) for name, synonyms in NAMES.items()}))
    command = [
        sys.executable,
        "-c",
        "import harness.corpus.count as c; c.SAVE_EVERY = 0; from harness.cli.main import run; run()",
    ]
    command += ["corpus", "count", f"{tmp_path}/*.parquet", "--names", str(tmp_path / "names.json"), "--threads", "1"]
    process = subprocess.Popen([*command, "--out", str(tmp_path / "a.json")], stderr=subprocess.DEVNULL)
    while not (tmp_path / "a.json.unfinished").exists():
        time.sleep(0.01)
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert not (tmp_path / "a.json").exists()
    resumed = subprocess.run([*command, "--out", str(tmp_path / "a.json")], capture_output=True, text=True, check=True)
    assert "of 30 files are counted already" in resumed.stderr
    subprocess.run([*command, "--out", str(tmp_path / "b.json")], capture_output=True, check=True)
    assert (tmp_path / "a.json").read_bytes() == (tmp_path / "b.json").read_bytes()
    assert not (tmp_path / "a.json.unfinished").exists()


def test_a_shard_of_one_file_says_that_shards_are_of_files() -> None:
    with pytest.raises(UserError) as found:
        choose_shard([CaptionSource("a.txt")], "2/2")
    assert str(found.value) == (
        "shard 2/2 has no file: shards are of files, and the captions are in 1 file\n"
        "hint: use at most 1 shard, or split the files"
    )
