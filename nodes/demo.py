"""The embedded demo model as a node."""

from __future__ import annotations

from comfy_api.latest import io


class KilnDemoModel(io.ComfyNode):
    """Loads the tiny SDXL-shaped model that ships with the pack."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        """Three outputs, as the stock checkpoint loader has them."""
        return io.Schema(
            node_id="KilnDemoModel",
            display_name="Demo Model (Kiln)",
            category="LoRA Kiln/demo",
            description="A tiny model of SDXL's shape that ships with LoRA Kiln. It draws "
            "coloured shapes and simple scenes at 128 pixels and trains in a minute on any "
            "computer: to try things out before using a real checkpoint.",
            inputs=[],
            outputs=[
                io.Model.Output(
                    display_name="model", tooltip="The diffusion model, to train or to sample."
                ),
                io.Clip.Output(
                    display_name="clip", tooltip="Its text encoders, for captions and prompts."
                ),
                io.Vae.Output(
                    display_name="vae", tooltip="Turns pictures into latents and back."
                ),
            ],
        )

    @classmethod
    def execute(cls) -> io.NodeOutput:
        """Load it."""
        from ..host.demo_model import load_demo_model

        return io.NodeOutput(*load_demo_model())


NODES = (KilnDemoModel,)
