# SPDX-License-Identifier: Apache-2.0
"""Any division of any data set: disjoint, stratified, with every class in every part, or refused with a reason."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from labelled_dataset import labelled_dataset

from nas.data import CachedDataset, Split, SplitError, describe, split
from nas.data.division.units import apportion

SEEDS = st.integers(0, 2**63 - 1)


@st.composite
def datasets(draw: st.DrawFn) -> CachedDataset:
    """Sets of 1 to 6 classes, often imbalanced or tiny, in any order, with or without a publisher's test part."""
    classes = draw(st.integers(1, 6))
    counts = draw(st.lists(st.integers(0, 120), min_size=classes, max_size=classes).filter(any))
    labels_N = np.repeat(np.arange(classes), counts)
    np.random.RandomState(draw(st.integers(0, 99))).shuffle(labels_N)
    test_start = draw(st.none() | st.integers(0, len(labels_N)))
    return labelled_dataset(labels_N, classes=classes, test_start=test_start)


def _split_or_skip(dataset: CachedDataset, seed: int, train_limit: int) -> Split:
    try:
        return split(dataset, seed=seed, train_limit=train_limit)
    except SplitError:
        assume(False)
        raise


@settings(deadline=None)
@given(dataset=datasets(), seed=SEEDS, train_limit=st.integers(0, 400))
def test_parts_are_disjoint_ascending_and_have_every_class(dataset: CachedDataset, seed: int, train_limit: int) -> None:
    """No image twice, none invented, all used unless the train limit says otherwise, no class missing anywhere."""
    parts = _split_or_skip(dataset, seed, train_limit)

    together = np.concatenate([parts.train, parts.validation, parts.test])
    pool = len(dataset.labels_N) - len(parts.test)
    assert len(together) == len(np.unique(together))
    assert set(together) <= set(range(len(dataset.labels_N)))
    assert min(train_limit or pool, pool) == len(parts.train) + len(parts.validation)
    for part in (parts.train, parts.validation, parts.test):
        assert np.all(np.diff(part) > 0)
        assert (np.dtype(np.int64), False) == (part.dtype, part.flags.writeable)
        assert set(range(len(dataset.class_names))) == set(dataset.labels_N[part])
    if dataset.test_start is not None:
        assert list(range(dataset.test_start, len(dataset.labels_N))) == parts.test.tolist()


@settings(deadline=None)
@given(dataset=datasets(), seed=SEEDS, train_limit=st.integers(0, 400))
def test_division_is_refused_only_for_a_reason(dataset: CachedDataset, seed: int, train_limit: int) -> None:
    """A refusal means that some class is too scarce or some part smaller than the number of classes."""
    classes, count = len(dataset.class_names), len(dataset.labels_N)
    start = count if dataset.test_start is None else dataset.test_start
    scarcest = np.bincount(dataset.labels_N[:start], minlength=classes).min()
    try:
        split(dataset, seed=seed, train_limit=train_limit)
        is_refused = False
    except SplitError:
        is_refused = True

    if dataset.test_start is None:
        test = int(count / 10 + 0.5)
        pool = min(train_limit or count, count - test)
        expected = scarcest < 3 or test < classes or int(pool / 9 + 0.5) < classes
    else:
        in_test = np.bincount(dataset.labels_N[start:], minlength=classes).min()
        pool = min(train_limit or start, start)
        expected = scarcest < 2 or in_test < 1 or int(pool / 10 + 0.5) < classes
    assert expected == is_refused


@settings(deadline=None)
@given(dataset=datasets(), seed=SEEDS, train_limit=st.integers(0, 400))
def test_division_is_a_function_of_its_arguments(dataset: CachedDataset, seed: int, train_limit: int) -> None:
    """Twice the same is the same; another data set's fingerprint makes another split fingerprint."""
    parts = _split_or_skip(dataset, seed, train_limit)

    again = split(dataset, seed=seed, train_limit=train_limit)
    elsewhere = split(replace(dataset, fingerprint="1" * 64), seed=seed, train_limit=train_limit)

    assert parts.fingerprint == again.fingerprint
    assert parts.train.tolist() == again.train.tolist()
    assert parts.fingerprint != elsewhere.fingerprint


