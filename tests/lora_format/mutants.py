"""Headers of real LoRAs with something wrong: deterministic mutants that know a header's structure.

A mutant is made in three stages, each of which may do nothing: changes of the parsed tree (names,
dtypes, shapes, offsets, metadata), of single tokens of the JSON text, and of bytes and lengths.
After changes of the tree the data are mostly laid out anew, so that many mutants are whole files of
a strange LoRA, which a reader must get through.
"""

from __future__ import annotations

import json
import math
import random
import re
from collections.abc import Callable
from typing import Any

from lora_kiln.lora_format.header import DTYPE_BITS

Pairs = list[tuple[str, Any]]
"""A JSON object whose names may stand there twice."""
MAX_DATA = 1 << 16


def _entries(shapes: dict[str, tuple[int, ...]], dtype: str) -> Pairs:
    return _laid_out([
        (key, {"dtype": dtype, "shape": list(shape), "data_offsets": [0, 0]})
        for key, shape in shapes.items()
    ])


def _lora(modules: dict[str, tuple[int, int]], down: str, up: str, alpha: str) -> Pairs:
    """Entries of rank 2 for modules of (outputs, inputs)."""
    shapes: dict[str, tuple[int, ...]] = {}
    for name, (outputs, inputs) in modules.items():
        shapes |= {name + down: (2, inputs), name + up: (outputs, 2)}
        if alpha:
            shapes[name + alpha] = ()
    return _entries(shapes, "F16")


KOHYA = {
    "lora_unet_input_blocks_4_1_proj_in": (640, 640),
    "lora_unet_input_blocks_4_1_transformer_blocks_0_attn2_to_k": (640, 2048),
    "lora_unet_output_blocks_3_1_transformer_blocks_1_ff_net_2": (640, 2560),
    "lora_te1_text_model_encoder_layers_0_self_attn_q_proj": (768, 768),
    "lora_te2_text_model_encoder_layers_3_self_attn_q_proj": (1280, 1280),
}
DIFFUSERS = {
    "unet.down_blocks.1.attentions.0.proj_in": (640, 640),
    "unet.up_blocks.1.attentions.0.transformer_blocks.0.attn1.to_out.0": (640, 640),
    "text_encoder.text_model.encoder.layers.0.mlp.fc1": (3072, 768),
    "text_encoder_2.text_model.encoder.layers.0.self_attn.out_proj": (1280, 1280),
}
PEFT = {
    "base_model.model.down_blocks.1.attentions.0.proj_in": (640, 640),
    "base_model.model.mid_block.attentions.0.transformer_blocks.2.attn2.to_v": (1280, 2048),
}
Z_IMAGE = {
    "diffusion_model.layers.0.attention.to_q": (3840, 3840),
    "diffusion_model.layers.0.attention.to_out.0": (3840, 3840),
    "diffusion_model.layers.1.attention.qkv": (11520, 3840),
    "diffusion_model.noise_refiner.0.adaLN_modulation.0": (15360, 256),
}
FLUX = {
    "transformer.single_transformer_blocks.0.attn.to_q": (3072, 3072),
    "transformer.single_transformer_blocks.0.proj_mlp": (12288, 3072),
    "transformer.transformer_blocks.3.attn.add_k_proj": (3072, 3072),
}
LYCORIS: dict[str, tuple[int, ...]] = {
    "lora_unet_input_blocks_1_0_in_layers_2.lora_down.weight": (2, 320, 1, 1),
    "lora_unet_input_blocks_1_0_in_layers_2.lora_mid.weight": (2, 2, 3, 3),
    "lora_unet_input_blocks_1_0_in_layers_2.lora_up.weight": (320, 2, 1, 1),
    "lora_unet_input_blocks_1_0_in_layers_2.alpha": (),
    "lora_unet_input_blocks_4_1_proj_in.hada_w1_a": (640, 2),
    "lora_unet_input_blocks_4_1_proj_in.hada_w1_b": (2, 640),
    "lora_unet_input_blocks_4_1_proj_in.hada_w2_a": (640, 2),
    "lora_unet_input_blocks_4_1_proj_in.hada_w2_b": (2, 640),
    "lora_unet_input_blocks_4_1_proj_in.dora_scale": (1, 640),
    "lora_unet_input_blocks_4_1_proj_out.lokr_w1": (8, 8),
    "lora_unet_input_blocks_4_1_proj_out.lokr_w2_a": (80, 2),
    "lora_unet_input_blocks_4_1_proj_out.lokr_w2_b": (2, 80),
    "lora_unet_output_blocks_3_1_proj_in.oft_blocks": (8, 8, 8),
    "lora_unet_output_blocks_3_1_proj_in.rescale": (640, 1),
    "lora_unet_out_0.w_norm": (320,),
    "lora_unet_out_0.b_norm": (320,),
    "lora_unet_out_2.diff": (4, 320, 3, 3),
    "lora_unet_out_2.diff_b": (4,),
    "bundle_emb.my trigger.clip_l": (1, 768),
    "bundle_emb.my trigger.clip_g": (1, 1280),
}
PEFT_DORA: dict[str, tuple[int, ...]] = {
    "unet.mid_block.attentions.0.proj_in.lora_A.weight": (2, 1280),
    "unet.mid_block.attentions.0.proj_in.lora_B.weight": (1280, 2),
    "unet.mid_block.attentions.0.proj_in.lora_magnitude_vector": (1280,),
    "unet.mid_block.attentions.0.transformer_blocks.1.attn2.to_k.lora_A.weight": (2, 2048),
    "unet.mid_block.attentions.0.transformer_blocks.1.attn2.to_k.lora_B.weight": (1280, 2),
    "unet.mid_block.attentions.0.transformer_blocks.1.attn2.to_k.lora_magnitude_vector": (1280,),
}


