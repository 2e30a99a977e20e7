"""LoRA files made by the libraries themselves, on small models: what they merge, we convert.

For every file: the formats it is recognised as, no key lost, and for each weight the change that
the library's own merge makes, once as ``lora_format`` computes it from the converted file and once
as ComfyUI's stock loader applies that file.
"""

from __future__ import annotations

import importlib
import logging
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from torch import nn

from lora_kiln.core.errors import LoraFormatError
from lora_kiln.lora_format.checks import CHECKS
from lora_kiln.lora_format.convert import Conversion, ConvertSettings, convert
from lora_kiln.lora_format.family import table_of
from lora_kiln.lora_format.format import formats_of
from lora_kiln.lora_format.ir import NETWORK
from lora_kiln.lora_format.read import Reading, read
from lora_kiln.lora_format.table import flatten
from lora_kiln.tests.lora_format import made

pytestmark = pytest.mark.usefixtures("comfy")

UNET_TARGETS = [
    "to_q", "to_k", "to_v", "to_out.0", "ff.net.0.proj", "ff.net.2", "proj_in", "proj_out",
    "conv1", "conv2", "conv_shortcut", "time_emb_proj", "downsamplers.0.conv", "upsamplers.0.conv",
    "conv_in", "conv_out", "time_embedding.linear_1", "add_embedding.linear_2",
]  # fmt: skip
CLIP_TARGETS = ["q_proj", "k_proj", "v_proj", "out_proj", "fc1", "fc2"]


@dataclass(frozen=True)
class Case:
    """A file, and what the library makes of it.

    Attributes:
        kind: the model.
        path: the file.
        before: the model's weights.
        after: the same merged by the library.
    """

    kind: made.Kind
    path: Path
    before: made.States
    after: made.States

    def convert(self, reading: Reading) -> Conversion:
        """For ComfyUI, with the model at hand."""
        return convert(reading, ConvertSettings(), made.Weights(self.before))


def check(
    case: Case, formats: list[str], caplog: pytest.LogCaptureFixture, limit: float = 1e-6,
    exact: torch.dtype = torch.float64,
) -> Conversion:
    """All of what the module's text promises."""
    assert [item.name for item in formats_of(list(load_file(case.path)))] == formats
    reading = read(case.path, case.kind.base)
    assert reading.errors == []
    assert not reading.lora.unknown
    conversion = case.convert(reading)
    expected = made.changes(case.before, case.after)
    assert any(expected.values())
    ours = made.our_change(conversion.lora, case.before)
    assert made.worst(ours, expected) < (limit, "~")
    caplog.clear()
    with caplog.at_level(logging.WARNING):
        loaded = made.hosts_result(conversion, case.kind, case.before, exact)
    assert [record.getMessage() for record in caplog.records] == []
    assert made.worst(made.changes(case.before, loaded), expected) < (limit, "~")
    return conversion


# diffusers


def add_lora(module: Any, *, seed: int = 0, **settings: Any) -> None:
    """Put a LoRA into a module of diffusers or transformers."""
    from peft import LoraConfig

    module.add_adapter(LoraConfig(init_lora_weights=False, **settings))
    made.fill(module, ("lora_",), seed)


def merge(module: Any) -> None:
    """The library's own merge, in float64."""
    from peft.tuners.tuners_utils import BaseTunerLayer

    module.double()
    if hasattr(module, "fuse_lora"):
        module.fuse_lora()
        return
    for part in module.modules():
        if isinstance(part, BaseTunerLayer):
            part.merge()


