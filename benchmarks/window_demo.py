"""The window finder against a dense sweep, on the demo model and a LoRA that breaks its pictures.

    python -m benchmarks.window_demo                          trains the LoRA first, a minute or two
    python -m benchmarks.window_demo --seed 2                 another LoRA
    python -m benchmarks.window_demo --lora a.safetensors --highest 2.4

For each prompt 33 evenly spaced strengths are drawn with every seed and measured as the finder
measures its 13; then the finder searches on its own. Printed: both windows, how far they are
apart, and whether the dense sweep's edges lie in the finder's intervals.

What is claimed depends on the verdict. Where the finder states a window, both edges should be
within .05 of the dense sweep's. Where it says "too uncertain" it claims no edge, only intervals:
seeds that fall apart far from each other have a mean that is nearly level where it crosses 90 %,
and there a few more strengths move the edge by more than .05.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

PROMPTS = (
    "a house under the sun", "a boat on the sea", "a star on a plain background",
    "a tree on a hill", "a moon over mountains",
)  # fmt: skip
NEAR = 0.05
DENSE, SEEDS, STEPS, SIDE_PX, CFG = 33, 3, 8, 128, 4.0


@dataclass(frozen=True)
class Agreement:
    """Both windows of a prompt."""

    prompt: str
    dense: Any
    found: Any

    @property
    def differences(self) -> tuple[float, float] | None:
        """Of last coherent and first broken; None unless both have both, or both have none."""
        ends = (self.dense.first_broken, self.found.first_broken)
        if ends == (None, None):
            return abs(self.dense.last_coherent - self.found.last_coherent), 0.0
        if None in ends:
            return None
        return (
            abs(self.dense.last_coherent - self.found.last_coherent),
            abs(self.dense.first_broken - self.found.first_broken),
        )

    @property
    def holds(self) -> bool:
        """Whether both edges are near each other."""
        return self.differences is not None and max(self.differences) <= NEAR

    @property
    def stated(self) -> bool:
        """Whether the finder says that its edges stand."""
        return self.found.verdict != finding().UNSURE

    @property
    def contained(self) -> bool:
        """Whether the dense sweep's edges lie in the finder's intervals."""
        ends = (self.dense.last_coherent, self.dense.first_broken)
        intervals = (self.found.last_interval, self.found.first_interval)
        if None in ends or None in intervals:
            return ends[1] is None and self.found.first_broken is None
        return all(
            low <= end <= high for end, (low, high) in zip(ends, intervals, strict=True)
        )


def finding() -> Any:
    """The room's module; imported late, since the pack has to be loaded first."""
    from lora_kiln.sweep.window import finding as module

    return module


def trained_lora(model: Any, clip: Any, vae: Any, steps: int = 150, seed: int = 1) -> Path:
    """The demo's style, learned too fast: it breaks pictures above strength 1."""
    import torch

    from lora_kiln.dataset.scan import scan_folder
    from lora_kiln.host.paths import resolve_folder
    from lora_kiln.host.progress import ComfyProgress
    from lora_kiln.host.training import TrainRequest, train_in_comfy
    from lora_kiln.trainer.config import TrainSettings

    settings = TrainSettings(
        run_name="window", steps=steps, learning_rate=1e-3, rank=8, resolution=128, seed=seed,
        batch_size=4, preview_every=0,
    )  # fmt: skip
    dataset = scan_folder(resolve_folder("demo/style"), name="style")
    with torch.inference_mode():
        request = TrainRequest(model=model, clip=clip, vae=vae, dataset=dataset, settings=settings)
        return Path(train_in_comfy(request, ComfyProgress(None)).result.lora.path)


def compare(
    wires: tuple[Any, Any, Any], lora: Path, highest: float, prompt: str, steps: int = STEPS
) -> Agreement:
    """Draw densely, and search."""
    import torch

    from lora_kiln.host.find_strength import engine
    from lora_kiln.host.progress import ComfyProgress
    from lora_kiln.sweep.cell_settings import CellSettings
    from lora_kiln.sweep.window.rounds import Hunt, Subject
    from lora_kiln.sweep.window.search import Search
    from lora_kiln.sweep.window.subject import subject_score

    base = CellSettings(
        seed=5, steps=steps, sampler="dpmpp_2m", scheduler="karras", width_px=SIDE_PX,
        height_px=SIDE_PX, lora=lora.name,
    )  # fmt: skip
    draw = engine(*wires, {lora.name: lora})
    windows: list[Any] = []
    for search in (
        Search(highest=highest, budget=DENSE + 1, coarse=DENSE, batch=1),
        Search(highest=highest),
    ):
        dense = search.coarse == DENSE
        hunt = Hunt(base, [Subject(prompt, CFG)], SEEDS, search, subject_score(None))
        while cells := hunt.next_cells():
            with torch.inference_mode():
                hunt.tell(cells, draw(cells, ComfyProgress(None)).pictures)
            if dense:
                break
        windows += hunt.windows()
    return Agreement(prompt, *windows)


def main(arguments: Sequence[str] | None = None) -> int:
    """Print what was found; returns the exit status."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--lora", type=Path, help="a LoRA for the demo model")
    parser.add_argument("--seed", type=int, default=1, help="of the training")
    parser.add_argument("--highest", type=float, default=2.4, help="highest strength")
    chosen = parser.parse_args(arguments)
    from devtools.comfy_import import import_comfy
    from devtools.load_pack import load_pack

    load_pack()
    import_comfy()
    import torch

    from lora_kiln.host.demo_model import load_demo_model

    with torch.inference_mode():
        wires = load_demo_model()
    lora = chosen.lora or trained_lora(*wires, seed=chosen.seed)
    agreements = []
    for prompt in PROMPTS:
        agreement = compare(wires, lora, chosen.highest, prompt)
        print(f"{lora.name}: {prompt}")
        for name in ("dense", "found"):
            own = getattr(agreement, name)
            print(
                f"  {name}  {own.verdict}: {own.last_coherent:.3f}, {own.first_broken}, "
                f"recommended {own.recommended}, intervals {own.last_interval} "
                f"{own.first_interval}",
            )
        agreements.append(agreement)
        print(f"  apart  {agreement.differences}, in the intervals: {agreement.contained}",
              flush=True)
    print(summary_of(agreements))
    return 0


def summary_of(agreements: Sequence[Agreement]) -> str:
    """The counts, windows that are stated apart from those that are not."""
    stated = [own for own in agreements if own.stated]
    lines = [
        f"{sum(own.holds for own in agreements)} of {len(agreements)} within {NEAR:g} at both "
        f"edges; of those that the finder states, {sum(own.holds for own in stated)} of "
        f"{len(stated)}",
        f"{sum(own.contained for own in agreements)} of {len(agreements)} dense windows in the "
        "finder's intervals",
    ]
    return "\n".join(lines)


if __name__ == "__main__":
    raise SystemExit(main())