def _seeds() -> tuple[Pairs, ...]:
    settings = {"unet.r": 2, "unet.lora_alpha": 4, "unet.alpha_pattern": {"proj_in": 1.5}}
    return (
        [("__metadata__", {
            "ss_network_dim": "2", "ss_tag_frequency": json.dumps({"1_x": {'a "tag"': 3}}),
            "modelspec.title": "Größe 猫",
        }), *_lora(KOHYA, ".lora_down.weight", ".lora_up.weight", ".alpha")],
        [("__metadata__", {"lora_adapter_metadata": json.dumps(settings)}),
         *_lora(DIFFUSERS, ".lora_A.weight", ".lora_B.weight", "")],
        _lora(PEFT, ".lora_A.default.weight", ".lora_B.default.weight", ""),
        _lora(Z_IMAGE, ".lora_A.weight", ".lora_B.weight", ""),
        _lora(FLUX, ".lora_A.weight", ".lora_B.weight", ""),
        [*_entries(LYCORIS, "F32"), ("__metadata__", {"format": "pt"})],
        _entries(PEFT_DORA, "BF16"),
    )


# Stage 1: the tree.


def _tensors(tree: Pairs) -> list[int]:
    return [
        place for place, (_, value) in enumerate(tree)
        if isinstance(value, dict) and isinstance(value.get("shape"), list)
    ]


def _one(tree: Pairs, draw: random.Random) -> dict[str, Any] | None:
    places = _tensors(tree)
    return tree[draw.choice(places)][1] if places else None


def _drop(tree: Pairs, draw: random.Random) -> None:
    if tree:
        del tree[draw.randrange(len(tree))]


def _repeat(tree: Pairs, draw: random.Random) -> None:
    if tree:
        key, value = draw.choice(tree)
        if draw.random() < 0.7:
            key = _other_name(key, tree, draw)
        tree.insert(draw.randrange(len(tree) + 1), (key, _copied(value)))


def _rename(tree: Pairs, draw: random.Random) -> None:
    places = _tensors(tree)
    if places:
        place = draw.choice(places)
        key, value = tree[place]
        tree[place] = (_other_name(key, tree, draw), value)


