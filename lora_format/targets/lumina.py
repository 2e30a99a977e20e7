"""Lumina 2 and Z-Image.

``attention_ff`` is what musubi-tuner and OneTrainer train, ``linear`` what ai-toolkit does; both
leave the refiners alone, which ``refiners`` and ``all`` take in.
"""

from __future__ import annotations

from collections.abc import Mapping

from ..training import Advice, Training, Variant

_LAYERS, _EVERY = r"^layers\.\d+\.", r"^(layers|noise_refiner|context_refiner)\.\d+\."
_ATTENTION = r"attention\.(qkv|out)$"
_ATTENTION_FF = r"(attention\.(qkv|out)|feed_forward\.w[123])$"
_LINEAR = r"(attention\.(qkv|out)|feed_forward\.w[123]|adaLN_modulation\.\d+)$"

PRESETS = {
    "attention": _LAYERS + _ATTENTION,
    "attention_ff": _LAYERS + _ATTENTION_FF,
    "linear": _LAYERS + _LINEAR,
    "refiners": _EVERY + _ATTENTION_FF,
    "all": _EVERY + _LINEAR,
}
BLOCKS = (
    (r"^layers\.(\d+)\.", "layer"),
    (r"^noise_refiner\.(\d+)\.", "noise_refiner"),
    (r"^context_refiner\.(\d+)\.", "context_refiner"),
)


def training(*, host_model: str, variants: Mapping[str, Variant]) -> Training:
    """How a family of such transformers is trained.

    Args:
        host_model: what the host calls it.
        variants: see ``Training``.
    """
    return Training(
        network_class="NextDiT",
        host_models=(host_model,),
        presets=PRESETS,
        preset="attention_ff",
        blocks=BLOCKS,
        checkpointed=("JointTransformerBlock",),
        bucket_step_px=16,
        variants=variants,
        advice={
            "style": Advice(rank=32, learning_rate=1e-4, steps=3000, targets="attention_ff"),
            "character": Advice(
                rank=16, learning_rate=1e-4, steps=2000, steps_per_picture=100,
                targets="attention_ff",
            ),
            "concept": Advice(rank=32, learning_rate=1e-4, steps=3000, targets="linear"),
        },
    )
