"""Every form of source yields the same samples, and a bad one is one sentence."""

from __future__ import annotations

import json
import re
import tarfile
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from harness.datasets.importing.find_source import read_source
from harness.datasets.importing.sample import Columns, ImageSample
from harness.errors import DataError, HarnessError, UserError

from .sources import CLASSES, archive, image_folder, picture

COLUMNS = Columns()


def read(*given: Path | str, columns: Columns = COLUMNS, images: Path | None = None) -> tuple[ImageSample, ...]:
    return read_source([str(one) for one in given], columns, images).samples


def seen(samples: tuple[ImageSample, ...]) -> list[tuple[str, str | None, str | None, bytes]]:
    return [(one.classname, one.part, one.caption, one.read()) for one in samples]


ROWS = [
    ("fire engine", "train", "a red fire engine", picture(0)),
    ("fire engine", "test", None, picture(1)),
    ("cart", "val", "two, carts", picture(2)),
]


def write_images(folder: Path) -> list[str]:
    (folder / "files").mkdir(parents=True)
    for i, row in enumerate(ROWS):
        (folder / "files" / f"{i}.png").write_bytes(row[3])
    return [f"files/{i}.png" for i in range(len(ROWS))]


def as_csv(folder: Path) -> list[Path]:
    lines = ["image,class,split,caption"]
    lines += [
        f'{p},{c},{part},"{text or ""}"' for p, (c, part, text, _) in zip(write_images(folder), ROWS, strict=True)
    ]
    (folder / "pets.csv").write_text("\ufeff" + "\r\n".join(lines) + "\n", encoding="utf-8")
    return [folder / "pets.csv"]


def as_tsv(folder: Path) -> list[Path]:
    lines = ["image\tclass\tsplit\tcaption"]
    lines += [f"{p}\t{c}\t{part}\t{t or ''}" for p, (c, part, t, _) in zip(write_images(folder), ROWS, strict=True)]
    (folder / "pets.tsv").write_text("\n".join(lines), encoding="utf-8")
    return [folder / "pets.tsv"]


def table(images: pa.Array, metadata: dict[str, str] | None = None, classes: list[object] | None = None) -> pa.Table:
    values = {
        "image": images,
        "class": classes or [row[0] for row in ROWS],
        "split": [row[1] for row in ROWS],
        "caption": [row[2] for row in ROWS],
    }
    return pa.table(values).replace_schema_metadata(metadata)


def as_paths(folder: Path) -> list[Path]:
    pq.write_table(table(pa.array(write_images(folder))), folder / "pets.parquet")
    return [folder / "pets.parquet"]


def as_bytes(folder: Path) -> list[Path]:
    folder.mkdir()
    pq.write_table(table(pa.array([row[3] for row in ROWS], pa.binary())), folder / "pets.parquet", row_group_size=1)
    return [folder / "pets.parquet"]


def as_hub_parquet(folder: Path) -> list[Path]:
    """Images as the Hub stores them, classes as numbers with names in the metadata; the folder is given."""
    folder.mkdir()
    feature = {"_type": "ClassLabel", "names": ["cart", "fire engine"]}
    metadata = {"huggingface": json.dumps({"info": {"features": {"class": feature}}})}
    images = pa.array([{"bytes": row[3], "path": f"{i}.png"} for i, row in enumerate(ROWS)])
    pq.write_table(table(images, metadata, [1, 1, 0]), folder / "pets.parquet")
    return [folder]


def as_archives(folder: Path) -> list[Path]:
    """An archive for each part; classes in .cls, .json and as folders."""
    folder.mkdir()
    fields = json.dumps({"class": "cart", "split": "val", "caption": "two, carts"}).encode()
    return [
        archive(
            folder / "train-000.tar",
            {"a/1.png": ROWS[0][3], "a/1.cls": b"fire engine", "a/1.txt": b"a red fire engine", ".hidden": b"x"},
        ),
        archive(folder / "test-000.tar", {"fire engine/1.seg.png": ROWS[1][3], "fire engine/1.mask.png": b""}),
        archive(folder / "all.tar", {"1.json": fields, "1.png": ROWS[2][3]}),
    ]


def test_one_image_of_a_record_is_read_and_the_others_are_counted(tmp_path):
    files = {"cat/1.png": picture(1), "cat/1.mask.png": picture(2), "cat/1.edges.png": picture(3)}
    source = read_source([str(archive(tmp_path / "a.tar", files))], COLUMNS)
    assert [sample.file for sample in source.samples] == ["1.png"]
    assert source.notes == ("2 images after the first of a record: left out",)


def test_an_archive_with_a_file_twice_is_refused(tmp_path):
    path = archive(tmp_path / "t.tar", {"1.png": picture(1), "1.cls": b"cat"})
    with tarfile.open(path, "a") as tar:
        tar.addfile(tarfile.TarInfo("1.cls"))
    refuses("t.tar has two files 1.cls", path)


FORMS = (as_csv, as_tsv, as_paths, as_bytes, as_hub_parquet, as_archives)


