"""The axes of text, names and whole numbers: what is written, what a cell becomes, what is said."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lora_kiln.core.errors import ConfigError
from lora_kiln.sweep.axis import AxisValues, axes
from lora_kiln.sweep.axis_values import MOST_VALUES
from lora_kiln.sweep.cell_settings import CellSettings
from lora_kiln.sweep.cells import SweepPlan, plan_sweep
from lora_kiln.sweep.text_values import parse_prompts, parse_quoted

BASE = CellSettings(
    strength=0.8, prompt="a woodcut of a star", negative="photo, woodcut", seed=5, cfg=6.0
)
SAMPLERS = ("euler", "euler_ancestral", "dpmpp_2m", "dpmpp_sde", "Res_Multistep", "heun")
LORAS = ("kiln/a-001/step_000250.safetensors", "kiln/a-001.safetensors", "b.safetensors")
KNOWN = {"": (), "samplers": SAMPLERS, "schedulers": ("normal", "karras", "sgm_uniform",
         "ddim_uniform"), "loras": LORAS}


def read(name: str, text: str) -> AxisValues:
    axis = axes()[name]
    return AxisValues(name, tuple(axis.parse(text, KNOWN[axis.source])))


def applied(name: str, text: str) -> list[CellSettings]:
    own = read(name, text)
    return [own.target.apply(BASE, value) for value in own.values]


def fails(name: str, text: str) -> str:
    with pytest.raises(ConfigError) as failure:
        read(name, text)
    assert len(failure.value.found) < 200
    return str(failure.value)


def test_prompts_stand_on_lines_of_their_own() -> None:
    cells = applied("prompt", "  a star, red \n\na (moon:1.2)\r\n\"\"\na star, red")
    assert [cell.prompt for cell in cells] == ["a star, red", "a (moon:1.2)", ""]
    assert read("prompt", "a star\n\"\"").labels() == ("a star", "(empty)")
    assert "0 values" in fails("prompt", " \n ")
    assert f"{MOST_VALUES + 1} values" in fails("prompt", "\n".join(map(str, range(65))))


def test_prompts_of_several_lines_stand_between_dashes() -> None:
    text = "---\na star\nover the sea\n\nat night\n ---- \n\"\"\n---\na - moon --\n"
    assert parse_prompts(text, "It") == ["a star\nover the sea\n\nat night", "", "a - moon --"]


def test_negative_prompts_may_be_empty() -> None:
    cells = applied("negative", '""\nblurry')
    assert [(cell.negative, cell.prompt) for cell in cells] == [
        ("", BASE.prompt), ("blurry", BASE.prompt),
    ]
    assert read("negative", '""\nblurry').labels() == ("without: (empty)", "without: blurry")


def test_the_first_word_is_searched_and_each_is_put_in_its_place() -> None:
    cells = applied("replace", 'woodcut, photo,"red, ""old"" print", ""')
    assert [cell.prompt for cell in cells] == [
        "a woodcut of a star", "a photo of a star", 'a red, "old" print of a star', "a  of a star",
    ]
    assert cells[1].negative == "photo, photo"
    assert read("replace", 'woodcut, photo, ""').labels() == (
        "woodcut", "photo", "(without woodcut)",
    )


def test_words_that_are_in_no_prompt_are_told_with_it() -> None:
    with pytest.raises(ConfigError, match=r"searches 'etching'.*'a woodcut of a star'"):
        applied("replace", "etching, photo")
    assert "what to search" in fails("replace", "")
    assert "what to search" in fails("replace", '"", a')
    assert '\'"red\'' in fails("replace", 'woodcut, "red')
    assert "65 values" in fails("replace", ",".join(map(str, range(65))))


def test_replacing_comes_after_the_prompts() -> None:
    """Whichever way round they are connected."""
    chosen = [read("replace", "star, moon"), read("prompt", "a star\na red star")]
    for order in (chosen, chosen[::-1]):
        plan = plan_sweep(BASE, order)
        shown = {cell.settings.prompt for cell in plan.cells}
        assert shown == {"a star", "a red star", "a moon", "a red moon"}
    with pytest.raises(ConfigError, match="searches 'star'"):
        plan_sweep(BASE, [read("prompt", "a star\na house"), read("replace", "star, moon")])


def test_quoted_items_keep_every_letter() -> None:
    assert parse_quoted('a b ,  c, "d, e" , " f ", 5" tall\n"g\nh"', "It") == [
        "a b", "c", "d, e", " f ", '5" tall', "g\nh",
    ]
    for wrong in ('"a', 'a, "b" c', '"a"b"', ' "a'):
        with pytest.raises(ConfigError, match="Close the quote"):
            parse_quoted(wrong, "It")


@given(st.lists(st.text(min_size=1, max_size=12), min_size=1, max_size=12, unique=True))
def test_what_is_quoted_comes_back(items: list[str]) -> None:
    text = ", ".join('"' + item.replace('"', '""') + '"' for item in items)
    assert parse_quoted(text, "It") == items


def test_seeds_are_whole_and_may_be_counted() -> None:
    assert read("seed", "4 from 123, 7; 0..100/3").values == (123, 124, 125, 126, 7, 0, 50, 100)
    assert read("seed", "2 FROM 9223372036854775806").values == (2**63 - 2, 2**63 - 1)
    assert [cell.seed for cell in applied("seed", "1 from 9")] == [9]
    assert read("seed", "3").labels() == ("seed 3",)
    for wrong in ("2 from 9223372036854775807", "0 from 3", "65 from 0", "4 from -1", "1.5", "-1",
                  "4 from 1.5", "random"):
        assert "The seed axis" in fails("seed", wrong)


def test_steps_are_whole_numbers() -> None:
    assert [cell.steps for cell in applied("steps", "8, 10-30(+10), 1")] == [8, 10, 20, 30, 1]
    assert read("steps", "1, 8").labels() == ("1 step", "8 steps")
    assert "numbers from 1 to 1000" in fails("steps", "0")
    assert "numbers from 1 to 1000" in fails("steps", "1001")


def test_samplers_and_schedulers_are_names_patterns_and_all() -> None:
    assert read("sampler", "HEUN, dpmpp*; res_multistep\neuler").values == (
        "heun", "dpmpp_2m", "dpmpp_sde", "Res_Multistep", "euler",
    )
    assert read("sampler", "all").values == SAMPLERS
    assert read("sampler", "euler?*, euler").values == ("euler_ancestral", "euler")
    assert [cell.scheduler for cell in applied("scheduler", "*uniform")] == [
        "sgm_uniform", "ddim_uniform",
    ]
    assert [cell.sampler for cell in applied("sampler", "heun")] == ["heun"]
    assert "such as euler" in fails("sampler", "eulr")
    assert "'lms*'" in fails("sampler", "lms*")
    assert "karras" in fails("scheduler", "karas")


def test_blocks_are_masks_one_a_line() -> None:
    own = read("blocks", "All\nonly  IN4, out0\n\nin=0.5\nnone\n*=1")
    assert own.values == ("", "only in4, out0", "in=0.5", "none")
    assert own.labels() == ("all blocks", "only in4, out0", "in=0.5", "no LoRA")
    cells = [own.target.apply(BASE, value) for value in own.values]
    assert [cell.blocks for cell in cells] == ["", "only in4, out0", "in=0.5", ""]
    assert [cell.has_lora for cell in cells] == [True, True, True, False]
    assert "'some'" in fails("blocks", "all\nsome")


def bare_rows(plan: SweepPlan) -> int:
    return sum(not cell.settings.has_lora for cell in plan.cells)


def test_the_model_alone_is_shown_once_by_the_axis_whose_zero_it_is() -> None:
    steps, masks = read("checkpoint", "kiln/a-001"), read("blocks", "only mid\nonly in")
    strength, cfg = AxisValues("strength", (0.5, 1.0)), AxisValues("cfg", (2.0, 4.0))
    alone = plan_sweep(BASE, [steps])
    assert alone.row_labels == ("no LoRA", "step 250", "final")
    assert alone.column_labels == ("CFG 6",)
    assert plan_sweep(BASE, [cfg, steps]).column_labels == alone.row_labels
    assert plan_sweep(BASE, [masks]).row_labels == ("no LoRA", "only mid", "only in")
    for other in (steps, masks):
        plan = plan_sweep(BASE, [strength, other])
        assert plan.row_labels == ("strength 0", "strength 0.5", "strength 1")
        assert plan.column_labels == other.labels()
        assert plan.hidden == ()
    both = plan_sweep(BASE, [steps, masks])
    assert both.row_labels[0] == "no LoRA"
    assert both.column_labels == ("only mid", "only in")
    assert bare_rows(both) == 2
    # Written by the person, it stays where it was written.
    assert plan_sweep(BASE, [steps, read("blocks", "all\nnone")]).column_labels == (
        "all blocks", "no LoRA",
    )
    for plan in (alone, both):
        assert set(plan.bases()) == {cell.index for cell in plan.cells}


def test_no_lora_holds_against_every_strength() -> None:
    own = read("checkpoint", "none, b")
    plan = plan_sweep(BASE, [own, AxisValues("strength", (0.5,))])
    assert {c.settings.has_lora for c in plan.cells if c.row == 0} == {False}
    assert [c.settings.lora for c in plan.cells] == ["", "", "b.safetensors", "b.safetensors"]
    assert len({c.settings.canonical() for c in plan.cells if not c.settings.has_lora}) == 1


def test_pages_have_the_axis_s_own_labels() -> None:
    own = read("checkpoint", "kiln/a-001")
    chosen = [AxisValues("strength", (0.0, 1.0)), AxisValues("cfg", (2.0, 4.0)), own]
    assert plan_sweep(BASE, chosen).page_labels == ("step 250", "final")


ANYTHING = st.one_of(
    st.text(max_size=40),
    st.text(alphabet="kilna-01/:. ,;*?\"\n250lastfromie()=", max_size=40),
)


@given(st.sampled_from(sorted(set(axes()) - {"strength", "cfg"})), ANYTHING)
def test_any_text_is_values_or_a_told_error(name: str, text: str) -> None:
    try:
        own = read(name, text)
    except ConfigError:
        return
    assert 1 <= len(own.values) <= MOST_VALUES
    assert len(set(own.values)) == len(set(own.labels())) == len(own.values)
    if name != "replace":
        cells = [own.target.apply(BASE, value) for value in own.values]
        assert len(set(cells)) == len(cells)


@given(st.lists(st.text(alphabet="abc -,.(\n", min_size=1, max_size=9), min_size=1, max_size=9))
def test_prompts_between_dashes_come_back(prompts: list[str]) -> None:
    wanted = [own.strip() for own in prompts if own.strip()]
    if not wanted or any(set(line.strip()) == {"-"} and len(line.strip()) > 2
                         for own in wanted for line in own.splitlines()):
        return
    assert parse_prompts("\n---\n".join(["", *wanted]), "It") == list(dict.fromkeys(wanted))
