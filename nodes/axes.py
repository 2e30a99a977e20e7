"""One node per axis, made from the axis objects: adding an axis needs no edit here."""

from __future__ import annotations

from typing import Any

from comfy_api.latest import io

from ..core.errors import ConfigError
from ..sweep.axis import Axis, AxisValues, axes
from .types import KILN_AXIS


def make_axis_node(axis: Axis) -> type[io.ComfyNode]:
    """The node of one axis."""
    node_id = "KilnAxis" + "".join(word.capitalize() for word in axis.name.split("_"))

    class AxisNode(io.ComfyNode):
        @classmethod
        def define_schema(cls) -> io.Schema:
            return io.Schema(
                node_id=node_id,
                display_name=f"{axis.title} Axis (Kiln)",
                category="LoRA Kiln/sweep",
                description=axis.doc,
                inputs=[io.String.Input("values", default=axis.default, tooltip=axis.doc)],
                outputs=[
                    KILN_AXIS.Output(
                        display_name="axis", tooltip="Connect it to an axis input of Sweep."
                    )
                ],
            )

        @classmethod
        def validate_inputs(cls, values: str | None = None) -> bool | str:
            if values is None:
                return True
            try:
                axis.parse(values, ())
            except ConfigError as error:
                return str(error)
            return True

        @classmethod
        def execute(cls, values: str) -> io.NodeOutput:
            return io.NodeOutput((AxisValues(axis.name, tuple(axis.parse(values, ()))),))

    AxisNode.__name__ = AxisNode.__qualname__ = node_id
    AxisNode.__doc__ = axis.doc
    return AxisNode


NODES: tuple[Any, ...] = tuple(make_axis_node(axis) for axis in axes().values())
