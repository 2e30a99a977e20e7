"""The table: every cell with what decided it and how it was made."""

from __future__ import annotations

import csv
import io
import json
import math

import pytest

from lora_kiln.sweep.axis import AxisValues
from lora_kiln.sweep.cell_settings import CellSettings
from lora_kiln.sweep.cells import plan_sweep
from lora_kiln.sweep.table import CellOutcome, columns_of, rows_of, to_csv, to_json

PROMPT = 'a "star", red;\nsecond line, ünïcode'


def test_rows_survive_csv_and_json() -> None:
    plan = plan_sweep(CellSettings(prompt=PROMPT, seed=2**62), [AxisValues("cfg", (2.0, 7.5))])
    outcomes = {cell.index: CellOutcome("batched", "", 0.25, batch=4) for cell in plan.cells}
    outcomes[2] = CellOutcome("failed", "", 0.0, error="why, exactly?")
    outcomes[3] = CellOutcome("alone", "a reason", 1.5, effect=0.125, parity=3e-7)
    rows = rows_of(plan.cells, outcomes)
    assert json.loads(json.dumps(rows)) == rows
    read = list(csv.DictReader(io.StringIO(to_csv(rows))))
    assert [row["cell"] for row in read] == ["0", "1", "2", "3"]
    assert read[0]["prompt"] == PROMPT
    assert read[0]["seed"] == str(2**62)
    assert (read[2]["mode"], read[2]["error"]) == ("failed", "why, exactly?")
    assert float(read[3]["parity"]) == 3e-7
    assert read[0]["parity"] == ""
    assert [(row["row"], row["column"], row["cfg"], row["strength"]) for row in read] == [
        ("0", "0", "2.0", "0.0"), ("0", "1", "2.0", "1.0"),
        ("1", "0", "7.5", "0.0"), ("1", "1", "7.5", "1.0"),
    ]


def test_columns_come_in_a_stable_order_with_a_label_per_axis() -> None:
    axes = [AxisValues("strength", (0.5,), "model"), AxisValues("cfg", (2.0, 7.5))]
    plan = plan_sweep(CellSettings(clip_strength=1.0), axes)
    assert plan.hidden
    outcomes = {cell.index: CellOutcome("batched", "", 0.25) for cell in plan.drawn}
    rows = rows_of(plan.drawn, outcomes, plan.axes)
    assert columns_of(rows) == [
        "cell", "page", "row", "column", "axis_strength", "axis_cfg", "lora", "strength",
        "clip_strength", "blocks", "cfg", "seed", "steps", "sampler", "scheduler", "prompt",
        "negative", "width_px", "height_px", "mode", "reason", "seconds", "error", "effect",
        "parity", "batch", "origin", "keys_matched", "keys", "inert",
    ]  # fmt: skip
    assert (rows[-1]["axis_strength"], rows[-1]["axis_cfg"]) == ("", "")
    last = rows[len(plan.cells) - 1]
    assert (last["axis_strength"], last["axis_cfg"]) == ("model strength 0.5", "CFG 7.5")
    assert to_csv([{"a": 1}, {"a": 2, "b": 3}]) == "a,b\n1,\n2,3\n"
    assert to_csv([]).strip() == ""


@pytest.mark.parametrize(
    ("value", "written"),
    [
        ("=1+1", "'=1+1"), ("@SUM(A1)", "'@SUM(A1)"), ("+cat", "'+cat"), ("-cat", "'-cat"),
        (" =x", "' =x"), ("\t=x", "'\t=x"), ("＝x", "'＝x"), ("-0.5", "-0.5"), ("+3", "+3"),
        (-0.5, "-0.5"), (-3, "-3"), ("a=b", "a=b"), ("", ""), (None, ""), ("-1+cmd|x", "'-1+cmd|x"),
        ("a\ud800b", "a?b"),
    ],
)  # fmt: skip
def test_no_text_becomes_a_formula_and_no_number_is_changed(value: object, written: str) -> None:
    (row,) = csv.DictReader(io.StringIO(to_csv([{"n": 1, "v": value}])))
    assert row["v"] == written


def test_json_is_strict_and_keeps_the_order() -> None:
    def refuse(name: str) -> None:
        raise AssertionError(name)

    text = to_json({"b": [math.nan, math.inf, -0.5, "ü\ud800"], "a": (1, None, True)})
    read = json.loads(text, parse_constant=refuse)
    assert read == {"b": [None, None, -0.5, "ü?"], "a": [1, None, True]}
    assert list(read) == ["b", "a"]
    assert text.encode("utf-8")
