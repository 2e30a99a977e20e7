"""What all decoding shares: Pillow refuses what is truncated, and memory has an end.

Several pictures may be decoded at once, each in a thread: Pillow lets other threads run while it
decodes.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from PIL import ImageFile

MAX_PIXELS = 64_000_000
"""Of one picture, and of all that are being decoded at one time."""


class _Strictness:
    """Pillow's switch, held at strict while at least one picture is being decoded."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._inside = 0
        self._before = False
        self._disturbed = 0

    def enter(self) -> int:
        """Hold it; returns how often others have switched it while it was held."""
        with self._lock:
            if self._inside == 0:
                self._before = ImageFile.LOAD_TRUNCATED_IMAGES
            elif ImageFile.LOAD_TRUNCATED_IMAGES:
                # Those inside must hear of it, though it is strict again from here on.
                self._before, self._disturbed = True, self._disturbed + 1
            self._inside += 1
            ImageFile.LOAD_TRUNCATED_IMAGES = False
            return self._disturbed

    def leave(self) -> None:
        with self._lock:
            self._inside -= 1
            if ImageFile.LOAD_TRUNCATED_IMAGES:
                # Set by another in the meantime, who finds it again as it was left.
                self._before = ImageFile.LOAD_TRUNCATED_IMAGES
            if self._inside == 0:
                ImageFile.LOAD_TRUNCATED_IMAGES = self._before

    def held_since(self, disturbed: int) -> bool:
        """Whether it was strict ever since ``enter`` returned this."""
        with self._lock:
            return disturbed == self._disturbed and not ImageFile.LOAD_TRUNCATED_IMAGES


class _Room:
    """A number of pixels that are lent out; one picture always gets in, however large."""

    def __init__(self, pixels: int) -> None:
        self._free = self._all = pixels
        self._changed = threading.Condition()

    def take(self, pixels: int) -> None:
        with self._changed:
            self._changed.wait_for(lambda: self._free >= pixels or self._free == self._all)
            self._free -= pixels

    def give(self, pixels: int) -> None:
        with self._changed:
            self._free += pixels
            self._changed.notify_all()


_strictness = _Strictness()
_room = _Room(MAX_PIXELS)


@contextmanager
def strict_loading() -> Iterator[Callable[[], bool]]:
    """Let Pillow refuse truncated files, whatever others in this process have told it.

    ComfyUI and many packs set ``LOAD_TRUNCATED_IMAGES``, with which half a picture loads as one
    with a grey lower half. It is global, so it is put back when the last picture is through. The
    value says whether it is still strict; if not, another thread has set it in the meantime.
    """
    disturbed = _strictness.enter()
    try:
        yield lambda: _strictness.held_since(disturbed)
    finally:
        _strictness.leave()


@contextmanager
def room_for(pixels: int) -> Iterator[None]:
    """Wait until this many pixels may be decoded beside those of other threads."""
    _room.take(pixels)
    try:
        yield
    finally:
        _room.give(pixels)
