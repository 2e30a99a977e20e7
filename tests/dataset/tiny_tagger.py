"""A real ONNX tagger with the signature of the WD taggers, made in a moment.

Its tags are the mean colours of the square that it is shown, so that a wrong order of channels,
another padding or another range of values shows.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

SIZE_PX = 32
TAGS = (
    ("general", 9), ("explicit", 9), ("red_hair", 0), ("blue_sky", 0), ("green_(leaf)", 0),
    ("^_^", 0), ("dark", 0), ("hatsune_miku", 4),
)
# One row for each of mean blue, green, red in 0..255, divided by 255; then the bias. Logits.
_WEIGHTS = {
    "general": ((0, 0, 0), 2.0), "explicit": ((0, 0, 0), -2.0), "red_hair": ((-8, -8, 8), -1.0),
    "blue_sky": ((8, -8, -8), -1.0), "green_(leaf)": ((-8, 8, -8), -1.0), "^_^": ((4, 4, 4), -10.0),
    "dark": ((-9, -9, -9), 5.0), "hatsune_miku": ((3, 3, -6), -1.5),
}


def save_tagger(
    folder: Path, *, name: str = "", channels_first: bool = False, batch: int | None = None,
    scale: float = 1.0, logits: bool = False,
) -> Path:
    """Write ``model.onnx`` and ``selected_tags.csv``, or ``name.onnx`` and ``name.csv``.

    Args:
        folder: made where it is not there.
        name: of a flat pair.
        channels_first: take (N, 3, H, W).
        batch: a fixed batch size.
        scale: another model of the same shape.
        logits: leave out the sigmoid.
    """
    folder.mkdir(parents=True, exist_ok=True)
    model, table = (f"{name}.onnx", f"{name}.csv") if name else ("model.onnx", "selected_tags.csv")
    (folder / model).write_bytes(_onnx_bytes(channels_first, batch, scale, logits))
    rows = [f"{1000 + i},{tag},{category},{10 - i}" for i, (tag, category) in enumerate(TAGS)]
    text = "\n".join(["tag_id,name,category,count", *rows]) + "\n"
    (folder / table).write_text(text, encoding="utf-8")
    return folder


def _onnx_bytes(channels_first: bool, batch: int | None, scale: float, logits: bool) -> bytes:
    from onnx import TensorProto, checker, helper, numpy_helper

    weights = np.array([_WEIGHTS[tag][0] for tag, _ in TAGS], dtype=np.float32).T * scale / 255
    bias = np.array([_WEIGHTS[tag][1] for tag, _ in TAGS], dtype=np.float32)
    first: int | str = batch or "batch"
    square = [SIZE_PX, SIZE_PX]
    shape = [first, 3, *square] if channels_first else [first, *square, 3]
    axes = np.array([2, 3] if channels_first else [1, 2], dtype=np.int64)
    last = "sum" if logits else "predictions_sigmoid"
    nodes = [
        helper.make_node("ReduceMean", ["input", "axes"], ["mean"], keepdims=0),
        helper.make_node("MatMul", ["mean", "weights"], ["product"]),
        helper.make_node("Add", ["product", "bias"], ["sum"]),
    ]
    if not logits:
        nodes.append(helper.make_node("Sigmoid", ["sum"], [last]))
    graph = helper.make_graph(
        nodes, "tagger",
        [helper.make_tensor_value_info("input", TensorProto.FLOAT, shape)],
        [helper.make_tensor_value_info(last, TensorProto.FLOAT, [first, len(TAGS)])],
        [
            numpy_helper.from_array(axes, "axes"),
            numpy_helper.from_array(weights, "weights"),
            numpy_helper.from_array(bias, "bias"),
        ],
    )
    made = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=8)
    checker.check_model(made)
    return made.SerializeToString()


def expected(rgb: tuple[float, float, float]) -> dict[str, float]:
    """Probabilities of a square whose mean colour is this, 0 to 255."""
    red, green, blue = (value / 255 for value in rgb)
    found = {}
    for tag, (row, bias) in _WEIGHTS.items():
        logit = float(np.dot(row, (blue, green, red))) + bias
        found[tag] = 1 / (1 + np.exp(-logit))
    return found