@pytest.mark.parametrize("write", FORMS)
def test_every_form_yields_the_same_samples(write, tmp_path):
    assert seen(read(*write(tmp_path / "source"))) == ROWS


@pytest.mark.parametrize("write", FORMS)
def test_nothing_is_written_into_a_source(write, tmp_path):
    given = write(tmp_path / "source")
    before = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*")}
    for sample in read(*given):
        sample.read()
    assert {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*")} == before


def test_a_saved_hugging_face_data_set_yields_the_same_samples(tmp_path):
    datasets = pytest.importorskip("datasets")
    rows = [{"image": {"bytes": data, "path": None}, "class": name, "caption": text} for name, _, text, data in ROWS]
    features = datasets.Features(
        {
            "image": datasets.Image(),
            "class": datasets.ClassLabel(names=["cart", "fire engine"]),
            "caption": datasets.Value("string"),
        }
    )
    splits = {row[1]: datasets.Dataset.from_list([one], features=features) for row, one in zip(ROWS, rows, strict=True)}
    splits["unlabeled"] = splits["train"]
    datasets.DatasetDict(splits).save_to_disk(tmp_path / "saved")
    source = read_source([str(tmp_path / "saved")], COLUMNS)
    assert sorted(seen(source.samples)) == sorted(ROWS, key=lambda row: row[:2])
    assert source.notes == ("split unlabeled is neither train, val nor test: left out",)
    with pytest.raises(UserError, match=r"no column 'label'; its columns are image, class, caption"):
        read(tmp_path / "saved", columns=Columns(classname="label"))


def test_class_folders_are_classes_and_part_folders_parts(tmp_path):
    plain = read(image_folder(tmp_path / "plain"))
    assert {(one.classname, one.part) for one in plain} == {(name, None) for name in CLASSES}
    image_folder(tmp_path / "parts" / "train")
    image_folder(tmp_path / "parts" / "Validation", CLASSES[:1], first=50)
    image_folder(tmp_path / "parts" / "test", CLASSES[1:], first=90)
    parts = {(one.classname, one.part) for one in read(tmp_path / "parts")}
    assert parts == {(n, "train") for n in CLASSES} | {(CLASSES[0], "val")} | {(n, "test") for n in CLASSES[1:]}


def test_a_class_may_be_called_like_a_part(tmp_path):
    assert {one.classname for one in read(image_folder(tmp_path / "vehicles", ("train", "car")))} == {"train", "car"}


def test_files_that_are_left_out_of_a_folder_are_noted(tmp_path):
    image_folder(tmp_path / "source", ("car",))
    (tmp_path / "source" / "car" / "notes.txt").write_text("x")
    (tmp_path / "source" / "loose.png").write_bytes(picture(1))
    notes = read_source([str(tmp_path / "source")], COLUMNS).notes
    assert notes[0] == "1 image in no class folder, first loose.png: left out"
    assert "(.txt): left out" in notes[1]


def refuses(message: str, *given: Path | str, columns: Columns = COLUMNS) -> HarnessError:
    with pytest.raises(HarnessError, match=message) as error:
        read(*given, columns=columns)
    assert "\n" not in error.value.message
    assert error.value.hint
    return error.value


def test_a_class_folder_without_images_is_named(tmp_path):
    image_folder(tmp_path / "source", ("car",))
    (tmp_path / "source" / "bus").mkdir()
    refuses(r"1 class folder without an image: bus", tmp_path / "source")


def test_folders_of_parts_and_others_are_refused(tmp_path):
    image_folder(tmp_path / "source" / "train")
    image_folder(tmp_path / "source" / "meta", ("x",))
    refuses(r"has folders of parts \(train\) and others \(meta\)", tmp_path / "source")


def test_a_missing_column_lists_those_there_are(tmp_path):
    (path,) = as_csv(tmp_path / "source")
    refuses(
        r"no column 'label'; its columns are image, class, split, caption", path, columns=Columns(classname="label")
    )
    (path,) = as_bytes(tmp_path / "parquet")
    refuses(
        r"no column 'picture'; its columns are image, class, split, caption", path, columns=Columns(image="picture")
    )


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("image,class\nx.png,\n", "t.csv row 1 has no class"),
        ("image,class\n,cat\n", "t.csv row 1 has no image"),
        ("image,class,split\nx.png,cat,holdout\n", "row 1 is in the split 'holdout'"),
        ('image,class\nx.png,"cat\n', "t.csv is damaged"),
        ("image,class\nx.png,caf\xe9\n", "t.csv is damaged: it is not UTF-8 text"),
        ("image,class,caption\nx.png,cat,black, asleep\n", "t.csv row 1 has more fields than there are columns"),
        ("image,class\n", "has no images"),
        ("", "its columns are none"),
        ("image,class,class\nx.png,cat,dog\n", "t.csv has several columns 'class'"),
    ],
)
def test_a_bad_row_of_a_csv_file_is_named(text, message, tmp_path):
    (tmp_path / "t.csv").write_bytes(text.encode("latin-1"))
    refuses(message, tmp_path / "t.csv")


