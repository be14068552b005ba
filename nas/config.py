# SPDX-License-Identifier: Apache-2.0
"""Every setting of a search, declared once; defaults from the paper carry their section.

A new setting needs its declaration here and a field of the same name in ``proto/nas/api/v1/search.proto``.
"""

from __future__ import annotations

from dataclasses import dataclass, field, fields
from enum import Enum
from typing import Any

from nas.augmentations import AUGMENTATIONS, NONE, check_augmentations
from nas.blocks import BlockType
from nas.folders import (
    CLASS_MAPS,
    FITS,
    LEAST_SAMPLE_BITS,
    MOST_SAMPLE_BITS,
    check_class_map,
    compile_group_regex,
)
from nas.operations import PAPER_OPERATIONS, Growth, Operation
from nas.recipe import MOST_EPOCHS, Finish, RecipeSettings
from nas.settings import REQUIRED, ConfigError, Option, Setting, require_settings, setting, settings_of

FEWEST_FOLDS, MOST_FOLDS = 3, 20
"""Of a cross-validation: two leave half of the images for training, and more than twenty little for a test."""
_OPERATIONS = ", ".join(operation.value.replace("_", "-") for operation in Operation)


NARROW = "narrow"
"""In the place of an initial model: a small one, which is worked out when the size of the images is known."""


class Preset(Enum):
    """A named set of rules and defaults."""

    PAPER = "paper"
    EFFICIENT = "efficient"


class Precision(Enum):
    """Number format of the forward pass; AUTO is bf16 where the hardware has it, else fp32."""

    AUTO = "auto"
    FP32 = "fp32"
    BF16 = "bf16"


class Device(Enum):
    """Where children train; AUTO takes CUDA, then MPS, then the CPU."""

    AUTO = "auto"
    CPU = "cpu"
    CUDA = "cuda"
    MPS = "mps"


class SelectionMetric(Enum):
    """What BEST is best at; AUTO, which is settled at the start, is balanced accuracy on an imbalanced set."""

    ACCURACY = "accuracy"
    BALANCED_ACCURACY = "balanced_accuracy"
    AUTO = "auto"


class Imbalance(Enum):
    """What a training does about classes of different size; the loss and the accuracy that are reported stay plain."""

    NONE = "none"
    WEIGHTS = "weights"
    SAMPLING = "sampling"
    FOCAL = "focal"


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainingConfig(RecipeSettings):
    """How one child is trained (paper sections III.B and IV.D.2), with what issue 12 adds to the paper's recipe."""

    learning_rate: float = setting(0.001, help="Step size of Adam.", low=1e-9, high=10.0)
    """Section IV.D.2."""
    beta1: float = setting(0.9, help="Decay rate of Adam's mean of the gradients.", option=Option.SERVER)
    """Section IV.D.2."""
    beta2: float = setting(0.999, help="Decay rate of Adam's mean of the squared gradients.", option=Option.SERVER)
    """Section IV.D.2."""
    epsilon: float = setting(1e-7, help="What Adam adds to its divisor.", option=Option.SERVER)
    """Section IV.D.2; not PyTorch's default."""
    weight_decay: float = setting(0.02, help="Decoupled weight decay, as in AdamW.", low=0.0, high=10.0)
    """Section III.B; docs/paper-map.md says why it is decoupled."""
    batch_size: int = setting(
        64, help="Images per training step; 0 lets the number of training images choose.", low=0, high=65536
    )
    """Section IV.D.2. Never 0 in a search that has started."""
    max_epochs: int = setting(
        10, help="Most epochs of one training, unless --min-steps asks for more.", low=1, high=MOST_EPOCHS
    )
    """Section IV.D.2."""
    patience: int = setting(
        2,
        help="Epochs in a row without a lower validation loss after which a training stops; "
        "a schedule that comes down is not stopped.",
        low=1,
        high=10_000,
    )
    """Section IV.D.2."""
    imbalance: Imbalance = setting(
        Imbalance.NONE,
        help="Remedy for classes of different size: weighted loss, equally many images of each class, or focal loss.",
    )
    """The paper has none."""
    augment: str = setting(
        "",
        help="Random changes to training images: auto (those that suit the data set), all (but affine), none, "
        f"or some of {','.join(AUGMENTATIONS)}.",
        check=check_augmentations,
        empty="no changes",
        empty_word=NONE,
        metavar="KINDS",
    )
    """The paper has none."""
    device: Device = setting(Device.AUTO, help="Where children train; auto takes CUDA, then MPS, then the CPU.")
    precision: Precision = setting(
        Precision.AUTO, help="Number format of the forward pass; auto is bf16 where the hardware has it, else fp32."
    )

    def __post_init__(self) -> None:
        require_settings(self)
        self.require_schedule()
        if self.label_smoothing and self.imbalance is Imbalance.FOCAL:
            raise ConfigError("label_smoothing", "cannot be used with imbalance focal, which needs labels as they are")


@dataclass(frozen=True, slots=True, kw_only=True)
class ImageSettings:
    """How the images of a data set are read; whatever reads them inherits these fields."""

    input_size: int = setting(
        0, help="Side of the square input in pixels.", low=0, high=4096, empty="the data set's own"
    )
    class_map: str = setting(
        "",
        help=f"Classes to search with: {', '.join(CLASS_MAPS)}, or your own like 1=benign,4=malignant.",
        check=check_class_map,
        empty="the data set's own",
        metavar="MAP",
    )
    fit: str = setting("", help="Pad images to a square, or cut out the breast first.", choices=FITS, empty=FITS[0])
    group_regex: str = setting(
        "",
        help="Pattern that finds the patient in an image's path; all images of a patient go to the same part.",
        check=compile_group_regex,
        empty="the data set's own rule",
        metavar="REGEX",
    )
    sample_bits: int = setting(
        0,
        help="Bits per value that 16-bit grey images really use.",
        low=LEAST_SAMPLE_BITS,
        high=MOST_SAMPLE_BITS,
        empty=f"{MOST_SAMPLE_BITS}",
    )
    max_bad_files: int = setting(
        0, help="Most unreadable images to leave out; with more the search does not start.", low=0, high=2**31 - 1
    )

    def __post_init__(self) -> None:
        require_settings(self)


