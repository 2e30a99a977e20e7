"""A difference of the bias, which may stand beside any change of the weight."""

from __future__ import annotations

from .diff import Diff


class Bias(Diff):
    """One vector that is added to the bias."""

    name = "bias"
    title = "bias difference"
    factors = ("diff_b",)
    changes_bias = True


ALGORITHM = Bias()
