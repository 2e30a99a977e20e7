"""How strong a LoRA is, block by block, as a chart."""

from __future__ import annotations

import re
from collections.abc import Iterable

import torch

from ..core.errors import MissingLibrary
from .inspect import LayerFacts

BLOCK = re.compile(
    r"^((?:input_blocks|output_blocks|middle_block|double_blocks|single_blocks|layers|"
    r"noise_refiner|context_refiner|text_model\.encoder\.layers|model\.layers)\.\d+|[^.]+)"
)


def block_strengths(layers: Iterable[LayerFacts]) -> dict[str, float]:
    """‖ΔW‖ of each block; over ‖W‖ where the base model was at hand.

    Returns:
        Root of the mean square over the block's layers, in the order of the file.
    """
    found: dict[str, list[float]] = {}
    for layer in layers:
        value = layer.relative if layer.relative is not None else layer.norm
        match = BLOCK.match(layer.module)
        if value is not None and match:
            found.setdefault(f"{layer.component} {match[1]}", []).append(value)
    return {
        block: (sum(value**2 for value in values) / len(values)) ** 0.5
        for block, values in sorted(found.items(), key=lambda item: _natural(item[0]))
    }


def strength_chart(layers: Iterable[LayerFacts], title: str) -> torch.Tensor:
    """The strengths as a bar chart; (H, W, 3) in 0..1.

    Raises:
        MissingLibrary: matplotlib is not installed.
    """
    try:
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure
    except ImportError:
        raise MissingLibrary("matplotlib", "the chart is drawn with it") from None
    facts = list(layers)
    strengths = block_strengths(facts)
    relative = any(layer.relative is not None for layer in facts)
    figure = Figure(figsize=(8, max(2.0, 0.24 * len(strengths) + 1)), dpi=100, layout="tight")
    canvas = FigureCanvasAgg(figure)
    axes = figure.add_subplot()
    axes.barh(list(strengths), list(strengths.values()), color="#2f5d8a")
    axes.invert_yaxis()
    axes.tick_params(axis="y", labelsize=7)
    axes.set_xlabel("‖ΔW‖ / ‖W‖" if relative else "‖ΔW‖", fontsize=8)
    axes.set_title(title, fontsize=9)
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)
    canvas.draw()
    pixels = torch.frombuffer(bytearray(canvas.buffer_rgba()), dtype=torch.uint8)
    width, height = canvas.get_width_height()
    return pixels.reshape(height, width, 4)[..., :3].to(torch.float32) / 255


def _natural(text: str) -> list[tuple[int, str]]:
    """Numbers in names in their order: 2 before 10."""
    return [(int(part), "") if part.isdigit() else (-1, part)
            for part in re.split(r"(\d+)", text)]
