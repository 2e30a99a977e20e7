"""kohya's dataset configs, TOML or JSON: which folders, how often, with which class.

Facts about their layout: sd-scripts, ``docs/config_README-en.md`` and ``library/config_util.py``
(February 2026). What we do not use is told key by key.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..core.errors import DatasetError, MissingLibrary, shorten
from .json_text import check_value, parse_json
from .metadata import MOST_REPEATS
from .text import read_text

LIMIT_BYTES = 4 * 2**20
_TYPES: dict[str, type] = {
    "image_dir": str,
    "metadata_file": str,
    "num_repeats": int,
    "is_reg": bool,
    "class_tokens": str,
    "caption_extension": str,
    "caption_prefix": str,
    "caption_suffix": str,
}
"""The keys that are used, and what they must be."""
_INSTEAD = {
    "resolution": "resolution of Train LoRA",
    "batch_size": "batch_size of Train LoRA",
    "flip_aug": "mirror of Train LoRA",
    "caption_dropout_rate": "caption_dropout of Train LoRA",
    "alpha_mask": "masks",
    "prior_loss_weight": "regularisation_weight",
    "validation_split": "a folder named validation",
    "validation_seed": "a folder named validation",
    "enable_bucket": "buckets, which are always on",
}
"""What does the same here, of keys that are not used."""
# fmt: off
_OTHERS = frozenset({
    "bucket_no_upscale", "bucket_reso_steps", "cache_info", "caption_dropout_every_n_epochs",
    "caption_separator", "caption_tag_dropout_rate", "color_aug", "conditioning_data_dir",
    "custom_attributes", "debug_dataset", "enable_wildcard", "face_crop_aug_range", "keep_tokens",
    "keep_tokens_separator", "max_bucket_reso", "max_token_length", "min_bucket_reso",
    "network_multiplier", "random_crop", "resize_interpolation", "secondary_separator",
    "shuffle_caption", "token_warmup_min", "token_warmup_step",
})
# fmt: on
"""The keys that are kohya's and have no counterpart here."""


@dataclass(frozen=True, kw_only=True)
class Subset:
    """A folder of a config; fields as kohya calls them.

    Attributes:
        place: where it stands in the config, for messages.
        block: number of its ``[[datasets]]``.
    """

    place: str
    block: int
    image_dir: str
    metadata_file: str = ""
    num_repeats: int = 1
    is_reg: bool = False
    class_tokens: str = ""
    caption_extension: str = ""
    caption_prefix: str = ""
    caption_suffix: str = ""


@dataclass(frozen=True)
class KohyaConfig:
    """What a config asks for.

    Attributes:
        subsets: the folders, in order.
        notes: what of it is not used, one sentence each.
    """

    subsets: tuple[Subset, ...]
    notes: tuple[str, ...]


def read_kohya_config(path: Path, file: str) -> KohyaConfig:
    """Read a dataset config.

    Args:
        path: a file ending in ``.toml`` or ``.json``.
        file: what it is called in messages.

    Raises:
        DatasetError: it is malformed, or no dataset config.
        MissingLibrary: it is TOML, and this Python is 3.10 without ``tomli``.
    """
    text = read_text(path, file, limit_bytes=LIMIT_BYTES)
    try:
        config = _parse_toml(text) if path.suffix.lower() == ".toml" else parse_json(text)
    except MissingLibrary:  # It is a ValueError, too.
        raise
    except (ValueError, RecursionError) as error:
        raise _malformed(file, str(error) or "it is nested too deeply") from error
    if not isinstance(config, dict):
        raise _malformed(file, "it is no table of settings")
    unused: dict[str, None] = {}
    subsets = tuple(_subsets(config, file, unused))
    if not subsets:
        raise _malformed(file, "it names no folder")
    return KohyaConfig(subsets, tuple(_notes(file, list(unused))))


def _parse_toml(text: str) -> Any:
    try:
        import tomllib as toml
    except ImportError:  # Python 3.10
        try:
            import tomli as toml
        except ImportError as error:
            raise MissingLibrary("tomli", "Python 3.10 cannot read TOML by itself") from error
    value = toml.loads(text)
    check_value(value)
    return value


def _subsets(config: Mapping[str, Any], file: str, unused: dict[str, None]) -> Iterator[Subset]:
    general = _table(config.get("general", {}), "[general]", file)
    unused.update(dict.fromkeys(key for key in config if key not in ("general", "datasets")))
    for block, dataset in enumerate(_tables(config.get("datasets", []), "[[datasets]]", file), 1):
        inside = _tables(dataset.get("subsets", []), "[[datasets.subsets]]", file)
        for number, subset in enumerate(inside, 1):
            own = {k: v for k, v in dataset.items() if k != "subsets"}
            layers = [general, own, subset]
            values = {k: v for layer in layers for k, v in layer.items() if v is not None}
            place = f"{file}, subset {number} of dataset {block}"
            for key, kind in _TYPES.items():
                if key in values and (type(values[key]) is not kind):
                    raise _malformed(
                        place, f"{key} is {str(values[key])[:80]!r} and not of type {kind.__name__}"
                    )
            if not values.get("image_dir"):
                raise _malformed(place, "image_dir is missing")
            if values.get("num_repeats", 1) > MOST_REPEATS:
                raise _malformed(place, f"num_repeats is more than {MOST_REPEATS:g}")
            unused.update(dict.fromkeys(key for key in values if key not in _TYPES))
            used = {key: value for key, value in values.items() if key in _TYPES}
            yield Subset(place=place, block=block, **used)


def _table(value: Any, what: str, file: str) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise _malformed(file, f"{what} is no table")
    return value


def _tables(value: Any, what: str, file: str) -> list[dict[str, Any]]:
    if not isinstance(value, list):
        raise _malformed(file, f"{what} is no list of tables")
    return [_table(one, what, file) for one in value]


def _notes(file: str, unused: list[str]) -> Iterator[str]:
    """One sentence for every key that has something in its place, one for the rest of kohya's, one
    for what kohya does not know either."""
    for key in sorted(set(unused) & set(_INSTEAD)):
        yield f"{key} in {file} is not used; here it is {_INSTEAD[key]}."
    others = sorted(set(unused) & _OTHERS)
    if others:
        yield f"Not used of {file}: {', '.join(others)}."
    unknown = sorted(key[:80] for key in set(unused) - _OTHERS - set(_INSTEAD))
    if unknown:
        yield (
            f"Not used of {file}, and not known to kohya's scripts either, so perhaps misspelt: "
            f"{shorten(unknown, len(unknown))}."
        )


def _malformed(place: str, why: str) -> DatasetError:
    return DatasetError(
        f"{place}: {why}",
        expected="a dataset config of kohya's: [[datasets]] with [[datasets.subsets]], each with "
        "an image_dir",
        remedy="Correct it as kohya's config_README describes",
    )
