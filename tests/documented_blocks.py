"""What runs each block of commands or code in README and documentation, or why nothing does.

Of each page, in its order: the start of each block, and a test. `SAME` tests take the block from the page and run it;
`LIKE` tests do the same with tiny models or data. Every other block has a reason.
"""

NETWORK = "not run: loads from the hub"
BY_HAND = "not run: made the figures beside it once, by hand, with models and data that the package does not have"
OTHERS = "not run: a program of others that is not installed"
FORM = "not run: a form or a layout, no command"


def same(test: str) -> str:
    """A test that runs the block as it is written."""
    return f"same: {test}"


def like(test: str) -> str:
    """A test that does what the block does, with tiny models and data."""
    return f"like: {test}"


BLOCKS: dict[str, list[tuple[str, str]]] = {
    "README.md": [
        ("python -m pip install -e .", same(".ci/run")),
        ('python -m pip install -e ".[test]"', same(".ci/run")),
        (
            'python -c "',
            like("cli/test_own_text.py::test_the_same_rows_give_the_same_run_whatever_the_type_of_the_file"),
        ),
        (
            "python -m dylora export --rank 3",
            like("cli/test_export.py::test_a_checkpoint_can_be_named_and_the_newest_run_is_taken"),
        ),
        (
            "python -m dylora validate --rank 3",
            like("cli/test_fit_and_validate.py::test_validate_with_nothing_given_takes_the_newest_run_and_says_so"),
        ),
        ("python -m dylora choose", like("cli/test_choose.py::test_choose_takes_the_newest_run_a_run_or_seeds")),
        ("tensorboard --logdir", "not run: serves until it is stopped"),
        (
            "python -m dylora fit --config configs/rte.yaml",
            like("cli/test_documented_commands.py::test_fit_takes_the_options"),
        ),
        (
            "python -m dylora predict --config logs/restaurants",
            like("cli/test_ask.py::test_a_pair_at_two_ranks_of_the_newest_run"),
        ),
        ("import dylora", like("cli/test_python_page.py::test_the_snippets_run_as_written")),
    ],
    "CONTRIBUTING.md": [
        ("python -m venv .venv", like(".ci/run")),
        ("python -m pytest tests/adapters", like(".ci/run")),
    ],
    "docs/architectures.md": [],
    "docs/choice.md": [
        ("python -m dylora choose", like("cli/test_choose.py::test_choose_takes_the_newest_run_a_run_or_seeds")),
        (
            "from dylora.rank_curve.choice",
            like("rank_curve/test_choice.py::test_the_smallest_rank_that_is_surely_within_the_tolerance"),
        ),
        (
            "python -m dylora budget",
            like("cli/test_budget.py::test_a_budget_is_shared_out_and_evaluated_beside_the_uniform_cut"),
        ),
        (
            "python -m dylora export RUN --budget",
            like("cli/test_budget.py::test_a_budget_is_exported_as_patterns_of_ranks_and_merged"),
        ),
        (
            "python -m dylora fit --config logs/rte",
            like("cli/test_init_from.py::test_more_ranks_start_where_the_old_run_ended"),
        ),
    ],
    "docs/cli.md": [],
    "docs/data.md": [
        (
            'python -c "',
            like("cli/test_own_text.py::test_the_same_rows_give_the_same_run_whatever_the_type_of_the_file"),
        ),
        (
            "python -m dylora fit --data Text",
            like("cli/test_own_text.py::test_the_same_rows_give_the_same_run_whatever_the_type_of_the_file"),
        ),
        ("data:", FORM),
        ('python -c "', like("cli/test_own_text.py::test_a_task_of_glue_given_as_an_own_file_has_its_figures")),
        ("python -m dylora fit --data Text", NETWORK),
        (
            "python -m dylora fit --config configs/demo.yaml",
            like("cli/test_documented_commands.py::test_fit_takes_the_options"),
        ),
    ],
    "docs/data_images.md": [
        (
            "python -m dylora fit --model Image",
            like("cli/test_images.py::test_fit_learns_and_leaves_a_run_with_metrics_at_every_rank"),
        ),
        ("python experiments/digits.py", BY_HAND),
        ("python -m dylora fit --config configs/digits.yaml", BY_HAND),
    ],
    "docs/data_language_models.md": [("printf", like("cli/test_prompt.py::test_packed_pairs_in_a_template_train"))],
    "docs/deploy.md": [
        (
            "python -m dylora export --rank 3",
            like("cli/test_export.py::test_a_run_exported_twice_loads_without_this_package_and_computes_the_same"),
        ),
        (
            "from peft import",
            like("deploy/test_fresh_process.py::test_every_kind_of_model_computes_and_writes_the_same"),
        ),
        (
            "from transformers import",
            like("cli/test_export.py::test_the_card_has_the_figures_the_command_and_lines_that_run"),
        ),
        (
            "python -m dylora export elastic",
            like("cli/test_export.py::test_a_folder_of_all_ranks_gives_each_of_them_and_is_exported_again"),
        ),
        ("model = PeftModel", like("cli/test_export.py::test_ranks_are_swapped_in_one_model_of_peft")),
        ("vllm serve", OTHERS),
        ("python convert_lora_to_gguf.py", OTHERS),
        (
            "python -m dylora convert",
            like("cli/test_convert.py::test_a_classifier_keeps_its_function_and_is_exported_again_at_a_lower_rank"),
        ),
        ("from dylora import adapt_from_peft", like("adapters/test_elastic.py::test_and_back_again_at_a_lower_rank")),
    ],
    "docs/design.md": [("adapters → methods", FORM)],
    "docs/equations.md": [],
    "docs/index.md": [],
    "docs/files.md": [
        (
            "from dylora.runs.checkpoint_io",
            like("runs/test_checkpoint_io.py::test_what_was_written_is_read"),
        ),
    ],
    "docs/log.md": [*[("", BY_HAND)] * 10],
    "docs/nlg.md": [
        (
            "python -m dylora fit --config configs/nlg/demo.yaml",
            like("cli/test_text.py::test_fit_then_test_leaves_the_texts_of_each_rank"),
        )
    ],
    "docs/own_code.md": [
        ("import torch", same("cli/test_own_code_page.py::test_own_data_with_an_own_model")),
        (
            "PYTHONPATH=. python -m dylora fit --data",
            same("cli/test_own_code_page.py::test_own_data_with_the_model_of_the_package"),
        ),
        (
            "PYTHONPATH=. python -m dylora fit --model",
            same("cli/test_own_code_page.py::test_own_data_with_an_own_model"),
        ),
    ],
    "docs/python.md": [
        ("import dylora", same("cli/test_python_page.py::test_the_snippets_run_as_written")),
        ("from dylora.modules", same("cli/test_python_page.py::test_the_snippets_run_as_written")),
        ("import torch", same("cli/test_python_page.py::test_the_snippets_run_as_written")),
        ("def my_model", same("cli/test_python_page.py::test_the_snippets_run_as_written")),
        ("plain = ", same("cli/test_python_page.py::test_the_snippets_run_as_written")),
        ("python -m dylora fit --config configs/rte.yaml", NETWORK),
    ],
    "docs/quickstart.md": [
        ("python -m dylora fit --config demo", like(".ci/run")),
        ("python -m dylora validate", like(".ci/run")),
        ("python -m dylora choose", like("cli/test_choose.py::test_choose_takes_the_newest_run_a_run_or_seeds")),
        (
            "python -m dylora fit --config demo --print_config",
            like("test_shipped.py::test_outside_a_clone_the_wheel_finds_its_configurations_and_experiments"),
        ),
    ],
    "docs/reference.md": [],
    "docs/results.md": [("", BY_HAND)],
    "docs/scale.md": [
        (
            "python -m dylora fit --config configs/rte.yaml",
            like("cli/test_processes.py::test_two_processes_share_ranks_adapters_and_the_figures_of_one"),
        ),
        (
            "torchrun --nproc_per_node 2",
            like("cli/test_launchers.py::test_two_processes_make_one_run_and_one_of_them_speaks"),
        ),
        ("torchrun --nnodes 2", like("cli/test_launchers.py::test_two_processes_make_one_run_and_one_of_them_speaks")),
        ("MASTER_ADDR=HOST", like("cli/test_launchers.py::test_two_processes_make_one_run_and_one_of_them_speaks")),
        ("#!/bin/bash", like("cli/test_launchers.py::test_two_processes_make_one_run_and_one_of_them_speaks")),
        (
            "python -m dylora fit --config configs/nlg/llama.yaml",
            like("cli/test_sharded_backbone.py::test_what_is_trained_over_a_shared_backbone_is_what_ddp_trains"),
        ),
    ],
    "docs/sweeps.md": [
        (
            "python -m dylora sweep experiments/table2.yaml",
            like("sweep/test_experiments.py::test_fit_takes_all_options"),
        ),
        (
            "python -m dylora sweep experiments/table2.yaml --tasks",
            like("cli/test_sweep.py::test_a_sweep_and_its_report"),
        ),
        ("python -m dylora sweep experiments/table2.yaml --engine", "not run: needs a cluster"),
        ("table: 2", FORM),
        ("<root>", FORM),
        ("python -m dylora report", like("cli/test_report.py::test_every_table_in_every_form")),
        ("python -m dylora report logs/rte", like("cli/test_report.py::test_a_page_of_runs_is_written_once")),
    ],
    "docs/systems.md": [
        ("model:", FORM),
        (
            "python -m dylora validate --config logs/rte",
            like("cli/test_cut.py::test_every_cut_is_kept_with_its_checkpoint_and_agrees_at_max_rank"),
        ),
        ("g = clamp", FORM),
    ],
    "docs/tokenizer.md": [
        ("pip install", "not run: needs the official Java program; its answers are kept with the tests")
    ],
    "docs/training.md": [
        ("python -m dylora fit --data my_package", like("cli/test_own_classes.py::test_own_data_for_a_model_of_ours")),
        ("logs/<task>", FORM),
        (
            "python -m dylora fit --config logs/rte",
            like("cli/test_fit_and_validate.py::test_interrupted_at_any_step_and_resumed_ends_with_the_same_weights"),
        ),
        (
            "python -m dylora fit --config configs/rte.yaml --config",
            like("test_configs.py::test_the_v100_overlay_is_parsed"),
        ),
        ("python -c", "not run: asks the GPU that is there"),
        ("import torch", like("adapters/test_adapt.py::test_what_was_trained_can_be_put_into_a_fresh_model")),
    ],
    "docs/troubleshooting.md": [("dylora: error:", FORM)],
}
