"""A LoRA file's tensors, read only when they are used.

safetensors maps the file into memory, so a tensor costs nothing until its values are touched.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import torch

from ..core.errors import LoraFormatError
from .header import Header, read_header

TORCH_DTYPES = {
    "BOOL": torch.bool, "U8": torch.uint8, "I8": torch.int8, "I16": torch.int16,
    "I32": torch.int32, "I64": torch.int64, "F16": torch.float16, "BF16": torch.bfloat16,
    "F32": torch.float32, "F64": torch.float64,
    "F8_E4M3": torch.float8_e4m3fn, "F8_E5M2": torch.float8_e5m2,
}


class TensorFile(Mapping[str, torch.Tensor]):
    """A safetensors file whose header was checked; its tensors by key.

    Args:
        path: the file.

    Raises:
        LoraFormatError: it is no safetensors file, or has a dtype that no LoRA has.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.header: Header = read_header(path)
        self._file: Any = None
        for key, entry in self.header.entries.items():
            if entry.dtype not in TORCH_DTYPES:
                raise LoraFormatError(
                    f"{path.name} holds {key} as {entry.dtype}",
                    expected="floating-point tensors",
                    remedy="Get the file in fp16, bf16 or fp32",
                )

    @property
    def metadata(self) -> Mapping[str, str]:
        """The header's strings."""
        return self.header.metadata

    def shapes(self) -> dict[str, torch.Tensor]:
        """All tensors without values, on the meta device, for their sizes and dtypes."""
        return {
            key: torch.empty(entry.shape, dtype=TORCH_DTYPES[entry.dtype], device="meta")
            for key, entry in self.header.entries.items()
        }

    def __getitem__(self, key: str) -> torch.Tensor:
        """One tensor; its memory is the file itself."""
        if self._file is None:
            from safetensors import safe_open

            self._file = safe_open(str(self.path), framework="pt", device="cpu")
        tensor: torch.Tensor = self._file.get_tensor(key)
        return tensor

    def __iter__(self) -> Iterator[str]:
        return iter(self.header.entries)

    def __len__(self) -> int:
        return len(self.header.entries)
