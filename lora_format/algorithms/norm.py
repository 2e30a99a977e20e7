"""LyCORIS' trained norms: differences of a norm's weight and bias."""

from __future__ import annotations

from ..algorithm import check_sizes
from ..ir import Layer
from .diff import Diff


class Norm(Diff):
    """Vectors that are added to weight and bias of a norm."""

    name = "norm"
    title = "norm difference"
    factors = ("w_norm", "b_norm")

    def shape(self, layer: Layer) -> tuple[int, int]:
        outputs, inputs = super().shape(layer)
        bias = layer.factors.get("b_norm")
        if bias is not None:
            check_sizes("the size of b_norm", bias.numel(), outputs)
        return outputs, inputs


ALGORITHM = Norm()
