"""A dataset that has rotted in every way the guide's readers have met, and pictures for others."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image

from lora_kiln.core.protocols import Progress
from lora_kiln.dataset.buckets import BucketSettings
from lora_kiln.dataset.items import Dataset
from lora_kiln.dataset.lint.context import LintContext, LintSettings
from lora_kiln.dataset.lint.finding import Finding
from lora_kiln.dataset.lint.looks import PictureLooks
from lora_kiln.dataset.lint.report import LintReport
from lora_kiln.dataset.lint.run import lint
from lora_kiln.dataset.scan import scan_folder

MAGENTA = (255, 0, 255)


class Silent:
    """Fulfils ``core.protocols.Progress`` and says nothing."""

    def update(self, done: int, total: int, *, picture: Image.Image | None = None) -> None: ...

    def say(self, text: str) -> None: ...

    def check_cancelled(self) -> None: ...

    def is_cancellation(self, error: BaseException) -> bool:
        return False


def clouds(seed: int, size: tuple[int, int] = (320, 256)) -> Image.Image:
    """A picture of soft colours, unlike that of any other seed."""
    rng = np.random.default_rng(seed)
    coarse = rng.integers(0, 256, (6, 6, 3), dtype=np.uint8)
    return Image.fromarray(coarse).resize(size, Image.Resampling.BICUBIC)


def with_ball(seed: int) -> Image.Image:
    """The same red square at the lower right of every picture."""
    picture = clouds(seed)
    picture.paste((200, 20, 30), (240, 180, 300, 236))
    return picture


def see_through(seed: int, hidden: tuple[int, int, int] = MAGENTA) -> Image.Image:
    """A drawing on a transparent ground, with a colour below it that nobody sees."""
    pixels = np.zeros((256, 320, 4), np.uint8)
    pixels[..., :3] = hidden
    drawn = np.asarray(with_ball(seed))
    pixels[40:250, 60:310, :3] = drawn[40:250, 60:310]
    pixels[40:250, 60:310, 3] = 255
    return Image.fromarray(pixels)


def make_rotten(root: Path) -> None:
    """The whole story: nine pictures, of which five are in trouble."""
    root.mkdir(parents=True, exist_ok=True)
    for seed in range(4):
        with_ball(seed).save(root / f"plate{seed}.png")
        write(root / f"plate{seed}.txt", f"lazdraw, study number {'abcd'[seed]}")
    with_ball(10).save(root / "image123.png")
    write(root / "imag123.txt", "lazdraw, the lost caption")
    with_ball(11).save(root / "123.png")
    with_ball(12).save(root / "123.jpg", quality=95)
    write(root / "123.txt", "lazdraw, which of the two?")
    with_ball(13).save(root / "456 (1).png")
    write(root / "456.txt", "lazdraw, parted by a browser")
    see_through(14).save(root / "ghost.png")
    write(root / "ghost.txt", "lazdraw, a ghost")


def write(path: Path, text: str | bytes) -> None:
    """A file with exactly these bytes."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(text.encode("utf-8") if isinstance(text, str) else text)


def tree(root: Path) -> dict[str, bytes]:
    """Every file but the tools' own."""
    return {
        path.relative_to(root).as_posix(): path.read_bytes()
        for path in root.rglob("*")
        if path.is_file() and ".kiln" not in path.parts
    }


def context_of(
    dataset: Dataset, *, resolution: int = 256, progress: Progress | None = None,
    looks: PictureLooks | None = None, **settings: object,
) -> LintContext:
    """A context as the command line makes it."""
    return LintContext(
        dataset=dataset, settings=LintSettings(**settings),  # type: ignore[arg-type]
        buckets=BucketSettings(resolution_px=resolution), progress=progress or Silent(),
        looks=looks or PictureLooks(),
    )


def read(root: Path, **options: object) -> Dataset:
    """The folder as the node reads it."""
    return scan_folder(root, name="rotten", **options)  # type: ignore[arg-type]


def report_of(root: Path, **settings: object) -> LintReport:
    """What the lint finds in a folder."""
    return lint(context_of(read(root), **settings))  # type: ignore[arg-type]


def found(root: Path, rule: str, **settings: object) -> list[Finding]:
    """What a rule finds in a folder."""
    return [one for one in report_of(root, **settings).findings if one.rule == rule]
