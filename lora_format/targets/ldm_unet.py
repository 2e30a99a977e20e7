"""SD 1.5 and SDXL.

``linear`` is what Kohya's trainer calls LoRA, ``conv`` what it calls LoCon: 722 and 788 modules of
SDXL.
"""

from __future__ import annotations

from collections.abc import Mapping

from ..training import Advice, Preview, Training, Variant

_IN_TRANSFORMER = r"(^|\.)transformer_blocks\.\d+\."
_ATTENTION = _IN_TRANSFORMER + r"attn[12]\.to_(q|k|v|out\.0)$"
_ATTENTION_FF = _ATTENTION + "|" + _IN_TRANSFORMER + r"ff\.net\.(0\.proj|2)$"
_LINEAR = _ATTENTION_FF + r"|\.proj_(in|out)$"
_RESNET = r"\.(in_layers\.2|out_layers\.3|emb_layers\.1|skip_connection)$"
# Downsamplers are ``op``; upsamplers stand last in an output block, or alone beside it.
_RESAMPLE = r"^input_blocks\.\d+\.0\.op$|^output_blocks\.\d+\.\d+\.conv$"

PRESETS = {
    "attention": _ATTENTION,
    "attention_ff": _ATTENTION_FF,
    "linear": _LINEAR,
    "conv": "|".join((_LINEAR, _RESNET, _RESAMPLE)),
}
BLOCKS = (
    (r"^input_blocks\.(\d+)\.", "in"),
    (r"^middle_block\.", "mid"),
    (r"^output_blocks\.(\d+)\.", "out"),
)


def training(
    *,
    title: str,
    few_steps: str,
    cfg: float,
    host_models: tuple[str, ...],
    advice: Mapping[str, Advice],
) -> Training:
    """How a family of such UNets is trained.

    Args:
        title: of the base model.
        few_steps: of what was distilled from it.
        cfg: of previews with the base model.
        host_models: see ``Training``.
        advice: see ``Training``.
    """
    distilled = Variant(
        title=few_steps,
        preview=Preview(scheduler="sgm_uniform", steps=8, cfg=1.0),
        warning="Training undoes what makes this model fast: pictures in few steps turn blurred. "
        "Train on the base model it was made from; the LoRA works on both.",
    )
    return Training(
        network_class="UNetModel",
        host_models=host_models,
        presets=PRESETS,
        preset="linear",
        blocks=BLOCKS,
        checkpointed=("BasicTransformerBlock", "ResBlock"),
        bucket_step_px=64,
        variants={"base": Variant(title=title, preview=Preview(cfg=cfg)), "distilled": distilled},
        advice=advice,
    )
