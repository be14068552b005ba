# SPDX-License-Identifier: Apache-2.0
"""Trainings that start from the weights of another child."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import safetensors.torch
import torch
from tiny_training import SMALL_NET, Stopper, make_data, make_request, run_fit, without_times
from torch import Tensor

from nas.child import ChildId
from nas.training import BEST_WEIGHTS, FitRequest, InheritanceError, Inherited, Interrupted, Trained
from nas.training.inheritance import inherit_weights
from nas.training.seeding import build_seeded

PARENT = replace(make_request(), child_id=ChildId(1, 1))


def _write(folder: Path, tensors: dict[str, Tensor]) -> Inherited:
    """Write a file of the parent that gives each of its tensors to the one of the same name."""
    content = safetensors.torch.save(tensors)
    path = folder / "1-1.safetensors"
    path.write_bytes(content)
    origins = tuple((name, name) for name in sorted(tensors))
    return Inherited(path=path, sha256=hashlib.sha256(content).hexdigest(), origins=origins)


@pytest.fixture
def inherited(tmp_path: Path) -> Inherited:
    """All weights of a parent with the same architecture, as they were before its training."""
    return _write(tmp_path, build_seeded(PARENT).state_dict())


def _fit(request: FitRequest, stopper: Stopper | None = None) -> object:
    epochs, outcome = run_fit(request, make_data(), stopper)
    return without_times(epochs), outcome


def test_named_tensors_are_inherited_and_others_are_fresh(inherited: Inherited) -> None:
    """The values of the file where it is named, and those of the child's own seed elsewhere."""
    some = replace(inherited, origins=(("layers.1.weight", "layers.1.weight"), ("layers.6.bias", "layers.6.bias")))
    fresh, theirs, net = build_seeded(make_request()), build_seeded(PARENT), build_seeded(make_request())

    inherit_weights(net, some)

    for name, tensor in net.state_dict().items():
        source = theirs if name in dict(some.origins) else fresh
        assert torch.equal(source.state_dict()[name], tensor), name


def test_a_tensor_may_come_from_another_place(tmp_path: Path) -> None:
    """A layer that has moved finds its weights under the name that they had."""
    moved = torch.arange(3.0)
    inherited = replace(_write(tmp_path, {"layers.4.bias": moved}), origins=(("layers.6.bias", "layers.4.bias"),))
    net = build_seeded(make_request())

    inherit_weights(net, inherited)

    assert torch.equal(moved, net.state_dict()["layers.6.bias"])


def test_running_statistics_are_inherited(tmp_path: Path) -> None:
    """Buffers are named like weights, integers included; the memory layout of a weight stays."""
    torch.manual_seed(1)
    parent, child = (torch.nn.Sequential(torch.nn.Conv2d(2, 3, 3), torch.nn.BatchNorm2d(3)) for _ in range(2))
    parent(torch.randn(4, 2, 5, 5))
    child.to(memory_format=torch.channels_last)

    inherit_weights(child, _write(tmp_path, parent.state_dict()))

    assert all(torch.equal(tensor, child.state_dict()[name]) for name, tensor in parent.state_dict().items())
    assert 1 == child.state_dict()["1.num_batches_tracked"].item()
    assert child.get_parameter("0.weight").is_contiguous(memory_format=torch.channels_last)


def test_a_training_starts_from_inherited_weights(inherited: Inherited) -> None:
    """With all weights of the parent the first loss is the parent's own, on the child's order of the images."""
    heir = replace(make_request(), inherited=inherited)
    asleep = make_request(learning_rate=1e-9, max_epochs=1).training

    losses = [
        run_fit(replace(request, training=asleep), make_data())[0][0].training_loss
        for request in (make_request(), PARENT, heir)
    ]

    assert pytest.approx(losses[1], rel=1e-5) == losses[2]
    assert abs(losses[0] - losses[2]) > 1e-3


@pytest.mark.parametrize("batches", [2, 11])
def test_an_heir_is_continued_bit_for_bit_without_the_file(tmp_path: Path, inherited: Inherited, batches: int) -> None:
    """Once there is a checkpoint the parent's weights may be gone."""
    heir = replace(make_request(), inherited=inherited)
    expected = _fit(heir)
    folder = tmp_path / "checkpoints"
    run_fit(replace(heir, checkpoint_dir=folder), make_data(), Stopper(batches))
    inherited.path.unlink()

    assert expected == _fit(replace(heir, checkpoint_dir=folder))


