"""Which LoRAs people mean, by name, by run and by step."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lora_kiln.core.errors import ConfigError
from lora_kiln.sweep.checkpoint_values import parse_checkpoints
from lora_kiln.sweep.lora_names import LoraName, catalogue, lora_labels


def step(number: int, run: str = "kiln/my_style-001", version: str = "") -> str:
    return f"{run}/step_{number:06d}{version}.safetensors"


STEPS = (250, 500, 750, 1000, 1250)
LAST = "kiln/my_style-001.safetensors"
RUN = [*(step(n) for n in reversed(STEPS)), LoraName(LAST, 1500)]
"""As for a connected run: the finished LoRA knows its step."""
OTHER = "kiln/other-002"
LISTED = [
    "my_style.safetensors", "styles/10 b.safetensors", "styles/9 a.safetensors",
    "styles/[x] Portrait, red.safetensors", "styles/deep/portrait.SFT", "all in.safetensors",
    *(step(n) for n in STEPS), LAST, step(100, OTHER), f"{OTHER}.safetensors",
]


def of_run(text: str) -> list[str]:
    return parse_checkpoints(text, RUN)


def listed(text: str) -> list[str]:
    return parse_checkpoints(text, LISTED)


def steps(*numbers: int) -> list[str]:
    return [step(n) if n < 1500 else LAST for n in numbers]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("all", steps(*STEPS, 1500)),
        ("*", steps(*STEPS, 1500)),
        ("250, 500", steps(250, 500)),
        ("500;250\n250", steps(500, 250)),
        ("1500", steps(1500)),
        ("final", steps(1500)),
        ("last 3", steps(1000, 1250, 1500)),
        ("last", steps(1500)),
        ("first 2, LAST 1", steps(250, 500, 1500)),
        ("last 99", steps(*STEPS, 1500)),
        ("250-1000(+250)", steps(250, 500, 750, 1000)),
        ("0..1500/6", steps(250, 500, 1000, 1250, 1500)),
        ("0..1500/3", steps(250, 750, 1500)),
        ("200..300/2", steps(250)),
        ("none, 250", ["none", *steps(250)]),
        ("kiln/my_style-001", steps(*STEPS, 1500)),
        ("kiln/my_style-001: last 2", steps(1250, 1500)),
        ("step_000500*, *step_000250", []),
        ("*/step_000?50*", steps(250, 750)),
    ],
)
def test_steps_of_a_connected_run(text: str, expected: list[str]) -> None:
    if not expected:
        with pytest.raises(ConfigError, match="step_000500"):
            of_run(text)
        return
    assert of_run(text) == expected
    assert all(type(value) is str for value in of_run(text))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("my_style", ["my_style.safetensors"]),
        ("MY_STYLE.safetensors, styles\\9 A", ["my_style.safetensors", "styles/9 a.safetensors"]),
        ("all in", ["all in.safetensors"]),
        ("styles/[x] Portrait, red", ["styles/[x] Portrait, red.safetensors"]),
        ("styles/[x]*", ["styles/[x] Portrait, red.safetensors"]),
        ("*portrait*", ["styles/[x] Portrait, red.safetensors", "styles/deep/portrait.SFT"]),
        ("styles/", ["styles/9 a.safetensors", "styles/10 b.safetensors",
                     "styles/[x] Portrait, red.safetensors", "styles/deep/portrait.SFT"]),
        ("kiln/my_style-001", steps(*STEPS, 1500)),
        ("kiln/my_style-001/*", steps(*STEPS)),
        (LAST, [LAST]),
        ("kiln/my_style-001: 250, 1000, kiln/other-002: all",
         [*steps(250, 1000), step(100, OTHER), f"{OTHER}.safetensors"]),
        ("kiln/*: last 2", [step(1250), LAST, step(100, OTHER), f"{OTHER}.safetensors"]),
        ("kiln: first 1", [step(250), step(100, OTHER)]),
        ("kiln/other-002: final\nmy_style; none",
         [f"{OTHER}.safetensors", "my_style.safetensors", "none"]),
        ("kiln/my_style-001: 300..800/2", steps(250, 750)),
    ],
)
def test_names_folders_patterns_and_runs(text: str, expected: list[str]) -> None:
    assert listed(text) == expected


def test_all_is_every_lora_in_the_order_of_people() -> None:
    assert listed("all") == [
        "all in.safetensors", "my_style.safetensors", *(step(n) for n in STEPS), LAST,
        step(100, OTHER), f"{OTHER}.safetensors", "styles/9 a.safetensors",
        "styles/10 b.safetensors", "styles/[x] Portrait, red.safetensors",
        "styles/deep/portrait.SFT",
    ]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "0 values"),
        ("my_stile", "my_style.safetensors"),
        ("kiln/my_stile-001", "such as kiln/my_style-001"),
        ("250", "there are 2 runs: kiln/my_style-001, kiln/other-002"),
        ("last 2", "there are 2 runs"),
        ("styles: last 2", "here is no run"),
        ("kiln/my_style-001: 300", "'300' of kiln/my_style-001. Expected steps 250, 500"),
        ("kiln/my_style-001: last 0", "'last 0'"),
        ("kiln/my_style-001: soon", "'kiln/my_style-001: soon'"),
        ("kiln/my_style-001:", "'kiln/my_style-001:'"),
        ("kiln/my_style-001: 0..1/900", "asks for 900 values"),
        ("../secret", "'../secret'"),
        ("/", "'/'"),
        ("x" * 500, "x…'"),
    ],
)
def test_errors_name_what_was_meant(text: str, words: str) -> None:
    with pytest.raises(ConfigError) as failure:
        listed(text)
    assert words in str(failure.value)
    assert len(str(failure.value)) < 500


def test_too_many_and_an_empty_list_say_so() -> None:
    many = [f"{n}.safetensors" for n in range(65)]
    with pytest.raises(ConfigError, match="65 values"):
        parse_checkpoints("all", many)
    with pytest.raises(ConfigError, match="list, which is empty"):
        parse_checkpoints("a", [])
    with pytest.raises(ConfigError, match="no finished LoRA"):
        parse_checkpoints("final", [step(250), step(500)])


def test_of_a_resumed_run_the_newest_files_count() -> None:
    known = [step(250), step(500), step(500, version="-v2"), step(500, version="-v10"), LAST,
             "kiln/my_style-001-v2.safetensors"]
    newest = [step(250), step(500, version="-v10"), "kiln/my_style-001-v2.safetensors"]
    for text in ("kiln/my_style-001", "all", "first 3", "250, 500, final"):
        assert parse_checkpoints(text, known) == newest
    assert parse_checkpoints("kiln/my_style-001/step_000500", known) == [step(500)]
    # A checkpoint that was saved at the last step is the finished LoRA once more.
    assert parse_checkpoints("all", [step(250), step(1500), LoraName(LAST, 1500)]) == [
        step(250), LAST,
    ]
    # With checkpoint_every 0 there is nothing but the finished LoRA.
    assert parse_checkpoints("all, 1500", [LoraName(LAST, 1500)]) == [LAST]


def test_labels_are_short_and_tell_apart() -> None:
    assert lora_labels(["none", step(250), LAST, "styles/9 a.safetensors"]) == [
        "no LoRA", "my_style-001 step 250", "my_style-001 final", "9 a",
    ]
    assert lora_labels([step(500), step(500, version="-v2")]) == [
        "step 500", "step 500 v2",
    ]
    assert lora_labels(["a/x.safetensors", "b/x.safetensors"]) == ["a/x", "b/x"]
    assert lora_labels([step(5, "a/run"), step(5, "b/run")]) == ["a/run step 5", "b/run step 5"]
    assert lora_labels(["x.safetensors", "x.sft"]) == ["x.safetensors", "x.sft"]
    assert lora_labels(["a\\run\\step_000005.safetensors"]) == ["run step 5"]


NAMES = st.lists(
    st.text(alphabet="ab/-v_.0129", min_size=1, max_size=12).map(lambda own: f"{own}.safetensors"),
    min_size=1, max_size=12, unique=True,
)


@given(NAMES, st.text(alphabet="ab/-v_.0129:*?, ;lastfinrone\n", max_size=30))
def test_any_text_means_known_names_or_a_told_error(names: list[str], text: str) -> None:
    try:
        values = parse_checkpoints(text, names)
    except ConfigError:
        return
    assert values
    assert set(values) <= {*names, "none"}
    assert len(set(lora_labels(values))) == len(values)


@given(NAMES)
def test_every_name_is_found_by_itself(names: list[str]) -> None:
    for name in names:
        assert parse_checkpoints(name, names) == [name]
    assert sorted(str(entry.name) for entry in catalogue(names)) == sorted(names)
