# SPDX-License-Identifier: Apache-2.0
"""Any division of any set into folds: each image is tested once, by a net that knows nothing of its patient."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from labelled_dataset import labelled_dataset, patients

from nas.data import CachedDataset, Split, SplitError, find_leaks, split

SEEDS = st.integers(0, 2**63 - 1)
FOLDS = st.integers(3, 20)


def _divide(dataset: CachedDataset, seed: int, folds: int, train_limit: int = 0) -> list[Split]:
    """Every fold; an example that cannot be divided is skipped."""
    try:
        return [
            split(dataset, seed=seed, train_limit=train_limit, folds=folds, fold=fold) for fold in range(1, folds + 1)
        ]
    except SplitError:
        assume(False)
        raise


def _spread(counts: list[int]) -> int:
    return max(counts) - min(counts)


@settings(deadline=None)
@given(dataset=patients(), seed=SEEDS, folds=FOLDS)
def test_each_patient_is_tested_once(dataset: CachedDataset, seed: int, folds: int) -> None:
    """Test parts are disjoint and together the whole set; nobody is in two parts of a fold; no class is missing."""
    found = _divide(dataset, seed, folds)

    assert dataset.groups_N is not None
    tested = np.concatenate([parts.test for parts in found])
    assert list(range(len(dataset.labels_N))) == sorted(tested.tolist())
    groups = [set(dataset.groups_N[parts.test].tolist()) for parts in found]
    assert sum(map(len, groups)) == len(set.union(*groups))
    assert _spread([len(patients) for patients in groups]) <= 1
    for parts in found:
        together = np.concatenate([parts.train, parts.validation, parts.test])
        assert list(range(len(dataset.labels_N))) == sorted(together.tolist())
        assert () == find_leaks(dataset, parts)
        for part in (parts.train, parts.validation, parts.test):
            assert set(range(len(dataset.class_names))) == set(dataset.labels_N[part].tolist())


@settings(deadline=None)
@given(dataset=patients(), seed=SEEDS, folds=FOLDS)
def test_folds_are_alike_in_size_and_classes(dataset: CachedDataset, seed: int, folds: int) -> None:
    """Where images are dealt, folds differ by at most one image of each class, and by at most one in all."""
    found = _divide(replace(dataset, groups_N=None), seed, folds)

    counts = [np.bincount(dataset.labels_N[parts.test], minlength=len(dataset.class_names)) for parts in found]
    assert _spread([int(count.sum()) for count in counts]) <= 1
    assert all(_spread(list(of_class)) <= 1 for of_class in np.transpose(counts))


@settings(deadline=None)
@given(dataset=patients(), seed=SEEDS, folds=FOLDS, train_limit=st.integers(1, 600))
def test_a_train_limit_cuts_the_pool_alone(dataset: CachedDataset, seed: int, folds: int, train_limit: int) -> None:
    """The same images are tested, and no more than the limit are learned from."""
    limited = _divide(dataset, seed, folds, train_limit)

    whole = _divide(dataset, seed, folds)
    assert [parts.test.tolist() for parts in whole] == [parts.test.tolist() for parts in limited]
    assert all(len(parts.train) + len(parts.validation) <= train_limit for parts in limited)


@settings(deadline=None)
@given(dataset=patients(), seed=SEEDS, folds=FOLDS, data=st.data())
def test_a_fold_is_a_function_of_its_arguments(
    dataset: CachedDataset, seed: int, folds: int, data: st.DataObject
) -> None:
    """Twice the same is the same; each fold has a fingerprint of its own, and so has the set without folds."""
    found = _divide(dataset, seed, folds)
    fold = data.draw(st.integers(1, folds))

    again = split(dataset, seed=seed, folds=folds, fold=fold)

    assert found[fold - 1].fingerprint == again.fingerprint
    assert found[fold - 1].validation.tolist() == again.validation.tolist()
    assert folds == len({parts.fingerprint for parts in found})


@settings(deadline=None)
@given(dataset=patients(), seed=SEEDS, folds=FOLDS, data=st.data())
def test_folds_are_refused_only_for_a_reason(
    dataset: CachedDataset, seed: int, folds: int, data: st.DataObject
) -> None:
    """Some class has fewer images than there are folds, or the rest is too small for a validation part."""
    dataset = replace(dataset, groups_N=None)
    fold = data.draw(st.integers(1, folds))
    classes, count = len(dataset.class_names), len(dataset.labels_N)
    try:
        split(dataset, seed=seed, folds=folds, fold=fold)
        is_refused = False
    except SplitError:
        is_refused = True

    test = count // folds + (fold <= count % folds)
    validation = int((count - test) / (90 // dataset.validation_percent) + 0.5)
    scarcest = np.bincount(dataset.labels_N, minlength=classes).min()
    assert (scarcest < folds or validation < classes) == is_refused


def test_the_largest_number_of_folds_is_told_and_possible() -> None:
    """The sentence names the class that is missing; as many folds as it says can be made, one more cannot."""
    dataset = labelled_dataset([0] * 60 + [1] * 4, classes=2)

    with pytest.raises(SplitError) as caught:
        split(dataset, seed=0, folds=5, fold=1)

    assert (
        "data set 'labelled' cannot be divided: class 'class 1' has only 4 of the 5 images that it needs, "
        "one for each fold; at most 4 folds are possible"
    ) == str(caught.value)
    assert 4 == len(_divide(dataset, 0, 4))


def test_too_few_patients_for_any_folds() -> None:
    """Where even the fewest folds are too many, the sentence says so; images of one patient count once."""
    dataset = replace(
        labelled_dataset([0] * 60 + [1] * 9, classes=2), groups_N=np.array([*range(60), *[60] * 5, *[61] * 4])
    )

    with pytest.raises(SplitError, match="has only 2 of the 3 patients that it needs, one for each fold, and 3"):
        split(dataset, seed=0, folds=3, fold=1)


@pytest.mark.parametrize("part", ["validation", "test"])
def test_a_set_with_parts_of_its_own_has_no_folds(part: str) -> None:
    """What a publisher has set aside is not learned from."""
    whole = labelled_dataset(np.arange(200) % 2, classes=2)
    dataset = replace(whole, validation_start=150) if part == "validation" else replace(whole, test_start=150)

    with pytest.raises(SplitError, match=f"it has a {part} part of its own, and folds are for sets without parts"):
        split(dataset, seed=0, folds=3, fold=1)
