"""The pack's own link types."""

from __future__ import annotations

from comfy_api.latest import io

KILN_DATASET = io.Custom("KILN_DATASET")
"""A ``dataset.items.Dataset``."""
KILN_BUCKETS = io.Custom("KILN_BUCKETS")
"""``dataset.bucket_settings.BucketChoices``."""
KILN_LORA = io.Custom("KILN_LORA")
"""A LoRA file in memory with its name for the stock loader."""
KILN_RUN = io.Custom("KILN_RUN")
"""A training run on disk with its checkpoints."""
KILN_OBJECTIVE = io.Custom("KILN_OBJECTIVE")
"""``trainer.objective_settings.ObjectiveSettings``."""
KILN_ADAPTER = io.Custom("KILN_ADAPTER")
"""``trainer.adapter_settings.AdapterSettings``."""
KILN_AXIS = io.Custom("KILN_AXIS")
"""A tuple of ``sweep.axis.AxisValues``: one axis of a sweep, and those chained to it."""
KILN_SWEEP = io.Custom("KILN_SWEEP")
"""A ``sweep.result.SweepResult``."""
