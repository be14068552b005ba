# SPDX-License-Identifier: Apache-2.0
"""What a user installs: three packages, two commands, a licence, and no torch before it is asked for."""

from __future__ import annotations

import configparser
import importlib.util
import re
import subprocess
import sys
import zipfile
from email.message import Message
from email.parser import Parser
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PACKAGES = {"nas", "server", "client"}
# One process builds the wheel for all of these tests.
pytestmark = pytest.mark.xdist_group("packaging")


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """The wheel of this tree: the text of each member by name."""
    folder = tmp_path_factory.mktemp("wheel")
    isolation = ["--no-isolation"] if importlib.util.find_spec("hatchling") else []
    command = [sys.executable, "-m", "build", "--wheel", *isolation, "--outdir", str(folder), str(ROOT)]
    finished = subprocess.run(command, capture_output=True, text=True, check=False)
    assert not finished.returncode, finished.stdout + finished.stderr
    (path,) = folder.glob("*.whl")
    with zipfile.ZipFile(path) as archive:
        return {name: archive.read(name).decode() for name in archive.namelist()}


def dist_info(wheel: dict[str, str], name: str) -> str:
    """Return a file of the wheel's metadata folder."""
    (text,) = [text for member, text in wheel.items() if re.fullmatch(rf"[^/]+\.dist-info/{name}", member)]
    return text


@pytest.fixture
def metadata(wheel: dict[str, str]) -> Message:
    """The wheel's METADATA."""
    return Parser().parsestr(dist_info(wheel, "METADATA"))


def test_wheel_has_exactly_the_three_packages(wheel: dict[str, str], metadata: Message) -> None:
    """Nothing else of the repository lands in site-packages."""
    top_level = {name.split("/")[0] for name in wheel}

    assert PACKAGES | {f"seib_nas-{metadata['Version']}.dist-info"} == top_level


def test_wheel_has_every_module_of_the_tree(wheel: dict[str, str]) -> None:
    """No pattern takes a module or a manifest away, and every package says that it is typed."""
    expected = {str(path.relative_to(ROOT)) for package in PACKAGES for path in (ROOT / package).rglob("*.py*")}
    expected = {name for name in expected if "__pycache__" not in name} | {
        f"{package}/py.typed" for package in PACKAGES
    }
    expected |= {f"client/cluster/base/{path.name}" for path in (ROOT / "k8s/base").iterdir()}

    actual = {name for name in wheel if name.split("/")[0] in PACKAGES}

    assert expected == actual


def test_console_scripts(wheel: dict[str, str]) -> None:
    """The two commands are installed under the names that the documentation uses."""
    entry_points = configparser.ConfigParser()
    entry_points.read_string(dist_info(wheel, "entry_points.txt"))

    expected = {"nas-client": "client.__main__:main", "nas-server": "server.__main__:main"}

    actual = {section: dict(entry_points[section]) for section in entry_points.sections()}

    assert actual.keys() == {"console_scripts"}
    assert expected == actual["console_scripts"]


def test_licence_travels_with_the_wheel(wheel: dict[str, str], metadata: Message) -> None:
    """The metadata name the licence and the wheel holds its text."""
    expected = "Apache-2.0"

    assert expected == metadata["License-Expression"]
    assert (ROOT / "LICENSE").read_text() == dist_info(wheel, "licenses/LICENSE")


def test_base_install_is_the_client(metadata: Message) -> None:
    """Without the extra ``server`` nothing heavy is installed; with it, torch is."""
    requirements = metadata.get_all("Requires-Dist", [])
    base = {re.split(r"[^\w-]", text)[0] for text in requirements if "extra ==" not in text}
    extra = {re.split(r"[^\w-]", text)[0] for text in requirements if re.search(r"extra == .server.", text)}

    assert {"click", "googleapis-common-protos", "grpcio", "grpcio-status", "protobuf", "rich"} == base
    assert {"torch", "torchvision", "apsw"} <= extra
    assert not {"lightkube", "pyyaml"} & (base | extra)


def test_version_is_the_same_everywhere(metadata: Message) -> None:
    """The citation and the change log speak of the version that is built."""
    expected = metadata["Version"]

    cited = re.search(r"^version: (\S+)$", (ROOT / "CITATION.cff").read_text(), re.MULTILINE)

    assert cited is not None
    assert expected == cited[1]
    assert expected in (ROOT / "CHANGELOG.md").read_text()


def test_runtime_floors_are_those_of_the_generated_code(metadata: Message) -> None:
    """Generated code refuses an older grpcio or protobuf at import, so the requirements start at its versions."""
    requirements = "\n".join(metadata.get_all("Requires-Dist", []))
    generated = ROOT / "nas/api/v1"
    protobuf = re.search(r"Protobuf Python Version: (\S+)", (generated / "search_service_pb2.py").read_text())
    grpcio = re.search(r"GRPC_GENERATED_VERSION = '(\S+)'", (generated / "search_service_pb2_grpc.py").read_text())

    assert protobuf is not None
    assert grpcio is not None
    assert re.search(rf"^protobuf\S*>={re.escape(protobuf[1])}(,|$)", requirements, re.MULTILINE)
    assert re.search(rf"^grpcio>={re.escape(grpcio[1])}$", requirements, re.MULTILINE)
