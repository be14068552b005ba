# SPDX-License-Identifier: Apache-2.0
"""The lists of published sets: every film once, with its patient, its part and its gravest finding, or one sentence."""

from __future__ import annotations

import csv
import shutil
from collections.abc import Callable
from pathlib import Path, PurePosixPath

import pytest
from click.testing import CliRunner, Result
from published_sets import CBIS_HEADINGS, INBREAST_HEADINGS, write_cbis_ddsm, write_inbreast, write_mias

from client.commands.datasets import command
from client.errors import ClientError
from client.published import SETS, Listed, Release, shared_patients, to_csv


def read(name: str, folder: Path) -> dict[str, Listed]:
    """The list by path."""
    return {str(image.path): image for image in SETS[name](Release.open(name, folder))}


def run(*arguments: str) -> Result:
    """The command as a user calls it, up to the sentence for a person."""
    return CliRunner().invoke(command, ["manifest", *arguments])


def test_mias(tmp_path: Path) -> None:
    """Both films of a woman are one group, and of two abnormalities the malignant one counts."""
    write_mias(tmp_path, 6)

    found = read("mias", tmp_path)

    assert 12 == len(found)
    assert (
        Listed(path=found["all-mias/mdb005.pgm"].path, label="malignant", group="films 5 and 6")
        == found["all-mias/mdb005.pgm"]
    )
    assert ["normal", "benign", "malignant"] * 2 == [found[f"all-mias/mdb{n:03}.pgm"].label for n in range(1, 12, 2)]
    assert all(
        found[f"all-mias/mdb{n:03}.pgm"].group == found[f"all-mias/mdb{n + 1:03}.pgm"].group for n in range(1, 12, 2)
    )


@pytest.mark.parametrize("as_jpeg", [False, True])
def test_cbis_ddsm(tmp_path: Path, as_jpeg: bool) -> None:
    """Whole mammograms only, wherever a copy has them; patient and part are the publisher's."""
    write_cbis_ddsm(tmp_path, 12, as_jpeg=as_jpeg)

    found = read("cbis-ddsm", tmp_path)

    assert 24 == len(found)
    assert {(f"P_{n:05}", "test" if n % 4 == 3 else "train") for n in range(12)} == {
        (image.group, image.split) for image in found.values()
    }
    assert {"malignant": 8, "benign": 8, "benign without callback": 8} == {
        label: sum(image.label == label for image in found.values()) for label in {one.label for one in found.values()}
    }
    assert not any("_1" in path.split("/")[1] or path.endswith("1-100.jpg") for path in found)


def test_of_several_abnormalities_the_gravest_counts(tmp_path: Path) -> None:
    """Rows of one image are one line of the list."""
    write_cbis_ddsm(tmp_path, 4)
    sheet = tmp_path / "csv" / "mass_case_description_train_set.csv"
    rows = sheet.read_text().split("\nP_")
    sheet.write_text("\nP_".join([*rows, rows[1].replace("MALIGNANT", "BENIGN")]))

    assert {"malignant"} == {image.label for image in read("cbis-ddsm", tmp_path).values()}


def test_inbreast(tmp_path: Path) -> None:
    """The patient stands in the name of the file; 4a to 4c are 4; notes below the table are none of its rows."""
    write_inbreast(tmp_path, 10)

    found = read("inbreast", tmp_path)

    assert (20, 10) == (len(found), len({image.group for image in found.values()}))
    assert {"BI-RADS 1", "BI-RADS 2", "BI-RADS 4", "BI-RADS 5"} == {image.label for image in found.values()}
    assert f"{2:016x}" == found[f"AllDICOMs/20586920_{2:016x}_MG_R_CC_ANON.dcm"].group


