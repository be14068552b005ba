# SPDX-License-Identifier: Apache-2.0
"""The paper's published parameter counts; each test quotes the net as printed and admits what does not fit.

"Parameters number: This is the number of weights used during training." Reference: section IV.B.
"""

from __future__ import annotations

from typing import Any

import pytest

from nas.architecture import Architecture
from nas.blocks import Inception, SEInception
from nas.config import InputShape
from nas.layers import Concat, Conv, Flatten, Layer, Linear, Pool
from nas.shapes import param_count

MNIST = InputShape(channels=1, height=28, width=28)
KAU = InputShape(channels=1, height=64, width=64)

C = Conv(filters=64, kernel=3)
C1 = Conv(filters=64, kernel=1)
P = Pool(step=1, size=1)
WIDTHS: dict[str, Any] = {"ch1x1": 32, "ch3x3red": 64, "ch3x3": 128, "ch5x5red": 16, "ch5x5": 32, "pool_proj": 32}
IB = Inception(**WIDTHS)
SEIB = SEInception(**WIDTHS)
WIDENED = Inception(ch1x1=64, ch3x3red=64, ch3x3=160, ch5x5red=16, ch5x5=64, pool_proj=64)


def _net(*features: Layer, classes: int = 10) -> Architecture:
    return Architecture((*features, Flatten(), Linear(outputs=classes)))


def test_initial_model() -> None:
    """'M = C(64,3); P(1,1); IB (32,64,128,16,32,32);P(1,1); F (); FC (10)', section IV.D.1; no count is printed."""
    assert 1_610_938 == param_count(_net(C, P, IB, P), MNIST)


def test_table_iii_add_block() -> None:
    """Table III, M_1: 1730026. The block is added without the 'fully connected layer' that section III.A.2 mentions."""
    assert 1_730_026 == param_count(_net(C, P, IB, IB, P), MNIST)


def test_table_iii_concat() -> None:
    """Table III, M_3: 3125178. Concat() joins the block with its identity pool, 224 + 224 channels."""
    assert 3_125_178 == param_count(_net(C, P, IB, P, Concat()), MNIST)


def test_table_iii_add_layer() -> None:
    """Table III, M_0: 543738. Table I prints 'C(64,3)', which has 594,426; the count is that of a 1x1 kernel."""
    assert 594_426 == param_count(_net(C, P, IB, P, C, P), MNIST)
    assert 543_738 == param_count(_net(C, P, IB, P, C1, P), MNIST)


def test_table_iii_widen() -> None:
    """Table III, M_2: 2104858, which fits no printed net; Table I's net with IB(64,64,160,16,64,64) has more."""
    assert 2_511_674 == param_count(_net(C, P, WIDENED, P), MNIST)


def test_table_iv_bbnas() -> None:
    """Table IV, BbNAS: 'C(64,3) P(1,1) IB(32,64,128,16,32,32) P(1,1) C(64,3) C(64,3) P(1,1) F() FC(10)', 572,474."""
    assert 572_474 == param_count(_net(C, P, IB, P, C, C, P), MNIST)


@pytest.mark.parametrize(("block", "expected"), [(IB, 2_078_650), (SEIB, 2_078_650 + 5 * 6_510)])
def test_table_iv_se_bbnas(block: Layer, expected: int) -> None:
    """Table IV, SE-BbNAS: 2,342,282 fits nothing: the net has 2,078,650 without SE and 2,111,200 with it."""
    squeeze_and_excite = 14 * (224 + 1) + 224 * (14 + 1)

    count = param_count(_net(C, block, P, block, block, block, P, C1, block, P), MNIST)

    assert 6_510 == squeeze_and_excite
    assert expected == count


def test_table_v_bbnas() -> None:
    """Table V prints 2,428,403 in the SE-BbNAS row, but it is the count of the same table's BbNAS net.

    "The returned architecture for BbNAS is composed of: C(64,3) P(1,1) IB(32,64,128,16,32,32) P(1,1) Concat() C(64,3)
    P(1,1) Concat() Concat() F() FC(3)." Its own row repeats M_0's 543,738 of Table III. Reference: section IV.F.
    """
    features = (C, P, IB, P, Concat(), C, P, Concat(), Concat())

    assert 2_428_403 == param_count(_net(*features, classes=3), KAU)


def test_table_v_se_bbnas() -> None:
    """Table V's SE-BbNAS net has the count of Table VI's net and two squeeze-and-excitation branches more."""
    assert 2_741_027 + 2 * 6_510 == param_count(_net(C, P, SEIB, P, C, P, SEIB, P, classes=3), KAU)


def test_table_vi() -> None:
    """Table VI: 2,741,027 with 'a regular inception block'; this count fixes the KAU input at 64x64 grey."""
    assert 2_741_027 == param_count(_net(C, P, IB, P, C, P, IB, P, classes=3), KAU)
