# SPDX-License-Identifier: Apache-2.0
"""What a search must be before it begins, and what is fixed for it when it does."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest
from attempts import DATASET
from control_plane import make_config

from nas.augmentations import AUGMENTATIONS, parse_augmentations
from nas.catalogue import CATALOGUE, DatasetInfo
from nas.config import SearchConfig, SelectionMetric, TrainingConfig
from nas.search.conditions import DatasetSummary, PartCounts
from nas.search.machine import decide
from server.codec.envelope import Envelope, decode, encode
from server.engine.admission import MAX_INITIAL_LAYERS, Admission
from server.engine.engine import seeded_by
from server.engine.errors import InvalidSettingError
from server.engine.settling import is_answered_by
from server.executor.preparation import DataError, DataPreparation, PreparedData

GIB = 1 << 30


@dataclass(frozen=True, slots=True, kw_only=True)
class Prepared(DataPreparation):
    """Every data set is the one that a test gives, and every question is noted."""

    dataset: DatasetSummary
    asked: list[SearchConfig] = field(default_factory=list)

    async def prepare(self, config: SearchConfig, *, is_verifying: bool = False) -> PreparedData:
        self.asked.append(config)
        return PreparedData(summary=self.dataset)


def _admission(tmp_path: Path, dataset: DatasetSummary = DATASET, memory_limit_bytes: int = 8 * GIB) -> Admission:
    preparation = Prepared(data_root=None, cache_dir=tmp_path, dataset=dataset)
    return Admission(preparation=preparation, threads=3, memory_limit_bytes=memory_limit_bytes, software="seib-nas 0")


async def test_what_the_search_does_not_say_is_fixed(tmp_path: Path) -> None:
    """The data, the threads, the memory and the program stand in the command, so that no restart changes them."""
    config = make_config()

    command = await _admission(tmp_path).admit(config, "id", "somebody")

    assert (config, "id", "somebody", "seib-nas 0") == (
        command.config,
        command.request_id,
        command.principal,
        command.software,
    )
    assert DATASET == command.dataset
    assert (3, 8 * GIB) == (command.resources.threads, command.resources.memory_limit_bytes)
    assert () == command.warnings


async def test_threads_of_the_search_come_before_those_of_the_server(tmp_path: Path) -> None:
    """They decide about the bits of a training."""
    command = await _admission(tmp_path).admit(make_config(threads=7), "", "")

    assert 7 == command.resources.threads


BY_ITSELF = "C(1,1) P(1,1) "
REFUSED: list[tuple[dict[str, Any], str, str, str]] = [
    ({"dataset": "nothing"}, "dataset", "UNKNOWN_DATASET", "there is no data set 'nothing'; the data sets are digits"),
    ({"dataset": "../etc/passwd"}, "dataset", "UNKNOWN_DATASET", "there is no data set '../etc/passwd'"),
    ({"strategy": "greedy"}, "strategy", "INVALID_CONFIG", "there is no strategy 'greedy'; the strategies are paper"),
    ({"dataset": "x" * 5000}, "dataset", "UNKNOWN_DATASET", f"there is no data set '{'x' * 80}';"),
    ({"initial": "C(64,3) P(1,1)"}, "initial", "INVALID_NOTATION", "the initial model is no net: character 9: a net"),
    ({"initial": "nonsense"}, "initial", "INVALID_NOTATION", "the initial model is no net: character 1: expected"),
    ({"initial": "\x00"}, "initial", "INVALID_NOTATION", "the initial model is no net"),
    (
        {"initial": BY_ITSELF * 99 + "C(1,1) F() FC(10)"},
        "initial",
        "INVALID_ARCHITECTURE",
        "the initial model has 201 layers, more than 200",
    ),
    (
        {"initial": "F() FC(3)"},
        "initial",
        "INVALID_ARCHITECTURE",
        "the initial model ends with FC(3), but data set 'digits' has 10 classes",
    ),
    (
        {"initial": "C(1,29) F() FC(10)"},
        "initial",
        "INVALID_ARCHITECTURE",
        "the initial model does not fit 1x28x28 images: layer 1: a 29x29 window does not fit",
    ),
    (
        {"max_parameters": 7849},
        "initial",
        "INVALID_ARCHITECTURE",
        "the initial model has 7,850 parameters, more than the 7,849 of --max-parameters",
    ),
    (
        {"initial": "C(1,1) P(1,1) " + "Concat() " * 196 + "F() FC(10)"},
        "initial",
        "INVALID_ARCHITECTURE",
        "the initial model has countless parameters, more than the 50,000,000 of --max-parameters",
    ),
    (
        {"initial": "C(2147483647,28) F() FC(10)", "max_parameters": 10**12},
        "initial",
        "INVALID_ARCHITECTURE",
        "the initial model has 1,707,249,499,375 parameters, more than the 1,000,000,000,000 of --max-parameters",
    ),
    (
        {"initial": "C(60000000,1) P(28,28) F() FC(10)", "max_parameters": 10**12},
        "initial",
        "INVALID_ARCHITECTURE",
        "training the initial model takes up to ",
    ),
    (
        {"training": TrainingConfig(augment="shift,flip")},
        "augment",
        "INVALID_CONFIG",
        "--augment shift,flip is not for data set 'digits'",
    ),
    (
        {"dataset": "mnist", "training": TrainingConfig(augment="all")},
        "augment",
        "INVALID_CONFIG",
        "--augment all is not for data set 'mnist', whose images flip would falsify: a mirrored digit is another sign;",
    ),
    (
        {"training": TrainingConfig(batch_size=65536), "initial": "C(64,1) C(64,1) F() FC(10)"},
        "initial",
        "INVALID_ARCHITECTURE",
        "of a worker; choose a smaller --batch-size",
    ),
    (
        {"training": TrainingConfig(batch_size=65536, min_steps=10_001)},
        "min_steps",
        "INVALID_CONFIG",
        "--min-steps 10001 takes 10001 epochs of ",
    ),
]


@pytest.mark.parametrize(("changes", "name", "reason", "words"), REFUSED, ids=[words[:60] for *_, words in REFUSED])
async def test_what_cannot_work_is_refused(
    tmp_path: Path, changes: dict[str, Any], name: str, reason: str, words: str
) -> None:
    """With the setting, a reason for machines and a sentence for people, short whatever was typed."""
    config = make_config(**{"initial": "F() FC(10)"} | changes)

    with pytest.raises(InvalidSettingError) as caught:
        await _admission(tmp_path).admit(config, "", "")

    assert (name, reason) == (caught.value.field, caught.value.reason)
    assert words in str(caught.value)
    assert len(str(caught.value)) < 300


async def test_data_is_not_touched_for_a_search_that_cannot_be(tmp_path: Path) -> None:
    """Reading it may take minutes; a notation is checked at once."""
    admission = _admission(tmp_path)

    flipped = {"training": TrainingConfig(augment="flip")}
    for changes in ({"dataset": "nothing"}, {"initial": "nonsense"}, flipped):
        with pytest.raises(InvalidSettingError):
            await admission.admit(make_config(**changes), "", "")

    assert isinstance(admission.preparation, Prepared)
    assert [] == admission.preparation.asked


@pytest.mark.parametrize("initial", ["", "C(1,1) " * (MAX_INITIAL_LAYERS - 2) + "F() FC(10)"], ids=["paper", "longest"])
async def test_whatever_is_admitted_can_be_journaled_and_read_back(tmp_path: Path, initial: str) -> None:
    """The first facts of the deepest net that is let in survive a restart."""
    command = await _admission(tmp_path).admit(make_config(initial=initial), "", "")

    facts = decide(None, command, seeded_by(0))
    assert facts
    for fact in facts:
        envelope = Envelope(search_id="a", sequence=1, time_ns=0, running_seconds=0.0, fact=fact)
        assert envelope == decode(encode(envelope))


IMBALANCED = "the data set is imbalanced: always answering 'c' is right for 51.2% of the training images; children are "


@pytest.mark.parametrize(
    ("train", "metric", "warning"),
    [
        ((10, 10, 10), None, ""),
        ((10, 10, 20), None, ""),
        (
            (10, 10, 21),
            None,
            f"{IMBALANCED}selected by accuracy, as in the paper; --selection-metric balanced-accuracy is not fooled",
        ),
        (
            (10, 10, 21),
            SelectionMetric.ACCURACY,
            f"{IMBALANCED}selected by accuracy all the same, as was asked",
        ),
        (
            (10, 10, 21),
            SelectionMetric.BALANCED_ACCURACY,
            f"{IMBALANCED}selected by balanced accuracy, which is not fooled",
        ),
        (
            (10, 10, 21),
            SelectionMetric.AUTO,
            f"{IMBALANCED}selected by balanced accuracy, which is not fooled; --preset paper selects by accuracy",
        ),
    ],
)
async def test_an_imbalanced_data_set_is_remarked_upon(
    tmp_path: Path, train: tuple[int, ...], metric: SelectionMetric | None, warning: str
) -> None:
    """From more than twice as many images in one class as in another; what is selected by is said with it."""
    counts = PartCounts(train=train, validation=(1, 1, 1), test=(1, 1, 1))
    dataset = replace(DATASET, class_names=("a", "b", "c"), counts=counts)

    config = make_config(initial="F() FC(3)", selection_metric=metric)
    command = await _admission(tmp_path, dataset).admit(config, "", "")

    assert ((warning,) if warning else ()) == command.warnings


@pytest.mark.parametrize(("train", "metric"), [((10, 10, 20), None), ((10, 10, 21), SelectionMetric.BALANCED_ACCURACY)])
async def test_the_metric_that_the_data_decide_is_settled(
    tmp_path: Path, train: tuple[int, ...], metric: SelectionMetric | None
) -> None:
    """The search that starts says what it selects by, and still is what was asked for."""
    counts = PartCounts(train=train, validation=(1, 1, 1), test=(1, 1, 1))
    dataset = replace(DATASET, class_names=("a", "b", "c"), counts=counts)
    asked = make_config(initial="F() FC(3)", selection_metric=SelectionMetric.AUTO)

    config = (await _admission(tmp_path, dataset).admit(asked, "", "")).config

    assert metric is config.selection_metric
    assert is_answered_by(asked, config)
    assert not is_answered_by(replace(asked, seed=asked.seed + 1), config)
    assert not is_answered_by(replace(asked, selection_metric=SelectionMetric.ACCURACY), config)


@pytest.mark.parametrize(
    ("dataset", "augment"),
    [
        ("digits", "affine"),
        ("mnist", "affine"),
        ("fashion-mnist", "affine"),
        ("folder:pets", "affine"),
        ("manifest:list.csv", "affine"),
        ("kau", "flip,intensity,affine"),
        ("kau:somewhere", "flip,intensity,affine"),
    ],
)
async def test_the_augmentation_that_the_data_allow_is_settled(tmp_path: Path, dataset: str, augment: str) -> None:
    """Only what is known not to change the class of an image; the search still is what was asked for."""
    asked = make_config(dataset=dataset, initial="F() FC(10)", training=TrainingConfig(augment="auto"))

    config = (await _admission(tmp_path).admit(asked, "", "")).config

    assert replace(asked, training=replace(asked.training, augment=augment)) == config
    assert is_answered_by(asked, config)
    assert not is_answered_by(replace(asked, training=replace(asked.training, augment="shift")), config)


@pytest.mark.parametrize(
    ("images", "batch_size"), [(1, 32), (999, 32), (1_000, 64), (9_999, 64), (10_000, 128), (54_000, 128)]
)
async def test_the_batch_size_that_follows_the_number_of_images_is_settled(
    tmp_path: Path, images: int, batch_size: int
) -> None:
    """Before anything is computed from it: epochs, memory."""
    dataset = replace(DATASET, counts=replace(DATASET.counts, train=(images, *(0,) * (DATASET.classes - 1))))
    asked = make_config(initial="F() FC(10)", training=TrainingConfig(batch_size=0, min_steps=300))

    config = (await _admission(tmp_path, dataset).admit(asked, "", "")).config

    assert replace(asked, training=replace(asked.training, batch_size=batch_size)) == config
    assert is_answered_by(asked, config)
    assert not is_answered_by(replace(asked, training=replace(asked.training, batch_size=batch_size + 1)), config)


async def test_a_batch_size_that_is_given_stays(tmp_path: Path) -> None:
    """However few the images are."""
    asked = make_config(initial="F() FC(10)", training=TrainingConfig(batch_size=1000))

    assert asked == (await _admission(tmp_path).admit(asked, "", "")).config


@pytest.mark.parametrize("info", CATALOGUE.values(), ids=CATALOGUE)
def test_what_the_catalogue_says_about_augmentation_holds_together(info: DatasetInfo) -> None:
    """Kinds that can go together, none of them forbidden, and a reason for what is."""
    assert info.augmentations == parse_augmentations(",".join(info.augmentations))
    assert set(info.forbidden_augmentations) <= set(AUGMENTATIONS) - set(info.augmentations)
    assert bool(info.forbidden_augmentations) is bool(info.why_forbidden)


@pytest.mark.parametrize("dataset", ["fashion-mnist", "folder:pets", "kau"])
async def test_flips_are_left_to_whoever_knows_the_images(tmp_path: Path, dataset: str) -> None:
    """Only where the catalogue knows better are they refused."""
    config = make_config(dataset=dataset, initial="F() FC(10)", training=TrainingConfig(augment="all"))

    assert config == (await _admission(tmp_path).admit(config, "", "")).config


async def test_data_that_cannot_be_used_is_told_as_it_is(tmp_path: Path) -> None:
    """The real reader in its own process: what is wrong, in one sentence, without a path of this machine."""
    admission = replace(_admission(tmp_path), preparation=DataPreparation(data_root=tmp_path, cache_dir=tmp_path))

    with pytest.raises(DataError) as caught:
        await admission.admit(make_config(dataset="mnist"), "", "")

    assert "MissingFilesError" == caught.value.kind
    assert "<data root>/mnist" in str(caught.value)
    assert str(tmp_path) not in str(caught.value)


async def test_a_class_map_is_for_the_data_set_that_has_it(tmp_path: Path) -> None:
    """Elsewhere it would be ignored in silence; the data is not even looked at."""
    admission = _admission(tmp_path)

    with pytest.raises(InvalidSettingError) as caught:
        await admission.admit(make_config(class_map="binary"), "id", "")

    assert "--class-map binary is for data set kau, not for 'digits'" == str(caught.value)
    assert ("class_map", "INVALID_CONFIG") == (caught.value.field, caught.value.reason)


@pytest.mark.parametrize("dataset", ["folder", "folder:", "kau:", "mnist:x", "digits:", "Kau", ":x", "földer:x"])
async def test_a_data_set_that_is_none_is_refused_with_those_there_are(tmp_path: Path, dataset: str) -> None:
    """A path is for folders only, and a folder of one's own has no place without one."""
    with pytest.raises(InvalidSettingError, match="folder:PATH, kau, kau:PATH, manifest:PATH, mnist") as caught:
        await _admission(tmp_path).admit(make_config(dataset=dataset), "id", "")

    assert "UNKNOWN_DATASET" == caught.value.reason
