# SPDX-License-Identifier: Apache-2.0
"""Any division of any set of patients: nobody in two parts, every class in every part, or refused for a reason."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from labelled_dataset import patients

from nas.data import CachedDataset, Split, SplitError, find_leaks, split

SEEDS = st.integers(0, 2**63 - 1)


def _split_or_skip(dataset: CachedDataset, seed: int, train_limit: int = 0) -> Split:
    try:
        return split(dataset, seed=seed, train_limit=train_limit)
    except SplitError:
        assume(False)
        raise


@settings(deadline=None)
@given(dataset=patients(), seed=SEEDS, train_limit=st.integers(0, 600))
def test_no_patient_is_in_two_parts(dataset: CachedDataset, seed: int, train_limit: int) -> None:
    """Every image is used once at most, every patient is whole, no class is missing, no limit is passed."""
    parts = _split_or_skip(dataset, seed, train_limit)

    assert dataset.groups_N is not None
    divided = (parts.train, parts.validation, parts.test)
    together = np.concatenate(divided)
    groups = [set(dataset.groups_N[part].tolist()) for part in divided]
    assert len(together) == len(np.unique(together))
    assert sum(map(len, groups)) == len(set.union(*groups))
    assert len(together) == int(np.isin(dataset.groups_N, list(set.union(*groups))).sum())
    for part in divided:
        assert np.all(np.diff(part) > 0)
        assert set(range(len(dataset.class_names))) == set(dataset.labels_N[part].tolist())
    if train_limit:
        assert len(parts.train) + len(parts.validation) <= train_limit
    else:
        assert len(together) == len(dataset.labels_N)


@settings(deadline=None)
@given(dataset=patients(), seed=SEEDS)
def test_shares_are_of_patients(dataset: CachedDataset, seed: int) -> None:
    """A tenth of the patients is for test, and a tenth or a twentieth for validation, halves up."""
    parts = _split_or_skip(dataset, seed)

    assert dataset.groups_N is not None
    count, tested, validated = (
        len(np.unique(dataset.groups_N[part])) for part in (slice(None), parts.test, parts.validation)
    )
    assert int(count / 10 + 0.5) == tested
    assert abs(validated - count * dataset.validation_percent / 100) < 1


@settings(deadline=None)
@given(dataset=patients(), seed=SEEDS, train_limit=st.integers(0, 600))
def test_patients_are_divided_alike_whatever_the_order_of_images(
    dataset: CachedDataset, seed: int, train_limit: int
) -> None:
    """Who is in which part depends on who there is, not on where the images stand."""
    parts = _split_or_skip(dataset, seed, train_limit)
    assert dataset.groups_N is not None
    backwards = replace(dataset, labels_N=dataset.labels_N[::-1], groups_N=dataset.groups_N[::-1])

    again = split(backwards, seed=seed, train_limit=train_limit)

    assert backwards.groups_N is not None
    for part in ("train", "validation", "test"):
        before, after = getattr(parts, part), getattr(again, part)
        assert sorted(dataset.groups_N[before]) == sorted(backwards.groups_N[after])


@settings(deadline=None)
@given(dataset=patients(), seed=SEEDS, move=st.integers(0, 10**6))
def test_every_planted_leak_is_found(dataset: CachedDataset, seed: int, move: int) -> None:
    """One image of a patient with several, moved into another part, is enough; the patient is named by number."""
    parts = _split_or_skip(dataset, seed)
    assert dataset.groups_N is not None
    several = [i for i in parts.train if (dataset.groups_N == dataset.groups_N[i]).sum() > 1]
    assume(several)
    moved = several[move % len(several)]

    leaky = replace(parts, train=parts.train[parts.train != moved], test=np.append(parts.test, moved))

    assert () == find_leaks(dataset, parts)
    assert (dataset.groups_N[moved],) == find_leaks(dataset, leaky)