def test_a_checkpoint_of_fresh_weights_is_not_continued(tmp_path: Path, inherited: Inherited) -> None:
    """Nor the other way round: they are different trainings."""
    folder = tmp_path / "checkpoints"
    _, outcome = run_fit(make_request(folder=folder), make_data(), Stopper(11))
    assert isinstance(outcome, Interrupted)
    heir = replace(make_request(), inherited=inherited)

    assert _fit(heir) == _fit(replace(heir, checkpoint_dir=folder))


def test_best_weights_of_a_training_can_be_inherited(tmp_path: Path) -> None:
    """The file that ``fit`` leaves, with the SHA-256 that it reports."""
    _, outcome = run_fit(replace(PARENT, checkpoint_dir=tmp_path), make_data())
    assert isinstance(outcome, Trained)
    names = build_seeded(PARENT).state_dict()
    inherited = Inherited(
        path=tmp_path / BEST_WEIGHTS, sha256=outcome.weights_sha256, origins=tuple((name, name) for name in names)
    )

    epochs, _ = run_fit(replace(make_request(SMALL_NET, max_epochs=1), inherited=inherited), make_data())

    assert epochs[0].training_loss < 1.01 * outcome.evaluation.loss


def _delete(inherited: Inherited) -> Inherited:
    inherited.path.unlink()
    return inherited


def _flip(inherited: Inherited) -> Inherited:
    content = bytearray(inherited.path.read_bytes())
    content[-1] ^= 1
    inherited.path.write_bytes(content)
    return inherited


def _scribble(inherited: Inherited) -> Inherited:
    inherited.path.write_bytes(b"no tensors")
    return replace(inherited, sha256=hashlib.sha256(b"no tensors").hexdigest())


@pytest.mark.parametrize(
    ("spoil", "reason"),
    [
        (_delete, r"it cannot be read \(No such file or directory\)"),
        (_flip, "it has changed since it was written"),
        (_scribble, "it holds no weights"),
        (lambda one: replace(one, origins=(("layers.1.bias", "layers.9.bias"),)), "it has no tensor layers.9.bias"),
        (
            lambda one: replace(one, origins=(("layers.9.bias", "layers.1.bias"),)),
            "it is to give layers.1.bias to layers.9.bias, which the child does not have",
        ),
        (
            lambda one: replace(one, origins=(("layers.6.bias", "layers.1.bias"),)),
            "it has layers.1.bias as float32 4, but layers.6.bias is float32 3",
        ),
    ],
)
def test_weights_that_cannot_be_inherited_are_a_typed_error(
    inherited: Inherited, spoil: Callable[[Inherited], Inherited], reason: str
) -> None:
    """One sentence that names the file; no epoch is trained."""
    spoilt = spoil(inherited)

    with pytest.raises(InheritanceError, match=f"^cannot start from weights file 1-1.safetensors: {reason}$") as caught:
        run_fit(replace(make_request(), inherited=spoilt), make_data())

    assert spoilt.path == caught.value.path


def test_a_number_of_another_type_is_not_inherited(tmp_path: Path) -> None:
    """It would be rounded silently."""
    inherited = _write(tmp_path, {"layers.6.bias": torch.zeros(3, dtype=torch.float64)})

    with pytest.raises(InheritanceError, match=r"as float64 3, but layers\.6\.bias is float32 3"):
        inherit_weights(build_seeded(make_request()), inherited)


def test_nothing_is_inherited_in_part(inherited: Inherited) -> None:
    """A net that cannot inherit everything is left as it was."""
    net, before = (build_seeded(make_request()) for _ in range(2))
    spoilt = replace(inherited, origins=(*inherited.origins[:3], ("nowhere", "layers.1.bias")))

    with pytest.raises(InheritanceError):
        inherit_weights(net, spoilt)

    assert all(torch.equal(tensor, net.state_dict()[name]) for name, tensor in before.state_dict().items())


def test_a_tensor_has_one_origin() -> None:
    """Two would leave open which one counts."""
    with pytest.raises(ValueError, match="origins name a tensor of the child twice"):
        Inherited(path=Path("x"), sha256="", origins=(("a", "b"), ("a", "c")))
