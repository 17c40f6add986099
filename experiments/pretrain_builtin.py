"""Make the two tiny backbones that the package ships, tokenizers included, from nothing but the restaurant grammar.

    python experiments/pretrain_builtin.py --output dylora/assets

RoBERTa reads pairs of texts that say the same in different words, with hidden words to find. GPT-2 learns to
continue texts with more texts or with what they mean, and meaning representations with more meaning representations,
but never a representation with its text. Only combinations of attributes of the training split occur.
"""

import argparse
import json
import random
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import torch
from tokenizers import ByteLevelBPETokenizer
from torch import Tensor, nn
from torch.nn.utils.rnn import pad_sequence
from transformers import (
    GPT2Config,
    GPT2LMHeadModel,
    GPT2Tokenizer,
    PreTrainedModel,
    PreTrainedTokenizerBase,
    RobertaConfig,
    RobertaForMaskedLM,
    RobertaTokenizer,
    get_cosine_schedule_with_warmup,
)

from dylora.data.completion import IGNORED
from dylora.data.sources import grammar
from dylora.data.sources.grammar import Meaning

VOCABULARY = 896
POSITIONS = 128
HIDDEN = 128
LAYERS = 4
HEADS = 4
BATCH_SIZE = 32
STEPS = {"roberta": 500, "gpt2": 1000}
LEARNING_RATE = 1e-3
SPECIAL_TOKENS = ["<s>", "<pad>", "</s>", "<unk>", "<mask>"]  # RoBERTa's, in its order
BOS, PAD, SEP, MASK = 0, 1, 2, 4


def part(meaning: Meaning, rng: random.Random) -> Meaning:
    """The name and some of the attributes."""
    attributes = grammar.shuffled(rng, [slot for slot in meaning if slot != "name"])
    kept = attributes[: 1 + int(rng.random() * len(attributes))]
    return {slot: value for slot, value in meaning.items() if slot == "name" or slot in kept}


def document(rng: random.Random) -> str:
    """Several texts about one restaurant, or several meaning representations of it, with changing separators."""
    meaning = grammar.draw_meaning(rng, "train", 2 + int(rng.random() * 6))
    separator = grammar.pick(rng, (" ", " || ", "\n"))
    if rng.random() < 0.3:
        return separator.join(grammar.meaning_text(part(meaning, rng)) for _ in range(3))
    return separator.join((grammar.describe(meaning, rng), grammar.describe(meaning, rng)))


def document_to_continue(rng: random.Random) -> str:
    """A document, or a text and the meaning representation of it: the task's two sides, in the other order."""
    if rng.random() < 0.5:
        return document(rng)
    meaning = grammar.draw_meaning(rng, "train", 2 + int(rng.random() * 6))
    return f"{grammar.describe(meaning, rng)}\n{grammar.meaning_text(meaning)}"


def learn_bpe(seed: int, special_tokens: list[str]) -> tuple[dict[str, int], Any]:
    """Vocabulary and merges of a byte-level BPE, from texts and meaning representations."""
    rng = random.Random(f"{seed}/bpe")
    texts = [document(rng) for _ in range(4000)] + [facts(rng)[1] for _ in range(4000)]
    bpe = ByteLevelBPETokenizer()
    bpe.train_from_iterator(texts, VOCABULARY, show_progress=False, special_tokens=special_tokens)
    model = json.loads(bpe.to_str())["model"]
    return model["vocab"], [tuple(merge) for merge in model["merges"]]


def make_roberta(seed: int) -> tuple[RobertaForMaskedLM, RobertaTokenizer]:
    """An untrained RoBERTa and its tokenizer."""
    vocab, merges = learn_bpe(seed, SPECIAL_TOKENS)
    tokenizer = RobertaTokenizer(vocab=vocab, merges=merges, model_max_length=POSITIONS)
    config = RobertaConfig(
        vocab_size=VOCABULARY,
        hidden_size=HIDDEN,
        num_hidden_layers=LAYERS,
        num_attention_heads=HEADS,
        intermediate_size=4 * HIDDEN,
        max_position_embeddings=POSITIONS + 2,  # RoBERTa counts positions from the padding id + 1 on
        type_vocab_size=1,
        hidden_dropout_prob=0.0,
        attention_probs_dropout_prob=0.0,
        bos_token_id=tokenizer.bos_token_id,
        pad_token_id=tokenizer.pad_token_id,
        eos_token_id=tokenizer.eos_token_id,
    )
    return RobertaForMaskedLM(config), tokenizer


def make_gpt2(seed: int) -> tuple[GPT2LMHeadModel, GPT2Tokenizer]:
    """An untrained GPT-2 and its tokenizer."""
    vocab, merges = learn_bpe(seed, ["<|endoftext|>"])
    tokenizer = GPT2Tokenizer(vocab=vocab, merges=merges, pad_token="<|endoftext|>", model_max_length=POSITIONS)
    config = GPT2Config(
        vocab_size=VOCABULARY,
        n_positions=POSITIONS,
        n_embd=HIDDEN,
        n_layer=LAYERS,
        n_head=HEADS,
        embd_pdrop=0.0,
        attn_pdrop=0.0,
        resid_pdrop=0.0,
        bos_token_id=tokenizer.bos_token_id,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
    )
    return GPT2LMHeadModel(config), tokenizer


