"""Large sweeps as IMAGE tensors: right pixels, bounded memory, and no full disk."""

from __future__ import annotations

import errno
import importlib
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest
import torch
from PIL import Image

from lora_kiln.core.errors import HostError

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def big(comfy: Path) -> ModuleType:
    return importlib.import_module("lora_kiln.nodes.big_images")


def greys(count: int, side: int) -> Iterator[Image.Image]:
    for number in range(count):
        yield Image.new("RGB", (side, side), (number % 256, 255, 0))


@pytest.mark.parametrize("limit", [0, 2**20])
def test_mapped_and_ordinary_tensors_are_equal(
    big: ModuleType, monkeypatch: pytest.MonkeyPatch, limit: int, tmp_path: Path, comfy: Path
) -> None:
    monkeypatch.setattr(big, "IN_MEMORY_BYTES", limit)
    with torch.inference_mode():
        images = big.images_tensor(lambda: greys(7, 16), 7, (16, 16), tmp_path)
    assert images.shape == (7, 16, 16, 3)
    assert images.dtype == torch.float32
    assert images[3, 0, 0].tolist() == pytest.approx([3 / 255, 1.0, 0.0])
    assert (images * 2).max() == 2
    # A file that was unlinked goes away with its tensor.
    temp = Path(importlib.import_module("folder_paths").get_temp_directory())
    assert not list(temp.glob("kiln_images_*"))


def test_pictures_of_another_size_are_fitted(big: ModuleType, tmp_path: Path) -> None:
    images = big.images_tensor(lambda: greys(2, 8), 2, (16, 12), tmp_path)
    assert images.shape == (2, 12, 16, 3)


def test_a_disk_without_room_is_told_before_anything_is_written(
    big: ModuleType, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    with pytest.raises(HostError, match=r"need 1\d,\d{3},\d{3},\d{3},\d{3} bytes") as caught:
        big.images_tensor(lambda: greys(1, 8), 10**6, (1024, 1024), tmp_path)
    assert str(tmp_path) in str(caught.value)

    def full(_path: Path, _needed: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(big, "IN_MEMORY_BYTES", 0)
    monkeypatch.setattr(big, "_take_room", full)
    with pytest.raises(HostError, match="need 768 bytes"):
        big.images_tensor(lambda: greys(1, 8), 1, (8, 8), tmp_path)


def test_a_disk_that_takes_no_room_beforehand_is_no_full_one(
    big: ModuleType, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def refused(*_args: int) -> None:
        raise OSError(errno.EOPNOTSUPP, "Operation not supported")

    monkeypatch.setattr(big, "IN_MEMORY_BYTES", 0)
    monkeypatch.setattr(big.os, "posix_fallocate", refused, raising=False)
    images = big.images_tensor(lambda: greys(3, 16), 3, (16, 16), tmp_path)
    assert images[2, 0, 0].tolist() == pytest.approx([2 / 255, 1.0, 0.0])


MEASURE = """
import importlib.util, re, sys
from pathlib import Path
root = Path({root!r})
spec = importlib.util.spec_from_file_location("loader", root / "devtools" / "load_pack.py")
loader = importlib.util.module_from_spec(spec)
spec.loader.exec_module(loader)
loader.load_pack()
from lora_kiln.devtools.comfy_import import import_comfy
import_comfy(Path({base!r}), device="cpu")
from PIL import Image
from lora_kiln.nodes.big_images import images_tensor

def anonymous():
    status = Path("/proc/self/status").read_text()
    return int(re.search(r"RssAnon:\\s+(\\d+) kB", status)[1]) // 1024

def pictures():
    for n in range(500):
        yield Image.new("RGB", (512, 512), (n % 256, 0, 0))

before = anonymous()
images = images_tensor(pictures, 500, (512, 512), Path("x"))
print(anonymous() - before, images.shape[0], round(float(images[255].max()), 3))
"""


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_500_cells_take_no_memory_that_cannot_be_put_away(tmp_path: Path) -> None:
    """1.5 GB as a tensor; what stays in anonymous memory is one picture."""
    script = MEASURE.format(root=str(ROOT), base=str(tmp_path))
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, timeout=300, check=False
    )
    assert done.returncode == 0, done.stderr[-2000:]
    grown, count, brightest = done.stdout.split()[-3:]
    assert int(grown) < 64
    assert (count, brightest) == ("500", "1.0")