def _other_name(key: str, tree: Pairs, draw: random.Random) -> str:
    kind = draw.randrange(7)
    if kind == 0:
        return draw.choice(ODD_NAMES)
    if kind == 1:  # another ending
        stem, dot, _ = key.rpartition(".")
        return stem + dot + draw.choice(ENDINGS)
    if kind == 2:  # another number
        return re.sub(r"\d+", lambda _: str(draw.choice((0, 1, 2, 5, 99))), key, count=1)
    if kind == 3:  # another prefix
        return draw.choice(PREFIXES) + key.partition("." if "." in key else "_")[2]
    if kind == 4:  # the beginning of one, the end of another
        other = draw.choice(tree)[0]
        return key[: draw.randrange(len(key) + 1)] + other[draw.randrange(len(other) + 1):]
    if kind == 5:
        return key.replace("_", ".") if draw.random() < 0.5 else key.replace(".", "_")
    place = draw.randrange(len(key) + 1)
    return key[:place] + draw.choice(ODD_TEXT) + key[place:]


ODD_NAMES = (
    "", ".", "alpha", ".alpha", "lora_unet_", "lora_unet_.alpha", "unet.", "clip_l", "clip_g",
    "bundle_emb.", "bundle_emb..clip_l", "bundle_emb.a.clip_l_out", "base_model.model.lora_A",
    "lora_te1_.lora_down.weight", "text_encoder.lora_A.weight", "lora_controlnet", "__metadata__",
    "lora_te.x.lora_up.weight", "lora_te9.alpha", "a" * 600, "../a", "a\0b", "model.layers.0.diff",
    "weights.0.lora_up.weight", "lora_unet__", "lora_te", "lora_te1", "lora_te.", "lora_te1.",
)
ENDINGS = (
    "alpha", "lora_down.weight", "lora_up.weight", "lora_mid.weight", "dora_scale", "diff",
    "diff_b", "w_norm", "b_norm", "oft_blocks", "oft_diag", "oft_R", "rescale", "hada_w1_a",
    "hada_t1", "hada_t2", "lokr_w1", "lokr_w2", "lokr_t2", "lora_A.x.weight", "lora_B.y.weight",
    "lora_magnitude_vector.default", "lora_magnitude_vector", "weight", "bias", "processor.alpha",
)
PREFIXES = (
    "lora_unet_", "lora_te1_", "lora_te2_", "lora_te3_", "lora_te_", "lycoris_", "unet.",
    "transformer.", "text_encoder.", "text_encoder_2.", "text_encoder_3.", "diffusion_model.",
    "base_model.model.", "unet.base_model.model.", "text_encoder_2.base_model.model.",
    "text_encoders.clip_l.transformer.", "lora_transformer_", "clip_l.", "lora_te1.", "",
)
ODD_TEXT = (".", "_", "..", "/", "\\", '"', "é", "\N{GRINNING FACE}", "\ud800", "\x00", "\n", " ")


def _change_dtype(tree: Pairs, draw: random.Random) -> None:
    entry = _one(tree, draw)
    if entry is not None:
        entry["dtype"] = draw.choice((*DTYPE_BITS, "F16", "BF16", "F32", "F17", "f16", "", None, 5))


def _change_shape(tree: Pairs, draw: random.Random) -> None:
    entry = _one(tree, draw)
    if entry is None:
        return
    shape, kind = entry["shape"], draw.randrange(10)
    if kind == 0 and shape:
        shape[draw.randrange(len(shape))] = draw.choice(ODD_SIZES)
    elif kind == 1:
        shape.insert(draw.randrange(len(shape) + 1), draw.choice((0, 1, 1, 1, 2, 3, True, 1.0)))
    elif kind == 2 and shape:
        del shape[draw.randrange(len(shape))]
    elif kind == 3:
        shape.reverse()
    elif kind == 4:
        entry["shape"] = [math.prod(size for size in shape if type(size) is int)]
    elif kind == 5:
        entry["shape"] = list(draw.choice(ODD_SHAPES))
    elif kind == 6:
        other = _one(tree, draw)
        assert other is not None
        entry["shape"], other["shape"] = other["shape"], shape
    elif kind < 9 and shape:  # a size that another one has
        other = _one(tree, draw)
        assert other is not None
        shape[draw.randrange(len(shape))] = draw.choice(other["shape"] or [1])
    elif shape:
        place = draw.randrange(len(shape))
        if type(shape[place]) is int:
            shape[place] += draw.choice((-1, 1, 2))


