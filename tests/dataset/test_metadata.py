"""Tables of captions, well and badly formed."""

from __future__ import annotations

from pathlib import Path

import pytest

from lora_kiln.core.errors import DatasetError
from lora_kiln.dataset.metadata import MetadataRow, read_metadata


def test_csv(tmp_path: Path) -> None:
    (tmp_path / "metadata.csv").write_bytes(
        b'\xef\xbb\xbffile_name , text,mood\r\n.\\a\\b.png,"one, two",calm\r\n\r\nc.png,,\r\n'
    )
    metadata = read_metadata(tmp_path)
    assert metadata.file == "metadata.csv"
    assert metadata.rows == {
        "a/b.png": MetadataRow("one, two", None, {"mood": "calm"}),
        "c.png": MetadataRow(),
    }


def test_jsonl(tmp_path: Path) -> None:
    lines = [
        '{"file_name": "e\\u0301.png", "caption": "c", "text": "t", "tags": ["x", "y"], "n": 3}',
        "",
        '{"file_name": "b.png", "subject": "cat", "note": null}',
    ]
    (tmp_path / "metadata.jsonl").write_text("\n".join(lines), encoding="utf-8")
    rows = read_metadata(tmp_path).rows
    assert rows["\u00e9.png"] == MetadataRow("c", None, {"tags": "x, y", "n": "3"})
    assert rows["b.png"] == MetadataRow(None, "cat", {})


def test_none(tmp_path: Path) -> None:
    assert read_metadata(tmp_path).rows == {}


@pytest.mark.parametrize(
    ("file", "text", "message"),
    [
        ("csv", "name,caption\na.png,x\n", "line 2: no file_name"),
        ("csv", "file_name,caption\na.png,x,y\n", "line 2: 3 cells. Expected 2"),
        ("csv", "file_name,caption\na.png,x\n./a.png,y\n", "line 3: a.png for the second time"),
        ("csv", "file_name,c,c\n", "line 1: two columns of one name"),
        ("csv", 'file_name,c\na.png,"open\n', "line "),
        ("jsonl", '{"file_name": "a.png"}\n{"file_name"\n', "line 2"),
        ("jsonl", "[1]", "line 1: list"),
        ("jsonl", '{"file_name": "a.png", "box": {"x": 1}}', "nested value in 'box'"),
    ],
)
def test_malformed_tables_name_the_line(tmp_path: Path, file: str, text: str, message: str) -> None:
    (tmp_path / f"metadata.{file}").write_text(text, encoding="utf-8")
    with pytest.raises(DatasetError, match=message):
        read_metadata(tmp_path)


def test_two_tables_contradict_each_other(tmp_path: Path) -> None:
    for ending in ("csv", "jsonl"):
        (tmp_path / f"metadata.{ending}").write_text("")
    with pytest.raises(DatasetError, match="both"):
        read_metadata(tmp_path)


def test_columns_that_a_spreadsheet_left_behind(tmp_path: Path) -> None:
    (tmp_path / "metadata.csv").write_text("file_name,caption,,\na.png,one,,\nb.png,two\n")
    rows = read_metadata(tmp_path).rows
    assert {name: row.caption for name, row in rows.items()} == {"a.png": "one", "b.png": "two"}
    (tmp_path / "metadata.csv").write_text("file_name,caption,,\na.png,one,,lost\n")
    with pytest.raises(DatasetError, match="4 cells"):
        read_metadata(tmp_path)
