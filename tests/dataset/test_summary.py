"""What a person reads about a dataset."""

from __future__ import annotations

from pathlib import Path

from lora_kiln.dataset.scan import scan_folder
from lora_kiln.dataset.summary import describe, preview_captions


def test_summary_and_preview(folder: Path) -> None:
    (folder / "a2.txt").unlink()
    dataset = scan_folder(folder, name="plates")
    assert describe(dataset).splitlines() == [
        "plates: 3 pictures, 2 with a caption.",
        "Subjects: woman 2.",
        "1 of 3 pictures have no caption: a2.png.",
    ]
    assert preview_captions(dataset, 2).splitlines() == [
        "a2.png: (none)",
        "woman/a9.png: caption 2",
        "… and 1 more",
    ]
