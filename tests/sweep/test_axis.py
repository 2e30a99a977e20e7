"""Every axis has what its node and the grid need; what people write is in ``test_axis_values``."""

from __future__ import annotations

from lora_kiln.sweep.axis import AxisValues, axes
from lora_kiln.sweep.axis_values import RANGES
from lora_kiln.sweep.cell_settings import CellSettings

KNOWN = {
    "": (),
    "loras": ("a.safetensors", "kiln/b-001/step_000002.safetensors"),
    "samplers": ("euler", "dpmpp_2m", "uni_pc", "heun"),
    "schedulers": ("normal", "karras", "simple"),
}
BASE = CellSettings(prompt="a woodcut of a star", steps=15, cfg=6.5, seed=77)


def test_every_axis_is_whole() -> None:
    assert set(axes()) == {
        "strength", "cfg", "checkpoint", "prompt", "replace", "negative", "seed", "sampler",
        "scheduler", "steps", "blocks",
    }
    for name, axis in axes().items():
        values = axis.parse(axis.default, KNOWN[axis.source])
        assert axis.name == name
        assert values
        for target in axis.targets:
            chosen = AxisValues(name, tuple(values), target.name)
            assert len(set(chosen.labels())) == len(values)
            assert len({target.apply(BASE, value) for value in values}) == len(values)
            assert chosen.target is target
        assert len(axis.doc) > 40
        assert AxisValues(name, tuple(values)).axis is axis


def test_labels_are_told_apart_whatever_people_write() -> None:
    chosen = AxisValues("prompt", ("", "(empty)", "(empty) (2)", "a star"))
    assert chosen.labels() == ("(empty)", "(empty) (2)", "(empty) (2) (2)", "a star")


def test_numeric_axes_share_one_grammar() -> None:
    for name in ("strength", "cfg"):
        axis = axes()[name]
        assert axis.parse("0..1.6/9, 2-4 (+1), 0-1[3]", ()) == [
            0, 0.2, 0.4, 0.6, 0.8, 1.0, 1.2, 1.4, 1.6, 2, 3, 4, 0.5,
        ]
        assert axis.doc.endswith(RANGES)
        labels = {axis.target().label(value) for value in (0.1234567, 0.1234568, 0.3)}
        assert len(labels) == 3
