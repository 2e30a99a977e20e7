"""A file's keys, brought together by module."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, field

from .family import families
from .format import split_key

EMBEDDING = "bundle_emb."
"""Before a trained word, for which a LoRA loader does not look."""
EMBEDDING_PARTS = ("clip_l", "clip_g", "clip_l_out", "clip_g_out", "t5", "t5_out")


@dataclass
class Group:
    """All factors of one module, of one adapter.

    Attributes:
        stem: the module's name in the file.
        adapter: PEFT's name of the adapter, if the keys have one.
        keys: key by factor.
        doubles: further keys for a factor that was there already.
    """

    stem: str
    adapter: str
    keys: dict[str, str] = field(default_factory=dict)
    doubles: list[str] = field(default_factory=list)


@dataclass
class Groups:
    """A file's keys in order.

    Attributes:
        modules: the groups, by (stem, adapter).
        embeddings: ``{trigger: {part: key}}``.
        unknown: keys that no format's suffix ends.
    """

    modules: dict[tuple[str, str], Group] = field(default_factory=dict)
    embeddings: dict[str, dict[str, str]] = field(default_factory=dict)
    unknown: list[str] = field(default_factory=list)

    @property
    def adapters(self) -> list[str]:
        """Names of adapters; ``""`` for keys that have none."""
        return sorted({group.adapter for group in self.modules.values()})


def group_keys(keys: Collection[str]) -> Groups:
    """Sort keys by the module they belong to."""
    groups = Groups()
    alone = set(keys) <= set(EMBEDDING_PARTS)
    for key in keys:
        if _take_embedding(key, groups, alone=alone):
            continue
        part = split_key(key)
        if part is None:
            groups.unknown.append(key)
            continue
        place = (part.stem, part.adapter)
        group = groups.modules.setdefault(place, Group(part.stem, part.adapter))
        if part.factor in group.keys:
            group.doubles.append(key)
        else:
            group.keys[part.factor] = key
    _give_scales(groups)
    return groups


def _take_embedding(key: str, groups: Groups, *, alone: bool) -> bool:
    """``bundle_emb.my.trigger.clip_l``, or just ``clip_l`` in a file of one embedding."""
    if alone:
        groups.embeddings.setdefault("", {})[key] = key
        return True
    if not key.startswith(EMBEDDING):
        return False
    trigger, _, part = key[len(EMBEDDING):].rpartition(".")
    if not trigger or part not in EMBEDDING_PARTS:
        return False
    groups.embeddings.setdefault(trigger, {})[part] = key
    return True


def family_of_words(groups: Groups) -> str:
    """The family that a file of trained words alone is for: with their encoders, and no more."""
    parts = {part.removesuffix("_out") for keys in groups.embeddings.values() for part in keys}
    known = sorted(families().values(), key=lambda family: len(family.text_encoders))
    fitting = [
        family.name for family in known
        if all(any(name.startswith(part) for name in family.text_encoders) for part in parts)
    ]
    return fitting[0] if fitting else known[-1].name


def _give_scales(groups: Groups) -> None:
    """A factor without an adapter's name (alpha, a scale) goes to the adapters of its module."""
    named: dict[str, list[Group]] = {}
    for group in groups.modules.values():
        if group.adapter:
            named.setdefault(group.stem, []).append(group)
    for stem, others in named.items():
        group = groups.modules.get((stem, ""), Group(stem, ""))
        if group.keys and set(group.keys) <= {"alpha", "dora_scale"}:
            for other in others:
                other.keys = {**group.keys, **other.keys}
            others[0].doubles += group.doubles
            del groups.modules[stem, ""]
