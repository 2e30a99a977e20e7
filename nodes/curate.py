"""Choosing pictures for a dataset one by one."""

from __future__ import annotations

from typing import Any

from comfy_api.latest import io

from ..core.errors import ConfigError, DatasetError
from .types import KILN_DATASET


class KilnCurateImages(io.ComfyNode):
    """Pictures that become a dataset as a person accepts them."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        """Images of the graph, or loaded ones, and the dataset's name."""
        return io.Schema(
            node_id="KilnCurateImages",
            display_name="Curate Images (Kiln)",
            category="LoRA Kiln/data",
            description="Shows pictures that were generated or loaded. Those that you accept are "
            "kept with their prompts as captions in a dataset of your input folder. Queue again "
            "for more: what you decided stays.",
            search_aliases=["pick images", "build dataset", "select images", "image chooser"],
            is_input_list=True,
            inputs=[
                io.String.Input(
                    "name", default="curated",
                    tooltip="Name of the dataset: a folder below input/kiln. One that is there "
                    "already goes on growing.",
                ),
                io.Image.Input(
                    "images", optional=True,
                    tooltip="Pictures from the graph: a batch, or a list of different sizes.",
                ),
                KILN_DATASET.Input(
                    "dataset", optional=True,
                    tooltip="Pictures from Load Image Folder. Where one has no caption, the "
                    "prompt that is stored in the file is taken.",
                ),
                io.String.Input(
                    "prompts", default="", multiline=True, optional=True,
                    tooltip="Captions of the images: one for all, or one line for each. Left "
                    "empty, the prompt is read from the graph that makes them.",
                ),
            ],
            outputs=[
                KILN_DATASET.Output(
                    display_name="dataset",
                    tooltip="Every picture accepted so far. Nothing runs behind it until there "
                    "is one.",
                ),
                io.Int.Output(
                    display_name="count", tooltip="How many pictures are accepted so far."
                ),
            ],
            hidden=[io.Hidden.unique_id, io.Hidden.prompt],
            is_output_node=True,
        )

    @classmethod
    def validate_inputs(cls, name: Any = None) -> bool | str:
        """Refuse an impossible name before the graph runs."""
        from ..host.paths import check_run_name

        try:
            for given in name if isinstance(name, list) else [name]:
                if given is not None:
                    check_run_name(given)
        except ConfigError as error:
            return str(error)
        return True

    @classmethod
    def fingerprint_inputs(cls, **_: Any) -> float:
        """Looks again every time: pictures are accepted in the browser, between two runs."""
        return float("nan")

    @classmethod
    def execute(
        cls,
        name: list[str],
        images: list[Any] | None = None,
        dataset: list[Any] | None = None,
        prompts: list[str] | None = None,
    ) -> io.NodeOutput:
        """Show what waits, and hand on what was accepted; every input comes as a list."""
        from ..dataset.embedded_prompt import prompt_of_graph
        from ..host.curating import candidates, curated_folder, keep_candidates

        if not images and not dataset:
            raise DatasetError(
                "No picture has arrived", expected="images, or a dataset",
                remedy="Link one of the two inputs",
            )
        root = curated_folder(name[0])
        found = prompt_of_graph(cls.hidden.prompt, str(cls.hidden.unique_id)) if images else None
        loaded = dataset[0] if dataset else None
        waiting = candidates(images or [], loaded, prompts or [], found)
        rows = keep_candidates(waiting)
        accepted = _accepted(root)
        return io.NodeOutput(
            accepted if accepted is not None else _nothing_yet(),
            len(accepted) if accepted is not None else 0,
            ui={"kiln_curate": [{"name": root.name, "items": rows}]},
        )


def _accepted(root: Any) -> Any:
    """The dataset so far, or None."""
    from ..dataset.curate import read_curated
    from ..dataset.review import ACCEPTED
    from ..dataset.scan import scan_folder

    files = {row.file for row in read_curated(root).values() if row.decision == ACCEPTED}
    if not any((root / file).is_file() for file in files):
        return None
    return scan_folder(root, name=f"input/kiln/{root.name}")


def _nothing_yet() -> Any:
    """Keeps what is behind this node from running, without an error."""
    from comfy_execution.graph_utils import ExecutionBlocker

    return ExecutionBlocker(None)


NODES = (KilnCurateImages,)
