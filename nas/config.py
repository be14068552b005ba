# SPDX-License-Identifier: Apache-2.0
"""Every setting of a search, as frozen records; defaults from the paper carry their section."""

from __future__ import annotations

from dataclasses import dataclass, field, fields
from enum import Enum

from nas.architecture import BlockType
from nas.augmentations import parse_augmentations
from nas.folders import (
    CLASS_MAPS,
    FITS,
    LEAST_SAMPLE_BITS,
    MOST_SAMPLE_BITS,
    FolderRuleError,
    compile_group_regex,
    parse_class_map,
)

FEWEST_FOLDS, MOST_FOLDS = 3, 20
"""Of a cross-validation: two leave half of the images for training, and more than twenty little for a test."""


class Preset(Enum):
    """A named set of rules and defaults."""

    PAPER = "paper"


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


class ConfigError(ValueError):
    """A setting out of its range; ``field`` names it."""

    def __init__(self, field_name: str, reason: str) -> None:
        super().__init__(f"{field_name} {reason}")
        self.field = field_name
        self.reason = reason


def _require_range(record: object, name: str, *, low: float, high: float) -> None:
    value = getattr(record, name)
    if not low <= value <= high:  # false for NaN, too
        raise ConfigError(name, f"must lie between {low} and {high}, not {value}")


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainingConfig:
    """How one child is trained (paper section III.B and IV.D.2)."""

    learning_rate: float = 0.001
    """Adam's alpha, section IV.D.2."""
    beta1: float = 0.9
    """Section IV.D.2."""
    beta2: float = 0.999
    """Section IV.D.2."""
    epsilon: float = 1e-7
    """Section IV.D.2; not PyTorch's default."""
    weight_decay: float = 0.02
    """Section III.B; decoupled (AdamW), see docs/paper-map.md."""
    batch_size: int = 64
    """Section IV.D.2."""
    max_epochs: int = 10
    """Section IV.D.2."""
    patience: int = 2
    """Epochs in a row without a lower validation loss that end a training, section IV.D.2."""
    device: Device = Device.AUTO
    precision: Precision = Precision.AUTO
    imbalance: Imbalance = Imbalance.NONE
    augment: str = ""
    """Kinds of augmentation as ``parse_augmentations`` reads them; the paper has neither these nor a remedy."""

    def __post_init__(self) -> None:
        _require_range(self, "learning_rate", low=1e-9, high=10.0)
        _require_range(self, "weight_decay", low=0.0, high=10.0)
        _require_range(self, "batch_size", low=1, high=65536)
        _require_range(self, "max_epochs", low=1, high=10_000)
        _require_range(self, "patience", low=1, high=10_000)
        try:
            parse_augmentations(self.augment)
        except ValueError as error:
            raise ConfigError("augment", str(error)) from error


@dataclass(frozen=True, slots=True, kw_only=True)
class SearchConfig:
    """What a user asks for when starting a search; the same config always means the same search."""

    dataset: str
    block: BlockType
    preset: Preset = Preset.PAPER
    seed: int = 0
    initial: str = ""
    """Notation of the initial model; empty means the paper's."""
    input_size: int = 0
    """Side of the square input in pixels; 0 means the data set's own."""
    train_limit: int = 0
    """Images in the pool from which training and validation are split; 0 means all."""
    max_iterations: int = 30
    """0 means that nothing is derived: the initial model alone is trained, and evaluated like a winner."""
    time_budget_seconds: int = 43_200
    """Most time with an attempt out, so without pauses, queues and downtime; 12 h as in section IV. 0: no budget."""
    max_attempts: int = 3
    """Attempts of one child that may fail before the child has failed."""
    max_failed_children: int = 16
    max_parameters: int = 50_000_000
    selection_metric: SelectionMetric | None = None
    """None means the preset's choice. Never AUTO in a search that has started."""
    threads: int = 0
    """CPU threads of one worker; 0 means the server's choice, fixed when the search starts."""
    class_map: str = ""
    """How the classes as found become those of the search, one of ``CLASS_MAPS`` or as ``parse_class_map`` reads it;
    empty means the data set's own."""
    max_bad_files: int = 0
    """Images that may be unreadable; they are left out. One more, and the search is not started."""
    fit: str = ""
    """One of ``FITS``; empty means the first."""
    group_regex: str = ""
    """Finds in the path of an image what must not be divided, such as its patient; empty means the data set's own."""
    folds: int = 0
    """Disjoint test parts that the images are dealt into, for cross-validation; 0 means the data set's own division."""
    fold: int = 0
    """Which of them is the test part, from 1; 0 without folds."""
    sample_bits: int = 0
    """Bits that a value of a 16-bit grey image takes, from ``LEAST_SAMPLE_BITS`` on; 0 means all of them."""
    training: TrainingConfig = field(default_factory=TrainingConfig)

    def __post_init__(self) -> None:
        if not self.dataset:
            raise ConfigError("dataset", "is missing")
        _require_range(self, "seed", low=0, high=2**63 - 1)
        _require_range(self, "input_size", low=0, high=4096)
        _require_range(self, "train_limit", low=0, high=2**31 - 1)
        _require_range(self, "max_iterations", low=0, high=10_000)
        _require_range(self, "time_budget_seconds", low=0, high=10 * 365 * 86_400)
        _require_range(self, "max_attempts", low=1, high=100)
        _require_range(self, "max_failed_children", low=1, high=10_000)
        _require_range(self, "max_parameters", low=1, high=10**12)
        _require_range(self, "threads", low=0, high=1024)
        _require_range(self, "max_bad_files", low=0, high=2**31 - 1)
        if self.sample_bits:
            _require_range(self, "sample_bits", low=LEAST_SAMPLE_BITS, high=MOST_SAMPLE_BITS)
        try:
            if self.class_map not in ("", *CLASS_MAPS):
                parse_class_map(self.class_map)
            compile_group_regex(self.group_regex)
        except FolderRuleError as error:
            raise ConfigError(error.rule, error.reason) from error
        if self.fit not in ("", *FITS):
            raise ConfigError("fit", f"must be one of {', '.join(FITS)}, not {self.fit[:40]!r}")
        self._require_fold()

    def _require_fold(self) -> None:
        if self.folds == self.fold == 0:
            return
        if self.folds == 0:
            raise ConfigError("fold", f"{self.fold} needs folds: how many of them there are")
        _require_range(self, "folds", low=FEWEST_FOLDS, high=MOST_FOLDS)
        if self.fold == 0:
            raise ConfigError("fold", f"is missing: which of the {self.folds} folds is the test part, from 1")
        if not 1 <= self.fold <= self.folds:
            raise ConfigError("fold", f"must lie between 1 and {self.folds}, the number of folds, not {self.fold}")


@dataclass(frozen=True, slots=True, kw_only=True)
class InputShape:
    """Shape of one image: channels, height, width."""

    channels: int
    height: int
    width: int

    def __post_init__(self) -> None:
        for name in (f.name for f in fields(self)):
            _require_range(self, name, low=1, high=65536)

    def __str__(self) -> str:
        return f"{self.channels}x{self.height}x{self.width}"
