"""Every axis has what its node and the grid need; what people write is in ``test_axis_values``."""

from __future__ import annotations

from lora_kiln.sweep.axis import AxisValues, axes
from lora_kiln.sweep.axis_values import RANGES
from lora_kiln.sweep.cell_settings import CellSettings

KNOWN = ("a", "b", "c")


def test_every_axis_is_whole() -> None:
    assert {"strength", "cfg"} <= set(axes())
    for name, axis in axes().items():
        values = axis.parse(axis.default, KNOWN)
        assert axis.name == name
        for target in axis.targets:
            assert len({target.label(value) for value in values}) == len(values)
            assert len({target.apply(CellSettings(), value) for value in values}) == len(values)
        assert len(axis.doc) > 40
        assert AxisValues(name, tuple(values)).axis is axis


def test_numeric_axes_share_one_grammar() -> None:
    for name in ("strength", "cfg"):
        axis = axes()[name]
        assert axis.parse("0..1.6/9, 2-4 (+1), 0-1[3]", ()) == [
            0, 0.2, 0.4, 0.6, 0.8, 1.0, 1.2, 1.4, 1.6, 2, 3, 4, 0.5,
        ]
        assert axis.doc.endswith(RANGES)
        labels = {axis.target().label(value) for value in (0.1234567, 0.1234568, 0.3)}
        assert len(labels) == 3
