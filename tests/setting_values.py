# SPDX-License-Identifier: Apache-2.0
"""Values of every declared setting, made from the declarations, so that a new setting is tested as it is declared."""

from __future__ import annotations

from enum import Enum
from typing import Any

from hypothesis import strategies as st

from nas.config import Imbalance, Preset, SelectionMetric, search_settings
from nas.folders import CLASS_MAPS
from nas.recipe import Schedule
from nas.search.strategies import STRATEGIES
from nas.settings import Setting, settings_of

EXAMPLES: dict[str, tuple[str, ...]] = {
    "class_map": CLASS_MAPS,
    "group_regex": ("BC([0-9]+)", "^(p[0-9]+)"),
    "augment": ("all", "shift,flip", "auto"),
    "strategy": tuple(STRATEGIES),
    "initial": ("C(64,3) F() FC(10)", "F() FC(3)", "narrow"),
}
"""Texts with a meaning, which no declaration can make up."""
TIED = ("folds", "fold")
"""One means nothing without the other."""
TIED_IN_TRAINING = ({"schedule", "warmup"}, {"imbalance", "label_smoothing"})
"""A value of one may forbid a value of the other."""

texts = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=40)


def values(setting: Setting) -> st.SearchStrategy[Any]:
    """All that the setting can be."""
    found = _members(setting)
    if setting.is_tuple:
        return st.lists(found, min_size=1, unique=True).map(tuple)
    if setting.declaration.empty is not None:
        found |= st.just(setting.default)
    return found


def _members(setting: Setting) -> st.SearchStrategy[Any]:
    declared = setting.declaration
    if issubclass(setting.kind, Enum):
        return st.sampled_from(setting.kind)
    if setting.kind is int:
        assert declared.high is not None, setting.name
        return st.integers(int(declared.low or 0), int(declared.high))
    if setting.kind is float:
        return st.floats(declared.low or 0.0, declared.high or 1.0)
    known = declared.choices or EXAMPLES.get(setting.name, ())
    assert known or declared.check is None, f"{setting.name} needs a line in EXAMPLES"
    return st.sampled_from(known) if known else texts


def records(record: type[Any], **more: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    """Records with every setting drawn, but for those that are tied to each other."""
    drawn = {each.name: values(each) for each in settings_of(record) if each.name not in TIED}
    return st.builds(lambda **values: record(**_without_contradictions(values)), **drawn, **more)


def _without_contradictions(values: dict[str, Any]) -> dict[str, Any]:
    """Leave out what another setting forbids."""
    forbidden = set()
    if values.get("schedule") is Schedule.CONSTANT:
        forbidden.add("warmup")
    if values.get("imbalance") is Imbalance.FOCAL:
        forbidden.add("label_smoothing")
    found = {name: value for name, value in values.items() if name not in forbidden}
    if values.get("preset") is Preset.EFFICIENT and values["selection_metric"] is None:
        found["selection_metric"] = SelectionMetric.ACCURACY  # only the paper's preset leaves it open
    return found


def another(setting: Setting, value: Any) -> Any:
    """A value of the right kind that is not the given one; it may be out of range."""
    if issubclass(setting.kind, Enum):
        found = next((member for member in setting.kind if member not in (value, setting.default)), "another")
        return (found,) if setting.is_tuple else found
    return value + (1 if setting.kind in (int, float) else "x")


def typed() -> dict[str, str]:
    """One value of every setting as people type it, by the name in documents and on command lines."""
    found = {"folds": "5", "fold": "2", "time_budget": "12h"}
    for setting in search_settings():
        declared = setting.declaration
        if setting.words:
            found[setting.wire_name] = list(setting.words)[-1]
        elif setting.kind is str:
            found[setting.wire_name] = (declared.choices or EXAMPLES.get(setting.name, ("kau",)))[0]
        else:
            found.setdefault(setting.wire_name, f"{setting.default or declared.low or 0}")
    return found
