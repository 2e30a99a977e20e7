"""Real vision models, small and random, through the real loading paths; offline throughout."""

from __future__ import annotations

import gc
import importlib
import json
import weakref
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import torch

from lora_kiln.core.errors import ConfigError, HostError
from lora_kiln.dataset.describe.settings import DEFAULT_PROMPT, DescribeSettings
from lora_kiln.tests.host import tiny_vlm
from lora_kiln.tests.host.caption_cases import ASK, noise, opened, pictures, refuse_connections
from lora_kiln.tests.host.conftest import Host

KINDS: dict[str, Callable[..., Path]] = {
    "llava": tiny_vlm.save_llava,
    "florence": tiny_vlm.save_florence,
    "qwen2_vl": tiny_vlm.save_qwen2_vl,
    "blip2": tiny_vlm.save_blip2,
}


@pytest.fixture(autouse=True)
def _offline(monkeypatch: pytest.MonkeyPatch) -> None:
    refuse_connections(monkeypatch)


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Path]:
    """Folders of models, made once each."""
    made: dict[str, Path] = {}

    def get(kind: str) -> Path:
        if kind not in made:
            made[kind] = KINDS[kind](tmp_path_factory.mktemp("LLM") / kind)
        return made[kind]

    return get


@pytest.fixture
def llm(comfy: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of models of this test alone, registered as a person does it."""
    del comfy
    folder_paths = importlib.import_module("folder_paths")
    root = tmp_path / "their models"
    root.mkdir()
    monkeypatch.setattr(
        folder_paths, "folder_names_and_paths",
        {**folder_paths.folder_names_and_paths, "LLM": ([str(root)], set())},
    )
    return root


@pytest.fixture
def models(comfy: Path) -> ModuleType:
    del comfy
    return importlib.import_module("lora_kiln.host.caption_models")


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_loads_and_looks(
    kind: str, saved: Any, llm: Path, models: ModuleType, host: Host
) -> None:
    (llm / "theirs").symlink_to(saved(kind), target_is_directory=True)
    with torch.inference_mode(), opened("LLM/theirs", host) as model:
        ask = replace(ASK, text=model.worded(DEFAULT_PROMPT, ()))
        said = [model.describe(noise(n), ask).text for n in range(6)]
        assert [model.describe(noise(n), ask).text for n in range(6)] == said
        drawn = replace(ask, temperature=1.5, seed=5)
        before = torch.get_rng_state()
        first = model.describe(noise(0), drawn).text
        assert model.describe(noise(0), drawn).text == first
        others = {model.describe(noise(0), replace(drawn, seed=n)).text for n in range(8)}
        assert torch.equal(torch.get_rng_state(), before)
    assert len(set(said)) > 1
    assert len(others) > 1
    words = {word for text in said for word in text.split()}
    assert words and words <= {*tiny_vlm.WORDS, "<|vision_start|>", "<|vision_end|>",
                               "<|image_pad|>", "<|video_pad|>"}


def test_a_dataset_is_described_and_answers_are_kept(
    saved: Any, llm: Path, models: ModuleType, host: Host, monkeypatch: pytest.MonkeyPatch
) -> None:
    (llm / "deeper").mkdir()
    (llm / "deeper" / "llava").symlink_to(saved("llava"), target_is_directory=True)
    name = "LLM/deeper/llava"
    captioners = importlib.import_module("lora_kiln.host.captioners")
    assert captioners.model_names(models.model_roots("LLM")) == ["connected CLIP", name]
    settings = DescribeSettings(max_tokens=6, trigger="kp")
    with torch.inference_mode():
        made = models.describe(pictures(), name, None, settings, host)
    assert all(it.caption.startswith("kp, ") for it in made.items)
    assert made.items[0].provenance["caption"]["model"] == name
    # Loaded once, and gone: nothing of it is left in ComfyUI's list.
    assert host.said.count(f"Loading {name}") == 1
    management = importlib.import_module("comfy.model_management")
    assert not [one for one in management.loaded_models() if "Holder" in type(one.model).__name__]
    local = importlib.import_module("lora_kiln.host.captioners.local_model")
    monkeypatch.setattr(local.LocalDescriber, "_load", None)
    again = models.describe(pictures(), name, None, settings, host)
    assert [it.caption for it in again.items] == [it.caption for it in made.items]
    assert host.updates[-1] == (3, 3)


def test_the_answers_are_those_of_transformers_itself(
    saved: Any, llm: Path, models: ModuleType, host: Host
) -> None:
    from transformers import AutoModelForImageTextToText, AutoProcessor

    folder = saved("llava")
    (llm / "llava").symlink_to(folder, target_is_directory=True)
    model = AutoModelForImageTextToText.from_pretrained(folder, local_files_only=True).eval()
    processor = AutoProcessor.from_pretrained(folder, local_files_only=True)
    with opened("LLM/llava", host) as ours:
        for n in range(3):
            said = ours.describe(noise(n), replace(ASK, text="a woman"))
            inputs = processor(
                images=[noise(n)], text=["<image> a woman the"], return_tensors="pt"
            )
            with torch.no_grad():
                ids = model.generate(**inputs, max_new_tokens=6, do_sample=False)
            new = ids[0, inputs["input_ids"].shape[1] :]
            assert said.text == processor.decode(new, skip_special_tokens=True)
            assert said.finished == (int(new[-1]) == 2 or len(new) < 6)


def test_old_chat_templates_get_their_text_and_picture(
    llm: Path, models: ModuleType, host: Host
) -> None:
    tiny_vlm.save_llava(llm / "old", template=tiny_vlm.OLD_TEMPLATE)
    tiny_vlm.save_llava(llm / "none", template=None)
    tiny_vlm.save_llava(llm / "deaf", template="{{ 'always the same' }}")
    tiny_vlm.save_llava(llm / "usual")
    with opened("LLM/old", host) as old, opened("LLM/usual", host) as usual:
        assert old.describe(noise(1), ASK) == usual.describe(noise(1), ASK)
    for name, message in (("none", "no chat template"), ("deaf", "leaves out the picture")):
        with opened(f"LLM/{name}", host) as model, pytest.raises(HostError, match=message):
            model.describe(noise(1), ASK)


def test_cancel_is_heard_between_two_words(
    saved: Any, llm: Path, models: ModuleType, host: Host
) -> None:
    (llm / "llava").symlink_to(saved("llava"), target_is_directory=True)
    interrupt = importlib.import_module("comfy.model_management").InterruptProcessingException
    with opened("LLM/llava", host) as model:
        ask = replace(ASK, max_tokens=40)
        host.cancel_at = 3
        with pytest.raises(interrupt):
            model.describe(noise(0), ask)
        held = weakref.ref(model._patcher)
        del model
    gc.collect()
    assert host.checks == 3
    assert held() is None


def _change_config(folder: Path, **changes: Any) -> None:
    path = folder / "config.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))


def _own_code(folder: Path) -> None:
    (folder / "modeling_x.py").write_text("raise SystemExit('this code was run')")
    auto = {"AutoModelForCausalLM": "modeling_x.X", "AutoConfig": "modeling_x.Y"}
    _change_config(folder, model_type="x_vl", auto_map=auto)


def _pickled(folder: Path) -> None:
    (folder / "model.safetensors").rename(folder / "pytorch_model.bin")


def _cut_weights(folder: Path) -> None:
    from safetensors.torch import load_file, save_file

    tensors = load_file(folder / "model.safetensors")
    tensors.pop(sorted(tensors)[0])
    save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})


SPOILT: dict[str, tuple[Callable[[Path], object], str]] = {
    "own code": (_own_code, r"LLM/spoilt \(x_vl\) needs Python code.*modeling_x\.py"),
    "pickle": (_pickled, r"keeps its weights as pytorch_model\.bin"),
    "no weights": (lambda f: (f / "model.safetensors").unlink(), "no weights"),
    "text only": (lambda f: _change_config(f, model_type="llama"), "of the kind 'llama'"),
    "no json": (lambda f: (f / "config.json").write_text("{"), "cannot be read"),
    "no type": (lambda f: (f / "config.json").write_text("[]"), "without a model_type"),
}


@pytest.mark.parametrize("spoil", SPOILT)
def test_what_cannot_be_loaded_safely_is_refused_by_name_before(
    spoil: str, saved: Any, llm: Path, models: ModuleType, host: Host
) -> None:
    change, message = SPOILT[spoil]
    change(_copy(saved("llava"), llm / "spoilt"))
    captioners = importlib.import_module("lora_kiln.host.captioners")
    with pytest.raises(HostError, match=message):
        captioners.require_model("LLM/spoilt", models.model_roots("LLM"))
    with pytest.raises(HostError, match=message):
        models.describe(pictures(1), "LLM/spoilt", None, DescribeSettings(), host)
    assert host.said == []


def _copy(source: Path, target: Path) -> Path:
    target.mkdir()
    for file in source.iterdir():
        (target / file.name).write_bytes(file.read_bytes())
    return target


def test_publishers_own_florence_is_told_where_to_go(
    saved: Any, llm: Path, models: ModuleType, host: Host
) -> None:
    folder = _copy(saved("florence"), llm / "Florence-2-base")
    _change_config(folder, auto_map={"AutoConfig": "configuration_florence2.Florence2Config"})
    with pytest.raises(HostError, match="florence-community/Florence-2-base"):
        models.describe(pictures(1), "LLM/Florence-2-base", None, DescribeSettings(), host)


def test_weights_that_lack_something_are_refused_and_not_filled_with_chance(
    saved: Any, llm: Path, models: ModuleType, host: Host
) -> None:
    _cut_weights(_copy(saved("llava"), llm / "cut"))
    with pytest.raises(HostError, match=r"lack .*random numbers"):
        models.describe(pictures(1), "LLM/cut", None, DescribeSettings(), host)


def test_a_missing_model_says_what_to_get_and_names_lead_nowhere_else(
    llm: Path, models: ModuleType, host: Host
) -> None:
    folder_paths = importlib.import_module("folder_paths")
    own = Path(folder_paths.models_dir) / "LLM"
    with pytest.raises(HostError) as raised:
        models.describe(pictures(1), "LLM/Qwen/x", None, DescribeSettings(), host)
    text = str(raised.value)
    assert str(own / "Qwen" / "x") in text and "Qwen/Qwen2.5-VL-3B-Instruct" in text
    assert "is none yet" in text and "Nothing is downloaded" in text
    # Registered beside what the person had registered, and after it.
    assert folder_paths.get_folder_paths("LLM") == [str(llm), str(own)]
    for name in ("LLM/../../etc", "LLM//etc", "LLM/~", "LLM/a\0b"):
        with pytest.raises(ValueError, match=r"name|no model"):
            models.describe(pictures(1), name, None, DescribeSettings(), host)
    with pytest.raises(HostError, match="no model 'elsewhere/x'"):
        models.describe(pictures(1), "elsewhere/x", None, DescribeSettings(), host)


def test_each_kind_says_what_it_cannot_be_asked() -> None:
    wording = importlib.import_module("lora_kiln.host.captioners.wording")
    florence, blip2, blip = (wording.wording_of(k) for k in ("florence2", "blip-2", "blip"))
    assert florence.worded(DEFAULT_PROMPT, ()) == "<MORE_DETAILED_CAPTION>"
    assert florence.worded("<CAPTION>", ()) == "<CAPTION>"
    assert blip2.worded(DEFAULT_PROMPT, ()) == blip.worded(DEFAULT_PROMPT, ()) == ""
    assert blip2.worded("who?", ("a", "b")) == (
        "Question: who? Answer with one of these and nothing else: a, b. Answer:"
    )
    assert blip.worded("a drawing of", ()) == "a drawing of"
    assert wording.wording_of("qwen3_vl").worded("", ()) == DEFAULT_PROMPT
    for model, prompt, answers in (
        (florence, "who?", ()), (florence, "<OD>", ()), (florence, "<CAPTION>", ("a",)),
        (blip, "who?", ("a",)),
    ):
        with pytest.raises(ConfigError):
            model.worded(prompt, answers)