@dataclass(frozen=True, slots=True, kw_only=True)
class SearchConfig(ImageSettings):
    """What a user asks for when starting a search; the same config always means the same search."""

    dataset: str = setting(REQUIRED, help="Data set of the server: mnist, kau, folder:PATH and others.", metavar="NAME")
    block: BlockType = setting(
        REQUIRED, help="Inception, alone or with squeeze and excitation, efficient channel attention or self-attention."
    )
    preset: Preset = setting(Preset.PAPER, help="Named set of rules and defaults.")
    seed: int = setting(0, help="Seed of everything random.", low=0, high=2**63 - 1)
    initial: str = setting(
        "",
        help=f"The initial model; {NARROW} is a small one for the size of the images.",
        empty="the paper's",
        empty_word="paper",
        metavar="NOTATION",
    )
    strategy: str = setting(
        "paper", help="Rule by which children are proposed and selected, and the search stops.", option=Option.NONE
    )
    """Sections III.C and III.D; ``nas.search.strategies`` holds the names."""
    operations: tuple[Operation, ...] = setting(
        PAPER_OPERATIONS,
        help=f"Operations that derive children from a parent, in this order: some of {_OPERATIONS}.",
    )
    """Section III.A; the others stand in docs/adr/0018."""
    growth: Growth = setting(
        Growth.FIXED,
        help="How much an operation adds or takes: the paper's numbers, or what suits the width of the net there.",
    )
    """Sections III.A and IV.D.1 have fixed numbers."""
    max_iterations: int = setting(
        30, help="Most iterations; 0 trains and evaluates the initial model alone.", low=0, high=10_000
    )
    time_budget_seconds: int = setting(
        43_200,
        help="Most time in which workers train; pauses, queues and downtime do not count: 90s, 30m, 12h, 2d, none.",
        low=0,
        high=10 * 365 * 86_400,
    )
    """Section IV."""
    max_parameters: int = setting(50_000_000, help="Most parameters of a child.", low=1, high=10**12)
    max_attempts: int = setting(
        3, help="Attempts at a child's training that may fail before the child counts as failed.", low=1, high=100
    )
    max_failed_children: int = setting(16, help="Failed children after which the search stops.", low=1, high=10_000)
    selection_metric: SelectionMetric | None = setting(
        None,
        help="What makes a child the best; auto is balanced accuracy on an imbalanced data set, else accuracy.",
        empty="accuracy",
    )
    """Never AUTO in a search that has started."""
    training: TrainingConfig = field(default_factory=TrainingConfig)
    threads: int = setting(
        0, help="CPU threads per worker, fixed when the search starts.", low=0, high=1024, empty="the server's choice"
    )
    train_limit: int = setting(
        0, help="Most images to take for training and validation.", low=0, high=2**31 - 1, empty="all"
    )
    folds: int = setting(
        0,
        help="Number of disjoint test parts, for cross-validation.",
        low=FEWEST_FOLDS,
        high=MOST_FOLDS,
        empty="the data set's own division",
        metavar="K",
    )
    fold: int = setting(
        0, help="Which of the K folds is the test part, from 1.", empty="none, without --folds", metavar="I"
    )
    finish: Finish = setting(
        Finish.NONE,
        help="Train the best and the smallest net once more after the search, before the test: for twice as many "
        "epochs (short) or five times as many (full).",
    )
    """The paper has none; docs/adr/0017 says what happens."""

    def __post_init__(self) -> None:
        require_settings(self)
        if len(set(self.operations)) < len(self.operations):
            raise ConfigError("operations", "must name each operation once")
        if self.folds == 0 and self.fold != 0:
            raise ConfigError("fold", f"{self.fold} needs folds: how many of them there are")
        if self.folds and self.fold == 0:
            raise ConfigError("fold", f"is missing: which of the {self.folds} folds is the test part, from 1")
        if self.folds and not 1 <= self.fold <= self.folds:
            raise ConfigError("fold", f"must lie between 1 and {self.folds}, the number of folds, not {self.fold}")


def search_settings() -> tuple[Setting, ...]:
    """Return every setting of a search in the order of help: its own, those of the training, those of the images.

    No two have the same name, so commands need no prefix for those of the training.
    """
    images = settings_of(ImageSettings)
    own = tuple(each for each in settings_of(SearchConfig) if each not in images)
    return own + settings_of(TrainingConfig) + images


def image_settings(record: ImageSettings) -> dict[str, Any]:
    """Return the settings of the images by name, as every class that inherits them takes them."""
    return {f.name: getattr(record, f.name) for f in fields(ImageSettings)}


@dataclass(frozen=True, slots=True, kw_only=True)
class InputShape:
    """Shape of one image: channels, height, width."""

    channels: int
    height: int
    width: int

    def __post_init__(self) -> None:
        for name in (f.name for f in fields(self)):
            if not 1 <= getattr(self, name) <= 65536:
                raise ConfigError(name, f"must lie between 1 and 65536, not {getattr(self, name)}")

    def __str__(self) -> str:
        return f"{self.channels}x{self.height}x{self.width}"