def facts(rng: random.Random) -> tuple[Meaning, str]:
    """A meaning of two to four attributes, and a sentence that says them."""
    meaning = grammar.draw_meaning(rng, "train", 2 + int(rng.random() * 3))
    said = list(grammar.wordings(meaning, rng).values())
    return meaning, grammar.sentence(meaning["name"], said)


def denoising_batches(tokenizer: RobertaTokenizer, rng: random.Random) -> Iterator[dict[str, Tensor]]:
    """Endless batches of `<s> a </s></s> b </s>`, b saying a in other words; 15 % of the tokens are hidden.

    All tokens are to be told, hidden or not: so the vectors of the last layer keep the words, which a task needs.
    """
    while True:
        pairs = [
            (text, grammar.state(meaning, rng, avoid=text)) for meaning, text in (facts(rng) for _ in range(BATCH_SIZE))
        ]
        encoded = tokenizer(*map(list, zip(*pairs, strict=True)), truncation=True)["input_ids"]
        ids = padded(encoded, PAD)
        chance = padded([[rng.random() for _ in row] for row in encoded], 1.0)
        hidden = (chance < 0.15) & (ids != BOS) & (ids != SEP)
        yield {
            "input_ids": ids.masked_fill(hidden, MASK),
            "attention_mask": (ids != PAD).long(),
            "labels": ids.masked_fill(ids == PAD, IGNORED),
        }


def padded(rows: Sequence[list[Any]], value: float) -> Tensor:
    """Rows of unequal length as one tensor `(rows, longest)`."""
    return pad_sequence([torch.tensor(row) for row in rows], batch_first=True, padding_value=value)


def causal_batches(tokenizer: GPT2Tokenizer, rng: random.Random) -> Iterator[dict[str, Tensor]]:
    """Endless batches of documents, one after another in blocks of `POSITIONS` tokens."""
    size = BATCH_SIZE * POSITIONS
    stream: list[int] = []
    while True:
        while len(stream) < size:
            stream += tokenizer(document_to_continue(rng) + tokenizer.eos_token)["input_ids"]
        block = torch.tensor(stream[:size]).view(-1, POSITIONS)
        stream = stream[size:]
        yield {"input_ids": block, "labels": block}


def pretrain(model: nn.Module, batches: Iterator[dict[str, Tensor]], steps: int) -> None:
    """Plain AdamW training with warm-up and a cosine schedule."""
    optimizer = torch.optim.AdamW(model.parameters(), LEARNING_RATE, betas=(0.9, 0.98), weight_decay=0.01)
    schedule = get_cosine_schedule_with_warmup(optimizer, steps // 20, steps)
    model.train()
    begin, total = time.monotonic(), 0.0
    for step in range(1, steps + 1):
        loss = model(**next(batches)).loss
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        schedule.step()
        optimizer.zero_grad()
        total += loss.item()
        if step % 100 == 0:
            seconds = time.monotonic() - begin
            print(f"step {step}/{steps}  mean loss {total / 100:.3f}  {seconds:.0f} s", flush=True)
            total = 0.0


def save(model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, folder: Path) -> None:
    """Write a folder that `from_pretrained` reads; the weights in half precision, to be small."""
    for parameter in model.parameters():
        parameter.data = parameter.data.half()
    model.save_pretrained(folder)
    model.config.dtype = torch.float32  # what they are meant to be used in
    model.config.save_pretrained(folder)
    tokenizer.save_pretrained(folder)


def make(name: str, folder: Path, steps: int, seed: int) -> None:
    """Make one backbone and write it."""
    torch.manual_seed(seed)
    rng = random.Random(f"{seed}/{name}")
    if name == "roberta":
        roberta, roberta_tokenizer = make_roberta(seed)
        pretrain(roberta, denoising_batches(roberta_tokenizer, rng), steps)
        save(roberta, roberta_tokenizer, folder)
    else:
        gpt2, gpt2_tokenizer = make_gpt2(seed)
        pretrain(gpt2, causal_batches(gpt2_tokenizer, rng), steps)
        save(gpt2, gpt2_tokenizer, folder)


def main() -> None:
    """Parse the command line and make the backbones."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--output", type=Path, required=True, help="folder to write roberta/ and gpt2/ into")
    parser.add_argument("--only", choices=("roberta", "gpt2"), help="make one of the two (default: both)")
    parser.add_argument("--steps", type=int, help="optimizer steps (default: 500 for roberta, 1000 for gpt2)")
    parser.add_argument("--seed", type=int, default=0, help="seed of weights, texts and masks (default: 0)")
    options = parser.parse_args()
    for name in [options.only] if options.only else ["roberta", "gpt2"]:
        make(name, options.output / name, options.steps or STEPS[name], options.seed)


if __name__ == "__main__":
    main()
