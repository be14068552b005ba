# SPDX-License-Identifier: Apache-2.0
"""Small folders in the layouts of published sets of mammograms, with phantoms for films and invented sheets."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from dicom_files import encode_dicom
from image_files import encode
from phantoms import draw_phantom

SIZE = (48, 60)
CBIS_HEADINGS = (
    "patient_id,breast_density,left or right breast,image view,abnormality id,abnormality type,mass shape,mass margins,"
    "assessment,pathology,subtlety,image file path,cropped image file path,ROI mask file path"
)
INBREAST_HEADINGS = "Patient ID;Patient age;Laterality;View;Acquisition date;File Name;ACR;Bi-Rads"


def write_mias(folder: Path, women: int) -> None:
    """Films in pairs, a third of each class; the sheet has explanations, a film with two lines, and normal ones."""
    lines = ["REFNUM BG CLASS SEVERITY X Y RADIUS", ""]
    (folder / "all-mias").mkdir(parents=True)
    for number in range(1, 2 * women + 1):
        film, kind = f"mdb{number:03}", (number - 1) // 2 % 3
        lines += {
            0: [f"{film} G NORM"],
            1: [f"{film} F CIRC B 535 425 197"],
            2: [f"{film} D CALC B 300 310 12", f"{film} D SPIC M 480 594 33"],
        }[kind]
        film_HW = draw_phantom((1, 3, 5)[kind], number, "MLO", "RL"[number % 2], size=SIZE)
        (folder / "all-mias" / f"{film}.pgm").write_bytes(encode(film_HW, "PPM"))
    (folder / "all-mias" / "Info.txt").write_text("\n".join(lines))


def write_cbis_ddsm(folder: Path, patients: int, *, as_jpeg: bool = False) -> None:
    """Sheets of masses; mammograms, cut-outs and masks as DICOM in the archive's folders, or as JPEG by series."""
    rows: dict[str, list[str]] = {"train": [CBIS_HEADINGS], "test": [CBIS_HEADINGS]}
    for patient in range(patients):
        part = "test" if patient % 4 == 3 else "train"
        pathology = ("MALIGNANT", "BENIGN", "BENIGN_WITHOUT_CALLBACK")[patient // 4 % 3]
        for view in ("CC", "MLO"):
            case = f"Mass-{'Training' if part == 'train' else 'Test'}_P_{patient:05}_LEFT_{view}"
            study, series = f"1.3.6.1.4.1.9590.1.{patient}", f"1.3.6.1.4.1.9590.2.{patient}.{len(view)}"
            film_HW = draw_phantom(5 if pathology == "MALIGNANT" else 1, 1000 + patient, view, "L", size=SIZE)
            if as_jpeg:
                _write(folder / "jpeg" / series / "1-147.jpg", encode(film_HW, "JPEG", quality=95))
                _write(folder / "jpeg" / f"{series}.9" / "1-100.jpg", encode(film_HW[:30, :24], "JPEG"))
            else:
                film = encode_dicom(film_HW.astype(np.uint16) * 256, PatientID=case)
                _write(folder / "CBIS-DDSM" / case / study / series / "1-1.dcm", film)
                mask = encode_dicom(np.full((8, 8), 255, np.uint8), PatientID=f"{case}_1")
                _write(folder / "CBIS-DDSM" / f"{case}_1" / study / f"{series}.9" / "1-2.dcm", mask)
            paths = f'{case}/{study}/{series}/000000.dcm,"{case}_1/{study}/{series}.9/000000.dcm\n",x'
            rows[part].append(f"P_{patient:05},3,LEFT,{view},1,mass,OVAL,SPICULATED,4,{pathology},4,{paths}")
    for part, lines in rows.items():
        _write(folder / "csv" / f"mass_case_description_{part}_set.csv", "\n".join(lines).encode())


def write_inbreast(folder: Path, patients: int) -> None:
    """Films as DICOM whose names hold the patient, which the sheet leaves out; a note stands below the table."""
    lines = [INBREAST_HEADINGS]
    for patient in range(patients):
        category = ("1", "2", "4a", "4c", "5")[patient % 5]
        for place, view in enumerate(("CC", "ML")):
            number = 20586900 + 10 * patient + place
            film_HW = draw_phantom(5 if category > "3" else 1, 2000 + patient, "CC", "R", size=SIZE)
            name = f"{number}_{patient:016x}_MG_R_{view}_ANON.dcm"
            _write(folder / "AllDICOMs" / name, encode_dicom((film_HW + place).astype(np.uint16) * 16))
            lines.append(f"removed;removed;R;{view};201001;{number};    ;{category}")
    lines += [";;;;;;;", f"total;;;;;{2 * patients} films;;"]
    _write(folder / "INbreast.csv", "\n".join(lines).encode())


def _write(path: Path, content: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
