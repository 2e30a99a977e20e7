"""How far a converted LoRA is from its source, module by module.

The measure is ``‖ΔW_in − ΔW_out‖ / ‖ΔW_in‖`` (Frobenius). Low-rank changes are never multiplied
out: ``[U₁ | −U₂] [D₁ ; D₂]`` is their difference, and with QR of both sides its norm is that of a
product of two small triangles. Everything is computed in float64.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import torch

from .algorithm import algorithm_of
from .ir import Layer, LoraFile
from .table import ModuleTable

Pair = tuple[torch.Tensor, torch.Tensor]


@dataclass(frozen=True)
class Proof:
    """The outcome.

    Attributes:
        errors: relative error by module; infinite where one side lacks it.
    """

    errors: Mapping[str, float]

    @property
    def worst(self) -> tuple[str, float]:
        """The module with the largest error; ``("", 0)`` when there is none."""
        return max(self.errors.items(), key=lambda item: item[1], default=("", 0.0))


def prove(before: LoraFile, after: LoraFile, table: ModuleTable) -> Proof:
    """Compare two LoRAs for the same model.

    Args:
        before: the source.
        after: what came of it, read back from its file.
        table: the model's modules.
    """
    left, right = by_module(before.layers), by_module(after.layers)
    return Proof({
        name: relative_error(left.get(name, []), right.get(name, []), table)
        for name in {**left, **right}
    })


def relative_error(before: list[Layer], after: list[Layer], table: ModuleTable) -> float:
    """The relative error of one module's layers."""
    if not before or not after:
        return math.inf
    if _identical(before, after):
        return 0.0
    magnitudes = _magnitudes_error(before, after)
    if magnitudes == math.inf:
        return math.inf
    rows = table.shape(before[0].target)[0] if before[0].target.rows is None else _last_row(before)
    pairs = [_low_rank(layers, max(rows, _last_row(after))) for layers in (before, after)]
    if pairs[0] is not None and pairs[1] is not None:
        (up, down), (other_up, other_down) = pairs[0], pairs[1]
        error = product_norm(torch.cat([up, -other_up], 1), torch.cat([down, other_down]))
        return max(magnitudes, _ratio(error, product_norm(up, down)))
    if any(algorithm_of(layer).needs_weight for layer in (*before, *after)):
        return _factors_error(before, after)
    dense, other = (_dense(layers, max(rows, _last_row(after))) for layers in (before, after))
    return max(magnitudes, _ratio(float((dense - other).norm()), float(dense.norm())))


def product_norm(up: torch.Tensor, down: torch.Tensor) -> float:
    """Frobenius norm of ``up @ down``; (m, r) and (r, n) in float64."""
    if up.shape[1] >= min(up.shape[0], down.shape[1]):
        return float((up @ down).norm())
    left, right = torch.linalg.qr(up, mode="r").R, torch.linalg.qr(down.T, mode="r").R
    return float((left @ right.T).norm())


def layer_norm(layer: Layer) -> float:
    """Frobenius norm of a layer's change at strength 1; NaN where it depends on the weight."""
    algorithm = algorithm_of(layer)
    if algorithm.needs_weight:
        return math.nan
    norm = algorithm.norm(layer)
    if norm is not None:
        return norm
    pair = algorithm.low_rank(layer)
    if pair is not None:
        return product_norm(*pair)
    return float(algorithm.delta(layer).norm())


def by_module(layers: Iterable[Layer]) -> dict[str, list[Layer]]:
    """Layers by what they change: a module's weight, or its bias or norm, which is named so."""
    found: dict[str, list[Layer]] = {}
    for layer in layers:
        kind = f" ({layer.algorithm})" if layer.algorithm in ("bias", "norm") else ""
        name = f"{layer.target.component}: {layer.target.module_path}{kind}"
        found.setdefault(name, []).append(layer)
    return found


