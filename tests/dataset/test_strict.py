"""Pictures decoded at once share an amount of memory, and none waits for ever."""

from __future__ import annotations

import threading
import time

import pytest

from lora_kiln.dataset import strict
from lora_kiln.dataset.strict import room_for


@pytest.mark.parametrize("pixels", [10, 40, 60, 500])
def test_no_more_pixels_at_once_than_there_is_room_for(
    monkeypatch: pytest.MonkeyPatch, pixels: int
) -> None:
    monkeypatch.setattr(strict, "_room", strict._Room(100))
    lock, inside, most = threading.Lock(), 0, 0

    def decode() -> None:
        nonlocal inside, most
        with room_for(pixels):
            with lock:
                inside += 1
                most = max(most, inside)
            time.sleep(0.01)
            with lock:
                inside -= 1

    threads = [threading.Thread(target=decode) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=20)
    assert not any(thread.is_alive() for thread in threads)
    assert most <= max(1, 100 // pixels)


def test_room_is_given_back_after_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(strict, "_room", strict._Room(100))
    for _ in range(3):
        with pytest.raises(ValueError), room_for(90):
            raise ValueError
    with room_for(100):
        pass
