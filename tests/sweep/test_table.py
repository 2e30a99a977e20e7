"""The table: every cell with what decided it and how it was made."""

from __future__ import annotations

import csv
import io
import json

from lora_kiln.sweep.axis import AxisValues
from lora_kiln.sweep.cell_settings import CellSettings
from lora_kiln.sweep.cells import plan_sweep
from lora_kiln.sweep.table import CellOutcome, rows_of, to_csv

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
