"""A real onnxruntime session: what goes in, what comes out, and what is kept."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from lora_kiln.core.errors import ConfigError, DatasetError, HostError, MissingLibrary
from lora_kiln.core.settings import digest
from lora_kiln.core.store import TensorStore
from lora_kiln.dataset.captions import ONLY_MISSING, apply_template
from lora_kiln.dataset.items import Dataset, DatasetItem, PictureArray, PictureFile, sha256_of
from lora_kiln.dataset.tagger import session as sessions
from lora_kiln.dataset.tagger.files import find_tagger, list_taggers
from lora_kiln.dataset.tagger.run import TagJob, tag_dataset
from lora_kiln.dataset.tagger.session import TaggerSession, choose_provider, prepare
from lora_kiln.dataset.tagger.settings import PRECISION_IS_RECALL, TagSettings
from lora_kiln.tests.dataset.tiny_tagger import SIZE_PX, TAGS, expected, save_tagger

RED, BLUE, GREY = (250, 10, 10), (10, 10, 250), (128, 128, 128)


def picture(name: str, rgb: tuple[int, int, int], size: tuple[int, int] = (40, 40)) -> Any:
    pixels = np.full((size[1], size[0], 3), rgb, dtype=np.uint8)
    return DatasetItem(name, PictureArray(name, pixels), f"old {name}")


class Bar:
    """Progress that counts and may cancel."""

    def __init__(self) -> None:
        self.updates: list[tuple[int, int, bool]] = []
        self.cancel_at = 0

    def update(self, done: int, total: int, *, picture: Image.Image | None = None) -> None:
        self.updates.append((done, total, picture is not None))

    def say(self, text: str) -> None:
        del text

    def check_cancelled(self) -> None:
        if self.cancel_at and len(self.updates) >= self.cancel_at:
            raise KeyboardInterrupt

    def is_cancellation(self, error: BaseException) -> bool:
        return isinstance(error, KeyboardInterrupt)


class Bench:
    """A tagger, a store, and how often the model was loaded and run."""

    def __init__(self, root: Path) -> None:
        self.root, self.bar = root, Bar()
        save_tagger(root / "models" / "small")
        self.files = find_tagger("small", [root / "models"])
        self.store = TensorStore(root / "cache")
        self.ran: list[int] = []
        self.loads = 0

    def tag(self, dataset: Dataset, batch_size: int = 4, **changes: Any) -> Dataset:
        return tag_dataset(dataset, self.job(batch_size, **changes), self.store, self.bar)

    def job(self, batch_size: int = 4, **changes: Any) -> TagJob:
        identity = digest([sha256_of(path.read_bytes()) for path in self.files.weights])
        settings = TagSettings(**changes)
        return TagJob(self.files, identity, settings, "CPU", batch_size, self._load)

    def _load(self) -> TaggerSession:
        self.loads += 1
        made = TaggerSession(self.files.model, "CPU")
        plain = made.probabilities

        def counted(images: Any, count: int) -> np.ndarray:
            self.ran.append(len(images))
            return plain(images, count)

        made.probabilities = counted  # type: ignore[method-assign]
        return made


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    return Bench(tmp_path)


@pytest.mark.parametrize(("channels_first", "batch"), [(False, None), (True, None), (False, 2)])
def test_probabilities_are_the_models_own(
    tmp_path: Path, channels_first: bool, batch: int | None
) -> None:
    folder = save_tagger(tmp_path, channels_first=channels_first, batch=batch)
    session = TaggerSession(folder / "model.onnx", "CPU")
    assert session.size_px == SIZE_PX
    colours = [RED, BLUE, GREY]
    found = session.probabilities([Image.new("RGB", (50, 50), c) for c in colours], len(TAGS))
    for row, colour in zip(found, colours, strict=True):
        assert dict(zip(dict(TAGS), row, strict=True)) == pytest.approx(expected(colour), abs=1e-5)


def test_a_picture_stands_in_the_middle_of_a_white_square_blue_first() -> None:
    flat = prepare(Image.new("RGB", (64, 32), (200, 100, 50)), 64)
    assert flat.shape == (64, 64, 3) and flat.dtype == np.float32
    assert (flat[:16] == 255).all() and (flat[48:] == 255).all()
    assert (flat[16:48] == (50, 100, 200)).all()
    # As Pillow resizes the padded square.
    chance = np.random.default_rng(0).integers(0, 256, (30, 20, 3), dtype=np.uint8)
    image = Image.fromarray(chance)
    square = Image.new("RGB", (30, 30), "white")
    square.paste(image, (5, 0))
    reference = np.asarray(square.resize((16, 16), Image.Resampling.BICUBIC))
    assert (prepare(image, 16) == reference[:, :, ::-1]).all()


def test_captions_of_tags(bench: Bench) -> None:
    dataset = Dataset((picture("r", RED), picture("b", BLUE), picture("d", (0, 0, 0))), "x")
    tagged = bench.tag(dataset, trigger="kp")
    assert [item.caption for item in tagged.items] == ["kp, red hair", "kp, blue sky", "kp, dark"]
    assert [item.caption for item in dataset.items] == ["old r", "old b", "old d"]
    how = tagged.items[0].provenance["caption"]
    assert how["model"] == "small" and how["general_threshold"] == 0.35
    assert how["raw"] == {"red_hair": pytest.approx(expected(RED)["red_hair"], abs=1e-4)}
    assert how["rating"] == "general"


def test_another_threshold_does_not_run_the_model_again(bench: Bench) -> None:
    dataset = Dataset(tuple(picture(f"{n}", (n * 25, 90, 200)) for n in range(7)), "x")
    bench.tag(dataset)
    assert (bench.loads, bench.ran) == (1, [4, 3])
    low = bench.tag(dataset, general_threshold=0.01, order="alphabetical")
    assert (bench.loads, bench.ran) == (1, [4, 3])
    limits = {0: 0.01, 4: 0.85, 9: 2.0}
    wanted = {tag for tag, p in expected((0, 90, 200)).items() if p > limits[dict(TAGS)[tag]]}
    assert set(low.items[0].provenance["caption"]["raw"]) == wanted
    # One more picture runs alone, and another model runs all.
    bench.tag(Dataset((*dataset.items, picture("new", GREY)), "x"))
    assert bench.ran == [4, 3, 1]
    save_tagger(bench.files.model.parent, scale=0.5)
    bench.tag(dataset)
    assert bench.ran == [4, 3, 1, 4, 3]


def test_what_was_found_before_a_failure_or_cancel_is_kept(bench: Bench, tmp_path: Path) -> None:
    torn = tmp_path / "torn.png"
    torn.write_bytes(b"\x89PNG\r\n\x1a\n")
    items = [picture(f"{n}", (n * 25, 90, 200)) for n in range(6)]
    broken = DatasetItem("torn.png", PictureFile(torn, "torn.png"))
    with pytest.raises(DatasetError, match=r"torn\.png cannot be decoded"):
        bench.tag(Dataset((*items, broken), "x"), batch_size=2)
    assert bench.ran == [2, 2, 2]
    bench.tag(Dataset(tuple(items), "x"), batch_size=2)
    assert bench.ran == [2, 2, 2]
    bench.bar = Bar()
    bench.bar.cancel_at = 1
    fresh = Dataset(tuple(picture(f"{n}", (3, n * 25, 9)) for n in range(6)), "x")
    with pytest.raises(KeyboardInterrupt):
        bench.tag(fresh, batch_size=2)
    bench.bar = Bar()
    bench.tag(fresh, batch_size=2)
    assert bench.ran == [2, 2, 2, 2, 2, 2]
    assert bench.bar.updates == [(2, 6, False), (4, 6, True), (6, 6, True)]


def test_a_damaged_entry_is_made_again(bench: Bench) -> None:
    dataset = Dataset((picture("r", RED), picture("b", BLUE)), "x")
    first = bench.tag(dataset)
    next((bench.root / "cache").rglob("*.safetensors")).write_bytes(b"torn")
    assert bench.tag(dataset).items[0].caption == first.items[0].caption
    assert bench.ran == [2, 1]


def test_only_missing_captions_and_variables_for_templates(bench: Bench) -> None:
    without = DatasetItem("w", PictureArray("w", np.full((8, 8, 3), RED, dtype=np.uint8)))
    dataset = Dataset((picture("b", BLUE), without), "x")
    assert [it.caption for it in bench.tag(dataset, apply_to=ONLY_MISSING).items] == [
        "old b", "red hair",
    ]
    tagged = bench.tag(dataset, variable="tags", rating="as column", trigger="not here")
    assert [it.caption for it in tagged.items] == ["old b", None]
    made = apply_template(tagged, "{trigger}, {tags|tags:1}, {rating}", trigger="kp")
    assert [it.caption for it in made.items] == ["kp, blue sky, general", "kp, red hair, general"]


def test_transparent_parts_show_the_datasets_background(bench: Bench) -> None:
    clear = np.zeros((8, 8, 4), dtype=np.uint8)
    clear[0, 0] = (255, 255, 255, 255)
    item = DatasetItem("c", PictureArray("c", clear))
    for background, tag in (("#0000ff", "blue sky"), ("#ff0000", "red hair")):
        tagged = bench.tag(Dataset((item,), "x", background=background))
        assert tagged.items[0].caption == tag
    assert bench.ran == [1, 1]


def test_precision_is_recall_is_known_for_published_taggers(bench: Bench) -> None:
    with pytest.raises(ConfigError, match=r"not known for small.*model card"):
        bench.tag(Dataset((picture("r", RED),), "x"), thresholds=PRECISION_IS_RECALL)
    save_tagger(bench.root / "models" / "wd-eva02-large-tagger-v3")
    bench.files = find_tagger("wd-eva02-large-tagger-v3", [bench.root / "models"])
    tagged = bench.tag(Dataset((picture("r", RED),), "x"), thresholds=PRECISION_IS_RECALL)
    assert tagged.items[0].provenance["caption"]["general_threshold"] == 0.5296


def test_folders_and_flat_pairs_are_found_and_missing_ones_explained(tmp_path: Path) -> None:
    own, other = tmp_path / "wd14_tagger", tmp_path / "elsewhere"
    save_tagger(own / "b")
    save_tagger(other, name="wd-v1-4-moat-tagger-v2")
    (own / "half").mkdir()
    (own / "half" / "model.onnx").write_bytes(b"x")
    assert list(list_taggers([own, other, tmp_path / "nowhere"])) == ["b", "wd-v1-4-moat-tagger-v2"]
    with pytest.raises(HostError) as raised:
        find_tagger("wd-swinv2-tagger-v3", [own, other])
    text = str(raised.value)
    assert str(own / "wd-swinv2-tagger-v3" / "model.onnx") in text
    assert str(own / "wd-swinv2-tagger-v3" / "selected_tags.csv") in text
    assert "SmilingWolf/wd-swinv2-tagger-v3" in text
    assert "there are: b, wd-v1-4-moat-tagger-v2" in text
    with pytest.raises(HostError, match="no tagger 'half'"):
        find_tagger("half", [own])


def _cut_table(folder: Path) -> None:
    table = folder / "selected_tags.csv"
    table.write_text(table.read_text().rsplit("\n", 2)[0] + "\n")


SPOILT: dict[str, tuple[Callable[[Path], object], str]] = {
    "no onnx": (lambda f: (f / "model.onnx").write_bytes(b"what"), "cannot be loaded"),
    "too few tags": (_cut_table, r"gives \(8,\) values.*7 tags"),
    "logits": (lambda f: save_tagger(f, logits=True), "no probabilities"),
    "other csv": (lambda f: (f / "selected_tags.csv").write_text("a,b\n1,2\n"), "no columns"),
    "empty csv": (lambda f: (f / "selected_tags.csv").write_text("name,category\n"), "no tags"),
    "binary csv": (lambda f: (f / "selected_tags.csv").write_bytes(b"\xff\xfe\x00"), "read"),
    "short row": (
        lambda f: (f / "selected_tags.csv").write_text("name,category\nx\n"), "damaged in row 1",
    ),
}


@pytest.mark.parametrize("spoil", SPOILT)
def test_a_spoilt_tagger_is_named(bench: Bench, spoil: str) -> None:
    change, message = SPOILT[spoil]
    change(bench.files.model.parent)
    with pytest.raises(HostError, match=message):
        bench.tag(Dataset((picture("r", RED),), "x"))


def test_a_missing_onnxruntime_says_how_to_install_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    with pytest.raises(MissingLibrary, match="pip install onnxruntime"):
        choose_provider("auto")


@pytest.mark.filterwarnings("ignore:Specified provider")
def test_providers(monkeypatch: pytest.MonkeyPatch, bench: Bench) -> None:
    available = sessions.runtime().get_available_providers()
    assert choose_provider("CPU") == "CPU"
    for name in {"CUDA", "CoreML"}:
        if f"{name}ExecutionProvider" not in available:
            with pytest.raises(HostError, match=f"provider is {name}, and .*CPUExecutionProvider"):
                choose_provider(name)
            # Where it is built in and does not start, onnxruntime takes the CPU in silence.
            with pytest.raises(HostError, match="did not start"):
                TaggerSession(bench.files.model, name)
    names = ["CUDAExecutionProvider", "CPUExecutionProvider"]
    monkeypatch.setattr(sessions.runtime(), "get_available_providers", lambda: names)
    assert choose_provider("auto") == "CUDA"


def test_probabilities_that_no_threshold_reaches_take_no_place(bench: Bench) -> None:
    bench.tag(Dataset((picture("r", RED),), "x"))
    from safetensors.torch import load_file

    (entry,) = (bench.root / "cache").rglob("*.safetensors")
    stored = load_file(entry)
    kept = {dict(enumerate(dict(TAGS)))[int(i)] for i in stored["index"]}
    assert kept == {tag for tag, p in expected(RED).items() if p >= 0.001}
    assert stored["value"].dtype == torch.float32
