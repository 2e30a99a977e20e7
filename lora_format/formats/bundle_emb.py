"""Embeddings inside a LoRA file, as A1111 and OneTrainer bundle them.

``bundle_emb.<trigger>.clip_l``; a trigger may contain spaces and dots. ComfyUI's LoRA loader
ignores them; written as files of their own they are embeddings like any other.
"""

from __future__ import annotations

from ..format import Format

FORMAT = Format(
    name="bundle_emb",
    title="bundled embeddings",
    example="bundle_emb.my trigger.clip_l",
    signature=r"^bundle_emb\.",
)
