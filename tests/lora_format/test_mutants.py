"""Mutants of real LoRAs' headers: refused with a LoraFormatError, or read as safetensors does.

A part of each kind runs everywhere, a million in ``make test-full``.
"""

from __future__ import annotations

import random
import struct
import time
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
import safetensors
import torch

from lora_kiln.core.errors import LoraFormatError
from lora_kiln.lora_format.header import Header, parse_header
from lora_kiln.lora_format.read import read
from lora_kiln.tests.lora_format.mutants import Mutants

SEED = 20261121
MILLION = 1_000_000
BYTES = random.Random(1).randbytes(1 << 20)
"""Data of mutants: their places in it show in them."""


def test_headers() -> None:
    run_headers(SEED, count=MILLION, seconds=5.0)


@pytest.mark.full
def test_a_million_headers() -> None:
    run_headers(SEED + 1, count=MILLION, seconds=3600.0)


def run_headers(seed: int, *, count: int, seconds: float) -> Counter[str]:
    """Parse mutants until there were enough, or the time is over."""
    mutants, outcome = Mutants(seed), Counter[str]()
    end = time.monotonic() + seconds
    slowest = 0.0
    while outcome.total() < count and time.monotonic() < end:
        raw, size = mutants.header()
        start = time.thread_time()
        try:
            header = parse_header(raw, size, "mutant")
        except LoraFormatError:
            outcome["refused"] += 1
        except Exception as error:
            raise AssertionError(f"mutant {outcome.total()}: {raw!r}, {size} bytes") from error
        else:
            outcome["accepted"] += 1
            assert_safetensors_agrees(header, raw, size)
        slowest = max(slowest, time.thread_time() - start)
    assert slowest < 1
    assert min(outcome["refused"], outcome["accepted"]) > 0.2 * outcome.total() > 100
    return outcome


def assert_safetensors_agrees(header: Header, raw: bytes, size: int) -> None:
    """The library accepts the mutant too, and finds the same bytes under the same names."""
    if size > len(BYTES):
        return  # a file of gigabytes
    content = struct.pack("<Q", len(raw)) + raw + BYTES[:size]
    theirs: dict[str, dict[str, Any]] = dict(safetensors.deserialize(content))
    assert theirs.keys() == header.entries.keys(), raw
    for key, entry in header.entries.items():
        found = theirs[key]
        assert (entry.dtype, list(entry.shape)) == (found["dtype"], found["shape"]), raw
        assert found["data"] == BYTES[entry.start_bytes: entry.stop_bytes], raw


def test_whole_files(tmp_path: Path) -> None:
    run_files(tmp_path, SEED + 2, count=MILLION, seconds=6.0)


@pytest.mark.full
def test_many_whole_files(tmp_path: Path) -> None:
    run_files(tmp_path, SEED + 3, count=100_000, seconds=3600.0)


def run_files(folder: Path, seed: int, *, count: int, seconds: float) -> Counter[str]:
    """Read mutants as LoRAs, whose tensors are the same noise or zeros."""
    mutants, outcome = Mutants(seed), Counter[str]()
    end = time.monotonic() + seconds
    path = folder / "mutant.safetensors"
    while outcome.total() < count and time.monotonic() < end:
        raw, size = mutants.header()
        data = BYTES[:size] if outcome.total() % 2 else bytes(min(size, len(BYTES)))
        path.unlink(missing_ok=True)
        path.write_bytes(struct.pack("<Q", len(raw)) + raw + data)
        start = time.thread_time()
        try:
            reading = read(path)
            for layer in reading.lora.layers:
                assert all(isinstance(value, torch.Tensor) for value in layer.factors.values())
            outcome["read"] += 1
        except LoraFormatError:
            outcome["refused"] += 1
        except Exception as error:
            raise AssertionError(f"mutant {outcome.total()}: {raw!r}, {size} bytes") from error
        assert time.thread_time() - start < 1
    assert outcome["read"] > 0.05 * outcome.total() > 5
    return outcome
