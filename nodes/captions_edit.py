"""Captions edited all at once, and saved beside their pictures."""

from __future__ import annotations

import dataclasses
from typing import Any

from comfy_api.latest import io

from ..core.errors import ConfigError, DatasetError, shorten
from ..dataset.edit_captions import changes_text, edit_captions
from ..dataset.edit_settings import CaptionEdits
from ..dataset.items import Dataset, DatasetItem
from ..dataset.save_captions import MODES, SKIP, UNDO, save_captions, saved_text, undo_last_save
from ..dataset.save_folder import save_folder
from ..dataset.summary import preview_captions
from .captions import COUNTS_TOKENS
from .inputs import inputs_of, settings_of
from .types import KILN_DATASET


class KilnEditCaptions(io.ComfyNode):
    """Edits the captions of all pictures."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        """Inputs come from ``CaptionEdits``."""
        return io.Schema(
            node_id="KilnEditCaptions",
            display_name="Edit Captions (Kiln)",
            category="LoRA Kiln/captions",
            description="Edits all captions at once: find and replace, trigger in front, tags "
            "removed, sorted or shuffled. Files are not changed; the preview shows before and "
            "after. Save Captions writes them.",
            search_aliases=["find replace", "trigger word", "tags", "shuffle tags", "dedupe"],
            inputs=[
                KILN_DATASET.Input("dataset", tooltip="The pictures with their captions."),
                *inputs_of(CaptionEdits),
                io.Clip.Input("clip", optional=True, tooltip=COUNTS_TOKENS),
            ],
            outputs=[
                KILN_DATASET.Output(
                    display_name="dataset", tooltip="The same pictures with edited captions."
                ),
                io.String.Output(
                    display_name="preview",
                    tooltip="How many captions change, the first of them before (-) and after (+), "
                    "and the first captions as they are now.",
                ),
            ],
        )

    @classmethod
    def validate_inputs(
        cls, find: str | None = None, find_as: str | None = None, trigger: str | None = None,
        append: str | None = None,
    ) -> bool | str:
        """Refuse what cannot be read before the graph runs; linked texts are checked later."""
        from ..core.errors import KilnError
        from ..dataset.edit_settings import PLAIN

        try:
            CaptionEdits(
                find=find or "", find_as=find_as or PLAIN, trigger=trigger or "",
                append=append or "",
            )
        except KilnError as error:
            return str(error)
        return True

    @classmethod
    def execute(cls, dataset: Any, clip: Any = None, **values: Any) -> io.NodeOutput:
        """Edit."""
        from ..host.tokens import counter_of

        edited = edit_captions(dataset, settings_of(CaptionEdits, values))
        rows = [
            (old.name, old.caption or "", new.caption or "")
            for old, new in zip(dataset.items, edited.items, strict=True)
        ]
        now = preview_captions(edited, tokens=counter_of(clip))
        return io.NodeOutput(edited, f"{changes_text(rows)}\n\n{now}")


class KilnSaveCaptions(io.ComfyNode):
    """Writes captions into text files."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        """A dataset, and what may be overwritten."""
        return io.Schema(
            node_id="KilnSaveCaptions",
            display_name="Save Captions (Kiln)",
            category="LoRA Kiln/captions",
            description="Writes captions into text files beside the pictures. What was there "
            "before is kept and can be brought back. Images from the graph become a new folder of "
            "PNG files with captions.",
            search_aliases=["caption files", "txt", "export dataset", "undo captions"],
            is_output_node=True,
            inputs=[
                KILN_DATASET.Input("dataset", tooltip="The pictures with their captions."),
                io.Combo.Input(
                    "mode",
                    options=list(MODES),
                    default=SKIP,
                    tooltip="skip existing: leave every caption file alone that is there. "
                    "overwrite: write all; the old ones are kept in .kiln/changes. only empty: "
                    "write missing and empty ones. undo the last save: bring back what the latest "
                    "save changed, byte for byte.",
                ),
                io.String.Input(
                    "folder",
                    default="my_dataset",
                    tooltip="For images from the graph and the demo's pictures, which have no "
                    "folder of their own to write into: they are saved with their captions as "
                    "input/kiln/<folder>. One that exists is not touched; the new one is numbered.",
                ),
            ],
            outputs=[
                KILN_DATASET.Output(display_name="dataset", tooltip="The same dataset."),
                io.String.Output(
                    display_name="summary",
                    tooltip="What was written where, what was left alone, and how to take it back.",
                ),
            ],
            hidden=[io.Hidden.unique_id],
        )

    @classmethod
    def validate_inputs(cls, folder: str | None = None) -> bool | str:
        """Refuse an impossible name before the graph runs; a linked one comes as None."""
        from ..host.paths import new_dataset_folder

        try:
            if folder is not None:
                new_dataset_folder(folder)
        except ConfigError as error:
            return str(error)
        return True

    @classmethod
    def execute(cls, dataset: Any, mode: str, folder: str) -> io.NodeOutput:
        """Save, or take a save back."""
        from ..host.progress import ComfyProgress

        if mode == UNDO:
            undone = undo_last_save(dataset)
            told = [f"{c.root.name}: {len(c.rows)} caption files are as before {c.id}."
                    for c in undone]
            return io.NodeOutput(dataset, "\n".join([*told, "Queue the graph again to read them."]))
        own, homeless = _apart(dataset)
        saved, done = save_captions(own, mode)
        lines = [saved_text(done)] if done else []
        if homeless:
            lines.append(_save_new(dataset, homeless, folder, ComfyProgress(cls.hidden.unique_id)))
        without = dataset.names_without_caption()
        if without:
            lines.append(f"{len(without)} pictures have no caption to save: {shorten(without)}.")
        files = {item.name: item for item in saved.items}
        items = tuple(files.get(item.name, item) for item in dataset.items)
        return io.NodeOutput(dataclasses.replace(dataset, items=items), "\n".join(lines))


def _apart(dataset: Dataset) -> tuple[Dataset, list[DatasetItem]]:
    """Pictures in folders that may be written into, and those without such a folder."""
    from ..host.paths import is_the_packs

    if not dataset.items:
        raise DatasetError(
            "The dataset has no pictures", expected="at least one",
            remedy="Link a dataset with pictures",
        )
    homeless = [
        item for item in dataset.items
        if item.origin is None or is_the_packs(item.origin.root)
    ]
    names = {item.name for item in homeless}
    kept = tuple(item for item in dataset.items if item.name not in names)
    return dataclasses.replace(dataset, items=kept), homeless


def _save_new(dataset: Dataset, items: list[DatasetItem], folder: str, progress: Any) -> str:
    """Save pictures as a folder of their own; says where."""
    from ..host.paths import dataset_name, new_dataset_folder

    def tell(done: int, total: int) -> None:
        progress.check_cancelled()
        progress.update(done, total)

    path, new = save_folder(
        items, new_dataset_folder(folder), background=dataset.background, progress=tell
    )
    name = dataset_name(path)
    if not new:
        return f"{name} holds these {len(items)} pictures and captions already."
    return (
        f"{name}: {len(items)} pictures and their captions written as a new folder. Choose it in "
        "Load Image Folder; to take it back, delete the folder."
    )


NODES = (KilnEditCaptions, KilnSaveCaptions)