ODD_SHAPES: tuple[list[int], ...] = (
    [], [0], [1], [0, 0], [1, 0, 1], [1] * 8, [1] * 9, [2, 3, 4], [1 << 33, 1 << 33, 0],
    [0, 1 << 33, 1 << 33], [1 << 62, 4, 0], [1 << 32, 1 << 32],
)
ODD_SIZES: tuple[Any, ...] = (
    0, 1, 2, 3, 4, 640, -1, True, 1.0, None, "1", [1], 1 << 31, 1 << 32, 1 << 40, (1 << 40) + 1,
    1 << 62, 1 << 63, (1 << 64) - 1, 1 << 64, 10**30,
)


def _change_offsets(tree: Pairs, draw: random.Random) -> None:
    entry = _one(tree, draw)
    other = _one(tree, draw)
    if entry is None or other is None:
        return
    kind = draw.randrange(5)
    if kind == 0:
        places = list(_whole_offsets(entry)), list(_whole_offsets(other))
        other["data_offsets"], entry["data_offsets"] = places
    elif kind == 1:
        entry["data_offsets"] = list(_whole_offsets(other))
    elif kind == 2:
        step = draw.choice((-8, -4, -1, 1, 2, 4, 1 << 20, 1 << 63))
        entry["data_offsets"] = [place + step for place in _whole_offsets(entry)]
    elif kind == 3:  # the same numbers of another type
        start, stop = _whole_offsets(entry)
        entry["data_offsets"] = draw.choice(
            ([bool(start), stop], [float(start), stop], [str(start), stop], [start, float(stop)])
        )
    else:
        entry["data_offsets"] = draw.choice(
            ([], [0], [0, 0], [4, 0], [0, 1, 2], ["0", "4"], None, {}, [True, 4], [0.0, 4])
        )


def _whole_offsets(entry: dict[str, Any]) -> tuple[int, int]:
    offsets = entry.get("data_offsets")
    if isinstance(offsets, list) and len(offsets) == 2 and {*map(type, offsets)} == {int}:
        return offsets[0], offsets[1]
    return 0, 0


def _swap_values(tree: Pairs, draw: random.Random) -> None:
    if tree:
        one, two = draw.randrange(len(tree)), draw.randrange(len(tree))
        (key, value), (other_key, other) = tree[one], tree[two]
        tree[one], tree[two] = (key, other), (other_key, value)


def _reorder(tree: Pairs, draw: random.Random) -> None:
    draw.shuffle(tree)


def _spoil_entry(tree: Pairs, draw: random.Random) -> None:
    entry = _one(tree, draw)
    if entry is None:
        return
    kind = draw.randrange(4)
    if kind == 0:
        del entry[draw.choice(list(entry))]
    elif kind == 1:
        entry[draw.choice(("strides", "dtype ", "", "__metadata__"))] = draw.choice(JUNK)
    elif kind == 2:
        entry[draw.choice(list(entry))] = draw.choice(JUNK)
    else:
        items = list(entry.items())
        draw.shuffle(items)
        entry.clear()
        entry.update(items)


JUNK: tuple[Any, ...] = (
    None, True, 0, -1, 1.5, "", "F16", [], [[]], [0, 4], {}, {"a": {}}, {"dtype": "F16"}, 10**25,
    "\ud800", [None], {"__metadata__": {}},
)


