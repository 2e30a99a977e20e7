"""How much disk the caches may take, and that a person can say so."""

from __future__ import annotations

from pathlib import Path

import pytest

from lora_kiln.core.errors import ConfigError


@pytest.mark.parametrize(("text", "size"), [("", 20e9), ("5", 5e9), (" 0.5 ", 5e8)])
def test_the_limit_follows_the_variable(
    comfy: Path, monkeypatch: pytest.MonkeyPatch, text: str, size: float
) -> None:
    from lora_kiln.host.caches import LIMIT_VARIABLE, cache_limit_bytes, training_store
    from lora_kiln.host.paths import cache_folder

    monkeypatch.setenv(LIMIT_VARIABLE, text)
    assert cache_limit_bytes() == size
    assert training_store().root == cache_folder()


@pytest.mark.parametrize("text", ["much", "0", "-1", "nan", "inf"])
def test_what_is_no_size_is_refused(
    comfy: Path, monkeypatch: pytest.MonkeyPatch, text: str
) -> None:
    from lora_kiln.host.caches import LIMIT_VARIABLE, training_store

    monkeypatch.setenv(LIMIT_VARIABLE, text)
    with pytest.raises(ConfigError, match="KILN_CACHE_GB"):
        training_store()


def test_the_index_stands_with_the_caches(comfy: Path) -> None:
    from lora_kiln.host.paths import cache_folder
    from lora_kiln.host.picture_index import FILE, open_picture_index

    with open_picture_index() as index:
        assert index.known([]) == {}
    assert (cache_folder() / FILE).is_file()
