# SPDX-License-Identifier: Apache-2.0
"""What augmentation does to pixels, how it is drawn, and that an interruption changes neither."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from tiny_training import Stopper, make_data, make_request, run_fit, without_times

from nas.augmentations import AUGMENTATIONS, IN_ALL, parse_augmentations
from nas.child import ChildId
from nas.config import Imbalance, InputShape
from nas.training import Interrupted, Trained
from nas.training.augmentation import Augmentation, draw_augmentation

CPU = torch.device("cpu")
MANY = 2000
RAMP_1CHW = torch.arange(64, dtype=torch.uint8).reshape(1, 1, 8, 8)
"""Eight rows of eight pixels, each brighter than the one before."""
IDENTITY = torch.tensor([[[1.0, 0.0, 0.0], [0.0, 1.0, 0.0]]])


def _draw(kinds: str, images: int = MANY, epoch: int = 1, **request: Any) -> Augmentation:
    augmentation = draw_augmentation(replace(make_request(augment=kinds), **request), epoch, images, CPU)
    assert augmentation is not None
    return augmentation


def _maps(kinds: str, **request: Any) -> torch.Tensor:
    maps_N23 = _draw(kinds, **request).maps_N23
    assert maps_N23 is not None
    return maps_N23


def _vary(kinds: str, image_1CHW: torch.Tensor) -> torch.Tensor:
    """A thousand variations of one image."""
    return _draw(kinds).apply(image_1CHW.expand(MANY, -1, -1, -1), 0)


@pytest.mark.parametrize(
    ("text", "kinds"),
    [("", ()), ("all", IN_ALL), ("shift,flip", ("flip", "shift")), ("affine,flip", ("flip", "affine"))],
)
def test_kinds_are_a_choice(text: str, kinds: tuple[str, ...]) -> None:
    """In whatever order they are written."""
    assert kinds == parse_augmentations(text)


def test_off_means_the_images_as_they_are() -> None:
    """The default, as in the paper: nothing is drawn and the pixels stay uint8."""
    assert draw_augmentation(make_request(), 1, 10, CPU) is None


def test_the_identity_map_changes_nothing() -> None:
    """Pixels keep their places, to within rounding."""
    same = Augmentation(maps_N23=IDENTITY, tones_N2=None).apply(RAMP_1CHW, 0)

    torch.testing.assert_close(RAMP_1CHW.float(), same, rtol=0, atol=1e-3)


def test_flip_mirrors_half_of_the_images() -> None:
    """Left and right, never upside down; the others stay."""
    varied = _vary("flip", RAMP_1CHW)

    mirrored = (varied - RAMP_1CHW.flip(3)).abs().amax(dim=(1, 2, 3)) < 1e-3
    same = (varied - RAMP_1CHW).abs().amax(dim=(1, 2, 3)) < 1e-3
    assert bool((mirrored ^ same).all())
    assert abs(int(mirrored.sum()) - MANY / 2) < 5 * (MANY / 4) ** 0.5


def test_a_shift_moves_and_fills_with_black() -> None:
    """By hand: a shift by a quarter of the side is two of eight pixels, and two columns come in from outside."""
    quarter = IDENTITY.clone()
    quarter[0, 0, 2] = 0.5  # of the way from -1 to 1

    moved = Augmentation(maps_N23=quarter, tones_N2=None).apply(RAMP_1CHW, 0)

    torch.testing.assert_close(RAMP_1CHW[..., 2:].float(), moved[..., :6], rtol=0, atol=1e-3)
    assert 0.0 == moved[..., 6:].abs().max().item()


@pytest.mark.parametrize(("kinds", "most"), [("shift", 0.2), ("flip", 0.0), ("rotate", 0.0), ("scale", 0.0)])
def test_only_a_shift_moves_the_centre(kinds: str, most: float) -> None:
    """By up to a tenth of the side either way, which is 0.2 of the way from -1 to 1, and about evenly."""
    centres_N2 = _maps(kinds)[:, :, 2]

    assert centres_N2.abs().max().item() <= most
    assert centres_N2.abs().max().item() >= 0.95 * most
    assert centres_N2.mean(dim=0).abs().max().item() <= 0.02


def test_rotations_are_rotations_of_at_most_ten_degrees() -> None:
    """Orthogonal, of determinant 1."""
    turns_N22 = _maps("rotate")[:, :, :2]

    products_N22 = turns_N22 @ turns_N22.transpose(1, 2)
    torch.testing.assert_close(torch.eye(2).expand(MANY, 2, 2), products_N22, rtol=0, atol=1e-6)
    torch.testing.assert_close(torch.ones(MANY), torch.linalg.det(turns_N22), rtol=0, atol=1e-6)
    degrees_N = torch.rad2deg(torch.atan2(turns_N22[:, 1, 0], turns_N22[:, 0, 0]))
    assert -10.0 <= degrees_N.min() < -9.5
    assert 9.5 < degrees_N.max() <= 10.0


def test_a_wide_image_is_turned_without_shear() -> None:
    """In pixels, of which one unit across holds more than one along, the map is still orthogonal."""
    turns_N22 = _maps("rotate", input_shape=InputShape(channels=1, height=8, width=16))[:, :, :2]

    to_pixels = torch.diag(torch.tensor([16.0, 8.0]))
    in_pixels_N22 = to_pixels @ turns_N22 @ to_pixels.inverse()
    products_N22 = in_pixels_N22 @ in_pixels_N22.transpose(1, 2)
    torch.testing.assert_close(torch.eye(2).expand(MANY, 2, 2), products_N22, rtol=0, atol=1e-5)


def test_scales_are_of_at_most_a_tenth() -> None:
    """Both sides alike, up to 1.1 and down to 1/1.1."""
    maps_N22 = _maps("scale")[:, :, :2]

    factors_N = maps_N22[:, 0, 0]
    torch.testing.assert_close(factors_N[:, None, None] * torch.eye(2), maps_N22)
    assert 1 / 1.1 - 1e-6 <= factors_N.min() < 0.915
    assert 1.095 < factors_N.max() <= 1.1 + 1e-6


def test_intensity_is_gain_and_gamma() -> None:
    """By hand: 255 * 1.2 * (51/255)^1.25 = 40.93; black stays black and nothing is brighter than white."""
    images = torch.tensor([0, 51, 255], dtype=torch.uint8).reshape(1, 1, 1, 3)

    toned = Augmentation(maps_N23=None, tones_N2=torch.tensor([[1.2, 1.25]])).apply(images, 0)

    assert pytest.approx([0.0, 306 * 0.2**1.25, 255.0], rel=1e-5) == toned.flatten().tolist()
    varied = _vary("intensity", images)
    assert 0.0 == varied[..., 0].max().item()
    assert 255.0 == varied.max().item()
    assert 0 < varied[..., 1].min() < 51 < varied[..., 1].max() < 255


def test_draws_are_derived_from_search_child_and_epoch() -> None:
    """Equal paths give equal draws; another epoch, child or search gives others."""
    paths: list[dict[str, Any]] = [{}, {"epoch": 2}, {"child_id": ChildId(1, 3)}, {"search_seed": 4}]

    drawn = {_maps("all", images=5, **path).numpy().tobytes() for path in paths * 2}

    assert 4 == len(drawn)


def test_no_kind_changes_the_draws_of_another() -> None:
    """With or without the others, an image is turned by the same angle."""
    alone, together = _maps("shift"), _maps("all")

    assert torch.equal(alone[:, :, 2], together[:, :, 2])


def test_a_batch_takes_its_own_rows() -> None:
    """In pieces the images come out as in one."""
    augmentation = _draw("all", images=10)
    images = torch.from_numpy(make_data().train_images[:10])

    whole = augmentation.apply(images, 0)
    pieces = [augmentation.apply(images[first : first + 4], first) for first in (0, 4, 8)]

    assert torch.equal(whole, torch.cat(pieces))


def test_affine_stays_within_its_limits_and_reaches_them() -> None:
    """Shift, angle, scale and shear of each map, computed back from it, all of them different from image to image."""
    maps_N23 = _maps("affine")
    (m00, m01, _), (m10, m11, _) = maps_N23.permute(1, 2, 0).double()
    found = {
        0.18: maps_N23[:, :, 2].abs(),
        12.0: torch.rad2deg(torch.atan2(m10, m11)).abs(),
        1.1: torch.exp(torch.log(torch.hypot(m10, m11)).abs()),
        0.15: (m01 + m10).abs(),
    }

    assert torch.allclose(m00, m11)
    for limit, sizes in found.items():
        assert sizes.max() <= limit * (1 + 1e-6)
        assert sizes.max() > 0.99 * limit


def test_affine_is_drawn_anew_in_each_epoch_and_for_each_seed() -> None:
    """The same epoch, seed and image are varied in the same way."""
    first = _maps("affine")

    assert torch.equal(first, _maps("affine"))
    assert not torch.equal(first, _maps("affine", search_seed=4))
    assert not torch.equal(first, _maps("affine", epoch=2))


def test_affine_does_not_change_the_draws_of_others() -> None:
    """An image is mirrored with affine if it is without."""
    affine, mirrored, flip = _maps("affine"), _maps("affine,flip"), _maps("flip")

    assert torch.equal(affine[:, 0, 0] * flip[:, 0, 0], mirrored[:, 0, 0])
    assert torch.equal(affine[:, 1], mirrored[:, 1])


@pytest.mark.parametrize("part", ["shift", "rotate", "scale"])
def test_affine_beside_a_part_of_it_is_refused(part: str) -> None:
    """The message names both."""
    with pytest.raises(ValueError, match=f"{part} beside affine"):
        parse_augmentations(f"{part},affine")


@pytest.mark.parametrize(
    ("kinds", "imbalance"),
    [("all", Imbalance.NONE), ("flip,shift", Imbalance.SAMPLING), ("affine,intensity", Imbalance.NONE)],
)
@pytest.mark.parametrize("batches", [3, 13])
def test_an_interruption_changes_nothing(tmp_path: Path, kinds: str, imbalance: Imbalance, batches: int) -> None:
    """Stopped in the middle of an epoch, it goes on bit for bit."""
    settings: dict[str, Any] = {"augment": kinds, "imbalance": imbalance, "max_epochs": 2}
    straight, expected = run_fit(make_request(**settings), make_data())
    first = run_fit(make_request(folder=tmp_path, **settings), make_data(), Stopper(batches))[1]

    epochs, outcome = run_fit(make_request(folder=tmp_path, **settings), make_data())

    assert isinstance(expected, Trained)
    assert isinstance(first, Interrupted)
    assert first.steps > 0
    assert (without_times(straight), expected) == (without_times(epochs), outcome)


def test_each_kind_trains_another_net() -> None:
    """An option that is passed over in silence would leave the weights as they are."""
    kinds = ["", *AUGMENTATIONS, "all"]

    outcomes = [run_fit(make_request(augment=each, max_epochs=1), make_data())[1] for each in kinds]

    assert len(kinds) == len({outcome.weights_sha256 for outcome in outcomes if isinstance(outcome, Trained)})


def test_the_data_stay_as_they_are() -> None:
    """What is varied is a copy; training twice starts from the same pixels."""
    data = make_data()
    before = data.train_images.copy()

    run_fit(make_request(augment="all", max_epochs=1), data)

    assert np.array_equal(before, data.train_images)