def save_with_diffusers(
    folder: Path, kind: made.Kind, modules: Mapping[str, nn.Module], *, metadata: bool = True
) -> Path:
    """What diffusers' training scripts do at the end."""
    import diffusers
    from diffusers.utils import convert_state_dict_to_diffusers
    from peft.utils import get_peft_model_state_dict

    names = {NETWORK: "unet" if kind.family == "sdxl" else "transformer",
             "clip_l": "text_encoder", "clip_g": "text_encoder_2"}
    arguments: dict[str, Any] = {}
    for component, module in modules.items():
        name = names[component]
        tensors = get_peft_model_state_dict(module)
        if kind.family == "sdxl":
            tensors = convert_state_dict_to_diffusers(tensors)
        arguments[f"{name}_lora_layers"] = tensors
        if metadata:
            config: Any = module.peft_config
            arguments[f"{name}_lora_adapter_metadata"] = config["default"].to_dict()
    getattr(diffusers, kind.pipeline).save_lora_weights(folder, **arguments)
    return folder / "pytorch_lora_weights.safetensors"


def diffusers_case(
    folder: Path, family: str, settings: Mapping[str, Mapping[str, Any]], *, metadata: bool = True
) -> Case:
    """A LoRA by diffusers.

    Args:
        folder: for the file.
        family: which model.
        settings: of ``LoraConfig``, by component.
        metadata: whether the settings are written into the file.
    """
    kind = made.KINDS[family]
    modules = kind.modules(*settings)
    before = made.states_of(modules, kind)
    for name, given in settings.items():
        add_lora(modules[name], **given)
    path = save_with_diffusers(folder, kind, modules, metadata=metadata)
    for module in modules.values():
        merge(module)
    return Case(kind, path, before, made.states_of(modules, kind))


def test_the_small_models_are_what_their_tables_say() -> None:
    for kind in made.KINDS.values():
        for name, state in made.states_of(kind.modules(*kind.make), kind).items():
            shapes = {
                key.removesuffix(".weight"): tuple(tensor.shape)
                for key, tensor in state.items() if key.endswith(".weight")
            }
            missing = {"final_layer.adaLN_modulation.1"} if kind.family == "flux1" else set()
            expected = dict(kind.table[name].shapes)
            assert shapes == {path: expected[path] for path in expected if path not in missing}
            assert not any(bool(tensor.isnan().any()) for tensor in state.values())


