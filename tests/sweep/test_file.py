"""What a sweep file may say, and which key is named when it says something else."""

import pytest

from dylora.errors import InputError
from dylora.sweep.file import read_sweep


def test_a_file_is_read_with_the_papers_seeds_as_default(write, tmp_path):
    sweep = read_sweep(write("tasks: {rte: a.yaml}\nsystems: {dylora: {learning_rates: [4e-4, 0.002]}}"))
    assert sweep.seeds == (10, 42, 4242, 1010)
    assert sweep.tasks == {"rte": tmp_path / "a.yaml"}
    assert sweep.systems["dylora"].learning_rates == (0.0004, 0.002)


def test_a_preset_wins_over_the_systems_options(write):
    text = "tasks: {rte: a.yaml}\nsystems: {s: {options: {k: 1, m: 2}, ranks: [1, 2, 4]}, t: }\n"
    sweep = read_sweep(write(f"{text}presets: {{small: {{common: {{k: 5}}, ranks: [1], seeds: [3]}}}}"))
    small = sweep.with_preset("small")
    assert small.systems["s"].options == {"k": 5, "m": 2}
    assert (small.systems["s"].ranks, small.systems["t"].ranks) == ((1,), None)
    assert (small.seeds, small.tasks) == ((3,), sweep.tasks)


_HEAD = "tasks: {rte: a.yaml}\nsystems:"


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (f"{_HEAD} {{d: {{cutz: []}}}}", "sweep.yaml: systems.d.cutz: must be one of the keys options"),
        (f"{_HEAD} {{d: {{cutz: []}}}}", "did you mean cuts?"),
        (f"{_HEAD} {{d: }}\nsead: [1]", "sweep.yaml: sead: must be one of the keys systems"),
        (f"{_HEAD} {{d: }}\nsead: [1]", "did you mean seeds?"),
        (f"{_HEAD} {{d: }}\npresets: {{small: {{task: 1}}}}", "presets.small.task: must be one of the keys"),
        (f"{_HEAD} {{d: }}\nseeds: [1, x]", "seeds: must be a list of different whole numbers"),
        (f"{_HEAD} {{d: }}\nseeds: [1, 1]", "seeds: must be a list of different whole numbers"),
        (f"{_HEAD} {{d: }}\nseeds: 1", "seeds: must be a list, got 1"),
        (f"{_HEAD} {{d: {{ranks: [-1]}}}}", "systems.d.ranks: must be a list of different whole numbers"),
        (f"{_HEAD} {{d: {{learning_rates: [0]}}}}", "systems.d.learning_rates: must be a list of different numbers"),
        (f"{_HEAD} {{d: {{options: {{a: {{b: 1}}}}}}}}", "systems.d.options.a: must be a plain value, got a mapping"),
        (f"{_HEAD} [d]", "systems: must be a mapping of keys to values"),
        ("tasks: {rte: b.yaml}\nsystems: {d: }", "tasks.rte: must be a configuration file, got 'b.yaml', which does"),
        ("tasks: {rte: a.yaml}", "systems: must be given, at least one, got none"),
        ("systems: {d: }", "tasks: must be given, at least one, got none"),
        ("- a", "sweep.yaml: must be a mapping of keys to values"),
        ("a: [", "sweep.yaml: must be YAML"),
    ],
)
def test_what_is_wrong_is_named(write, text, words):
    with pytest.raises(InputError) as caught:
        read_sweep(write(text))
    assert words in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_missing_file_and_an_unknown_preset(experiment, tmp_path):
    with pytest.raises(InputError, match=r"FILE: must be a file, got '.*nowhere.yaml', which does not exist"):
        read_sweep(tmp_path / "nowhere.yaml")
    with pytest.raises(InputError, match="--preset: must be one of small, got 'tiny'"):
        experiment.with_preset("tiny")
