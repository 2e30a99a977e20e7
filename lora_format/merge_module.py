"""The weighted sum of several layers of one module."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch

from .algorithm import algorithm_of
from .dtypes import cast, imprecise, limit_of
from .ir import Layer, Target
from .low_rank import (
    Limit,
    as_lora,
    cut_matrix,
    cut_pair,
    low_rank_form,
    squared_distance,
    squared_norm,
)
from .proof import Pair

WEIGHT, BIAS = "weight", "bias"
CANCELLED = 1e-7
"""A sum this small beside its summands is a rounding error."""


@dataclass(frozen=True, eq=False)
class Share:
    """A layer and what it is multiplied by."""

    layer: Layer
    weight: float


@dataclass(frozen=True, kw_only=True)
class MergedModule:
    """How a module came out.

    Attributes:
        module: what it is.
        sources: how many layers it was made of.
        rank: of the new layer; None for a whole difference.
        error: ``‖ΔW − Σ wᵢ ΔWᵢ‖`` over the norm of the largest summand, as it will be written.
        kept: share of the sum's squared norm that is kept.
    """

    module: str
    sources: int
    rank: int | None
    error: float
    kept: float


@dataclass(frozen=True)
class _Sum:
    """The sum itself, as a product or as a matrix, and the largest summand's norm."""

    value: Pair | torch.Tensor
    largest: float


def merge_module(
    target: Target,
    kind: str,
    shares: Sequence[Share],
    shape: tuple[int, ...],
    dtype: torch.dtype,
    limit: Limit | None,
) -> tuple[Layer, MergedModule]:
    """Sum up layers of one target, or of it and its parts.

    Args:
        target: what is changed.
        kind: weight or bias.
        shares: the layers; those of parts lie in their rows.
        shape: of the weight.
        dtype: of the new layer.
        limit: rank to cut to; None for exactly.

    Raises:
        LoraFormatError: an exact sum came out wrong, or does not fit the dtype.
    """
    total = _sum(target, shares, shape[0])
    layer = None if limit else _alone(target, shares, dtype)
    if layer is None:
        layer = _layer(target, kind, shares, shape, dtype, limit, total.value)
    distance, norm = _distance(total.value, layer), squared_norm(total.value) ** 0.5
    error = distance / total.largest if total.largest else 0.0
    if limit is None and not error <= limit_of([layer]):
        raise imprecise(
            f"The sum for {target} differs by {error:.2g} from what it should be", [layer]
        )
    name = f"{target} (bias)" if kind == BIAS else str(target)
    return layer, MergedModule(
        module=name, sources=len(shares), rank=algorithm_of(layer).rank(layer), error=error,
        kept=max(0.0, 1 - (distance / norm) ** 2) if norm > CANCELLED * total.largest else 1.0,
    )


def _alone(target: Target, shares: Sequence[Share], dtype: torch.dtype) -> Layer | None:
    """A LoHa, a LoKr or a Tucker core that no other layer meets stays what it is, only scaled."""
    layer, weight = shares[0].layer, shares[0].weight
    plain = layer.algorithm == "lora" and "lora_mid" not in layer.factors
    if len(shares) > 1 or layer.target != target or plain:
        return None
    if layer.alpha is not None:
        return cast(replace(layer, alpha=as_stored(layer.alpha * weight)), dtype)
    if layer.algorithm == "lokr" and "lokr_w1" in layer.factors:
        scaled = layer.factors["lokr_w1"].to(torch.float64) * weight
        return cast(replace(layer, factors={**layer.factors, "lokr_w1": scaled}), dtype)
    return None


def _layer(
    target: Target, kind: str, shares: Sequence[Share], shape: tuple[int, ...],
    dtype: torch.dtype, limit: Limit | None, value: Pair | torch.Tensor,
) -> Layer:
    if kind == BIAS or len(shape) < 2:
        return _difference(target, kind, _multiplied(value).reshape(-1), dtype)
    if isinstance(value, torch.Tensor):
        if limit is None:
            return _difference(target, kind, value.reshape(shape), dtype)
        return as_lora(target, cut_matrix(value, limit), shape, dtype)
    up, down = value
    if limit is not None and up.shape[1] > limit.rank:
        return as_lora(target, cut_pair(up, down, limit), shape, dtype)
    rank = up.shape[1]
    alpha = as_stored(rank * _common_scale(shares)) or float(rank)
    return as_lora(target, (up * (rank / alpha), down), shape, dtype, alpha=alpha)


def as_stored(alpha: float) -> float:
    """An alpha as files hold it, in fp32, so that factors can be made to fit it."""
    return float(torch.tensor(alpha, dtype=torch.float32))


def _difference(target: Target, kind: str, value: torch.Tensor, dtype: torch.dtype) -> Layer:
    algorithm, factor = ("bias", "diff_b") if kind == BIAS else ("diff", "diff")
    return cast(Layer(target=target, algorithm=algorithm, factors={factor: value}), dtype)


def _common_scale(shares: Sequence[Share]) -> float:
    """The scale, weight included, that most of the rank has; never its sign, which up takes."""
    counted: Counter[float] = Counter()
    for share in shares:
        algorithm = algorithm_of(share.layer)
        scale = abs(share.weight * algorithm.scale(share.layer))
        counted[scale] += algorithm.rank(share.layer) or 1
    del counted[0.0]
    return counted.most_common(1)[0][0] if counted else 1.0


def _sum(target: Target, shares: Sequence[Share], outputs: int) -> _Sum:
    """All shares in float64: a product, where each of them is one."""
    forms = [low_rank_form(share.layer) for share in shares]
    products = [form for form in forms if form is not None]
    if len(products) < len(shares):
        return _dense_sum(target, shares, outputs)
    ups = []
    for share, (up, _) in zip(shares, products, strict=True):
        whole = torch.zeros(outputs, up.shape[1], dtype=torch.float64)
        whole[_rows(share, target)] = up * share.weight
        ups.append(whole)
    downs = [down for _, down in products]
    largest = max(squared_norm(pair) for pair in zip(ups, downs, strict=True)) ** 0.5
    return _Sum((torch.cat(ups, 1), torch.cat(downs)), largest)


def _dense_sum(target: Target, shares: Sequence[Share], outputs: int) -> _Sum:
    total, largest = torch.zeros(()), 0.0
    for share in shares:
        change = algorithm_of(share.layer).delta(share.layer) * share.weight
        if not total.ndim:
            total = torch.zeros(outputs, change.shape[1], dtype=torch.float64)
        total[_rows(share, target)] += change
        largest = max(largest, float(change.norm()))
    return _Sum(total, largest)


def _rows(share: Share, target: Target) -> slice:
    """Where a part lies in what is made: a part of the same rows is all of it."""
    rows = share.layer.target.rows
    return slice(None) if rows is None or rows == target.rows else slice(*rows)


def _distance(value: Pair | torch.Tensor, layer: Layer) -> float:
    """Frobenius norm of what a layer is off."""
    form = low_rank_form(layer)
    if form is None or isinstance(value, torch.Tensor):
        return float((_multiplied(value) - algorithm_of(layer).delta(layer)).norm())
    return squared_distance(value, form) ** 0.5


def _multiplied(value: Pair | torch.Tensor) -> torch.Tensor:
    return value if isinstance(value, torch.Tensor) else value[0] @ value[1]
