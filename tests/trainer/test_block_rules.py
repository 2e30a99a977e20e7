"""The grammar of block weights."""

from __future__ import annotations

import pytest

from lora_kiln.core.errors import ConfigError
from lora_kiln.trainer.adapter_settings import AdapterSettings
from lora_kiln.trainer.block_rules import BlockRule, check_labels, read_rules

LABELS = [*(f"in{n}" for n in range(9)), "mid", *(f"out{n}" for n in range(9))]
READ = {
    "in0-in3: off": BlockRule(blocks=("in0", "in1", "in2", "in3"), rank=0),
    "in0-3: off": BlockRule(blocks=("in0", "in1", "in2", "in3"), rank=0),
    "mid, out0-out2: rank=32 lr=0.5": BlockRule(
        blocks=("mid", "out0", "out1", "out2"), rank=32, rate=0.5
    ),
    "*: rank=8, alpha=4": BlockRule(blocks=("*",), rank=8, alpha=4.0),
    "out : alpha=.5": BlockRule(blocks=("out",), alpha=0.5),
    "noise_refiner0-1: lr=1e-1": BlockRule(blocks=("noise_refiner0", "noise_refiner1"), rate=0.1),
    "in4: rank=16.0 lr=0": BlockRule(blocks=("in4",), rank=16, rate=0.0),
    "in7-in7: rank=0": BlockRule(blocks=("in7",), rank=0),
}
UNREADABLE = [
    "in0", "in0:", ": off", "in0 off", "in0: on", "in0: rank", "in0: rank=", "in0: rank=2.5",
    "in0: rank=-1", "in0: rank=1025", "in0: rank=1e999", "in0: alpha=0", "in0: alpha=1e999",
    "in0: lr=-1", "in0: lr=1e9", "in0: rank=+-", "in0: dropout=1", "in3-in0: off", "in0-out3: off",
    "in0-in99999999999: off", "in-3: off", "IN0: off", "in0,,in1: off", "in0: off rank=4",
    "in*: off", "0-3: off", "in0: rank=nan",
]


@pytest.mark.parametrize("line", READ)
def test_what_is_read(line: str) -> None:
    assert read_rules(line) == (READ[line],)


def test_lines_are_rules_in_their_order() -> None:
    text = "\n  in0: off \n\n# a remark\n*: lr=2\n"
    assert read_rules(text) == (
        BlockRule(blocks=("in0",), rank=0), BlockRule(blocks=("*",), rate=2.0)
    )
    assert read_rules(" \n") == ()


@pytest.mark.parametrize("line", UNREADABLE)
def test_errors_name_the_line(line: str) -> None:
    with pytest.raises(ConfigError) as caught:
        AdapterSettings(block_weights=f"mid: off\n{line}")
    text = str(caught.value)
    assert f"'{line.strip()}'" in text
    assert "in0-in3: off" in text and "leave it out" in text


@pytest.mark.parametrize(
    ("name", "covered"),
    [("in1", ["in1"]), ("in", LABELS[:9]), ("*", LABELS), ("mid", ["mid"]), ("out8", ["out8"])],
)
def test_what_a_name_covers(name: str, covered: list[str]) -> None:
    """``in1`` is not ``in10``; a name without a number is all that begin so."""
    rule = BlockRule(blocks=(name,), rank=0)
    assert [label for label in LABELS if rule.covers(label)] == covered
    assert not BlockRule(blocks=("layer1",)).covers("layer10")


@pytest.mark.parametrize("line", ["in9: off", "middle: off", "layer0: rank=4", "in7-in10: off"])
def test_labels_that_the_model_lacks_are_refused_with_those_it_has(line: str) -> None:
    with pytest.raises(ConfigError) as caught:
        check_labels(read_rules(line), LABELS)
    text = str(caught.value)
    wrong = {"in7-in10: off": "in9"}.get(line, line.partition(":")[0])
    assert f"speaks of {wrong}." in text
    assert all(label in text for label in ("in0", "in8", "mid", "out8"))


def test_labels_that_it_has_are_taken() -> None:
    check_labels(read_rules("in0-8: off\nmid: lr=2\nout: rank=4\n*: alpha=1"), LABELS)


@pytest.mark.parametrize("name", ["include", "exclude"])
def test_patterns_that_cannot_be_read(name: str) -> None:
    with pytest.raises(ConfigError, match=rf"{name} has the line 'attn\('.*regular expression"):
        AdapterSettings(**{name: "ff\nattn("})
