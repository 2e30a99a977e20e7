"""``kiln.py diff`` between folders, manifests and runs."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from PIL import Image

from lora_kiln.dataset.manifest import manifest_of, write_manifest
from lora_kiln.dataset.scan import scan_folder


def test_between_folders_and_manifests(kiln: Any, tmp_path: Path) -> None:
    for name, text in (("old", "a cat"), ("new", "a dog")):
        (tmp_path / name).mkdir()
        Image.new("RGB", (300, 300), "red").save(tmp_path / name / "a.png")
        (tmp_path / name / "a.txt").write_text(text)
    done = kiln("diff", "old", "new")
    assert done.status == 1
    assert done.out.splitlines() == ["1 caption changed.", "a.png: 'a cat' is now 'a dog'"]
    told = json.loads(kiln("diff", "old", "new", "--json").out)
    assert told["captions"] == [{"name": "a.png", "before": "a cat", "after": "a dog"}]
    same = kiln("diff", "old", "old")
    assert (same.status, same.out) == (0, "Nothing changed.\n")
    refused = kiln("diff", "old", "missing")
    assert refused.status == 2 and "does not exist" in refused.err


def test_between_a_run_and_a_folder(kiln: Any, tmp_path: Path) -> None:
    pictures, run = tmp_path / "pictures", tmp_path / "mine-001"
    pictures.mkdir()
    run.mkdir()
    Image.new("RGBA", (300, 300), (255, 0, 0, 99)).save(pictures / "a.png")
    (pictures / "dataset.json").write_text("{}")  # Of kohya's, perhaps: the folder is no run.
    state = manifest_of(scan_folder(pictures, name="pictures", background="black"))
    write_manifest(run, state)
    (run / "run.json").write_text("{}")
    same = kiln("diff", "mine-001", "pictures")
    assert (same.status, same.out) == (0, "Nothing changed.\n")
    (pictures / "a.txt").write_text("a cat")
    assert kiln("diff", "mine-001", "pictures").out.startswith("1 caption changed.")
