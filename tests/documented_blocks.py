"""What runs each block of commands or code in README and documentation, or why nothing does.

Of each page, in its order: the start of each block, and what is done with it. `tests/test_pages.py` (and
`tests/test_tutorials.py`) runs those with a `Run`, one after the other, taken from the page; `same` names another test
that runs the block of the page.
Every other block has a reason. `python tests/documented_blocks.py` prints all of it.
"""

from page_runner import Output, Run, Saved

BY_HAND = "not run: made the figures beside it once, by hand, with models and data that the package does not have"
OTHERS = "not run: a program of others that is not installed"
FORM = "not run: a form or a layout, no command"
SERVES = "not run: serves until it is stopped"

AS_WRITTEN = Run()
PARSED = Run(added="--print_config")  # checks the options of a `fit` that needs the hub or a GPU
SHORT_EPOCHS = "--trainer.limit_train_batches 8"
SHORT = f"{SHORT_EPOCHS} --trainer.max_epochs 1 --trainer.limit_val_batches 2"  # some steps in the place of epochs


def same(test: str) -> str:
    """A test that runs the block as it is written."""
    return f"same: {test}"


NOTEBOOKS = ["docs/tutorials/elastic.py"]

# What a page takes for granted; tests/page_places.py makes it in the folder that the page is run in.
NEEDS = {
    "README.md": ["run", "peft", "texts", "clone", "backbone"],
    "docs/choice.md": ["run"],
    "docs/concepts/cuts.md": ["run"],
    "docs/data.md": ["clone"],
    "docs/data_images.md": ["clone", "photos"],
    "docs/deploy.md": ["run", "peft", "texts", "language_model"],
    "docs/howto/quantised.md": ["run"],
    "docs/howto/resume.md": ["run"],
    "docs/nlg.md": ["clone"],
    "docs/quickstart.md": ["run"],
    "docs/sweeps.md": ["clone"],
    "docs/systems.md": ["run"],
    "docs/training.md": ["run", "clone", "backbone"],
    "docs/tutorials/images.md": ["clone"],
}

RUN = {"logs/rte/version_0": "logs/restaurants/version_0"}  # the run that is there
TEXTS = "logs/restaurants_text/version_0/predictions/rank_2.jsonl"
LAUNCHERS = "cli/test_launchers.py runs each form in two processes"
LAUNCHES = ["torchrun --nproc_per_node 2", "torchrun --nnodes 2", "MASTER_ADDR=HOST", "#!/bin/bash"]
WHOLE_HUB = "needs the hub, GPUs and days"