def _identical(before: list[Layer], after: list[Layer]) -> bool:
    """Bit for bit the same factors: the common case, where only names changed."""
    return _alike(before, after) and all(
        all(same(tensor, two.factors[name]) for name, tensor in one.factors.items())
        and _magnitudes_error([one], [two]) == 0
        for one, two in zip(_sorted(before), _sorted(after), strict=True)
    )


def _alike(before: list[Layer], after: list[Layer]) -> bool:
    """Whether only the values of factors can make a difference."""
    return len(before) == len(after) and all(
        one.target == two.target
        and one.algorithm == two.algorithm
        and one.alpha == two.alpha
        and one.factors.keys() == two.factors.keys()
        for one, two in zip(_sorted(before), _sorted(after), strict=True)
    )


def _factors_error(before: list[Layer], after: list[Layer]) -> float:
    """The largest relative error of a factor: rotations have no change of their own to compare."""
    if not _alike(before, after):
        return math.inf
    return max(
        _tensor_error(tensor, two.factors[name])
        for one, two in zip(_sorted(before), _sorted(after), strict=True)
        for name, tensor in one.factors.items()
    )


def _tensor_error(one: torch.Tensor, two: torch.Tensor) -> float:
    if one.shape != two.shape:
        return math.inf
    left, right = one.to(torch.float64), two.to(torch.float64)
    return _ratio(float((left - right).norm()), float(left.norm()))


def same(one: torch.Tensor, two: torch.Tensor) -> bool:
    """Bit for bit, NaN included."""
    if one.shape != two.shape or one.dtype != two.dtype:
        return False
    if one.data_ptr() == two.data_ptr() and one.stride() == two.stride():
        return True
    left, right = (tensor.contiguous().reshape(-1).view(torch.uint8) for tensor in (one, two))
    return bool(torch.equal(left, right))


def _magnitudes_error(before: list[Layer], after: list[Layer]) -> float:
    """Relative error of weight decomposition's magnitudes; infinite where one side has others."""
    def collected(layers: list[Layer]) -> torch.Tensor | None:
        scales = [layer.dora_scale for layer in _sorted(layers)]
        if all(scale is None for scale in scales):
            return None
        return torch.cat([
            torch.empty(0) if scale is None else scale.to(torch.float64).flatten()
            for scale in scales
        ])

    one, two = collected(before), collected(after)
    if one is None or two is None:
        return 0.0 if one is two else math.inf
    return _tensor_error(one, two)


def _sorted(layers: list[Layer]) -> list[Layer]:
    return sorted(layers, key=lambda layer: layer.target.rows or (0, 0))


def _last_row(layers: list[Layer]) -> int:
    return max(
        layer.target.rows[1] if layer.target.rows else algorithm_of(layer).shape(layer)[0]
        for layer in layers
    )


def _low_rank(layers: list[Layer], rows: int) -> Pair | None:
    """All parts of a module as one product, or None."""
    ups, downs = [], []
    for layer in layers:
        pair = algorithm_of(layer).low_rank(layer)
        if pair is None:
            return None
        start, stop = layer.target.rows or (0, rows)
        up = torch.zeros(rows, pair[0].shape[1], dtype=torch.float64)
        up[start:stop] = pair[0]
        ups.append(up)
        downs.append(pair[1])
    return torch.cat(ups, 1), torch.cat(downs)


def _dense(layers: list[Layer], rows: int) -> torch.Tensor:
    total: torch.Tensor | None = None
    for layer in layers:
        delta = algorithm_of(layer).delta(layer)
        start, stop = layer.target.rows or (0, rows)
        if total is None:
            total = torch.zeros(rows, delta.shape[1], dtype=torch.float64)
        total[start:stop] += delta
    assert total is not None
    return total


def _ratio(error: float, norm: float) -> float:
    if norm == 0 or math.isnan(error):
        return 0.0 if error == 0 else math.inf
    return error / norm
