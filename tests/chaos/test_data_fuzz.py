# SPDX-License-Identifier: Apache-2.0
"""Mutated images, IDX files and lists, read by a real server: each is used or refused with its name, nothing ends."""

from __future__ import annotations

import random
import re
from collections.abc import Iterator
from pathlib import Path

import grpc
import numpy as np
import pytest
from chaos_proof import draw_for, proving, scaled
from idx_files import write_idx_set
from image_files import draw, encode, write_folder
from real_server import RealServer

from nas.api.v1 import search_service_pb2 as pb
from nas.api.v1.search_service_pb2_grpc import SearchServiceStub

IMAGES, IDX_FILES, LISTS = 2000, 400, 100
"""At scale 1."""
KINDS = ("PNG", "JPEG", "BMP", "TIFF", "PPM")
WHY_NOT = re.compile(
    r"data set 'manifest:listed' cannot be (used|divided): .{10,}|images with contradicting labels; a search uses .*"
)
"""What stops a search, in a sentence."""
INTERESTING = (0, 1, 0x7F, 0x80, 0xFF)


@pytest.fixture
def server(tmp_path: Path) -> Iterator[RealServer]:
    """A server with an empty data root."""
    (tmp_path / "root").mkdir()
    with RealServer(tmp_path, ("--data-root", str(tmp_path / "root"), "--executor", "fake")) as server:
        yield server