def test_the_command_writes_a_list(tmp_path: Path) -> None:
    """On standard output the CSV alone, on standard error what it counts; parts only where there are any."""
    write_cbis_ddsm(tmp_path, 4)

    whole, divided_anew = run("cbis-ddsm", str(tmp_path)), run("cbis-ddsm", str(tmp_path), "--no-split")

    rows = list(csv.DictReader(whole.stdout.splitlines()))
    assert ["path", "label", "group", "split"] == list(rows[0])
    assert {"train", "test"} == {row["split"] for row in rows}
    assert "8 images of 4 patients: 8 malignant.\n" == whole.stderr
    assert ["path", "label", "group"] == list(next(csv.DictReader(divided_anew.stdout.splitlines())))
    assert sorted(tmp_path.rglob("manifest.csv")) == []


def test_a_patient_in_both_parts_is_refused(tmp_path: Path) -> None:
    """As between masses and calcifications; listing one kind, or dividing anew, helps."""
    write_cbis_ddsm(tmp_path, 4)
    sheet = tmp_path / "csv" / "mass_case_description_train_set.csv"
    calc = sheet.with_name("calc_case_description_test_set.csv")
    calc.write_text(sheet.read_text().replace("Mass-Training", "Calc-Test"))
    for case in sorted((tmp_path / "CBIS-DDSM").glob("Mass-Training*")):
        shutil.copytree(case, case.with_name(case.name.replace("Mass-Training", "Calc-Test")))

    refused = run("cbis-ddsm", str(tmp_path))

    assert isinstance(refused.exception, ClientError)
    assert "3 patients of cbis-ddsm would be in the training and in the test part" in str(refused.exception)
    assert 3 == shared_patients(list(read("cbis-ddsm", tmp_path).values()))
    assert [0, 0, 0] == [
        run("cbis-ddsm", str(tmp_path), *extra).exit_code
        for extra in (["--only", "mass"], ["--only", "calc"], ["--no-split"])
    ]


def _spoil(name: str, text: str) -> Callable[[Path], None]:
    def write(folder: Path) -> None:
        (path := next(folder.rglob(name))).write_text(path.read_text() + text)

    return write


def _remove(pattern: str) -> Callable[[Path], None]:
    return lambda folder: sorted(folder.rglob(pattern))[0].unlink()


def _copy(pattern: str, name: str) -> Callable[[Path], None]:
    def copy(folder: Path) -> None:
        shutil.copyfile(source := sorted(folder.rglob(pattern))[0], (folder if "/" in name else source.parent) / name)

    return copy


def _write(name: str, text: str) -> Callable[[Path], None]:
    def write(folder: Path) -> None:
        next(folder.rglob(name)).write_text(text)

    return write


def _remove_sheets(folder: Path) -> None:
    shutil.rmtree(folder / "csv")


def _link(folder: Path) -> None:
    film = next(folder.rglob("mdb003.pgm"))
    film.rename(folder.parent / "elsewhere.pgm")
    film.symlink_to(folder.parent / "elsewhere.pgm")


def _take_another_patient(folder: Path) -> None:
    sheet = folder / "csv" / MASSES
    sheet.write_text(sheet.read_text() + "\nP_77" + sheet.read_text().split("\nP_")[1].removeprefix("00000"))


def _rename(folder: Path) -> None:
    film = sorted(folder.rglob("*.dcm"))[0]
    film.rename(film.with_name("20586900.dcm"))


