"""Binds a run to the state of its dataset, and tells what changed since the run before."""

from __future__ import annotations

from pathlib import Path

from ..core.errors import DatasetError
from ..dataset.manifest import MANIFEST_FILE, Manifest, read_manifest, write_manifest
from ..dataset.manifest_diff import describe_diff, diff_manifests
from ..trainer.runs import Run, numbered_folders
from . import paths


def bind_dataset(run: Run, manifest: Manifest, root: Path, label: str) -> list[str]:
    """Keep the dataset's state with a run.

    Args:
        run: the run; its ``dataset.json`` is written unless it is there.
        manifest: the dataset as it is.
        root: folder of all runs.
        label: what the person calls this training.

    Returns:
        What changed since the latest earlier run of this label, as a note; nothing when there is
        none, or nothing changed.
    """
    path = run.folder / MANIFEST_FILE
    if not path.is_file():
        write_manifest(run.folder, manifest)
    before = _before(run, root, label)
    if before is None or before[1].state == manifest.state:
        return []
    diff = diff_manifests(before[1], manifest)
    return [] if diff.is_empty else [f"Since {before[0]}: {describe_diff(diff)}"]


def _before(run: Run, root: Path, label: str) -> tuple[str, Manifest] | None:
    """Name and dataset of the latest earlier run that kept one."""
    folders = numbered_folders(root, label)
    own = next((number for number, folder in folders.items() if folder == run.folder), 0)
    for number in sorted((n for n in folders if n < own), reverse=True):
        try:
            return folders[number].name, read_manifest(folders[number] / MANIFEST_FILE)
        except DatasetError:
            continue  # From before there were manifests, or not finished being made.
    return None


def runs_with_dataset() -> list[str]:
    """Names of the runs whose dataset is known, the latest first."""
    root = paths.runs_folder()
    found = [path.parent for path in root.glob(f"*/{MANIFEST_FILE}")] if root.is_dir() else []
    found.sort(key=lambda folder: (folder / MANIFEST_FILE).stat().st_mtime_ns, reverse=True)
    return [folder.name for folder in found]


def dataset_of_run(name: str) -> Manifest:
    """The dataset of a run.

    Raises:
        PathError: the name leads elsewhere.
        DatasetError: it has none.
    """
    return read_manifest(paths.contained(paths.runs_folder(), name) / MANIFEST_FILE)
