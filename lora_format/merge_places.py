"""Which layers of several LoRAs change the same thing.

One file may train a fused module, another its parts: together they become the fused one, since a
loader would apply both. Differences of biases have no parts in any format.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from .ir import Layer, Target
from .merge_module import BIAS, WEIGHT, Share

Place = tuple[Target, str]
"""A target, and whether its weight or its bias is changed."""


def places_of(shares: Iterable[Share]) -> dict[Place, list[Share]]:
    """Sort shares by what they change, in the order of their first appearance.

    Args:
        shares: of all sources.

    Returns:
        Under a whole module also the shares of its parts, if any share is of the whole.
    """
    split = [piece for share in shares for piece in _pieces(share)]
    whole = {
        (replace(share.layer.target, rows=None), kind) for share, kind in split
        if share.layer.target.rows is None or kind == BIAS
    }
    found: dict[Place, list[Share]] = {}
    for share, kind in split:
        target = share.layer.target
        fused = replace(target, rows=None)
        place = (fused if (fused, kind) in whole else target, kind)
        found.setdefault(place, []).append(share)
    return found


def _pieces(share: Share) -> list[tuple[Share, str]]:
    """A share by what it changes; a norm's layer changes weight and bias."""
    layer = share.layer
    if layer.algorithm == BIAS:
        return [(share, BIAS)]
    if layer.algorithm != "norm":
        return [(share, WEIGHT)]
    names = {"w_norm": (WEIGHT, "diff", "diff"), "b_norm": (BIAS, "bias", "diff_b")}
    return [
        (Share(_renamed(layer, factor, algorithm, name), share.weight), kind)
        for factor, (kind, algorithm, name) in names.items() if factor in layer.factors
    ]


def _renamed(layer: Layer, factor: str, algorithm: str, name: str) -> Layer:
    return replace(layer, algorithm=algorithm, factors={name: layer.factors[factor]})
