"""Hugging Face's ImageFolder: tables at the top, in folders, and splits."""

from __future__ import annotations

import json
from typing import Any

import pytest

from lora_kiln.core.errors import DatasetError


def test_splits_with_a_table_each(mine: Any) -> None:
    mine.pictures("train/0001.png", "train/0002.png", "validation/0001.png", "test/0001.png")
    mine.text("train/metadata.csv", "file_name,text\n0001.png,one\n0002.png,two\n")
    mine.text("validation/metadata.jsonl", '{"file_name": "0001.png", "text": "held"}\n')
    mine.text("test/metadata.jsonl", '{"file_name": "0001.png", "text": "tested"}\n')
    items = mine.items()
    assert {name: (item.caption, item.role, item.subject) for name, item in items.items()} == {
        "train/0001.png": ("one", "train", None),
        "train/0002.png": ("two", "train", None),
        "validation/0001.png": ("held", "validation", None),
        "test/0001.png": ("tested", "validation", None),
    }
    assert items["train/0001.png"].caption_file == "train/metadata.csv"


def test_columns_that_mean_something(mine: Any) -> None:
    mine.pictures("a.png", "b.png", "c.png", "d.png")
    rows = [
        {"file_name": "a.png", "role": "Regularization", "repeats": 2.5, "loss_weight": 0.5},
        {"file_name": "b.png", "split": "test", "mood": "calm"},
        {"file_name": "c.png", "split": "fold-3", "role": "train"},
    ]
    mine.text("metadata.jsonl", "\n".join(map(json.dumps, rows)))
    items = mine.items()
    first = items["a.png"]
    assert (first.role, first.repeats, first.weight) == ("regularisation", 2.5, 0.5)
    assert (items["b.png"].role, items["b.png"].columns["mood"]) == ("validation", "calm")
    assert (items["c.png"].role, items["c.png"].columns["split"]) == ("train", "fold-3")
    assert (items["d.png"].role, items["d.png"].repeats) == ("train", 1.0)


@pytest.mark.parametrize(
    ("cell", "message"),
    [
        ("role,hero", "line 2: the role 'hero'. Expected one of train"),
        ("repeats,often", "line 2: repeats is 'often'. Expected a number from 0.01"),
        ("repeats,nan", "repeats is 'nan'"),
        ("repeats,0", "repeats is '0'"),
        ("loss_weight,-1", "loss_weight is '-1'. Expected a number from 0 to 1000"),
    ],
)
def test_cells_without_meaning_are_refused(mine: Any, cell: str, message: str) -> None:
    column, value = cell.split(",")
    mine.pictures("a.png").text("metadata.csv", f"file_name,{column}\na.png,{value}\n")
    with pytest.raises(DatasetError, match=message):
        mine.scan()


def test_the_nearest_table_counts(mine: Any) -> None:
    mine.pictures("x/a.png", "x/b.png").text(
        "metadata.csv", "file_name,text,year\nx/a.png,far,1910\nx/b.png,only,1911\nx/z.png,?,\n"
    )
    mine.text("x/metadata.csv", "file_name,text\na.png,near\n")
    items = mine.items()
    assert (items["x/a.png"].caption, items["x/b.png"].caption) == ("near", "only")
    assert "metadata.csv names pictures that are not here: x/z.png." in mine.scan().notes


@pytest.mark.parametrize(
    "name", ["../a.png", "/etc/passwd", "x/../../a.png", "C:/a.png", "C:\\a.png", "file:///a.png"]
)
def test_no_row_leads_out_of_the_folder(mine: Any, name: str) -> None:
    mine.pictures("a.png", "x/a.png")
    mine.text("x/metadata.jsonl", json.dumps({"file_name": name, "text": "escaped"}))
    with pytest.raises(DatasetError, match=r"x/metadata\.jsonl, line 1.*leads out of the folder"):
        mine.scan()
    dataset = mine.scan(lenient=True)
    assert [item.caption for item in dataset.items] == [None, None]


def test_two_tables_and_a_third_kind(mine: Any) -> None:
    mine.pictures("a.png").text("metadata.parquet", "PAR1")
    assert "Tables of a kind that is not read were left out: metadata.parquet." in mine.scan().notes
    mine.text("metadata.csv", "file_name\n").text("metadata.jsonl", "")
    dataset = mine.scan(lenient=True)
    assert sorted(fault.file for fault in dataset.faults) == ["metadata.csv", "metadata.jsonl"]