def test_diffusers_sdxl_with_text_encoders(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Alpha is not the rank, and both differ by module; transformers' names as they are now."""
    case = diffusers_case(tmp_path, "sdxl", {
        NETWORK: {
            "r": 4, "lora_alpha": 6, "target_modules": UNET_TARGETS,
            "rank_pattern": {"attn2.to_k": 2, "conv1": 3}, "alpha_pattern": {"ff.net.2": 9},
        },
        "clip_l": {"r": 2, "lora_alpha": 3, "target_modules": CLIP_TARGETS},
        "clip_g": {"r": 3, "lora_alpha": 1, "target_modules": CLIP_TARGETS, "seed": 1},
    })
    check(case, ["diffusers"], caplog)


@pytest.mark.parametrize("family", ["z_image", "lumina2", "flux1"])
def test_diffusers_transformers(
    family: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Parts of fused modules, of different ranks and alphas."""
    targets = [
        name for name, module in made.KINDS[family].modules(NETWORK)[NETWORK].named_modules()
        if isinstance(module, nn.Linear) and name != "norm_out.linear"
    ]
    case = diffusers_case(tmp_path, family, {NETWORK: {
        "r": 3, "lora_alpha": 2, "target_modules": targets,
        "rank_pattern": {"to_k": 2}, "alpha_pattern": {"to_v": 5},
    }})
    check(case, ["diffusers"], caplog)


def test_a_module_with_swapped_halves_is_refused(tmp_path: Path) -> None:
    settings = {"r": 2, "target_modules": ["norm_out.linear", "to_q"]}
    case = diffusers_case(tmp_path, "flux1", {NETWORK: settings})
    with pytest.raises(LoraFormatError, match=r"cannot be converted whole.*norm_out\.linear"):
        case.convert(read(case.path, case.kind.base))


@pytest.mark.parametrize("family", ["sdxl", "z_image"])
def test_without_settings_alpha_is_the_rank(
    family: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    settings = {"r": 4, "lora_alpha": 4, "target_modules": ["to_q", "to_k", "to_v", "to_out.0"]}
    case = diffusers_case(tmp_path, family, {NETWORK: settings}, metadata=False)
    check(case, ["diffusers"], caplog)


def test_rank_stabilised(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    settings = {"r": 6, "lora_alpha": 5, "use_rslora": True, "target_modules": UNET_TARGETS,
                "rank_pattern": {"to_q": 2}}
    check(diffusers_case(tmp_path, "sdxl", {NETWORK: settings}), ["diffusers"], caplog)


@pytest.mark.parametrize("family", ["sdxl", "z_image", "lumina2", "flux1"])
def test_dora_is_baked(family: str, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    targets = UNET_TARGETS if family == "sdxl" else ["to_q", "to_v", "to_out.0"]
    settings = {"r": 4, "lora_alpha": 7, "use_dora": True, "target_modules": targets}
    case = diffusers_case(tmp_path, family, {NETWORK: settings})
    conversion = check(case, ["diffusers"], caplog)
    assert {layer.algorithm for layer in conversion.lora.layers} == {"diff"}
    reading = read(case.path, case.kind.base)
    with pytest.raises(LoraFormatError, match=r"DoRA with magnitudes over outputs.*--base"):
        convert(reading, ConvertSettings())


# PEFT


def peft_case(
    folder: Path, family: str, config: Any, marks: tuple[str, ...], component: str = NETWORK
) -> Case:
    """A whole adapter as ``save_pretrained`` writes it."""
    from peft import get_peft_model

    kind = made.KINDS[family]
    modules = kind.modules(component)
    before = made.states_of(modules, kind)
    wrapped: Any = get_peft_model(modules[component], config)
    made.fill(wrapped, marks)
    wrapped.save_pretrained(folder)
    after = {**before, component: made.state_of(
        wrapped.double().merge_and_unload(), kind.table[component]
    )}
    return Case(kind, folder / "adapter_model.safetensors", before, after)


@pytest.mark.parametrize("family", ["sdxl", "z_image", "lumina2", "flux1"])
def test_peft_lora(family: str, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    from peft import LoraConfig

    targets = UNET_TARGETS if family == "sdxl" else ["to_q", "to_k", "to_out.0"]
    config = LoraConfig(
        r=4, lora_alpha=9, target_modules=targets, init_lora_weights=False,
        rank_pattern={"to_k": 2}, alpha_pattern={"to_out.0": 1},
    )
    check(peft_case(tmp_path, family, config, ("lora_",)), ["peft"], caplog)


@pytest.mark.parametrize("component", ["clip_l", "clip_g"])
def test_peft_on_a_text_encoder(
    component: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Nothing in the file says which encoder it is for but the widths."""
    from peft import LoraConfig

    config = LoraConfig(
        r=4, lora_alpha=9, target_modules=CLIP_TARGETS, init_lora_weights=False
    )
    check(peft_case(tmp_path, "sdxl", config, ("lora_",), component), ["peft"], caplog)


def test_peft_dora_with_convolutions(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    from peft import LoraConfig

    config = LoraConfig(
        r=4, lora_alpha=9, target_modules=UNET_TARGETS, init_lora_weights=False, use_dora=True,
        use_rslora=True,
    )
    check(peft_case(tmp_path, "sdxl", config, ("lora_",)), ["peft"], caplog)


@pytest.mark.parametrize("effective", [False, True])
@pytest.mark.parametrize("family", ["sdxl", "z_image"])
def test_peft_loha(
    family: str, effective: bool, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    from peft import LoHaConfig

    targets = UNET_TARGETS if family == "sdxl" else ["to_q", "to_out.0", "w1"]
    config = LoHaConfig(
        r=3, alpha=5, target_modules=targets, use_effective_conv2d=effective,
        rank_pattern={"to_q": 2}, alpha_pattern={"to_q": 7},
    )
    check(peft_case(tmp_path, family, config, ("hada_",)), ["lycoris", "peft"], caplog)


@pytest.mark.parametrize(
    "settings",
    [
        {"r": 2},
        {"r": 2, "use_effective_conv2d": True},
        {"r": 2, "decompose_both": True, "decompose_factor": 8},
        {"r": 64},
    ],
)
def test_peft_lokr(
    settings: dict[str, Any], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """With a large rank both sides are whole, and PEFT scales them nevertheless."""
    from peft import LoKrConfig

    config = LoKrConfig(alpha=7, target_modules=UNET_TARGETS, **settings)
    check(peft_case(tmp_path, "sdxl", config, ("lokr_",)), ["lycoris", "peft"], caplog)


def test_peft_lokr_of_parts(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    from peft import LoKrConfig

    config = LoKrConfig(
        r=2, alpha=7, target_modules=["to_q", "to_k", "to_out.0", "w1"],
        rank_pattern={"to_q": 64}, alpha_pattern={"to_q": 5, "to_k": 1},
    )
    check(peft_case(tmp_path, "z_image", config, ("lokr_",)), ["lycoris", "peft"], caplog)


def test_patterns_that_are_expressions_stop_the_conversion(tmp_path: Path) -> None:
    from peft import LoraConfig

    config = LoraConfig(
        r=4, lora_alpha=9, target_modules=["to_q"], init_lora_weights=False,
        alpha_pattern={r"down_blocks.*attn1\.to_q": 2},
    )
    case = peft_case(tmp_path, "sdxl", config, ("lora_",))
    with pytest.raises(LoraFormatError, match="by regular expression"):
        case.convert(read(case.path, case.kind.base))


def test_biases_of_factors_are_refused_by_name(tmp_path: Path) -> None:
    from peft import LoraConfig

    config = LoraConfig(
        r=4, lora_alpha=9, target_modules=["to_q"], init_lora_weights=False, lora_bias=True
    )
    case = peft_case(tmp_path, "flux1", config, ("lora_",))
    with pytest.raises(LoraFormatError, match=r"cannot be converted whole.*lora_B\.bias"):
        case.convert(read(case.path, case.kind.base))


def raw_case(folder: Path, names: tuple[str, ...]) -> Case:
    """A state dictionary of a module with adapters, as some scripts save it; the first merged."""
    from peft import LoraConfig

    kind = made.KINDS["sdxl"]
    modules = kind.modules(NETWORK)
    before = made.states_of(modules, kind)
    unet: Any = modules[NETWORK]
    for name in names:
        unet.add_adapter(LoraConfig(r=4, lora_alpha=4, target_modules=UNET_TARGETS), name)
    made.fill(unet, ("lora_",))
    path = made.write(folder, {k: v for k, v in unet.state_dict().items() if "lora_" in k})
    unet.set_adapter(names[0])
    unet.double().fuse_lora(adapter_names=[names[0]])
    return Case(kind, path, before, made.states_of(modules, kind))


def test_a_raw_state_dictionary(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    check(raw_case(tmp_path, ("default_0",)), ["diffsynth"], caplog)


def test_of_several_adapters_one_is_chosen(tmp_path: Path) -> None:
    case = raw_case(tmp_path, ("first", "second"))
    with pytest.raises(LoraFormatError, match=r"several adapters: first, second.*--adapter first"):
        read(case.path, case.kind.base)
    with pytest.raises(LoraFormatError, match="no adapter 'third'"):
        read(case.path, case.kind.base, "third")
    conversion = case.convert(read(case.path, case.kind.base, "first"))
    ours = made.our_change(conversion.lora, case.before)
    assert made.worst(ours, made.changes(case.before, case.after)) < (1e-6, "~")


# LyCORIS


def lycoris_case(
    folder: Path, kind: made.Kind, module: nn.Module, network: Mapping[str, Any], *,
    prefix: str = "lycoris", exact: torch.dtype = torch.float64,
) -> Case:
    """A network of LyCORIS around every layer of a module.

    Args:
        folder: for the file.
        kind: which model.
        module: the network, in any naming.
        network: arguments of ``LycorisNetwork``.
        prefix: before the modules' names.
        exact: the dtype to merge in.
    """
    wrapper: Any = importlib.import_module("lycoris").LycorisNetwork
    before = {NETWORK: made.state_of(module, kind.table[NETWORK])}
    wrapper.apply_preset({
        "enable_conv": True, "target_module": ["Linear", "Conv2d", "GroupNorm", "LayerNorm"],
        "target_name": [], "module_algo_map": {}, "name_algo_map": {}, "lora_prefix": prefix,
        "use_fnmatch": False, "exclude_name": [],
    })
    wrapped: Any = wrapper(module, **network)
    places = {flatten(name): name for name, _ in module.named_modules()}
    wrapped.apply_to()
    made.fill(wrapped, ("",))
    path = folder / "lora.safetensors"
    wrapped.save_weights(str(path), None, {"made": "by the test"})
    after = {NETWORK: dict(before[NETWORK])}
    for part in wrapped.to(exact).loras:
        part.org_module[0].to(exact)
        name = places[part.lora_name.removeprefix(f"{prefix}_")]
        for kind_of, value in in_forward(part).items():
            key = f"{find(kind, name)}.{kind_of}"
            old = before[NETWORK][key]
            whole = not getattr(part, "is_diff", True)
            after[NETWORK][key] = value.to(torch.float64) + (0 if whole else old)
    return Case(kind, path, before, after)


def find(kind: made.Kind, name: str) -> str:
    target = kind.table[NETWORK].find(name)
    assert target is not None
    return target.module_path


def in_forward(part: Any) -> dict[str, torch.Tensor]:
    """What a module of LyCORIS computes with when it trains.

    Not its merge: as of 4.1.3 that scales LoHa and LoKr twice.
    """
    found: dict[str, torch.Tensor] = {}

    def record(
        value: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor | None = None, **_: Any
    ) -> torch.Tensor:
        found["weight"] = weight.detach()
        if bias is not None:
            found["bias"] = bias.detach()
        return value

    part.op, part.org_forward = record, lambda value: value
    part.forward(torch.zeros(1))
    return found


LINEAR = {"lora_dim": 3, "alpha": 5, "conv_lora_dim": 2, "conv_alpha": 3}
LYCORIS: dict[str, dict[str, Any]] = {
    "locon": {"network_module": "locon"},
    "locon with a core": {"network_module": "locon", "use_tucker": True},
    "locon, rank-stabilised": {"network_module": "locon", "rs_lora": True},
    "locon with a scalar": {"network_module": "locon", "use_scalar": True},
    "locon and norms": {"network_module": "locon", "train_norm": True},
    "dora over inputs": {
        "network_module": "locon", "weight_decompose": True, "wd_on_out": False,
        "use_tucker": True,
    },
    "dora over outputs": {"network_module": "locon", "weight_decompose": True},
    "loha": {"network_module": "loha"},
    "loha with cores": {"network_module": "loha", "use_tucker": True},
    "loha with dora": {"network_module": "loha", "weight_decompose": True, "wd_on_out": False},
    "lokr": {"network_module": "lokr"},
    "lokr of four": {"network_module": "lokr", "decompose_both": True, "factor": 8},
    "lokr with a core": {"network_module": "lokr", "use_tucker": True, "factor": 4},
    "lokr of whole sides": {"network_module": "lokr", "full_matrix": True},
    "lokr with dora": {"network_module": "lokr", "weight_decompose": True},
    "full": {"network_module": "full"},
    "oft": {"network_module": "diag-oft", "lora_dim": 8, "conv_lora_dim": 8},
    "oft with a limit": {
        "network_module": "diag-oft", "constraint": 0.02, "lora_dim": 8, "conv_lora_dim": 8,
    },
    "oft with scales": {
        "network_module": "diag-oft", "rescaled": True, "lora_dim": 8, "conv_lora_dim": 8,
    },
    "boft": {"network_module": "boft", "lora_dim": 8, "conv_lora_dim": 8},
    "boft with a limit and scales": {
        "network_module": "boft", "constraint": 0.02, "rescaled": True, "lora_dim": 8,
        "conv_lora_dim": 8,
    },
}


@pytest.mark.parametrize("name", LYCORIS)
def test_lycoris(name: str, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    rotates = "oft" in name
    # LyCORIS and ComfyUI invert in single precision.
    exact = torch.float32 if rotates else torch.float64
    kind = made.KINDS["sdxl"]
    case = lycoris_case(
        tmp_path, kind, kind.modules(NETWORK)[NETWORK], {**LINEAR, **LYCORIS[name]}, exact=exact
    )
    check(case, ["lycoris"], caplog, 1e-5 if rotates else 1e-6, exact)


@pytest.mark.parametrize(
    ("name", "rule"),
    [
        ("lokr with a core", "lokr-core"),
        ("oft with scales", "oft-rescale"),
        ("oft with a limit", "oft-limit"),
        ("oft", None),
        ("dora over outputs", "dora-over-outputs"),
        ("dora over inputs", None),
    ],
)
def test_what_comfyui_gets_wrong_is_found(name: str, rule: str | None, tmp_path: Path) -> None:
    kind = made.KINDS["sdxl"]
    module = kind.modules(NETWORK)[NETWORK]
    exact = torch.float32
    case = lycoris_case(tmp_path, kind, module, {**LINEAR, **LYCORIS[name]}, exact=exact)
    reading = read(case.path, case.kind.base)
    found = [finding.rule for look in CHECKS for finding in look(reading)]
    assert found == ([rule] if rule else [])


@pytest.mark.parametrize(
    ("name", "formats"),
    [
        ("locon", ["kohya"]),
        ("locon with a core", ["lycoris"]),
        ("loha", ["lycoris"]),
        ("lokr of four", ["lycoris"]),
        ("dora over inputs", ["lycoris"]),
    ],
)
def test_lycoris_as_in_sd_scripts(
    name: str, formats: list[str], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Around latent-diffusion's names, which sd-scripts has too."""
    kind = made.KINDS["sdxl"]
    case = lycoris_case(
        tmp_path, kind, hosts_model(kind).diffusion_model, {**LINEAR, **LYCORIS[name]},
        prefix="lora_unet",
    )
    check(case, formats, caplog)


# ComfyUI


def hosts_model(kind: made.Kind) -> Any:
    from lora_kiln.tests.lora_format import comfy_models

    return comfy_models.make_model(kind.family, device="cpu", **kind.host)


class Wrapped:
    """Stands in for the patcher that ComfyUI's trainer hangs its adapters on."""

    def __init__(self, model: Any) -> None:
        self.model = model
        self.adapters: dict[str, Any] = {}

    def add_weight_wrapper(self, key: str, adapter: Any) -> None:
        self.adapters[key] = adapter


@pytest.mark.parametrize(
    ("family", "algorithm"),
    [("sdxl", "LoRA"), ("sdxl", "LoHa"), ("sdxl", "LoKr"), ("sdxl", "OFT"), ("flux1", "LoRA")],
)
def test_comfyui_trainer(
    family: str, algorithm: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """All of it, with norms and biases; in OFT, alpha is the limit itself."""
    from comfy_extras import nodes_train

    kind = made.KINDS[family]
    wrapped = Wrapped(hosts_model(kind))
    before = {NETWORK: made.state_of(wrapped.model.diffusion_model, kind.table[NETWORK])}
    tensors, _ = nodes_train._setup_lora_adapters(wrapped, {}, algorithm, torch.float32, 4)
    after = {NETWORK: dict(before[NETWORK])}
    for index, (key, adapter) in enumerate(wrapped.adapters.items()):
        made.fill(adapter, ("",), index)
        name = key.removeprefix("diffusion_model.")
        weight = before[NETWORK][name].float()
        if algorithm != "OFT":
            adapter, weight = adapter.double(), weight.double()
        with torch.no_grad():
            after[NETWORK][name] = adapter(weight).double()
    path = made.write(tmp_path, {key: tensor.float() for key, tensor in tensors.items()})
    formats = ["comfyui"] if algorithm == "LoRA" else ["lycoris"]
    rotates = algorithm == "OFT"
    exact = torch.float32 if rotates else torch.float64
    check(Case(kind, path, before, after), formats, caplog, 1e-5 if rotates else 1e-6, exact)


@pytest.mark.parametrize("kind_of", ["standard", "full_diff"])
def test_comfyui_lora_save(
    kind_of: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """The stock loader reads these files as they are: before and after, it makes the same."""
    import comfy.model_patcher
    from comfy_extras import nodes_lora_extract

    from lora_kiln.tests.lora_format import comfy_models

    kind = made.KINDS["sdxl"]
    model = hosts_model(kind)
    before = {NETWORK: made.state_of(model.diffusion_model, kind.table[NETWORK])}
    cpu = torch.device("cpu")
    patcher = comfy.model_patcher.ModelPatcher(model, cpu, cpu)
    tensors: dict[str, torch.Tensor] = nodes_lora_extract.calc_lora_model(
        patcher, 4, "diffusion_model.", "diffusion_model.", {},
        nodes_lora_extract.LORA_TYPES[kind_of], bias_diff=True,
    )
    weights = {f"diffusion_model.{key}": value for key, value in before[NETWORK].items()}
    changed = comfy_models.apply(
        comfy_models.load(tensors, comfy_models.names_read([model])), weights
    )
    after = {NETWORK: {
        key: changed.get(f"diffusion_model.{key}", value) for key, value in before[NETWORK].items()
    }}
    check(Case(kind, made.write(tmp_path, tensors), before, after), ["comfyui"], caplog)


# Names


@pytest.mark.parametrize("family", ["sdxl", "sd15", "z_image", "lumina2", "flux1"])
def test_diffusers_names_are_those_of_its_own_converter(family: str) -> None:
    """Every row of every weight is numbered; diffusers converts them from a checkpoint."""
    from diffusers.loaders import single_file_utils as utils

    shapes = table_of(family)[NETWORK].shapes
    prefix = "model.diffusion_model." if family.startswith("sd") else ""
    numbered = {
        f"{path}.{kind}": 1e6 * index + torch.arange(shape[0], dtype=torch.float64)
        for index, (path, shape) in enumerate(shapes.items())
        for kind in ("weight", "bias", "scale")
    }
    convert_checkpoint: Any = {
        "z_image": utils.convert_z_image_transformer_checkpoint_to_diffusers,
        "lumina2": utils.convert_lumina2_to_diffusers,
        "flux1": utils.convert_flux_transformer_checkpoint_to_diffusers,
    }.get(family, utils.convert_ldm_unet_checkpoint)
    config = {"layers_per_block": 2, "addition_embed_type": "text_time"}
    if family == "sd15":
        config = {"layers_per_block": 2}
    theirs = convert_checkpoint({prefix + k: v for k, v in numbered.items()}, config=config)
    ours = {}
    for name, target in table_of(family)[NETWORK].foreign_names().items():
        value = numbered[f"{target.module_path}.weight"]
        ours[name] = value[slice(*target.rows)] if target.rows else value
    for key, value in theirs.items():
        name, _, kind_of = key.rpartition(".")
        if kind_of == "weight" and name != "norm_out.linear":
            assert torch.equal(ours[name], value), name
            found = table_of(family)[NETWORK].find(name)
            assert found is not None
            assert table_of(family)[NETWORK].foreign(found) == name
