"""ComfyUI on a pretend Mac: it takes the branches that it takes where torch has MPS.

Import only after ComfyUI is importable.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import comfy.ldm.modules.attention
import comfy.model_management as management

from lora_kiln.core.attach import Attachment
from lora_kiln.devtools.mps_guard import MpsGuard


@contextmanager
def pretend_mac() -> Iterator[MpsGuard]:
    """A Mac with macOS 15 around what runs inside; models must be made inside, too."""
    management.unload_all_models()
    attention = comfy.ldm.modules.attention
    # What --cpu leaves in place is also what a Mac gets without options.
    assert attention.optimized_attention is attention.attention_sub_quad
    with Attachment() as attachment:
        attachment.set_attribute(management, "cpu_state", management.CPUState.MPS)
        attachment.set_attribute(management, "vram_state", management.VRAMState.SHARED)
        attachment.set_attribute(management, "mac_version", lambda: (15, 0))
        with MpsGuard() as guard:
            assert management.get_torch_device().type == "mps"
            try:
                yield guard
            finally:
                management.unload_all_models()
