"""The commands and the code of each page run, one block after the other, in a folder of their own."""

import re
import shutil
from pathlib import Path

import pytest
import tiny
import tiny_images
from documented_blocks import BLOCKS, NEEDS, NOTEBOOKS
from page_runner import ROOT, Run, check_output, commands_of, pattern_of, run_page
from peft import LoraConfig, get_peft_model
from transformers import AutoModelForCausalLM, AutoModelForSequenceClassification

import dylora
from dylora.assets import asset_path
from dylora.cli import main
from dylora.data.sources.embedded import entailment
from dylora.deploy.peft_folder import write_peft

pytestmark = pytest.mark.filterwarnings("ignore")  # those of other packages, which a reader sees as well
RUN_PAGES = [page for page, entries in BLOCKS.items() if any(isinstance(what, Run) for _, what in entries)]


@pytest.fixture(scope="session")
def places(tmp_path_factory):
    """What pages take for granted, each made once: a backbone, a finished run, a LoRA of PEFT, texts."""
    return Places(tmp_path_factory.mktemp("places"))


class Places:
    """Makes what a page needs, when it is first asked for, and copies it into a page's folder."""

    def __init__(self, root):
        self.root = root

    def put(self, name, folder):
        made = self.root / name
        if not made.exists():
            made.mkdir()
            getattr(self, name)(made)
        shutil.copytree(made, folder, dirs_exist_ok=True)

    def backbone(self, folder):
        tiny.save_backbone(folder / "BACKBONE")

    def clone(self, folder):
        for part in ("configs", "experiments"):
            shutil.copytree(ROOT / part, folder / part)

    def run(self, folder):
        backbone = tiny.save_backbone(folder / "base")
        changes = {"data.cache_dir": self.root / "cache", "model.adapter.max_rank": 8}
        main(["fit", *tiny.options(backbone, folder, **changes)])

    def language_model(self, folder):
        model = AutoModelForCausalLM.from_pretrained(asset_path("gpt2"))
        model.save_pretrained(folder / "lm/backbone")
        dylora.adapt(model, dylora.DyLoRAConfig(max_rank=2))
        write_peft(folder / "lm/adapter", dylora.peft_adapter(model, 2))

    def photos(self, folder):
        tiny_images.save_backbone(folder / "vit")
        for part in ("photos/train", "photos/validation", "photos/test"):
            tiny_images.write_folders(folder / part)
        shutil.copytree(folder / "photos/test", folder / "new_photos")

    def peft(self, folder):
        base = AutoModelForSequenceClassification.from_pretrained(tiny.save_backbone(folder / "peft_base"))
        get_peft_model(base, LoraConfig(r=3, task_type="SEQ_CLS")).save_pretrained(folder / "PEFT_DIR")

    def texts(self, folder):
        rows = [row["sentence1"] for row in entailment("train")[:64]]
        (folder / "texts.txt").write_text("\n".join(rows))
        labelled = [f'"{row}",{"city" if "city" in row else "elsewhere"}' for row in rows]
        for name in ("rows.csv", "val.csv", "reviews.csv"):
            (folder / name).write_text("\n".join(["text,label", *labelled]))


@pytest.mark.slow
@pytest.mark.parametrize("page", RUN_PAGES)
def test_the_blocks_of_a_page_run(page, places, tmp_path, monkeypatch):
    for need in NEEDS.get(page, ()):
        places.put(need, tmp_path)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_CACHE_HOME", str(places.root / "cache"))
    run_page(page, BLOCKS[page], {"__name__": "page"})


@pytest.mark.slow
@pytest.mark.parametrize("notebook", NOTEBOOKS)
def test_a_notebook_runs_from_top_to_bottom(notebook, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    names, text = {"__name__": "__main__"}, (ROOT / notebook).read_text(encoding="utf-8")
    exec(compile(text, notebook, "exec"), names)
    (shown,) = re.findall(r"# ```text\n(.*?)# ```", text, re.DOTALL)
    check_output(re.sub(r"^# ", "", shown, flags=re.MULTILINE), capsys.readouterr().out)
    assert names["first_rows"][1] < names["by_svd"][1]  # as its text says
    assert Path("rank_2/adapter_config.json").is_file()


def test_every_notebook_is_run():
    assert sorted(NOTEBOOKS) == sorted(str(path.relative_to(ROOT)) for path in (ROOT / "docs/tutorials").glob("*.py"))


def test_commands_are_lines_unless_a_quote_or_a_backslash_holds_them_together():
    assert list(commands_of("a 1\n# no\nb \\\n  2\npython -c \"\nx\n\"\nc 'd'")) == [
        "a 1",
        "b   2",
        'python -c "\nx\n"',
        "c 'd'",
    ]


def test_figures_may_differ_and_words_may_not():
    check_output("rank 1  0.50 [0.1, +0.2]\nend", "before\nrank 8    0.75 [0.9, +0.1]\nmore\nend")
    with pytest.raises(AssertionError, match="end"):
        check_output("end\nrank 1", "rank 1\n end of it")
    assert pattern_of("… b") == r".*\s*b"
