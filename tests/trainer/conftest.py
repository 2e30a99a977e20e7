"""A small denoiser of diffusers' making, and what training needs around it."""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest
import torch


@pytest.fixture(scope="session", autouse=True)
def _one_thread() -> Iterator[None]:
    """Tiny tensors: more threads only wait for each other."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="session")
def second() -> ModuleType:
    """The second implementation of ``Denoiser``; test folders are no packages."""
    path = Path(__file__).parent / "diffusers_denoiser.py"
    spec = importlib.util.spec_from_file_location("kiln_diffusers_denoiser", path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module