BLOCKS: dict[str, list[tuple[str, str | Run | Saved | Output]]] = {
    "README.md": [
        ("python -m pip install -e .", same(".ci/run")),
        ('python -m pip install -e ".[test]"', same(".ci/run")),
        ('python -c "', Run(added=SHORT)),
        ("python -m dylora export --rank 3", AS_WRITTEN),
        ("python -m dylora validate --rank 3", AS_WRITTEN),
        ("python -m dylora choose", AS_WRITTEN),
        ("tensorboard --logdir", SERVES),
        (
            "python -m dylora fit --config configs/rte.yaml",
            Run(
                added="--print_config",
                left_out={"python -m dylora fit --config configs/nlg/demo.yaml": "docs/nlg.md has the same"},
            ),
        ),
        (
            "python -m dylora predict --config logs/restaurants",
            Run(left_out={"python -m dylora predict --config logs/rte": "see docs/tutorials; needs GLUE's test rows"}),
        ),
        (
            "import dylora",
            Run(
                before="from transformers import AutoModelForSequenceClassification as auto\n"
                "model = auto.from_pretrained('BACKBONE')"
            ),
        ),
    ],
    "CONTRIBUTING.md": [
        ("python -m venv .venv", "not run: CI does the same in a fresh environment (.ci/run)"),
        ("python -m pytest tests/adapters", "not run: these are CI's own commands (.ci/run)"),
    ],
    "docs/architectures.md": [],
    "docs/choice.md": [
        (
            "python -m dylora choose",
            Run(
                RUN,
                left_out={"python -m dylora choose seed_1": "tests/cli/test_choose.py trains the seeds"},
            ),
        ),
        (
            "from dylora.rank_curve.choice",
            Run(
                before="import numpy as np\nranks, expected = [1, 2], np.arange(40) % 2\n"
                "predicted = np.stack([np.arange(40) % 4 == 1, expected])[None]"
            ),
        ),
        ("python -m dylora budget", Run(RUN)),
        ("python -m dylora export RUN --budget", Run({"RUN": "logs/restaurants/version_0"})),
        ("python -m dylora fit --config logs/rte", Run(RUN)),
    ],
    "docs/cli.md": [],
    "docs/concepts/cuts.md": [("python -m dylora validate --cut svd", AS_WRITTEN)],
    "docs/concepts/nested_training.md": [],
    "docs/concepts/scaling.md": [],
    "docs/concepts/when_not.md": [],
    "docs/data.md": [
        ('python -c "', AS_WRITTEN),
        ("python -m dylora fit --data Text", Run(added=SHORT)),
        ("data:", Saved("my.yaml")),
        ('python -c "', Run(added=SHORT)),
        ("python -m dylora fit --data Text", PARSED),
        ("du -sh ~/.cache/dylora", "not run: deletes what runs of others on the machine have kept"),
        ("python -m dylora fit --config configs/demo.yaml", Run(added=SHORT)),
    ],
    "docs/data_images.md": [
        (
            "python -m dylora fit --model Image",
            Run({"google/vit-base-patch16-224-in21k": "vit"}, added=SHORT),
        ),
        (
            "python experiments/digits.py",
            Run({"--output digits": "--output digits --epochs 1"}, added=SHORT),
        ),
        ("python -m dylora fit --config configs/digits.yaml", Run(added=SHORT)),
    ],
    "docs/data_language_models.md": [("printf", AS_WRITTEN)],
    "docs/deploy.md": [
        (
            "python -m dylora export --rank 3",
            Run(
                {"RUN ": "logs/restaurants/version_0 "},
                left_out={
                    "python -m dylora export RUN --budget": "see docs/choice.md",
                    "python -m dylora export RUN --rank 3 --output hub": "uploads; tests/deploy/test_hub.py has a stub",
                },
            ),
        ),
        ("from peft import", Run({"BACKBONE": "'lm/backbone'", '"adapter"': "'lm/adapter'"})),
        ("from transformers import", Run({"BACKBONE": "'base'"})),
        ("python -m dylora export elastic", BY_HAND),
        ("base = Auto", Run({"BACKBONE": "'base'"})),
        ("vllm serve", OTHERS),
        ("python convert_lora_to_gguf.py", OTHERS),
        ("python -m dylora convert", AS_WRITTEN),
        ("from pathlib", Run({"BACKBONE": "'peft_base'"})),
    ],
    "docs/design.md": [("adapters → methods", FORM)],
    "docs/equations.md": [],
    "docs/errors.md": [],
    "docs/files.md": [("from lightning", AS_WRITTEN)],
    "docs/howto/loggers.md": [
        ("tensorboard --logdir", SERVES),
        ("python -m dylora fit --config demo", Run(added=SHORT)),
        ("python -m dylora fit --config demo", PARSED),
        ("python -m dylora fit --config demo", Run(added=SHORT)),
    ],
    "docs/howto/quantised.md": [
        ("pip install", Run(added="--print_config", left_out={"pip install": "installs a package"})),
        ("python -m dylora export", AS_WRITTEN),
    ],
    "docs/howto/resume.md": [
        ("python -m dylora fit --config logs", AS_WRITTEN),
        ("python -m dylora fit --config logs", AS_WRITTEN),
    ],
    "docs/howto/slurm.md": [
        ("#!/bin/bash", Saved("job.sh")),
        ("pip install", "not run: needs a cluster; tests/sweep has the engine with a stand-in for submitit"),
    ],
    "docs/howto/v100.md": [
        ("python -m dylora fit --config rte", PARSED),
        ("python -c", AS_WRITTEN),
        ("python -m dylora fit --config mnli", PARSED),
    ],
    "docs/index.md": [],
    "docs/log.md": [*[("", BY_HAND)] * 10],
    "docs/nlg.md": [
        (
            "python -m dylora fit --config configs/nlg/demo.yaml",
            Run(
                {"--hypotheses FILE --references FILE": f"--hypotheses {TEXTS} --references {TEXTS}"},
                added=SHORT,
                left_out={"python -m dylora fit --config configs/nlg/e2e.yaml": "needs the files of E2E"},
            ),
        )
    ],
    "docs/own_code.md": [
        ("import torch", Saved("my_project.py")),
        ("PYTHONPATH=. python -m dylora fit --data", AS_WRITTEN),
        ("PYTHONPATH=. python -m dylora fit --model", AS_WRITTEN),
    ],
    "docs/performance.md": [],
    "docs/python.md": [
        ("import dylora", same("cli/test_python_page.py::test_the_snippets_run_as_written")),
        ("from dylora.modules", same("cli/test_python_page.py::test_the_snippets_run_as_written")),
        ("import torch", same("cli/test_python_page.py::test_the_snippets_run_as_written")),
        ("def my_model", same("cli/test_python_page.py::test_the_snippets_run_as_written")),
        ("plain = ", same("cli/test_python_page.py::test_the_snippets_run_as_written")),
        ("python -m dylora fit --config configs/rte.yaml", PARSED),
    ],
    "docs/quickstart.md": [
        ("python -m dylora fit --config demo", Run(added=SHORT)),
        ("python -m dylora validate", AS_WRITTEN),
        ("python -m dylora choose", AS_WRITTEN),
        ("python -m dylora fit --config demo --print_config", AS_WRITTEN),
    ],
    "docs/reference.md": [],
    "docs/results.md": [("", BY_HAND)],
    "docs/scale.md": [
        ("python -m dylora fit --config configs/rte.yaml", "not run: as it is, needs two GPUs; cli/test_processes.py"),
        *[(start, f"not run: as it is, needs several GPUs or machines; {LAUNCHERS}") for start in LAUNCHES],
        (
            "python -m dylora fit --config configs/nlg/llama.yaml",
            "not run: as it is, needs GPUs; cli/test_sharded_backbone.py",
        ),
    ],
    "docs/sweeps.md": [
        (
            "python -m dylora sweep experiments/table2.yaml",
            Run(
                {"--preset small": "--preset small --systems dylora --seeds 10"},
                left_out={"python -m dylora sweep experiments/table2.yaml$": WHOLE_HUB},
            ),
        ),
        (
            "python -m dylora sweep experiments/table2.yaml --tasks",
            Run({"--name minilm": "--name minilm --dry_run"}),
        ),
        (
            "python -m dylora sweep experiments/table2.yaml --engine",
            "not run: needs a cluster; tests/sweep has both engines with stand-ins",
        ),
        ("table: 2", FORM),
        ("<root>", FORM),
        ("python -m dylora report", "not run: forms of one command; the tutorial about tables runs three of them"),
        (
            "python -m dylora report logs/rte",
            Run({"logs/rte/version_0 logs/rte/version_1": "logs/table2-small"}),
        ),
    ],
    "docs/systems.md": [
        ("model:", FORM),
        ("python -m dylora validate --config logs/rte", Run({**RUN, "dylora test    ": "dylora test"})),
        ("g = clamp", FORM),
    ],
    "docs/tokenizer.md": [
        ("pip install", "not run: needs the official Java program; its answers are kept with the tests")
    ],
    "docs/training.md": [
        (
            "python -m dylora fit --data my_package",
            Run(
                {"my_package.MyData --model.task rte": "own_project.Sentences --model.task sst2"},
                added="--print_config",
                left_out={"python -m dylora fit --model my_package": "see docs/own_code.md"},
            ),
        ),
        ("logs/<task>", FORM),
        ("python -m dylora fit --config logs/rte", Run(RUN)),
        ("python -m dylora fit --config configs/rte.yaml --config", PARSED),
        ("python -m dylora fit --config configs/nlg/demo.yaml --model.backbone_dtype", PARSED),
        ("python -c", AS_WRITTEN),
        (
            "import torch",
            Run(
                before="import torch\nfrom transformers import AutoModelForSequenceClassification as auto\n"
                "model = auto.from_pretrained('BACKBONE')\n"
                "batch = dict(input_ids=torch.tensor([[1, 5, 2]]), labels=torch.tensor([1]))\nbatches = [batch] * 3"
            ),
        ),
    ],
    "docs/troubleshooting.md": [("dylora: error:", FORM)],
    "docs/tutorials/chat_model.md": [
        ("import json", AS_WRITTEN),
        ("from transformers", AS_WRITTEN),
        ("model:", Saved("chat.yaml")),
        ("python -m dylora fit --config chat.yaml", Run(added=SHORT_EPOCHS)),
        ("Run logs/train", Output()),
        ("python -m dylora test", AS_WRITTEN),
        ("Run logs/train", Output()),
        ("import dylora", AS_WRITTEN),
    ],
    "docs/tutorials/choose_and_deploy.md": [
        ("python -m dylora fit --config demo", Run(added=SHORT_EPOCHS)),
        ("python -m dylora choose", AS_WRITTEN),
        ("logs/restaurants/version_0:", Output(width=24)),  # which rank is the best hangs on the figures
        ("python -m dylora choose --tolerance", AS_WRITTEN),
        ("…", Output()),
        ("python -m dylora export", AS_WRITTEN),
        ("README.md", Output()),
        ("import torch", AS_WRITTEN),
        ("python -m dylora export --rank 3 --format merged", AS_WRITTEN),
    ],
    "docs/tutorials/elastic.md": [],
    "docs/tutorials/images.md": [
        ("python experiments/digits.py", Run({"--epochs 40": "--epochs 10"})),
        ("digits:", Output()),
        ("python -m dylora fit --config digits", AS_WRITTEN),
        ("Run logs/digits", Output()),
        ("python -m dylora test", AS_WRITTEN),
        ("Run logs/digits", Output()),
        ("from pathlib", AS_WRITTEN),
        ("python -m dylora fit --model Image", PARSED),
    ],
    "docs/tutorials/index.md": [],
    "docs/tutorials/own_csv.md": [
        ('python -c "', AS_WRITTEN),
        ("text,label", Output()),
        ("python -m dylora fit", AS_WRITTEN),
        ("places train", Output()),
        ("python -m dylora validate", AS_WRITTEN),
        ("Run logs/places", Output()),
        ("python -m dylora choose", AS_WRITTEN),
        ("logs/places", Output(width=24)),
        ("python -m dylora predict", AS_WRITTEN),
        ("Blue Door", Output()),
    ],
    "docs/tutorials/table.md": [
        ("python -m dylora sweep table2", AS_WRITTEN),
        ("logs/table2-small", Output()),
        ("python -m dylora sweep table2", AS_WRITTEN),
        ("[1/4]", Output()),
        ("python -m dylora report", AS_WRITTEN),
        ("**Table 2", Output()),
        ("python -m dylora report", AS_WRITTEN),
        ("**Gain on", Output()),
        ("python -m dylora sweep table2", Run({"--name mine": "--name mine --dry_run"})),
    ],
}


def main() -> None:
    """Print each page with its blocks and what is done with them."""
    for page, entries in BLOCKS.items():
        print(f"\n{page}")
        for start, what in entries:
            test = "tests/test_tutorials.py" if "tutorials/" in page else "tests/test_pages.py"
            print(f"  {start or '(any)'}: {what if isinstance(what, str) else f'{test}: {what}'}")


if __name__ == "__main__":
    main()
