"""What the pages take for granted of their reader: a finished run, a LoRA of PEFT, files."""

import shutil

import tiny
import tiny_images
from page_runner import ROOT
from peft import LoraConfig, get_peft_model
from transformers import AutoModelForCausalLM, AutoModelForSequenceClassification

import dylora
from dylora.assets import asset_path
from dylora.cli import main
from dylora.data.sources.embedded import entailment
from dylora.deploy.peft_folder import write_peft


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
