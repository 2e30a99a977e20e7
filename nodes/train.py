"""Training as a node."""

from __future__ import annotations

from typing import Any

import folder_paths
import torch
from comfy_api.latest import io

from ..dataset.bucket_settings import BucketChoices
from ..dataset.lint.gate import ON_ERRORS, STOP
from ..trainer.adapter_settings import AdapterSettings
from ..trainer.config import TrainSettings
from ..trainer.objective_settings import ObjectiveSettings
from .files import file_stamp, lora_name_output
from .inputs import inputs_of, settings_of
from .types import KILN_ADAPTER, KILN_BUCKETS, KILN_DATASET, KILN_LORA, KILN_OBJECTIVE, KILN_RUN

NONE = "none"


class KilnTrainLora(io.ComfyNode):
    """Trains a LoRA on the MODEL it is given, in this process."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        """Inputs come from ``TrainSettings``; nine of them need no answer."""
        # Saved graphs know widgets by their place: the one that came later stands last.
        *settings, caption_chunks = inputs_of(TrainSettings)
        return io.Schema(
            node_id="KilnTrainLora",
            display_name="Train LoRA (Kiln)",
            category="LoRA Kiln/training",
            description="Trains a LoRA on the loaded model, beside its frozen weights. Cancel "
            "keeps what was learned; queueing the same graph again goes on from there. The "
            "finished LoRA is at once in the stock LoRA loader, under kiln/.",
            inputs=[
                io.Model.Input(
                    "model",
                    tooltip="The model to train on. It is not changed: after training it is "
                    "bit for bit what it was.",
                ),
                io.Clip.Input("clip", tooltip="Encodes the captions; comes with the model."),
                io.Vae.Input("vae", tooltip="Encodes the pictures; comes with the model."),
                KILN_DATASET.Input("dataset", tooltip="Pictures with captions."),
                *settings,
                io.Combo.Input(
                    "training_adapter",
                    options=[NONE, *folder_paths.get_filename_list("loras")],
                    default=NONE,
                    optional=True,
                    advanced=True,
                    tooltip="For a model that was distilled to few steps, such as Z-Image Turbo: "
                    "the LoRA that is published to be trained with. It stands beside the model "
                    "while training, at strength 1, and is neither in previews nor in your LoRA.",
                ),
                KILN_OBJECTIVE.Input(
                    "objective",
                    optional=True,
                    tooltip="From Objective Settings. Without it, what suits the model.",
                ),
                KILN_ADAPTER.Input(
                    "adapter",
                    optional=True,
                    tooltip="From Adapter Settings. Without it, what experts train in this family.",
                ),
                KILN_BUCKETS.Input(
                    "buckets",
                    optional=True,
                    tooltip="From Bucket Settings: several resolutions, enlarging, other shapes. "
                    "Without it, sizes that suit the resolution and the model.",
                ),
                io.Combo.Input(
                    "dataset_errors",
                    options=list(ON_ERRORS),
                    default=STOP,
                    optional=True,
                    advanced=True,
                    tooltip="What to do when the dataset has errors: captions that miss their "
                    "picture by a letter, pictures that share a caption, files that cannot be "
                    "read, and whatever Lint Dataset has called an error. Stop says what they are.",
                ),
                caption_chunks,
            ],
            outputs=[
                io.Model.Output(
                    display_name="model", tooltip="The model with the LoRA applied at strength 1."
                ),
                io.Clip.Output(display_name="clip", tooltip="The text encoders, unchanged."),
                lora_name_output("The LoRA's name"),
                KILN_LORA.Output(display_name="lora", tooltip="The LoRA, for a sweep."),
                KILN_RUN.Output(
                    display_name="run", tooltip="The run with all its checkpoints and metrics."
                ),
                io.Image.Output(
                    display_name="loss_picture", tooltip="The loss over the run as a chart."
                ),
                io.LossMap.Output(
                    display_name="loss_map", tooltip="The loss per step, for core's loss nodes."
                ),
            ],
            hidden=[io.Hidden.unique_id],
            is_output_node=True,
        )

    @classmethod
    def validate_inputs(cls, run_name: str | None = None) -> bool | str:
        """Refuse an impossible name before the graph runs; a linked one is checked when it does."""
        if run_name is None:
            return True
        from ..core.errors import ConfigError
        from ..host.paths import check_run_name

        try:
            check_run_name(run_name)
        except ConfigError as error:
            return str(error)
        return True

    @classmethod
    def fingerprint_inputs(cls, training_adapter: str | None = None, **_: Any) -> str:
        """Train again when the training adapter's file changed."""
        return NONE if training_adapter == NONE else file_stamp(training_adapter)

    @classmethod
    def execute(
        cls, model: Any, clip: Any, vae: Any, dataset: Any, training_adapter: str = NONE,
        objective: ObjectiveSettings | None = None, adapter: AdapterSettings | None = None,
        buckets: BucketChoices | None = None, dataset_errors: str = STOP, **values: Any,
    ) -> io.NodeOutput:
        """Train, or return the finished run."""
        from ..host.progress import ComfyProgress
        from ..host.training import TrainRequest, train_in_comfy
        from ..trainer.chart import loss_chart

        settings = settings_of(TrainSettings, values)
        outcome = train_in_comfy(
            TrainRequest(
                model=model, clip=clip, vae=vae, dataset=dataset, settings=settings,
                objective=objective or ObjectiveSettings(), adapter=adapter or AdapterSettings(),
                buckets=buckets or BucketChoices(), training_adapter=training_adapter,
                dataset_errors=dataset_errors,
            ),
            ComfyProgress(cls.hidden.unique_id),
        )
        metrics = outcome.result.metrics
        losses = [entry["loss"] for entry in metrics if entry["loss"] is not None]
        lora = outcome.result.lora
        summary = {
            "lora_name": lora.loader_name,
            "run": outcome.run.name,
            "steps": len(metrics),
            "trained_steps": outcome.result.trained_steps,
            "loss_start": outcome.result.probe_start,
            "loss_end": outcome.result.probe_end,
        }
        return io.NodeOutput(
            outcome.model,
            clip,
            lora.loader_name,
            lora,
            outcome.run,
            loss_chart(metrics, outcome.run.name)[None],
            {"loss": [torch.tensor(value) for value in losses]},
            ui={"kiln_train": [summary]},
        )


NODES = (KilnTrainLora,)
