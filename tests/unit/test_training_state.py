# SPDX-License-Identifier: Apache-2.0
"""Net and optimizer as tensors: whatever they consist of, the next steps are the same bit for bit."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from nas.training.checkpoint import Checkpoint, load_checkpoint, save_checkpoint
from nas.training.state import capture_state, restore_state

MakeOptimizer = Callable[[Iterable[nn.Parameter]], torch.optim.Optimizer]


class CountingSGD(torch.optim.SGD):
    """Keeps what the optimizers of torch no longer keep, and others do: plain numbers, integer tensors, None."""

    def step(self, closure: Any = None) -> Any:
        """Take a step and count it."""
        for group in self.param_groups:
            for parameter in group["params"]:
                state = self.state[parameter]
                state["count"] = state.get("count", 0) + 1
                state["product"] = state.get("product", 1.0) * 0.9
                state["is_warm"] = True
                state["seen"] = torch.tensor([2**53 + state["count"]])
                state["nothing"] = None
        return super().step(closure)


OPTIMIZERS: dict[str, MakeOptimizer] = {
    "SGD": lambda parameters: torch.optim.SGD(parameters, lr=0.05),
    "SGD with momentum": lambda parameters: torch.optim.SGD(parameters, lr=0.05, momentum=0.9, nesterov=True),
    "fused AdamW": lambda parameters: torch.optim.AdamW(parameters, lr=0.01, fused=True),
    "Adam with the largest moment": lambda parameters: torch.optim.Adam(parameters, lr=0.01, amsgrad=True),
    "NAdam": lambda parameters: torch.optim.NAdam(parameters, lr=0.01),
    "RMSprop with momentum": lambda parameters: torch.optim.RMSprop(parameters, lr=0.01, momentum=0.9),
    "Adafactor": lambda parameters: torch.optim.Adafactor(parameters, lr=0.01),
    "numbers": lambda parameters: CountingSGD(parameters, lr=0.05, momentum=0.9),
}


def _make_net() -> nn.Module:
    """A net with running statistics, in the memory layout of trainings, and with a parameter that is never used."""
    with torch.random.fork_rng():
        torch.manual_seed(3)
        net = nn.Sequential(nn.Conv2d(2, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.Flatten(), nn.Linear(16, 3))
        net.register_parameter("unused", nn.Parameter(torch.ones(2)))
    return net.to(memory_format=torch.channels_last)


def _step(net: nn.Module, optimizer: torch.optim.Optimizer, seed: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    images_NCHW, labels_N = torch.randn(6, 2, 4, 4, generator=generator), torch.arange(6) % 3
    optimizer.zero_grad()
    functional.cross_entropy(net.train()(images_NCHW), labels_N).backward()  # type: ignore[no-untyped-call]
    optimizer.step()


def _through_files(folder: Path, groups: dict[str, dict[str, Tensor]]) -> dict[str, dict[str, Tensor]]:
    save_checkpoint(folder, "f", Checkpoint(history=(), groups=groups))
    loaded = load_checkpoint(folder, "f")
    assert loaded is not None
    return loaded.groups


def _is_same(one: dict[str, dict[str, Tensor]], other: dict[str, dict[str, Tensor]]) -> bool:
    def flatten(groups: dict[str, dict[str, Tensor]]) -> dict[tuple[str, str], Tensor]:
        return {(group, name): tensor for group, named in groups.items() for name, tensor in named.items()}

    ones, others = flatten(one), flatten(other)
    return ones.keys() == others.keys() and all(
        ones[key].dtype == others[key].dtype and torch.equal(ones[key], others[key]) for key in ones
    )


@pytest.mark.parametrize("make_optimizer", OPTIMIZERS.values(), ids=OPTIMIZERS.keys())
def test_any_optimizer_goes_on_bit_for_bit(tmp_path: Path, make_optimizer: MakeOptimizer) -> None:
    """Two steps, a checkpoint, and two steps of a new net equal four steps; buffers and all state included."""
    net = _make_net()
    optimizer = make_optimizer(net.parameters())
    for seed in (1, 2):
        _step(net, optimizer, seed)
    groups = _through_files(tmp_path, capture_state(net, optimizer))
    continued = _make_net()
    continued_optimizer = make_optimizer(continued.parameters())

    restore_state(continued, continued_optimizer, groups)

    assert _is_same(groups, capture_state(continued, continued_optimizer))
    for seed in (3, 4):
        _step(net, optimizer, seed)
        _step(continued, continued_optimizer, seed)
    assert _is_same(capture_state(net, optimizer), capture_state(continued, continued_optimizer))


def test_running_statistics_are_kept_as_they_are(tmp_path: Path) -> None:
    """Mean, variance and an integer count, with their shapes and dtypes."""
    net = _make_net()
    optimizer = torch.optim.SGD(net.parameters(), lr=0.1)
    _step(net, optimizer, 1)
    continued = _make_net()

    restore_state(continued, optimizer, _through_files(tmp_path, capture_state(net, optimizer)))

    before, after = dict(net.named_buffers()), dict(continued.named_buffers())
    assert {"1.running_mean", "1.running_var", "1.num_batches_tracked"} == before.keys()
    assert 1 == after["1.num_batches_tracked"].item()
    assert {name: (tensor.dtype, tensor.tolist()) for name, tensor in before.items()} == {
        name: (tensor.dtype, tensor.tolist()) for name, tensor in after.items()
    }


def test_state_gets_the_memory_layout_of_its_parameter() -> None:
    """As the optimizer makes it itself: otherwise a fused step would run another kernel."""
    net, continued = _make_net(), _make_net()
    optimizer, continued_optimizer = (torch.optim.AdamW(each.parameters(), fused=True) for each in (net, continued))
    _step(net, optimizer, 1)

    restore_state(continued, continued_optimizer, capture_state(net, optimizer))

    moments = [each.state[next(iter(each.state))]["exp_avg"] for each in (optimizer, continued_optimizer)]
    assert 1 == len({moment.stride() for moment in moments})
    assert moments[1].is_contiguous(memory_format=torch.channels_last)


def test_numbers_come_back_as_numbers() -> None:
    """A count stays an integer and a product a float of the same bits."""
    net = _make_net()
    optimizer = CountingSGD(net.parameters(), lr=0.1)
    _step(net, optimizer, 1)
    groups = capture_state(net, optimizer)
    continued = _make_net()
    continued_optimizer = CountingSGD(continued.parameters(), lr=0.1)

    restore_state(continued, continued_optimizer, groups)

    state = continued_optimizer.state[next(continued.parameters())]
    assert (1, 0.9, True) == (state["count"], state["product"], state["is_warm"])
    assert [int, float, bool] == [type(state[key]) for key in ("count", "product", "is_warm")]
    assert 2**53 + 1 == state["seen"].item()


def test_a_parameter_without_state_gets_none() -> None:
    """A weight that no step has reached starts as it would have."""
    net = _make_net()
    optimizer = torch.optim.AdamW(net.parameters())
    _step(net, optimizer, 1)

    groups = capture_state(net, optimizer)

    assert "unused" in groups["weights"]
    assert {False} == {"unused" in named for group, named in groups.items() if group != "weights"}


def test_what_no_checkpoint_can_hold_is_named() -> None:
    """An optimizer that keeps a list is refused at the first checkpoint and not continued wrongly."""
    net = _make_net()
    optimizer = torch.optim.SGD(net.parameters(), lr=0.1)
    optimizer.state[next(net.parameters())]["history"] = [1, 2]

    with pytest.raises(TypeError, match="an optimizer keeps 'history' as list, which no checkpoint can hold"):
        capture_state(net, optimizer)