WRITERS: dict[str, Callable[[Path], None]] = {
    "mias": lambda folder: write_mias(folder, 6),
    "cbis-ddsm": lambda folder: write_cbis_ddsm(folder, 6),
    "inbreast": lambda folder: write_inbreast(folder, 6),
}
MASSES = "mass_case_description_train_set.csv"
FAULTS: dict[str, tuple[str, Callable[[Path], None], str]] = {
    "no sheet": ("mias", _remove("Info.txt"), "there is no Info.txt in it"),
    "another sheet": (
        "mias",
        _write("Info.txt", "hello"),
        "Info.txt has no line such as 'mdb001 G CIRC B 535 425 197'",
    ),
    "a normal film with a severity": (
        "mias",
        _spoil("Info.txt", "\nmdb001 G NORM M 1 2 3"),
        "line 19 of all-mias/Info.txt gives mdb001 no severity that fits its class NORM",
    ),
    "a film that is not there": (
        "mias",
        _remove("mdb003.pgm"),
        "1 of the 12 images that its sheets list are not there (mdb003)",
    ),
    "a film twice": (
        "mias",
        _copy("mdb003.pgm", "./MDB003.png"),
        "MDB003.png and all-mias/mdb003.pgm are the same film; keep one of them",
    ),
    "two sheets": ("mias", _copy("Info.txt", "info.txt"), "all-mias/Info.txt and all-mias/info.txt are both"),
    "another folder": ("cbis-ddsm", _remove_sheets, "there is none of mass_case_description_train_set.csv, "),
    "a link": ("mias", _link, "1 of the 12 images that its sheets list are not there (mdb003)"),
    "a column less": (
        "cbis-ddsm",
        _write(MASSES, CBIS_HEADINGS.replace("pathology", "p")),
        f"csv/{MASSES} has no column 'pathology'",
    ),
    "an unknown pathology": (
        "cbis-ddsm",
        _spoil(MASSES, "\nP_1,3,LEFT,CC,1,mass,O,S,4,MAYBE,4,a/b/c/d.dcm"),
        "needs a patient_id, a pathology (BENIGN_WITHOUT_CALLBACK, BENIGN, MALIGNANT) and an image file path",
    ),
    "a mammogram that is not there": (
        "cbis-ddsm",
        _remove("1-1.dcm"),
        "1 of the 12 images that its sheets list are not there (line 3 of csv/mass_case_description_test_set.csv)",
    ),
    "an image of another patient": ("cbis-ddsm", _take_another_patient, "names an image of another patient or part"),
    "a cut-out beside a mammogram": (
        "cbis-ddsm",
        _copy("1-1.dcm", "1-2.dcm"),
        "keep the one that is a whole mammogram",
    ),
    "no CSV": ("inbreast", _remove("INbreast.csv"), "there is no INbreast.csv in it; export it from INbreast.xls"),
    "commas": ("inbreast", _write("INbreast.csv", INBREAST_HEADINGS.replace(";", ",")), "no column 'file name'"),
    "nothing": ("inbreast", _write("INbreast.csv", INBREAST_HEADINGS), "INbreast.csv lists no film"),
    "no category": ("inbreast", _spoil("INbreast.csv", "\nx;x;R;CC;1;20586900;1;9"), "has no BI-RADS category"),
    "two categories": ("inbreast", _spoil("INbreast.csv", "\nx;x;R;CC;1;20586900;1;6"), "another category than a line"),
    "a name without a patient": (
        "inbreast",
        _rename,
        "1 of the 12 images that its sheets list are not there (20586900)",
    ),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_folder_that_is_no_copy_of_the_set(tmp_path: Path, fault: str) -> None:
    """One sentence says what is wrong, where, and that nothing was listed."""
    name, spoil, reason = FAULTS[fault]
    folder = tmp_path / "set"
    WRITERS[name](folder)
    spoil(folder)

    with pytest.raises(ClientError) as caught:
        read(name, folder)

    assert f"cannot be read as {name}: " in str(caught.value)
    assert reason in str(caught.value)
    assert 2 == caught.value.exit_status


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (("mias", "nowhere"), "There is no folder 'nowhere'."),
        (("mias", ".", "--only", "mass"), "--only is for cbis-ddsm."),
    ],
)
def test_usage(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, arguments: tuple[str, ...], sentence: str) -> None:
    """Status 2 and a sentence; nothing on standard output."""
    monkeypatch.chdir(tmp_path)

    result = run(*arguments)

    assert isinstance(result.exception, ClientError)
    assert (sentence, 2, "") == (str(result.exception), result.exception.exit_status, result.stdout)


def test_a_name_that_no_list_can_hold() -> None:
    """A line break in a name would become two lines, and bytes that are no text cannot be written."""
    image = Listed(path=PurePosixPath("a\nb.pgm"), label="normal", group="1")

    with pytest.raises(ClientError, match="cannot be written into a list; rename it"):
        to_csv([image])
