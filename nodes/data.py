"""Datasets as nodes: from a folder, or from images in the graph."""

from __future__ import annotations

from typing import Any

from comfy_api.latest import io

from ..core.errors import KilnError
from ..dataset.arrays import dataset_from_images
from ..dataset.colour import NAMED
from ..dataset.mask_files import MODES, OFF
from ..dataset.summary import describe
from ..host.paths import list_dataset_folders, resolve_folder
from .folder_reading import FolderRequest, fingerprint, read_folder, reading_inputs
from .types import KILN_DATASET

CATEGORY = "LoRA Kiln/data"
CUSTOM = "custom"


class KilnLoadImageFolder(io.ComfyNode):
    """Reads a folder of pictures and the captions beside them."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        """A folder under a registered root, and how its files are read."""
        return io.Schema(
            node_id="KilnLoadImageFolder",
            display_name="Load Image Folder (Kiln)",
            category=CATEGORY,
            description="Reads a folder of pictures with their captions, to train on. Every "
            "picture is checked: damaged ones are named, turned ones are set upright, "
            "transparent ones get a background.",
            search_aliases=["dataset", "training images", "load folder"],
            inputs=[
                io.Combo.Input(
                    "folder",
                    options=list_dataset_folders(),
                    tooltip="A folder with pictures below ComfyUI's input or output folder, or "
                    "below one registered as kiln_datasets in extra_model_paths.yaml. demo/style "
                    "comes with the pack. Press R to see new folders.",
                ),
                io.Combo.Input(
                    "background",
                    options=[*NAMED, CUSTOM],
                    default="white",
                    tooltip="What is put behind transparent parts of pictures. Choose what you "
                    "want around the subject later; white suits drawings.",
                ),
                io.String.Input(
                    "custom_background",
                    default="#f4efe6",
                    advanced=True,
                    tooltip="The colour used when background is set to custom: # and six "
                    "hexadecimal digits.",
                ),
                io.String.Input(
                    "caption_extension",
                    default=".txt",
                    advanced=True,
                    tooltip="Ending of the caption files. a.png is described by a.txt; where "
                    "that is missing, .caption files, JSON files and metadata.csv are tried.",
                ),
                io.Boolean.Input(
                    "subfolders",
                    default=True,
                    advanced=True,
                    tooltip="Read sub-folders too. The name of a sub-folder becomes the "
                    "{subject} of its pictures in caption templates; kohya's 10_ohwx woman, and "
                    "folders named reg or validation, are understood.",
                ),
                io.Combo.Input(
                    "masks",
                    options=[*MODES],
                    default=OFF,
                    optional=True,  # Graphs from before there were masks have no such input.
                    tooltip="Train only on parts of the pictures. files: white parts of "
                    "a-masklabel.png beside a.png, or of a picture of the same name in a folder "
                    "mask or masks. alpha: the parts that are not transparent. Mask files are "
                    "never trained on as pictures.",
                ),
                *reading_inputs(),
            ],
            outputs=[
                KILN_DATASET.Output(
                    display_name="dataset", tooltip="The pictures with their captions."
                ),
                io.Int.Output(display_name="count", tooltip="How many pictures there are."),
                io.String.Output(
                    display_name="summary",
                    tooltip="What was found, and what you should know about it, as text.",
                ),
            ],
            hidden=[io.Hidden.unique_id],
        )

    @classmethod
    def validate_inputs(cls, folder: str | None = None) -> bool | str:
        """Refuse a missing folder before the graph runs; a linked one is not there yet.

        Only this input: ComfyUI repeats the answer under every input that is asked for. The rest
        is checked first thing when the folder is read.
        """
        try:
            if folder is not None:
                resolve_folder(folder)
        except KilnError as error:
            return str(error)
        return True

    @classmethod
    def fingerprint_inputs(
        cls, folder: str | None = None, subfolders: bool | None = None,
        kohya_config: str | None = "", **values: Any,
    ) -> Any:
        """Changes when a file is added, removed or written."""
        del values
        if folder is None or kohya_config is None:
            # A linked folder is not known yet. NaN equals nothing: the folder is read again.
            return float("nan")
        return fingerprint(
            resolve_folder(folder), recursive=subfolders is not False, kohya_config=kohya_config
        )

    @classmethod
    def execute(
        cls,
        folder: str,
        background: str,
        custom_background: str,
        caption_extension: str,
        subfolders: bool,
        masks: str = OFF,
        **reading: Any,
    ) -> io.NodeOutput:
        """Read the folder."""
        from ..host.progress import ComfyProgress

        request = FolderRequest(
            folder=folder,
            background=custom_background if background == CUSTOM else background,
            caption_extension=caption_extension,
            subfolders=subfolders,
            masks=masks,
            **reading,
        )
        dataset = read_folder(request, ComfyProgress(cls.hidden.unique_id))
        return io.NodeOutput(dataset, len(dataset), describe(dataset))


class KilnImagesToDataset(io.ComfyNode):
    """Makes a dataset of images that are already in the graph."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        """Takes lists, so that images of different sizes can come in one link."""
        return io.Schema(
            node_id="KilnImagesToDataset",
            display_name="Images to Dataset (Kiln)",
            category=CATEGORY,
            description="Makes a dataset of images from the graph: a batch, or a list of "
            "different sizes.",
            search_aliases=["dataset", "training images"],
            is_input_list=True,
            inputs=[
                io.Image.Input(
                    "images", tooltip="A batch of images, or a list of them; sizes may differ."
                ),
                io.String.Input(
                    "caption",
                    default="",
                    multiline=True,
                    optional=True,
                    tooltip="One line for all images, or one line for each in order. Leave it "
                    "empty to write captions with Template Captions.",
                ),
                io.String.Input(
                    "subject",
                    default="",
                    optional=True,
                    tooltip="What the images show, such as woman: the value of {subject} in "
                    "caption templates.",
                ),
                io.String.Input(
                    "name",
                    default="images",
                    optional=True,
                    tooltip="What the dataset is called in messages and reports.",
                ),
                io.String.Input(
                    "background",
                    default="white",
                    optional=True,
                    advanced=True,
                    tooltip="What is put behind transparent parts of images: "
                    f"{', '.join(NAMED)}, or # and six hexadecimal digits.",
                ),
            ],
            outputs=[
                KILN_DATASET.Output(
                    display_name="dataset", tooltip="The images with their captions."
                ),
            ],
        )

    @classmethod
    def execute(
        cls,
        images: list[Any],
        caption: list[str] | None = None,
        subject: list[str] | None = None,
        name: list[str] | None = None,
        background: list[str] | None = None,
    ) -> io.NodeOutput:
        """Collect the images; every input comes as a list."""
        dataset = dataset_from_images(
            images,
            caption or [],
            subject=subject[0] if subject else "",
            name=name[0] if name else "images",
            background=background[0] if background else "white",
        )
        return io.NodeOutput(dataset)


NODES = (KilnLoadImageFolder, KilnImagesToDataset)
