from __future__ import annotations

import shutil
import unicodedata
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.datasets.layout import RELEASED, open_dataset, parse_folder_name, unmatched_folders
from harness.errors import DataError, UserError


def folders(root: Path, *names: str) -> Path:
    for name in names:
        (root / name).mkdir(parents=True)
    return root


def message(error: pytest.ExceptionInfo[DataError] | pytest.ExceptionInfo[UserError]) -> str:
    return str(error.value)


def test_finds_every_domain_and_side(root):
    dataset = open_dataset(root)
    assert list(dataset.domains) == ["Animals", "Insects_Spiders", "Ville d'été"]
    assert dataset.domains["Ville d'été"].oop == root / "Ville d'été4_OOP"
    assert dataset.domains["Ville d'été"].side("ip") == root / "Ville d'été2_IP"
    assert [folder.name for folder in dataset.folders[:2]] == ["Animals3_IP", "Animals6_OOP"]
    assert dataset.folder("Animals", "ip") == root / "Animals3_IP"


def test_a_missing_side_is_none_and_its_folder_an_error(tmp_path):
    dataset = open_dataset(folders(tmp_path, "Landmark89_OOP"))
    assert dataset.domains["Landmark"].ip is None
    with pytest.raises(DataError, match="contains no IP folder for domain Landmark") as error:
        dataset.folder("Landmark", "ip")
    assert error.value.hint
    with pytest.raises(UserError, match="did you mean Landmark"):
        dataset.folder("Landmarks", "oop")


@pytest.mark.parametrize("name", RELEASED)
def test_released_folder_names_parse(name):
    parsed = parse_folder_name(name)
    assert f"{parsed.domain}{parsed.concepts}_{parsed.side.upper()}" == name


@pytest.mark.parametrize("name", ["92_OOP", "Animals_OOP", "Animals92_oop", "Animals92_OOP.zip", "Animals92", "images"])
def test_other_names_do_not_parse(name):
    assert parse_folder_name(name) is None


def test_domain_may_contain_digits_spaces_and_line_breaks():
    assert parse_folder_name("Gen 2 mon7x89_OOP")[:2] == ("Gen 2 mon7x", 89)
    assert parse_folder_name("a\nb1_IP")[0] == "a\nb"


# No digit at the end: the digits before the side are the number of concepts.
DOMAINS = st.text(st.characters(exclude_characters="/\0", exclude_categories=["Cs"]), min_size=1).filter(
    lambda text: not unicodedata.normalize("NFC", text)[-1].isdecimal()
)


@given(DOMAINS, st.integers(0, 10**6), st.sampled_from(["IP", "OOP"]))
def test_names_round_trip(domain, concepts, side):
    parsed = parse_folder_name(f"{domain}{concepts}_{side}")
    assert parsed == (unicodedata.normalize("NFC", domain), concepts, side.lower())


def test_two_unicode_forms_of_one_domain_are_one_domain(tmp_path):
    folders(tmp_path, unicodedata.normalize("NFD", "Été5_OOP"), unicodedata.normalize("NFC", "Été4_IP"))
    (found,) = open_dataset(tmp_path).domains.values()
    assert found.oop.is_dir()
    assert found.ip.is_dir()


def test_several_candidates_require_a_choice(tmp_path):
    folders(tmp_path, "Animals92_OOP", "Animals91_OOP", "Animals42_IP", "Food53_OOP")
    with pytest.raises(DataError) as error:
        open_dataset(tmp_path)
    assert "domain Animals, side oop: Animals91_OOP, Animals92_OOP" in message(error)
    assert "--folder Animals91_OOP" in message(error)
    dataset = open_dataset(tmp_path, folders=("Animals91_OOP",))
    assert dataset.domains["Animals"].oop.name == "Animals91_OOP"
    assert dataset.domains["Animals"].ip.name == "Animals42_IP"
    assert list(dataset.domains) == ["Animals", "Food"]


def test_invalid_choices_are_errors(tmp_path):
    folders(tmp_path, "Animals92_OOP", "Animals91_OOP")
    with pytest.raises(UserError, match="no folder named 'Animals90_OOP'"):
        open_dataset(tmp_path, folders=("Animals90_OOP",))
    with pytest.raises(UserError, match="both chosen"):
        open_dataset(tmp_path, folders=("Animals91_OOP", "Animals92_OOP"))


def test_symlinked_folders_count_and_files_do_not(tmp_path):
    elsewhere = folders(tmp_path / "disk2", "Animals92_OOP")
    root = folders(tmp_path / "root", "Food53_OOP")
    (root / "Animals92_OOP").symlink_to(elsewhere / "Animals92_OOP")
    (root / "Attire54_OOP").write_text("")
    (root / "Attire28_IP").symlink_to(tmp_path / "nowhere")
    assert list(open_dataset(root).domains) == ["Animals", "Food"]