@pytest.mark.parametrize(
    ("classes", "message"),
    [([1.0, 2.0, float("nan")], "row 1: the class is 1.0"), ([{"a": 1}] * 3, "the class is"), ([b"\xff"] * 3, "UTF-8")],
)
def test_a_class_that_is_no_text_is_an_error(classes, message, tmp_path):
    pq.write_table(table(pa.array(write_images(tmp_path)), classes=classes), tmp_path / "t.parquet")
    refuses(message, tmp_path / "t.parquet")


def test_a_class_may_be_bytes_of_text(tmp_path):
    pq.write_table(table(pa.array(write_images(tmp_path)), classes=[b"caf\xc3\xa9"] * 3), tmp_path / "t.parquet")
    assert {one.classname for one in read(tmp_path / "t.parquet")} == {"caf\xe9"}


def test_a_number_without_a_name_is_no_class(tmp_path):
    metadata = {"huggingface": json.dumps({"info": {"features": {"class": {"names": ["cart", "fire engine"]}}}})}
    pq.write_table(table(pa.array(write_images(tmp_path)), metadata, [0, -1, 1]), tmp_path / "t.parquet")
    refuses("t.parquet row 2 has no class", tmp_path / "t.parquet")


@pytest.mark.parametrize(
    ("wrap", "usable"),
    [(lambda data: {"bytes": data}, True), (lambda data: {"data": data}, False), (lambda data: [data], False)],
)
def test_nested_images_of_a_parquet_file_are_read_or_refused(wrap, usable, tmp_path):
    pq.write_table(table(pa.array([wrap(row[3]) for row in ROWS])), tmp_path / "t.parquet")
    if usable:
        assert [sample.read() for sample in read(tmp_path / "t.parquet")] == [row[3] for row in ROWS]
    else:
        refuses("column 'image' of t.parquet has no images, but (struct|list)", tmp_path / "t.parquet")


def test_a_link_to_a_missing_image_is_found_when_it_is_read(tmp_path):
    image_folder(tmp_path / "source", ["cat"])
    (tmp_path / "source" / "cat" / "x.png").symlink_to("moved.png")
    with pytest.raises(DataError, match=r"cat/x\.png: the file does not exist"):
        [sample.read() for sample in read(tmp_path / "source")]


def test_a_truncated_parquet_file_is_named(tmp_path):
    (path,) = as_bytes(tmp_path / "source")
    path.write_bytes(path.read_bytes()[:-20])
    refuses(r"pets.parquet is damaged or truncated", path)


@pytest.mark.parametrize("cut", [300, 512, 700, 1536, 2048])
def test_a_truncated_archive_is_named_wherever_it_ends(cut, tmp_path):
    path = archive(tmp_path / "t.tar", {"cat/1.png": picture(1), "cat/2.png": picture(2)})
    assert len(path.read_bytes()) > 2048
    path.write_bytes(path.read_bytes()[:cut])
    refuses("t.tar is damaged, truncated or compressed", path)


def test_an_archive_reads_nothing_outside_and_follows_no_link(tmp_path):
    (tmp_path / "secret.png").write_bytes(picture(5))
    path = archive(tmp_path / "t.tar", {"../secret/escaped.png": picture(1), "/cat/2.png": picture(2)})
    with tarfile.open(path, "a") as tar:
        link = tarfile.TarInfo("cat/3.png")
        link.type, link.linkname = tarfile.SYMTYPE, str(tmp_path / "secret.png")
        tar.addfile(link)
    found = read(path)
    assert [(one.classname, one.file) for one in found] == [("secret", "escaped.png"), ("cat", "2.png")]
    assert [one.read() for one in found] == [picture(1), picture(2)]


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("x.tar.gz", "is compressed"),
        ("x.doc", "is no source of images"),
        ("missing.csv", "does not exist"),
        ("missing-*.tar", "does not exist"),
    ],
)
def test_what_is_no_source_is_refused(name, message, tmp_path):
    if "missing" not in name:
        (tmp_path / name).write_bytes(b"x")
    refuses(message, tmp_path / name)


def test_several_sources_are_archives_or_parquet_files(tmp_path):
    (one,), (two,) = as_csv(tmp_path / "one"), as_csv(tmp_path / "two")
    refuses("2 sources are given", one, two)
    as_archives(tmp_path / "three")
    assert len(read(tmp_path / "three" / "t*.tar")) == 2
    assert len(read(tmp_path / "three")) == 3


def test_a_folder_in_the_format_already_is_refused(root):
    error = refuses("is in LAION-Beyond's format already", root)
    assert re.search(r"use --data .*data", error.hint or "")


def test_an_image_that_is_missing_or_too_short_is_found_when_it_is_read(tmp_path):
    (path,) = as_csv(tmp_path / "source")
    (tmp_path / "source" / "files" / "1.png").unlink()
    with pytest.raises(DataError, match=r"pets.csv row 2: files/1.png: the file does not exist"):
        [sample.read() for sample in read(path)]