@settings(deadline=None)
@given(dataset=datasets(), seed=SEEDS, train_limit=st.integers(0, 400))
def test_test_part_knows_nothing_of_the_train_limit(dataset: CachedDataset, seed: int, train_limit: int) -> None:
    """Searches that differ in the train limit are measured on the same images."""
    limited, whole = _split_or_skip(dataset, seed, train_limit), _split_or_skip(dataset, seed, 0)

    assert whole.test.tolist() == limited.test.tolist()


@settings(deadline=None)
@given(
    counts=st.lists(st.integers(2, 10_000), min_size=1, max_size=12).map(tuple), share=st.floats(0, 1), data=st.data()
)
def test_apportion_is_proportional_within_its_bounds(
    counts: tuple[int, ...], share: float, data: st.DataObject
) -> None:
    """Every seat is given; a class is off its exact share by less than one image unless a bound holds it."""
    least, keep = data.draw(st.sampled_from([(1, 0), (0, 1), (1, 1), (2, 0)]))
    lowest, highest = least * len(counts), sum(counts) - keep * len(counts)
    seats = lowest + round(share * (highest - lowest))

    given_seats = apportion(counts, seats, least=least, keep=keep)

    assert seats == sum(given_seats)
    assert all(least <= n <= count - keep for n, count in zip(given_seats, counts, strict=True))
    exact = [seats * count / sum(counts) for count in counts]
    if all(least <= quota <= count - keep for quota, count in zip(exact, counts, strict=True)):
        assert all(abs(n - quota) < 1 for n, quota in zip(given_seats, exact, strict=True))


def test_ties_go_to_the_class_named_first() -> None:
    """Three equal classes and four seats: the remainder decides nothing, the order does."""
    assert (2, 1, 1) == apportion((10, 10, 10), 4, least=1, keep=1)


def test_largest_remainder_gets_the_seat() -> None:
    """7 of 10, 21 and 39 images are 1.0, 2.1 and 3.9: the last seat goes where the remainder is largest."""
    assert (1, 2, 4) == apportion((10, 21, 39), 7, least=1, keep=1)


def test_seeds_divide_differently() -> None:
    """Another seed draws other images."""
    dataset = labelled_dataset(np.arange(1000) % 10)

    first, second = split(dataset, seed=1), split(dataset, seed=2)

    assert first.validation.tolist() != second.validation.tolist()
    assert first.test.tolist() != second.test.tolist()


def test_scarce_class_is_named() -> None:
    """The sentence says which class has too few images, where, and how many it needs."""
    dataset = labelled_dataset([0] * 50 + [1], classes=2, test_start=51)

    with pytest.raises(SplitError) as caught:
        split(dataset, seed=0)

    assert (
        "data set 'labelled' cannot be divided: "
        "class 'class 1' has only 1 of the 2 images that it needs in the training part, "
        "one for each part taken from there"
    ) == str(caught.value)


@pytest.mark.parametrize(("test_start", "lowest"), [(900, 95), (None, 86)])
def test_low_train_limit_says_what_would_do(test_start: int | None, lowest: int) -> None:
    """The number in the refusal is exact: it is enough, and one less is not."""
    dataset = labelled_dataset(np.arange(1000) % 10, test_start=test_start)

    with pytest.raises(SplitError, match=rf"it takes {lowest} images, so raise the train limit"):
        split(dataset, seed=0, train_limit=lowest - 1)

    assert 10 == len(split(dataset, seed=0, train_limit=lowest).validation)


def test_describe_is_plain_json() -> None:
    """The summary holds what a person asks about a data set, and survives JSON unchanged."""
    dataset = labelled_dataset(np.arange(200) % 2, classes=2, test_start=100)
    parts = split(dataset, seed=0)

    summary = describe(dataset, parts)

    assert {
        "name": "labelled",
        "shape": {"channels": 1, "height": 28, "width": 28},
        "class_names": ["class 0", "class 1"],
        "images_per_class": {"train": [45, 45], "validation": [5, 5], "test": [50, 50]},
        "fingerprint": "0" * 64,
        "split_fingerprint": parts.fingerprint,
        "warnings": [],
    } == json.loads(json.dumps(summary))
