"""IMAGE tensors of a whole sweep: small ones in memory, large ones in a file.

500 pictures of 1024² are 6 GB as the float32 tensor that ComfyUI passes around. Above a limit the
tensor is mapped from a file in ComfyUI's temp folder: the system keeps in memory what is being
read, and can put away the rest. Pictures are filled in one by one.
"""

from __future__ import annotations

import contextlib
import errno
import os
import shutil
import uuid
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import folder_paths
import numpy as np
import torch
from PIL import Image

from ..core.errors import HostError
from ..sweep.grid import MISSING, picture_size
from ..sweep.result import SweepResult

IN_MEMORY_BYTES = 256 * 2**20
SPARE_BYTES = 256 * 2**20
"""Left free on the disk for everything else."""
BLOCK_BYTES = 2**20
NOT_OFFERED = (errno.EINVAL, errno.ENOSYS, errno.EOPNOTSUPP)
"""Answers of file systems that cannot take room beforehand; blocks of zeros take it, too."""


def cell_images(result: SweepResult) -> torch.Tensor:
    """(cells, H, W, 3) in 0..1, row by row; a grey one stands for a failed cell.

    Raises:
        HostError: the disk has no room.
    """
    size = picture_size(result.plan, result.pictures)
    grey = Image.new("RGB", size, MISSING)

    def pictures() -> Iterator[Image.Image]:
        for cell in result.plan.cells:
            yield result.pictures.get(cell.index, grey)

    return images_tensor(pictures, len(result.plan.cells), size, result.folder)


def file_images(files: Sequence[Path], folder: Path) -> torch.Tensor:
    """(files, H, W, 3) in 0..1 of pictures of one size.

    Raises:
        HostError: the disk has no room.
    """

    def pictures() -> Iterator[Image.Image]:
        for file in files:
            with Image.open(file) as picture:
                yield picture.convert("RGB")

    with Image.open(files[0]) as picture:
        size = picture.size
    return images_tensor(pictures, len(files), size, folder)


def images_tensor(
    pictures: Callable[[], Iterator[Image.Image]], count: int, size: tuple[int, int], folder: Path
) -> torch.Tensor:
    """(count, H, W, 3) float32 in 0..1.

    Args:
        pictures: gives ``count`` RGB pictures one by one; those of another size are resized.
        count: how many.
        size: width and height.
        folder: where the pictures stand already, for the error.

    Raises:
        HostError: the disk has no room.
    """
    shape = (count, size[1], size[0], 3)
    needed = 4 * count * size[0] * size[1] * 3
    images = torch.empty(shape) if needed <= IN_MEMORY_BYTES else _mapped(shape, needed, folder)
    for image, picture in zip(images, pictures(), strict=True):
        fitting = picture if picture.size == size else picture.resize(size)
        image.copy_(torch.from_numpy(np.array(fitting))).div_(255)
    return images


def _mapped(shape: tuple[int, ...], needed: int, folder: Path) -> torch.Tensor:
    """Over a file whose room is taken at once: a mapping into a full disk would end the process."""
    temp = Path(folder_paths.get_temp_directory())
    temp.mkdir(parents=True, exist_ok=True)
    free = shutil.disk_usage(temp).free
    if free < needed + SPARE_BYTES:
        raise _no_room(temp, needed, free, folder)
    path = temp / f"kiln_images_{uuid.uuid4().hex}.bin"
    try:
        _take_room(path, needed)
        flat = torch.from_file(
            str(path), shared=True, size=needed // 4, dtype=torch.float32
        )
    except OSError as error:
        path.unlink(missing_ok=True)
        raise _no_room(temp, needed, shutil.disk_usage(temp).free, folder) from error
    # The room goes back when the tensor does. Windows keeps the file until ComfyUI clears its
    # temp folder.
    with contextlib.suppress(PermissionError):
        path.unlink()
    return flat.view(shape)


def _take_room(path: Path, needed: int) -> None:
    with open(path, "xb") as file:
        if hasattr(os, "posix_fallocate"):
            try:
                os.posix_fallocate(file.fileno(), 0, needed)
                return
            except OSError as error:
                if error.errno not in NOT_OFFERED:
                    raise
        block = bytes(BLOCK_BYTES)
        for start in range(0, needed, BLOCK_BYTES):
            file.write(block[: needed - start])


def _no_room(temp: Path, needed: int, free: int, folder: Path) -> HostError:
    return HostError(
        f"The sweep's pictures as an IMAGE need {needed:,} bytes in {temp}, where {free:,} are "
        "free",
        expected=f"{needed + SPARE_BYTES:,} free bytes",
        remedy=f"All pictures are finished and stand in {folder}. Free some space, or draw fewer "
        "or smaller cells",
    )
