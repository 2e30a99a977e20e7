"""A safetensors file as a stream of blocks, so that writing a large one takes no second copy.

The layout is the format's: 8 bytes length, JSON, then the tensors' bytes. Tensors are ordered by
size of their elements, largest first, and by name, which keeps every one of them aligned.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping

import torch

DTYPE_NAMES = {
    torch.bool: "BOOL", torch.uint8: "U8", torch.int8: "I8", torch.int16: "I16",
    torch.int32: "I32", torch.int64: "I64", torch.float16: "F16", torch.bfloat16: "BF16",
    torch.float32: "F32", torch.float64: "F64",
    torch.float8_e4m3fn: "F8_E4M3", torch.float8_e5m2: "F8_E5M2",
}
ALIGNMENT_BYTES = 8


def ordered_names(tensors: Mapping[str, torch.Tensor]) -> list[str]:
    """The order of the tensors in the file."""
    return sorted(tensors, key=lambda name: (-tensors[name].element_size(), name))


def header_bytes(tensors: Mapping[str, torch.Tensor], metadata: Mapping[str, str]) -> bytes:
    """The length and the JSON, padded so that the data begin aligned."""
    entries: dict[str, object] = {}
    if metadata:
        entries["__metadata__"] = dict(sorted(metadata.items()))
    position = 0
    for name in ordered_names(tensors):
        tensor = tensors[name]
        end = position + tensor.numel() * tensor.element_size()
        entries[name] = {
            "dtype": DTYPE_NAMES[tensor.dtype],
            "shape": list(tensor.shape),
            "data_offsets": [position, end],
        }
        position = end
    text = json.dumps(entries, separators=(",", ":"), ensure_ascii=False).encode("utf-8")
    text += b" " * (-len(text) % ALIGNMENT_BYTES)
    return len(text).to_bytes(8, "little") + text


def data_blocks(tensors: Mapping[str, torch.Tensor]) -> Iterator[memoryview]:
    """Each tensor's bytes, in the order of the file, without copying what lies on the CPU."""
    for name in ordered_names(tensors):
        tensor = tensors[name].detach().cpu().contiguous().reshape(-1)
        if tensor.numel():
            yield tensor.view(torch.uint8).numpy().data


def data_hash(tensors: Mapping[str, torch.Tensor]) -> str:
    """SHA-256 of everything after the header, ``sshs_model_hash`` in Kohya's metadata."""
    digest = hashlib.sha256()
    for block in data_blocks(tensors):
        digest.update(block)
    return digest.hexdigest()
