"""LyCORIS' trained norms: differences of a norm's weight and bias."""

from __future__ import annotations

from .diff import Diff


class Norm(Diff):
    """Vectors that are added to weight and bias of a norm."""

    name = "norm"
    title = "norm difference"
    factors = ("w_norm", "b_norm")


ALGORITHM = Norm()