def _insert_junk(tree: Pairs, draw: random.Random) -> None:
    tree.insert(draw.randrange(len(tree) + 1), (draw.choice(ODD_NAMES), draw.choice(JUNK)))


def _insert_tensor(tree: Pairs, draw: random.Random) -> None:
    shape = draw.choice(([], [0], [1], [2], [4, 0], [2, 640], [640, 2], [640]))
    entry = {"dtype": draw.choice(tuple(DTYPE_BITS)), "shape": shape, "data_offsets": [0, 0]}
    key = draw.choice(tree)[0] if tree else "a"
    name = key.rpartition(".")[0] + "." + draw.choice(ENDINGS)
    tree.insert(draw.randrange(len(tree) + 1), (name, entry))


def _change_metadata(tree: Pairs, draw: random.Random) -> None:
    value: Any = {"format": "pt", draw.choice(ODD_TEXT): draw.choice(ODD_TEXT)}
    kind = draw.randrange(6)
    if kind == 0:
        value = draw.choice(JUNK)
    elif kind == 1:
        value["x"] = draw.choice(JUNK)
    elif kind < 5:
        value["lora_adapter_metadata"] = _scales(draw)
    tree[:] = [(key, old) for key, old in tree if key != "__metadata__"]
    tree.insert(draw.randrange(len(tree) + 1), ("__metadata__", value))


def _scales(draw: random.Random) -> str:
    number = draw.choice(("1", "2.5", "0", "-1", "1e999", "NaN", "null", "true", '"8"', "[]", "{}",
                          "9" * 400, "9" * 5000, '{"proj_in": 4}', '{"proj_in": [1]}'))
    names = ("r", "lora_alpha", "alpha_pattern", "rank_pattern", "use_rslora", "alpha")
    prefix = draw.choice(("unet.", "transformer.", "text_encoder.", "", "..", "unet.unet."))
    text = f'{{"{prefix}{draw.choice(names)}": {number}, "{prefix}{draw.choice(names)}": {number}}}'
    return text if draw.random() < 0.9 else draw.choice(("[" * 3000, "{", "[]", "1", text + "x"))


def _nest(tree: Pairs, draw: random.Random) -> None:
    if tree:
        place = draw.randrange(len(tree))
        key, value = tree[place]
        tree[place] = (key, [value] if draw.random() < 0.5 else {"a": value})


TREE: tuple[Callable[[Pairs, random.Random], None], ...] = (
    _drop, _repeat, _rename, _rename, _rename, _change_dtype, _change_shape, _change_shape,
    _change_shape, _change_offsets, _swap_values, _reorder, _spoil_entry, _insert_junk,
    _insert_tensor, _change_metadata, _nest,
)


def _copied(value: Any) -> Any:
    """A copy of what changes can change."""
    if isinstance(value, dict):
        return {
            key: list(item) if isinstance(item, list) else item for key, item in value.items()
        }
    return value


