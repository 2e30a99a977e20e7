"""A LoRA beside the weights and the stock merge, in bf16 and fp16, against fp32.

    python -m benchmarks.low_precision

In half precision the stock loader adds the LoRA to the weight and rounds. This measures, on the
demo model with a random LoRA of several sizes, how far each way is from the exact fp32 result:
the output of the whole UNet for one fixed input, as a share of what the LoRA itself changes.
And, for whole sampled pictures, how far batched cells are from the stock loader and sampler: root
mean square and largest difference, as a share of the latent's range.
"""

from __future__ import annotations

import json
import tempfile
from pathlib import Path
from typing import Any

from devtools.comfy_import import import_comfy
from devtools.load_pack import load_pack

from .sweep_grids import write_lora

SIZES = (0.25, 1.0, 4.0)


def compare() -> dict[str, Any]:
    """Distortion of the LoRA's own effect by dtype and LoRA strength."""
    load_pack()
    import_comfy()
    import torch

    found: dict[str, Any] = {}
    with tempfile.TemporaryDirectory() as folder, torch.inference_mode():
        for name, dtype in (("bf16", torch.bfloat16), ("fp16", torch.float16)):
            try:
                found[name] = [_distortion(dtype, size, Path(folder)) for size in SIZES]
            except RuntimeError as error:
                found[name] = f"not on this device: {error}"
    return found


def _distortion(dtype: Any, strength: float, folder: Path) -> dict[str, float]:
    import torch

    exact_base = _outputs(torch.float32, 0.0, folder, beside=True)
    exact = _outputs(torch.float32, strength, folder, beside=True)
    effect = float((exact - exact_base).norm())
    low_base = _outputs(dtype, 0.0, folder, beside=True)

    def error(beside: bool) -> float:
        changed = _outputs(dtype, strength, folder, beside=beside) - low_base
        return round(float((changed - (exact - exact_base)).norm()) / effect, 4)

    return {"strength": strength, "beside": error(True), "stock_merge": error(False)}


def _outputs(dtype: Any, strength: float, folder: Path, *, beside: bool) -> Any:
    """The UNet's output for a fixed input, weights kept in ``dtype``."""
    import comfy.sd
    import comfy.utils
    import torch

    from lora_kiln.core.attach import Attachment
    from lora_kiln.host import demo_model
    from lora_kiln.host.lora_factors import load_lora
    from lora_kiln.sweep.beside import CellLora, attach_loras

    model, clip, _ = demo_model.load_demo_model()
    model.model.diffusion_model.to(dtype)
    path = write_lora(model, folder / "random.safetensors")
    generator = torch.Generator().manual_seed(4)
    config = demo_model.UNET_CONFIG
    latent = torch.randn(1, 4, 16, 16, generator=generator).to(dtype)
    context = torch.randn(1, 77, config["context_dim"], generator=generator).to(dtype)
    pooled = torch.randn(1, config["adm_in_channels"], generator=generator).to(dtype)
    lora = load_lora(path, model, clip)
    with Attachment() as attachment:
        if beside:
            modules = dict(model.model.diffusion_model.named_modules())
            attach_loras(attachment, modules, [lora.factors], [CellLora(0, strength)])
        elif strength:
            tensors = comfy.utils.load_torch_file(str(path), safe_load=True)
            model, _ = comfy.sd.load_lora_for_models(model, None, tensors, strength, 0.0)
            model.patch_model(model.load_device)
        network = model.model.diffusion_model
        return network(latent, torch.tensor([500.0]), context=context, y=pooled).float()


def parity() -> dict[str, Any]:
    """Cells of one batch against stock runs of one picture each, by dtype; the worst cell."""
    import torch

    found: dict[str, Any] = {}
    dtypes = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}
    with tempfile.TemporaryDirectory() as folder, torch.inference_mode():
        for name, dtype in dtypes.items():
            try:
                found[name] = _worst_cell(dtype, Path(folder))
            except RuntimeError as error:
                found[name] = f"not on this device: {error}"
    return found


def _worst_cell(dtype: Any, folder: Path) -> dict[str, float]:
    from lora_kiln.host import demo_model
    from lora_kiln.host.cell_sampler import CellSampler
    from lora_kiln.host.lora_shelf import LoraShelf
    from lora_kiln.host.parity import relative_difference, rms_difference
    from lora_kiln.sweep.axis import AxisValues
    from lora_kiln.sweep.cell_settings import CellSettings
    from lora_kiln.sweep.cells import plan_sweep

    model, clip, _ = demo_model.load_demo_model()
    model.model.diffusion_model.to(dtype)
    model.set_model_compute_dtype(dtype)
    base = CellSettings(
        prompt="a red boat with a white sail on the sea under the sun", steps=20,
        width_px=128, height_px=128, sampler="dpmpp_2m", scheduler="karras",
    )
    axes = [AxisValues("strength", (0.0, 0.4, 1.0, 1.6)), AxisValues("cfg", (1.5, 4.0))]
    cells = plan_sweep(base, axes).cells
    shelf = LoraShelf(model, clip, {"": write_lora(model, folder / "random.safetensors")})
    sampler = CellSampler(model, clip, shelf)
    batch = sampler.draw_beside(cells, lambda step: None)
    stock = [sampler.draw_patched([cell], lambda step: None)[0] for cell in cells]
    pairs = list(zip(batch, stock, strict=True))
    return {
        "rms": max(rms_difference(ours, theirs) for ours, theirs in pairs),
        "largest": max(relative_difference(ours, theirs) for ours, theirs in pairs),
    }


def main() -> None:
    """Measure, and print JSON."""
    print(json.dumps({"distortion": compare(), "parity": parity()}, indent=2))


if __name__ == "__main__":
    main()