def test_hidden_folders_and_archives_are_ignored(tmp_path):
    (tmp_path / "Food9_OOP").mkdir()
    (tmp_path / "._Food9_OOP").mkdir()
    assert list(open_dataset(tmp_path).domains) == ["Food"]
    (tmp_path / "Food9_OOP").rename(tmp_path / "elsewhere")
    (tmp_path / "._Food9_OOP.zip").touch()
    (tmp_path / "Food9_OOP.zip").touch()
    with pytest.raises(DataError) as error:
        open_dataset(tmp_path)
    assert error.value.hint == "unpack Food9_OOP.zip first"


def test_dataset_name(tmp_path):
    released = folders(tmp_path / "x", *RELEASED)
    assert open_dataset(released).name == "laion-beyond-400m"
    shutil.rmtree(released / "Food53_OOP")
    assert open_dataset(released).name == "laion-beyond-400m"
    (released / "Food60_OOP").mkdir()
    assert open_dataset(released).name == "x"
    (released / "dataset.json").write_text('{"name": "mine"}')
    assert open_dataset(released).name == "mine"


def test_a_relative_root_has_a_name(tmp_path, monkeypatch):
    monkeypatch.chdir(folders(tmp_path / "mine", "Food1_OOP"))
    assert open_dataset(Path()).name == "mine"


@pytest.mark.parametrize(
    ("where", "wrong", "hint"),
    [
        ("missing", "does not exist", "harness data download"),
        ("file", "is a file, not a data folder", "unpack it"),
        ("file/below", "is a file, not a data folder", "unpack it"),
        ("empty", "contains no folder named", "give the folder that contains Animals92_OOP"),
        ("packed", "contains no folder named", "unpack Animals92_OOP.zip first"),
        ("above", "contains no folder named", "above/LAION-Beyond does"),
        ("above/LAION-Beyond/Animals92_OOP", "contains no folder named", "it is inside Animals92_OOP: give"),
        ("above/LAION-Beyond/Animals92_OOP/images", "contains no folder named", "it is inside Animals92_OOP: give"),
    ],
)
def test_wrong_roots_are_errors_with_hints(tmp_path, where, wrong, hint):
    (tmp_path / "file").write_text("")
    folders(tmp_path, "empty", "packed", "above/LAION-Beyond/Animals92_OOP/images")
    (tmp_path / "packed" / "Animals92_OOP.zip").write_text("")
    with pytest.raises(DataError) as error:
        open_dataset(tmp_path / where)
    assert wrong in error.value.message
    assert hint in error.value.hint


@pytest.mark.parametrize(
    ("names", "sentences"),
    [
        (
            ("Vehicle18_IP", "Vehicles18_OOP"),
            ["'Vehicle18_IP' has no OOP folder; did you mean Vehicles, as in Vehicles18_OOP?"],
        ),
        (
            ("vehicles18_IP", "Vehicles18_OOP"),
            ["'vehicles18_IP' has no OOP folder; did you mean Vehicles, as in Vehicles18_OOP?"],
        ),
        (
            ("Insects Spiders2_IP", "Insects_Spiders4_OOP"),
            ["'Insects Spiders2_IP' has no OOP folder; did you mean Insects_Spiders, as in Insects_Spiders4_OOP?"],
        ),
        (
            (" Cars2_IP", "Cars4_OOP", "Cats2_IP"),  # the same name before a similar one
            [
                "' Cars2_IP' has no OOP folder; did you mean Cars, as in Cars4_OOP?",
                "'Cats2_IP' has no OOP folder; it is left out",
            ],
        ),
        (
            ("Cars2_IP ", "Cars4_OOP"),
            [
                "the folder 'Cars2_IP ' is not read; rename it to Cars2_IP",
                "'Cars4_OOP' has no IP folder: only its OOP images are scored",
            ],
        ),
        (("Food1_IP", "Food1_OOP", "Food-2-oop"), ["the folder 'Food-2-oop' is not read; rename it to Food2_OOP"]),
        (("Food1_IP", "Food1_OOP", "Food_OOP"), ["the folder 'Food_OOP' is not read; rename it to Food{N}_OOP"]),
        (("Food1_IP", "Food1_OOP", "scoop", "images", "Food1_IP.zip"), []),
        (RELEASED, []),
    ],
)
def test_unmatched_folders_come_with_a_suggestion(tmp_path, names, sentences):
    assert [found.message for found in unmatched_folders(folders(tmp_path, *names))] == sentences


def test_a_root_of_misspelt_names_suggests_renaming(tmp_path):
    with pytest.raises(DataError, match="rename 'food1_oop' to food1_OOP"):
        open_dataset(folders(tmp_path, "food1_oop"))
