"""Make the two tiny backbones that the package ships, tokenizers included, from nothing but the restaurant grammar.

    python experiments/pretrain_builtin.py --output dylora/assets

RoBERTa learns masked words in pairs of texts that are about the same or about similar restaurants, so that its
attention finds in one text what the other says; it never sees an entailment label. GPT-2 learns to continue texts with
more texts, and meaning representations with more meaning representations, but never a representation with its text.
Only combinations of attributes of the training split occur.
"""

import argparse
import json
import random
import time
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
from tokenizers import ByteLevelBPETokenizer
from torch import Tensor
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

from dylora.data import grammar
from dylora.data.grammar import VALUES, Meaning

VOCABULARY = 896
POSITIONS = 128
HIDDEN = 128
LAYERS = 4
HEADS = 4
BATCH_SIZE = 32
LEARNING_RATE = 1e-3
SPECIAL_TOKENS = ["<s>", "<pad>", "</s>", "<unk>", "<mask>"]  # RoBERTa's, in its order
PAD, SEP, MASK = 1, 2, 4
IGNORED = -100  # label of the tokens that the loss leaves out
Between = dict[tuple[int, int], list[int]]


def similar(meaning: Meaning, rng: random.Random) -> Meaning:
    """A meaning of the training split with some of the attributes changed and another name."""
    while True:
        other = {
            slot: grammar.pick(rng, VALUES[slot]) if slot == "name" or rng.random() < 0.7 else value
            for slot, value in meaning.items()
        }
        if other["name"] != meaning["name"] and grammar.split_of(other) == "train":
            return other


def part(meaning: Meaning, rng: random.Random) -> Meaning:
    """The name and some of the attributes."""
    attributes = grammar.shuffled(rng, [slot for slot in meaning if slot != "name"])
    kept = attributes[: 1 + int(rng.random() * len(attributes))]
    return {slot: value for slot, value in meaning.items() if slot == "name" or slot in kept}


def text_pair(rng: random.Random) -> tuple[str, str]:
    """A text about one restaurant, or two, and a sentence that repeats some of it."""
    if rng.random() < 0.7:
        meaning = grammar.draw_meaning(rng, "train", 2 + int(rng.random() * 2))
        first = grammar.describe(meaning, rng)
    else:
        meaning = grammar.draw_meaning(rng, "train", 2)
        first = grammar.contrast(meaning, similar(meaning, rng), rng)
    return first, grammar.state(part(meaning, rng), rng, avoid=first if rng.random() < 0.5 else "")


def document(rng: random.Random) -> str:
    """Several texts about one restaurant, or several meaning representations of it, with changing separators."""
    meaning = grammar.draw_meaning(rng, "train", 2 + int(rng.random() * 6))
    separator = grammar.pick(rng, (" ", " || ", "\n"))
    if rng.random() < 0.3:
        return separator.join(grammar.meaning_text(part(meaning, rng)) for _ in range(3))
    return separator.join((grammar.describe(meaning, rng), grammar.describe(meaning, rng)))


def learn_bpe(seed: int, special_tokens: list[str]) -> tuple[dict[str, int], Any]:
    """Vocabulary and merges of a byte-level BPE, from texts and meaning representations."""
    rng = random.Random(f"{seed}/bpe")
    texts = [document(rng) for _ in range(4000)] + [" ".join(text_pair(rng)) for _ in range(4000)]
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
        initializer_range=0.06,  # the default, 0.02, is meant for wide models and learns much later here
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


def corrupt(ids: list[int], between: Between, rng: random.Random) -> tuple[list[int], list[int]]:
    """Hide or replace tokens, most of them in the second text, and label those with what they were.

    Only tokens that their two neighbours do not determine are touched, and a replacement is a token that occurs
    elsewhere between the same neighbours: so the first text is needed to tell what was there, or that it is wrong.
    """
    inputs, labels = list(ids), [IGNORED] * len(ids)
    second = ids.index(SEP) + 2
    for i in range(1, len(ids) - 1):
        candidates = between[ids[i - 1], ids[i + 1]]
        hide, replace = (0.4, 0.3) if i >= second else (0.15, 0.0)
        chance = rng.random()
        if chance < hide + replace and len(set(candidates)) > 1:
            labels[i] = ids[i]
            inputs[i] = MASK if chance < hide else grammar.pick(rng, candidates)
    return inputs, labels


def masked_batches(tokenizer: RobertaTokenizer, rng: random.Random) -> Iterator[dict[str, Tensor]]:
    """Endless batches of `<s> a </s></s> b </s>` with tokens to recover, texts of similar length together."""
    between: Between = defaultdict(list)
    while True:
        firsts, seconds = zip(*(text_pair(rng) for _ in range(100 * BATCH_SIZE)), strict=True)
        encoded = sorted(tokenizer(firsts, seconds, truncation=True)["input_ids"], key=len)
        for ids in encoded:
            for before, token, after in zip(ids, ids[1:], ids[2:], strict=False):
                between[before, after] = [*between[before, after][-99:], token]
        for start in grammar.shuffled(rng, range(0, len(encoded), BATCH_SIZE)):
            pairs = [corrupt(ids, between, rng) for ids in encoded[start : start + BATCH_SIZE]]
            inputs = padded([pair[0] for pair in pairs], PAD)
            labels = padded([pair[1] for pair in pairs], IGNORED)
            yield {"input_ids": inputs, "attention_mask": (inputs != PAD).long(), "labels": labels}


def padded(rows: list[list[int]], value: int) -> Tensor:
    """Rows of unequal length as one tensor `(rows, longest)`."""
    return pad_sequence([torch.tensor(row) for row in rows], batch_first=True, padding_value=value)


def causal_batches(tokenizer: GPT2Tokenizer, rng: random.Random) -> Iterator[dict[str, Tensor]]:
    """Endless batches of documents, one after another in blocks of `POSITIONS` tokens."""
    size = BATCH_SIZE * POSITIONS
    stream: list[int] = []
    while True:
        while len(stream) < size:
            stream += tokenizer(document(rng) + tokenizer.eos_token)["input_ids"]
        block = torch.tensor(stream[:size]).view(-1, POSITIONS)
        stream = stream[size:]
        yield {"input_ids": block, "labels": block}


def pretrain(model: PreTrainedModel, batches: Iterator[dict[str, Tensor]], steps: int) -> None:
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
        pretrain(roberta, masked_batches(roberta_tokenizer, rng), steps)
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
    parser.add_argument("--steps", type=int, default=1600, help="optimizer steps for each (default: 1600)")
    parser.add_argument("--seed", type=int, default=0, help="seed of weights, texts and masks (default: 0)")
    options = parser.parse_args()
    for name in [options.only] if options.only else ["roberta", "gpt2"]:
        make(name, options.output / name, options.steps, options.seed)


if __name__ == "__main__":
    main()
