"""From an adapter to a file that the stock loader reads whole."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import torch

from ..lora_format.family import Family
from ..lora_format.ir import LoraFile
from ..lora_format.published import publish
from ..lora_format.stock import write_stock
from ..lora_format.table import ModuleTable
from .config import TrainSettings
from .recipe import Recipe

SAVED_DTYPES = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}


def describe(
    settings: TrainSettings,
    family: Family,
    recipe: Recipe,
    *,
    run_name: str,
    dataset_hash: str,
    dataset_state: str,
    base_hash: str,
    pictures: int,
    regularisation: int = 0,
) -> dict[str, str]:
    """Metadata of the file, in the names that Kohya's tools and model browsers read."""
    return {
        "modelspec.sai_model_spec": "1.0.0",
        "modelspec.architecture": family.architecture,
        "modelspec.title": run_name,
        "modelspec.resolution": f"{settings.resolution}x{settings.resolution}",
        "ss_output_name": run_name,
        "ss_base_model_version": family.base_version,
        "ss_network_module": "networks.lora",
        "ss_network_dim": str(settings.rank),
        "ss_network_alpha": f"{settings.effective_alpha:g}",
        "ss_learning_rate": f"{settings.learning_rate:g}",
        "ss_optimizer": "torch.optim.adamw.AdamW",
        "ss_lr_scheduler": settings.schedule,
        "ss_max_train_steps": str(settings.steps),
        "ss_seed": str(settings.seed),
        "ss_num_train_images": str(pictures),
        **({"ss_num_reg_images": str(regularisation)} if regularisation else {}),
        "ss_training_comment": "trained by LoRA Kiln inside ComfyUI",
        **_objective(recipe),
        "ss_caption_dropout_rate": f"{settings.caption_dropout:g}",
        "kiln_settings": json.dumps(_scalar_settings(settings), sort_keys=True),
        "kiln_dataset_hash": dataset_hash,
        "kiln_dataset_state": dataset_state,
        "kiln_base_model_hash": base_hash,
    }


def _objective(recipe: Recipe) -> dict[str, str]:
    """What was minimised, in Kohya's names; what it has no name for is left to ``kiln_recipe``."""
    noise, gamma = recipe.noise, recipe.gamma if recipe.weighting.name == "min_snr" else None
    told: dict[str, Any] = {
        "ss_v_parameterization": recipe.objective.name == "v",
        "ss_zero_terminal_snr": recipe.law.zero_terminal and recipe.objective.name != "flow",
        "ss_min_snr_gamma": gamma,
        "ss_debiased_estimation": recipe.weighting.name == "debiased",
        "ss_noise_offset": noise.offset or None,
        "ss_multires_noise_iterations": noise.pyramid_levels or None,
        "ss_multires_noise_discount": noise.pyramid_discount if noise.pyramid_levels else None,
        "ss_ip_noise_gamma": noise.input_perturbation or None,
        "ss_loss_type": {"mse": "l2"}.get(recipe.loss.name, recipe.loss.name),
    }
    prediction = {"eps": "epsilon", "v": "v"}.get(recipe.objective.name)
    known = {} if prediction is None else {"modelspec.prediction_type": prediction}
    return {
        **{name: str(value) for name, value in told.items()}, **known,
        "kiln_recipe": json.dumps(recipe.describe(), sort_keys=True),
    }


def publish_lora(
    lora: LoraFile, path: Path, *, precision: str, step: int
) -> Path:
    """Write the LoRA where the stock loader finds it; returns the path it got."""
    dtype = SAVED_DTYPES[precision]
    # Whole modules only: no table of parts is needed.
    tensors = write_stock(lora, ModuleTable({})).tensors
    tensors = {key: tensor.to(dtype) for key, tensor in tensors.items()}
    metadata = {**lora.metadata, "ss_steps": str(step)}
    return publish(path, tensors, metadata)


def _scalar_settings(settings: TrainSettings) -> dict[str, object]:
    from ..core.settings import identity_dict

    return identity_dict(settings)