def _laid_out(tree: Pairs) -> Pairs:
    """Give tensors their places one behind the other, where shapes make sense."""
    position = 0
    for place in _tensors(tree):
        entry = tree[place][1]
        dtype, shape = entry.get("dtype"), entry["shape"]
        if not all(isinstance(size, (int, float)) and size >= 0 for size in shape):
            continue
        count = int(math.prod(shape))
        if count < 1 << 30 and isinstance(dtype, str) and dtype in DTYPE_BITS:
            end = position + -(-count * DTYPE_BITS[dtype] // 8)
            entry["data_offsets"] = [position, end]
            position = end
    return tree


def _data_bytes(tree: Pairs) -> int:
    ends = (_whole_offsets(tree[place][1])[1] for place in _tensors(tree))
    return min(max(ends, default=0), 1 << 40)


# Stage 2: tokens of the text.

TOKEN = re.compile(r'"(?:[^"\\]|\\.)*"|\d+|[][{}:,]')
ODD_TOKENS = (
    "-0", "1.0", "1e0", "1e400", "NaN", "Infinity", "-Infinity", "01", "true", "null", '"', "''",
    "[", "]", "{", "}", ",", ":", "[[[[", '"\\ud800"', '"\\u0000"', '"__metadata__":{},', "\ufeff",
    "9" * 4301, "18446744073709551616", "//", " ", "\x00", '"dtype":"F16",', '"shape":[0],', "\\",
)


SPELLINGS = ("-{}", "+{}", "{}.0", "{}e0", "0{}", " {}", "0x{}", '"{}"', "[{}]", "{}0", "\t{}\n")


def _with_odd_tokens(text: str, draw: random.Random) -> str:
    places = [match.span() for match in TOKEN.finditer(text)]
    numbers = [(start, stop) for start, stop in places if text[start].isdigit()]
    if not places:
        return text
    if numbers and draw.random() < 0.3:  # the same number, spelt as JSON does not
        zeros = [(start, stop) for start, stop in numbers if text[start:stop] == "0"]
        start, stop = draw.choice(zeros if zeros and draw.random() < 0.3 else numbers)
        return text[:start] + draw.choice(SPELLINGS).format(text[start:stop]) + text[stop:]
    start, stop = draw.choice(places)
    kind = draw.randrange(4)
    if kind == 0:
        return text[:start] + text[stop:]
    if kind == 1:
        return text[:start] + draw.choice(ODD_TOKENS) + text[stop:]
    if kind == 2:
        return text[:start] + draw.choice(ODD_TOKENS) + text[start:]
    other, end = draw.choice(places)
    return text[:start] + text[other:end] + text[stop:]


# Stage 3: bytes.


def _with_odd_bytes(raw: bytes, draw: random.Random) -> bytes:
    place = draw.randrange(len(raw) + 1)
    kind = draw.randrange(7)
    if kind == 0:
        return raw[:place]
    if kind == 1:
        return raw[:place] + bytes([draw.randrange(256)]) + raw[place + 1:]
    if kind == 2:
        return raw[:place] + bytes([raw[place % len(raw)] ^ 1 << draw.randrange(8)]) + \
            raw[place + 1:] if raw else raw
    if kind == 3:
        return raw[:place] + raw[draw.randrange(len(raw) + 1):]
    if kind == 4:
        return raw + draw.choice((b" ", b" " * 7, b"\n", b"\0", b"}", b"{}", b"x"))
    if kind == 5:
        return draw.choice((b" ", b"\xef\xbb\xbf", b"\n", b"[")) + raw
    return raw[:place] + draw.randbytes(draw.randrange(1, 9)) + raw[place:]


class Mutants:
    """A source of mutants, the same ones for the same seed.

    Args:
        seed: of the random numbers.
    """

    def __init__(self, seed: int) -> None:
        self.draw = random.Random(seed)
        self.seeds = _seeds()

    def header(self) -> tuple[bytes, int]:
        """The next mutant: its JSON, and how many bytes of data stand behind it."""
        draw = self.draw
        tree = [(key, _copied(value)) for key, value in draw.choice(self.seeds)]
        changes = draw.choice((0, 1, 1, 1, 2, 2, 3, 4))
        for _ in range(changes):
            draw.choice(TREE)(tree, draw)
        if draw.random() < 0.7:
            _laid_out(tree)
            if draw.random() < 0.1:
                _change_offsets(tree, draw)
        size = _data_bytes(tree)
        text = "{" + ",".join(
            f"{json.dumps(key)}:{json.dumps(value)}" for key, value in tree
        ) + "}"
        if draw.random() < (0.1 if changes else 0.6):
            text = _with_odd_tokens(text, draw)
        raw = text.encode("utf-8", "surrogatepass")
        if draw.random() < 0.1:
            raw = _with_odd_bytes(raw, draw)
        if draw.random() < 0.05:
            size = max(0, size + draw.choice((-4, -1, 1, 8)))
        return raw, size