def mutate(content: bytes, other: bytes, draw_from: random.Random) -> bytes:
    """Damage a file once to five times: bits, bytes, runs of them, cuts, insertions and pieces of another file."""
    data = bytearray(content)
    for _ in range(draw_from.randint(1, 5)):
        at = draw_from.randrange(len(data)) if data else 0
        # Headers are where decoders decide how much memory they want.
        at = draw_from.randrange(min(64, len(data))) if data and draw_from.random() < 0.4 else at
        run = draw_from.randint(1, 16)
        match draw_from.randrange(7):
            case 0 if data:
                data[at] ^= 1 << draw_from.randrange(8)
            case 1 if data:
                data[at] = draw_from.choice(INTERESTING)
            case 2:
                data[at : at + run] = bytes([draw_from.choice(INTERESTING)]) * run
            case 3:
                del data[at : at + draw_from.randint(1, max(1, len(data) // 4))]
            case 4:
                data[at:at] = draw_from.randbytes(run)
            case 5:
                start = draw_from.randrange(len(other))
                data[at : at + run] = other[start : start + run]
            case _:
                del data[at:]
    return bytes(data)


def _stub(server: RealServer) -> SearchServiceStub:
    return SearchServiceStub(grpc.insecure_channel(server.address))


def _require_calm(server: RealServer) -> None:
    """Check that the server is the same as ever and has nothing to be ashamed of in its log."""
    assert _stub(server).GetServerInfo(pb.GetServerInfoRequest(), timeout=30).version
    for word in ("Traceback", "INTERNAL", "ended the reader"):
        assert word not in server.log


def _finding(answer: pb.CheckDatasetResponse, kind: int) -> list[str]:
    return [name for finding in answer.findings if finding.kind == kind for name in finding.names]


@pytest.mark.timeout(900)
def test_mutated_images_are_used_or_named(server: RealServer, tmp_path: Path) -> None:
    """Every file is accounted for: used, a copy, in two classes, or refused by name with a reason; a start agrees."""
    with proving("corrupt images", "each used or refused by name, 0 crashes", tmp_path) as proof:
        proof.n = scaled(IMAGES, least=100)
        draw_from = draw_for("images")
        folder = tmp_path / "root" / "fuzz"
        write_folder(folder, {"a": 20, "b": 20}, first=10_000)
        seeds = [encode(draw(n, (24, 16), channels=1 + 2 * (n % 2)), kind) for kind in KINDS for n in range(4)]
        seeds += [encode(np.arange(256, dtype=np.uint16).reshape(16, 16) * 200, kind) for kind in ("PNG", "TIFF")]
        for number in range(proof.n):
            content = mutate(draw_from.choice(seeds), draw_from.choice(seeds), draw_from)
            (folder / "ab"[number % 2] / f"mutant {number}.png").write_bytes(content)

        answer = _stub(server).CheckDataset(
            pb.CheckDatasetRequest(kind="folder", path="fuzz", max_names=10_000), timeout=600
        )

        unreadable = _finding(answer, pb.Finding.KIND_UNREADABLE)
        copies = sum(name.count(" = ") for name in _finding(answer, pb.Finding.KIND_DUPLICATE))
        contradicting = sum(name.count(" = ") + 1 for name in _finding(answer, pb.Finding.KIND_TWO_CLASSES))
        used = sum(one.image_count for one in answer.classes)
        assert proof.n + 40 == answer.image_count == used + len(unreadable) + copies + contradicting
        assert all(": " in name and "mutant " in name for name in unreadable)
        assert len(unreadable) == len({name.partition(": ")[0] for name in unreadable})
        refused = server.client("plan", "--dataset", "folder:fuzz", "--block", "ib", timeout=300)
        assert 2 == refused.returncode
        assert f"{len(unreadable)} of {answer.image_count} images" in refused.stderr
        assert "mutant" not in refused.stderr
        _require_calm(server)
        proof.result = f"{len(unreadable)} refused by name, {proof.n - len(unreadable)} harmless"


@pytest.mark.timeout(900)
def test_mutated_idx_files_are_used_or_named(server: RealServer, tmp_path: Path) -> None:
    """What is refused names one of the four files; what is not has labels and sizes that are in order."""
    with proving("corrupt IDX files", "each used or refused by name, 0 crashes", tmp_path) as proof:
        proof.n = scaled(IDX_FILES, least=10)
        draw_from = draw_for("idx")
        stub, refused = _stub(server), 0
        folder = tmp_path / "root" / "idx"
        for number in range(proof.n):
            write_idx_set(folder, packed=False)
            names = sorted(path.name for path in folder.iterdir())
            mutant = folder / names[number % 4]
            mutant.write_bytes(mutate(mutant.read_bytes(), (folder / names[(number + 1) % 4]).read_bytes(), draw_from))

            answer = stub.CheckDataset(pb.CheckDatasetRequest(kind="mnist", path="idx"), timeout=60)

            unreadable = _finding(answer, pb.Finding.KIND_UNREADABLE)
            refused += bool(unreadable)
            if unreadable:
                assert unreadable[0].removeprefix("<data root>/idx/") in names
            else:
                assert answer.image_count == sum(one.image_count for one in answer.classes) > 0
        _require_calm(server)
        proof.result = f"{refused} refused by name, {proof.n - refused} harmless"


def _require_explained(answer: pb.CheckDatasetResponse, content: bytes) -> None:
    """Check that a list of images is used as it stands there, or that true sentences say why it is not."""
    faults = [finding for finding in answer.findings if finding.level == pb.Finding.LEVEL_FAULT]
    assert answer.is_ok == (not faults), content
    assert answer.image_count == sum(one.image_count for one in answer.classes)
    assert answer.image_count > 0 or faults
    for finding in faults:
        assert WHY_NOT.fullmatch(finding.sentence), finding.sentence
        assert finding.sentence.isprintable()
        for line in re.findall(r"\bline (\d+)", finding.sentence):
            assert 1 <= int(line) <= 1 + len(re.findall(rb"\r\n|[\r\n]", content)), finding.sentence
    said = " ".join(finding.sentence for finding in faults)
    assert _is_text(content) == ("is no UTF-8 text" not in said), content


def _is_text(content: bytes) -> bool:
    try:
        content.decode()
    except UnicodeDecodeError:
        return False
    return True


@pytest.mark.timeout(900)
def test_mutated_lists_are_read_or_refused(server: RealServer, tmp_path: Path) -> None:
    """A manifest is used whole, or sentences say why it cannot be; of a line that is wrong they name the number."""
    with proving("corrupt lists of images", "each read or refused in a sentence, 0 crashes", tmp_path) as proof:
        proof.n = scaled(LISTS, least=5)
        draw_from = draw_for("lists")
        folder = tmp_path / "root" / "listed"
        write_folder(folder, {"images": 24})
        lines = [f"images/{n}.png,{'ab'[n % 2]},patient {n // 2},train" for n in range(24)]
        intact = ("path,label,group,split\n" + "\n".join(lines) + "\n").encode()
        stub, refused = _stub(server), 0
        for _ in range(proof.n):
            content = mutate(intact, intact, draw_from)
            (folder / "manifest.csv").write_bytes(content)

            answer = stub.CheckDataset(pb.CheckDatasetRequest(kind="manifest", path="listed"), timeout=60)

            refused += not answer.is_ok
            _require_explained(answer, content)
        _require_calm(server)
        proof.result = f"{refused} with faults, {proof.n - refused} harmless"
