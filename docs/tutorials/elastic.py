# ---
# jupyter:
#   jupytext:
#     text_representation: {extension: .py, format_name: percent}
#   kernelspec: {display_name: Python 3, language: python, name: python3}
# ---

# %% [markdown]
# # Make a LoRA of PEFT work at every rank
#
# You have a LoRA that PEFT trained. Here it becomes one that can be cut to any rank, without training it again. This
# page is a notebook that runs top to bottom in under a minute on one CPU core, on what the package brings along:
# a tiny RoBERTa and an entailment task. You need `pip install "dylora" "peft>=0.18,<1"`.

# %% [markdown]
# ## 1. A LoRA to begin with
#
# Plain `transformers` and `peft`, nothing of dylora. If you have a LoRA, put its folder in the place of `lora`.

# %%
import torch
import transformers
from peft import LoraConfig, get_peft_model
from transformers import AutoModelForSequenceClassification, AutoTokenizer

from dylora.assets import asset_path
from dylora.data.sources.embedded import entailment

transformers.logging.set_verbosity_error()  # it would tell of the head that is new
torch.manual_seed(0)
BACKBONE = asset_path("roberta")  # any name of the hub, or a folder
tokenizer = AutoTokenizer.from_pretrained(BACKBONE)


def batches(split, count, size=32):
    """Batches of a split: token ids, mask and labels."""
    rows = entailment(split)[:count]
    for first in range(0, len(rows), size):
        part = rows[first : first + size]
        pairs = ([row["sentence1"] for row in part], [row["sentence2"] for row in part])
        batch = tokenizer(*pairs, padding=True, truncation=True, max_length=128, return_tensors="pt")
        yield {**batch, "labels": torch.tensor([row["label"] for row in part])}


def base_model():
    """The backbone with a head of two classes, the same each time."""
    torch.manual_seed(1)
    return AutoModelForSequenceClassification.from_pretrained(BACKBONE, num_labels=2)


config = LoraConfig(r=8, lora_alpha=16, task_type="SEQ_CLS", target_modules=["query", "value"])
lora = get_peft_model(base_model(), config).train()
optimizer = torch.optim.AdamW((p for p in lora.parameters() if p.requires_grad), lr=3e-3)
for _ in range(3):
    for batch in batches("train", 3200):
        lora(**batch).loss.backward()
        optimizer.step()
        optimizer.zero_grad()
lora.save_pretrained("lora")

# %% [markdown]
# ## 2. What its first components alone can do
#
# To cut a LoRA is to keep the first rows of `lora_A` and the first columns of `lora_B`. Nothing has put the useful ones
# first, so this loses more than it has to.

# %%
import copy

RANKS = (1, 2, 4, 8)


@torch.no_grad()
def accuracy(model):
    """The share of validation pairs that are right."""
    model.eval()
    right = [model(**batch).logits.argmax(-1) == batch["labels"] for batch in batches("validation", 500)]
    return float(torch.cat(right).float().mean())


@torch.no_grad()
def cut(model, rank):
    """A copy of a model of PEFT whose rows above the rank are zero."""
    model = copy.deepcopy(model)
    for name, parameter in model.named_parameters():
        if "lora_A" in name:
            parameter[rank:] = 0
    return model


def show(name, figures):
    """A line with the accuracy at each rank."""
    print(f"{name:<15}" + "".join(f"  rank {rank}: {figures[rank]:.3f}" for rank in RANKS))


first_rows = {rank: accuracy(cut(lora, rank)) for rank in RANKS}
show("first rows", first_rows)

# %% [markdown]
# ## 3. Sorted by singular value
#
# `adapt_from_peft` reads PEFT's two files and sorts the components of each layer. It needs no data. Rank 8 stays
# the LoRA as it was.

# %%
from pathlib import Path

import dylora
from dylora.deploy.peft_folder import read_peft, write_peft


def at_every_rank(model):
    """The accuracy of a model of dylora at each rank."""
    figures = {}
    for rank in RANKS:
        with dylora.use_rank(model, rank):
            figures[rank] = accuracy(model)
    return figures


elastic = dylora.adapt_from_peft(base_model(), read_peft(Path("lora")))
by_svd = at_every_rank(elastic)
show("singular values", by_svd)

# %% [markdown]
# ## 4. In a learned order
#
# With some training batches, the order is learned for the loss of the lower ranks. Only the order is trained; the
# largest rank still computes the same. 100 batches are what `convert` takes, too.

# %%
dylora.learn_order_(elastic, list(batches("train", 3200)), lambda batch: elastic(**batch).loss, steps=100)
learned = at_every_rank(elastic)
show("learned order", learned)

assert abs(by_svd[8] - first_rows[8]) < 0.01
assert abs(learned[8] - by_svd[8]) < 0.01, "the largest rank is the LoRA"

# %% [markdown]
# The three lines, on the machine where this was written:
#
# ```text
# first rows       rank 1: 0.500  rank 2: 0.596  rank 4: 0.688  rank 8: 0.798
# singular values  rank 1: 0.784  rank 2: 0.774  rank 4: 0.798  rank 8: 0.798
# learned order    rank 1: 0.790  rank 2: 0.798  rank 4: 0.818  rank 8: 0.798
# ```
#
# Read the lines from left to right: where a line is flat, the smaller rank does the same. Read them from top to bottom
# to see what the order gives.

# %% [markdown]
# ## 5. Keep it, and take a rank out
#
# `save` keeps all ranks in one folder. `peft_adapter` gives one rank as PEFT's own files, which need nothing of dylora.

# %%
dylora.save(elastic, "elastic", preprocessor=tokenizer, labels=["entailment", "not_entailment"])
again = dylora.load("elastic", rank=2)
print(again("Blue Door is a cheap pub.", "Blue Door suits a small budget.")["label"])

write_peft(Path("rank_2"), dylora.peft_adapter(elastic, 2))
print(sorted(path.name for path in Path("rank_2").iterdir()))

# %% [markdown]
# The same on the command line: `python -m dylora convert lora --output elastic --calibrate texts.txt`, then
# `python -m dylora export elastic --rank 2 --output rank_2` ([Taking a rank
# out](../deploy.md#the-loras-that-you-have)).
