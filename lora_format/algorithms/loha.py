"""LoHa: the element-wise product of two low-rank matrices (FedPara, arXiv 2108.06098).

``ΔW = alpha / r · (w1_a @ w1_b) ⊙ (w2_a @ w2_b)``. With Tucker cores ``t1, t2`` of shape
(r, r, kh, kw) the outer factors are (r, out) and (r, in).

Without cores it is a plain product of inner size r²: row ``o`` of the left side holds all
``w1_a[o, p] · w2_a[o, q]``, column ``i`` of the right side all ``w1_b[p, i] · w2_b[q, i]``.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch

from ..algorithm import Algorithm, check_kernel, check_sizes, matrix, saves_memory
from ..ir import Layer


class LoHa(Algorithm):
    """Two pairs of factors, with optional cores."""

    name = "loha"
    title = "LoHa"
    factors = ("hada_w1_a", "hada_w1_b", "hada_w2_a", "hada_w2_b", "hada_t1", "hada_t2")
    decomposes = True
    carriers = ("hada_w1_a",)

    def is_complete(self, factors: Mapping[str, torch.Tensor]) -> bool:
        cores = {"hada_t1", "hada_t2"} & set(factors)
        return set(self.factors[:4]) <= set(factors) and len(cores) != 1

    def rank(self, layer: Layer) -> int:
        return int(layer.factors["hada_w1_b"].shape[0])

    def shape(self, layer: Layer) -> tuple[int, int]:
        shapes = {_half_shape(layer, number) for number in (1, 2)}
        if len(shapes) != 1:
            raise ValueError("the two halves differ in size")
        return shapes.pop()

    def delta(self, layer: Layer, weight: torch.Tensor | None = None) -> torch.Tensor:
        return _half(layer, 1) * _half(layer, 2) * self.scale(layer)

    def expanded(self, layer: Layer) -> tuple[torch.Tensor, torch.Tensor] | None:
        rank = self.rank(layer)
        if "hada_t1" in layer.factors or not saves_memory(rank**2, self.shape(layer)):
            return None
        first_a, first_b, second_a, second_b = (matrix(layer.factors[n]) for n in self.factors[:4])
        left = (first_a.unsqueeze(2) * second_a.unsqueeze(1)).flatten(1)
        right = (first_b.unsqueeze(1) * second_b.unsqueeze(0)).flatten(0, 1)
        return left * self.scale(layer), right


def _half_shape(layer: Layer, number: int) -> tuple[int, int]:
    a, b = layer.factors[f"hada_w{number}_a"], layer.factors[f"hada_w{number}_b"]
    if a.ndim != 2 or b.ndim < 2:
        raise ValueError(f"hada_w{number}_a or hada_w{number}_b is no matrix")
    core = layer.factors.get(f"hada_t{number}")
    if core is None:
        check_sizes(f"the second size of hada_w{number}_a", a.shape[1], b.shape[0])
        return int(a.shape[0]), int(b[0].numel())
    check_kernel(f"hada_t{number}", core)
    check_sizes(f"the first size of hada_t{number}", core.shape[0], a.shape[0])
    check_sizes(f"the second size of hada_t{number}", core.shape[1], b.shape[0])
    return int(a.shape[1]), int(b[0].numel() * core[0, 0].numel())


def _half(layer: Layer, number: int) -> torch.Tensor:
    a = layer.factors[f"hada_w{number}_a"].to(torch.float64)
    b = layer.factors[f"hada_w{number}_b"].to(torch.float64).flatten(1)
    core = layer.factors.get(f"hada_t{number}")
    if core is None:
        return a @ b
    return torch.einsum("pqk,po,qi->oik", core.to(torch.float64).flatten(2), a, b).flatten(1)


ALGORITHM = LoHa()
