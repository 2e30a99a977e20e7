"""Scores of a sweep, and the person's decision, as a node."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import folder_paths
import numpy as np
import torch
from comfy_api.latest import io
from PIL import Image

from ..sweep.cells import MOST_CELLS
from .big_images import file_images
from .files import lora_name_output
from .picture_inputs import shown_files
from .texts import workflow_texts
from .types import KILN_DATASET, KILN_SWEEP

NOT_CHOSEN = -1


class KilnScoreSweep(io.ComfyNode):
    """Measures every cell, lists what is worth a look, and keeps the person's choice."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        """Only the sweep is needed; each further link allows further scores."""
        return io.Schema(
            node_id="KilnScoreSweep",
            display_name="Score Sweep (Kiln)",
            category="LoRA Kiln/sweep",
            description="Measures every cell of a sweep against strength 0 and the training set: "
            "effect, likeness, structure, burn, colours, diversity, copied training pictures. "
            "Shows a Pareto front and a shortlist; you choose, and the choice goes on into the "
            "stock LoRA loader.",
            inputs=_inputs(),
            outputs=_outputs(),
            hidden=[io.Hidden.unique_id, io.Hidden.prompt, io.Hidden.extra_pnginfo],
            is_output_node=True,
        )

    @classmethod
    def execute(
        cls, sweep: Any, choice: int = NOT_CHOSEN, trigger: str = "", dataset: Any = None,
        clip_vision: Any = None, clip: Any = None, chosen_in: str = "",
    ) -> io.NodeOutput:
        """Score, draw, write, decide."""
        from ..host.carried_choice import carried
        from ..host.progress import ComfyProgress
        from ..host.score_files import decide, write_pictures, write_scores
        from ..host.score_page import cell_grid
        from ..host.scoring import ScoreRequest, score_sweep
        from ..sweep.score_maps import draw_maps
        from ..sweep.score_picture import draw_overview

        progress = ComfyProgress(cls.hidden.unique_id)
        request = ScoreRequest(
            sweep=sweep, dataset=dataset, clip_vision=clip_vision, clip=clip, trigger=trigger
        )
        scored = score_sweep(request, progress)
        table = write_scores(scored)
        asked = "" if _is_linked(cls, "choice") else chosen_in.strip()
        own = carried(sweep, choice, asked)
        decision = decide(scored, own.cell)
        name = sweep.folder.name
        overview = draw_overview(
            scored.given, scored.found, scored.choice, scored.training_picture, name
        )
        maps = (
            draw_maps(sweep.plan, page, scored.found, scored.choice, name)
            for page in range(len(sweep.plan.page_labels))
        )
        files = write_pictures(scored, overview, maps, workflow_texts(cls))
        report = "\n".join(filter(None, (_report(scored, decision), own.note)))
        progress.say(report)
        grid = cell_grid(scored, decision, Path(folder_paths.get_output_directory()))
        grid["choice"] = {"asked": (choice, asked), "cell": own.cell}
        settings = None if decision is None else decision.cell.settings
        return io.NodeOutput(
            _image(overview),
            file_images(files[1:], sweep.folder),
            table,
            "" if decision is None else decision.lora,
            0.0 if settings is None else float(settings.strength),
            0.0 if settings is None else float(settings.text_strength),
            0.0 if settings is None else float(settings.cfg),
            0 if settings is None else int(settings.seed),
            report,
            ui={"images": shown_files(files), "kiln_scores": [{"report": report, "grid": grid}]},
        )


def _inputs() -> list[io.Input]:
    return [
        KILN_SWEEP.Input("sweep", tooltip="From Sweep: the finished cells."),
        io.Int.Input(
            "choice", default=NOT_CHOSEN, min=NOT_CHOSEN, max=MOST_CELLS - 1,
            tooltip="The number of the cell that you choose: click it in the grid that a run shows "
            "below, or write it here. The next run stores it with the sweep. -1: not chosen yet; "
            "then the shortlist's first is handed on, marked as a suggestion.",
        ),
        io.String.Input(
            "trigger", default="", optional=True,
            tooltip="The word that calls what was learned, for example the one in your captions. "
            "With it, prompts without the trigger show whether the LoRA leaks.",
        ),
        KILN_DATASET.Input(
            "dataset", optional=True,
            tooltip="What the LoRA was trained on: allows likeness, colour drift, memorisation.",
        ),
        io.ClipVision.Input(
            "clip_vision", optional=True,
            tooltip="CLIP, SigLIP or DINO from the stock Load CLIP Vision node. Without it, "
            "pictures are compared by their pixels.",
        ),
        io.Clip.Input(
            "clip", optional=True,
            tooltip="The model's text encoders. With a vision model that belongs to one of them, "
            "pictures are compared with their prompts.",
        ),
        io.String.Input(
            "chosen_in", default="", optional=True, advanced=True,
            tooltip="In which sweep the cell was clicked; the click writes it. A later sweep "
            "numbers its cells anew: there the same cell is found by its settings. Empty: choice "
            "is a number of this sweep.",
        ),
    ]


def _outputs() -> list[io.Output]:
    return [
        io.Image.Output(
            display_name="overview",
            tooltip="All settings as points, the shortlist with its pictures, and pictures that "
            "look copied beside the training pictures.",
        ),
        io.Image.Output(
            display_name="maps", tooltip="Every score over rows and columns; one picture per page."
        ),
        io.String.Output(display_name="table", tooltip="The sweep's table with the scores, CSV."),
        lora_name_output("The chosen cell's LoRA"),
        io.Float.Output(
            display_name="strength",
            tooltip="The chosen cell's strength, for strength_model of the stock loader.",
        ),
        io.Float.Output(
            display_name="clip_strength",
            tooltip="The chosen cell's strength on the text encoders, for strength_clip.",
        ),
        io.Float.Output(display_name="cfg", tooltip="The chosen cell's CFG, for the sampler."),
        io.Int.Output(display_name="seed", tooltip="The chosen cell's seed, for the sampler."),
        io.String.Output(
            display_name="report", tooltip="The decision, the shortlist and what to know."
        ),
    ]


def _report(scored: Any, decision: Any) -> str:
    from ..sweep.score_report import report_lines

    lines = report_lines(scored.given.plan, scored.choice, scored.notes)
    if decision is None:
        return "\n".join(["Nothing is chosen", *lines])
    whose = "Chosen by you" if decision.by == "person" else "Suggested, not chosen yet"
    settings = decision.cell.settings
    name = decision.lora or "the LoRA"
    head = (
        f"{whose}: cell {decision.cell.index}, {name} at strength {settings.strength:g}, "
        f"CFG {settings.cfg:g}, seed {settings.seed}"
    )
    return "\n".join([head, *lines])


def _is_linked(cls: Any, name: str) -> bool:
    """Whether an input's value comes from another node."""
    own = (cls.hidden.prompt or {}).get(cls.hidden.unique_id)
    inputs = own.get("inputs", {}) if isinstance(own, dict) else {}
    return isinstance(inputs.get(name), list)


def _image(picture: Image.Image) -> torch.Tensor:
    """(1, H, W, 3) in 0..1."""
    return torch.from_numpy(np.array(picture)).float()[None] / 255


NODES = (KilnScoreSweep,)
