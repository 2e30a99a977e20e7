"""One node per axis, made from the axis objects: adding an axis needs no edit here."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import comfy.samplers
from comfy_api.latest import io

from ..core.errors import KilnError, shorten
from ..sweep.axis import Axis, AxisValues, axes
from .files import file_stamp
from .types import KILN_AXIS, KILN_RUN

UNLINKED: Any = object()
"""What a method is given for an input that has no link; a linked one is None until it runs."""
MOST_SHOWN = 12


def known_names(source: str, run: Any = None) -> Sequence[str]:
    """The names that an axis may have values of.

    Args:
        source: the axis's ``source``.
        run: a training run whose checkpoints they are instead, or None.
    """
    if run is not None:
        from ..host.checkpoints import run_loras

        return run_loras(run)
    if source == "loras":
        from ..host.checkpoints import listed_loras

        return listed_loras()
    named = {
        "samplers": comfy.samplers.KSampler.SAMPLERS,
        "schedulers": comfy.samplers.KSampler.SCHEDULERS,
    }
    return list(named.get(source, ()))


class AxisNode(io.ComfyNode):
    """What the nodes of all axes do; each has its ``AXIS``."""

    AXIS: Axis

    @classmethod
    def define_schema(cls) -> io.Schema:
        """The values as text, what they set, and an axis to go on with."""
        axis = cls.AXIS
        return io.Schema(
            node_id=node_id(axis),
            display_name=f"{axis.title} Axis (Kiln)",
            category="LoRA Kiln/sweep",
            description=axis.doc,
            inputs=_inputs(axis),
            outputs=[
                KILN_AXIS.Output(
                    display_name="axis",
                    tooltip="Connect it to an axis input of Sweep, or to the input more of another "
                    "axis. Two axes make a grid, each further one makes pages.",
                )
            ],
            hidden=[io.Hidden.unique_id],
        )

    @classmethod
    def validate_inputs(cls, values: str | None = None, run: Any = UNLINKED) -> bool | str:
        """What cannot be read is told before the graph runs; what is linked, when it does."""
        if values is None or run is not UNLINKED:
            return True
        try:
            cls.AXIS.parse(values, known_names(cls.AXIS.source))
        except KilnError as error:
            return str(error)
        return True

    @classmethod
    def fingerprint_inputs(
        cls, values: str | None = None, run: Any = UNLINKED, **_: Any
    ) -> str:
        """LoRAs that are new, or changed under their names, are swept anew.

        Of a linked text all LoRAs count: what it says is not known before.
        """
        if cls.AXIS.source != "loras" or run is not UNLINKED:
            return ""
        known = known_names("loras")
        try:
            names = known if values is None else cls.AXIS.parse(values, known)
        except KilnError as error:
            return str(error)
        return "\n".join(file_stamp(str(name)) for name in names)

    @classmethod
    def execute(
        cls, values: str, applies_to: str = "", run: Any = None,
        more: tuple[AxisValues, ...] | None = None,
    ) -> io.NodeOutput:
        """Read the values, and say what was understood."""
        from ..host.progress import ComfyProgress

        axis = cls.AXIS
        read = axis.parse(values, known_names(axis.source, run))
        own = AxisValues(axis.name, tuple(read), axis.target(applies_to).name)
        labels = list(own.labels())
        told = f"{len(labels)} {'value' if len(labels) == 1 else 'values'}: "
        ComfyProgress(cls.hidden.unique_id).say(told + shorten(labels, MOST_SHOWN))
        return io.NodeOutput(
            (own, *(more or ())), ui={"kiln_axis": [{"count": len(labels), "labels": labels}]}
        )


def node_id(axis: Axis) -> str:
    """``KilnAxis`` and the axis's name in capitals."""
    return "KilnAxis" + "".join(word.capitalize() for word in axis.name.split("_"))


def make_axis_node(axis: Axis) -> type[AxisNode]:
    """The node of one axis."""
    return type(node_id(axis), (AxisNode,), {"AXIS": axis, "__doc__": axis.doc})


def _inputs(axis: Axis) -> list[io.Input]:
    inputs: list[io.Input] = [
        io.String.Input(
            "values", default=axis.default, multiline=axis.multiline, tooltip=axis.doc
        )
    ]
    if len(axis.targets) > 1:
        meanings = "; ".join(f"{target.name}: {target.doc}" for target in axis.targets)
        inputs.append(
            io.Combo.Input(
                "applies_to",
                options=[target.name for target in axis.targets],
                default=axis.targets[0].name,
                optional=True,
                tooltip=f"What the values are for. {meanings}.",
            )
        )
    if axis.takes_run:
        inputs.append(
            KILN_RUN.Input(
                "run",
                optional=True,
                tooltip="From Train LoRA: the values are then steps of this run, and all means "
                "all its checkpoints.",
            )
        )
    inputs.append(
        KILN_AXIS.Input(
            "more",
            optional=True,
            tooltip="Another axis to vary too; any number can be chained.",
        )
    )
    return inputs


NODES: tuple[Any, ...] = tuple(make_axis_node(axis) for axis in axes().values())
