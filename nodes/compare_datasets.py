"""Two states of a dataset side by side."""

from __future__ import annotations

from typing import Any

from comfy_api.latest import io

from ..host.bound_dataset import dataset_of_run, runs_with_dataset
from .types import KILN_DATASET

CONNECTED = "(the dataset connected to before)"


class KilnCompareDatasets(io.ComfyNode):
    """Tells what changed in a dataset, since a run or against another one."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        """A dataset, and a run or another dataset."""
        return io.Schema(
            node_id="KilnCompareDatasets",
            display_name="Compare Datasets (Kiln)",
            category="LoRA Kiln/data",
            description="Says what changed in a dataset since a training: pictures added, "
            "removed, renamed or replaced, and captions before and after. Every run keeps the "
            "state of its dataset.",
            search_aliases=["diff", "version", "manifest"],
            inputs=[
                KILN_DATASET.Input("dataset", tooltip="The dataset as it is now."),
                io.Combo.Input(
                    "run",
                    options=[CONNECTED, *runs_with_dataset()],
                    default=CONNECTED,
                    tooltip="The training whose dataset it is compared with. Press R to see new "
                    "ones.",
                ),
                KILN_DATASET.Input(
                    "before", optional=True, tooltip="Or another dataset, for the comparison."
                ),
            ],
            outputs=[
                io.String.Output(display_name="changes", tooltip="What changed, as text."),
                io.Boolean.Output(
                    display_name="changed", tooltip="Whether a training would see a difference."
                ),
            ],
        )

    @classmethod
    def fingerprint_inputs(cls, run: str | None = None, **_: Any) -> str:
        """A run's dataset never changes."""
        return run or ""

    @classmethod
    def execute(cls, dataset: Any, run: str, before: Any = None) -> io.NodeOutput:
        """Compare."""
        from ..core.errors import ConfigError
        from ..dataset.manifest import manifest_of
        from ..dataset.manifest_diff import describe_diff, diff_manifests

        if run == CONNECTED and before is None:
            raise ConfigError(
                "Compare Datasets has nothing to compare with",
                expected="a run, or a dataset connected to before",
                remedy="Choose a run from the list",
            )
        old = manifest_of(before) if run == CONNECTED else dataset_of_run(run)
        new = manifest_of(dataset)
        diff = diff_manifests(old, new)
        return io.NodeOutput(describe_diff(diff), not diff.is_empty)


NODES = (KilnCompareDatasets,)
