"""How the time of a step and its memory grow with rank, tokens, depth, width, evaluated ranks and vocabulary.

    python benchmarks/cost_growth.py --output docs/images

A RoBERTa with random weights and no dropout, queries and values adapted, trained at its largest rank. One size at a
time is changed. Every point is measured in a process of its own: median seconds of a step, and the largest resident
memory above that before the model was made. The lines are the formulas `operations` and `bytes_held`: operations at the
speed that fits a plot's points best (the median), bytes as they are. The last line is the ratio of a step at the
largest rank to one at rank 1.
"""

import contextlib
import ctypes
import multiprocessing
import resource
import statistics
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import matplotlib as mpl
import timing
import torch
from matplotlib import pyplot as plt
from torch import Tensor, nn
from transformers import PreTrainedModel, RobertaConfig, RobertaForCausalLM, RobertaForSequenceClassification

from dylora import DyLoRAConfig, adapt, set_rank, use_rank
from dylora.modules.labelled_tokens import LabelledTokens

FLOAT = 4
"""Bytes of a number."""
LARGEST_LOGITS = 2**24
"""Logits that are held at once."""
_MMAP_THRESHOLD = -3  # of mallopt


@dataclass(frozen=True)
class Sizes:
    """Sizes of a step.

    Attributes:
        rows: Rows of the batch.
        tokens: Tokens of a row.
        layers: Layers.
        width: Width of the hidden states; the feed-forward layers are four times as wide.
        max_rank: Largest rank.
        evaluated: Ranks that a batch is evaluated at; 0 for a training step.
        vocabulary: Tokens that a language model chooses from; 0 for a classifier, whose embedding has 1,000.
    """

    rows: int = 8
    tokens: int = 64
    layers: int = 4
    width: int = 256
    max_rank: int = 8
    evaluated: int = 0
    vocabulary: int = 0


def operations(sizes: Sizes) -> float:
    """Multiplications and additions of a step.

    A token takes 24 d^2 in the frozen weights of a layer, 4 T d in its attention and 4 r d in each of two adapters.
    A training step's backward takes as much again for the inputs' gradients, twice for attention, and for the factors'.
    A language model's head takes 2 d V, and as much again backward.
    """
    d, per_rank = sizes.width, 2 * 4 * sizes.max_rank * sizes.width
    forward = 24 * d**2 + 4 * sizes.tokens * d + per_rank
    head = (2 * d * sizes.vocabulary + 2 * d**2) if sizes.vocabulary else 0
    if sizes.evaluated:
        each = sizes.layers * forward + head
        return sizes.evaluated * sizes.rows * sizes.tokens * each
    backward = 24 * d**2 + 8 * sizes.tokens * d + 2 * per_rank
    return sizes.rows * sizes.tokens * (sizes.layers * (forward + backward) + 2 * head)


def bytes_held(sizes: Sizes) -> float:
    """Bytes of weights, of the adapters with gradient and two moments, and of what a training step keeps.

    A layer keeps 11 d + 2 r numbers a token for the backward pass: query, key, value and output of attention, the
    inputs of two normalisations and of the adapters (4 + 2 + 1) and that of the activation (4). One layer at a time has
    the activation's output, or its two gradients: 8 d. An evaluation keeps the inputs of the layer and of its
    feed-forward part, 2 d, beside the latter's 8 d. Logits are there three times, as such, as probabilities and as a
    gradient.
    """
    d, tokens = sizes.width, sizes.rows * sizes.tokens
    weights = 12 * sizes.layers * d**2 + (sizes.vocabulary or 1000) * d
    adapters = 2 * 2 * d * sizes.max_rank * sizes.layers
    logits = min(tokens * sizes.vocabulary, LARGEST_LOGITS)
    if sizes.evaluated:
        return FLOAT * (weights + adapters + 10 * d * tokens)
    kept = tokens * sizes.layers * (11 * d + 2 * sizes.max_rank)
    return FLOAT * (weights + 4 * adapters + kept + 8 * d * tokens + 3 * logits)


def model_of(sizes: Sizes) -> PreTrainedModel:
    """The adapted model, with random weights."""
    torch.manual_seed(0)
    config = RobertaConfig(
        vocab_size=sizes.vocabulary or 1000,
        hidden_size=sizes.width,
        intermediate_size=4 * sizes.width,
        num_hidden_layers=sizes.layers,
        num_attention_heads=max(1, sizes.width // 64),
        max_position_embeddings=sizes.tokens + 2,
        hidden_dropout_prob=0.0,
        attention_probs_dropout_prob=0.0,
        is_decoder=bool(sizes.vocabulary),
        use_cache=False,
    )
    kind = RobertaForCausalLM if sizes.vocabulary else RobertaForSequenceClassification
    model: PreTrainedModel = adapt(kind(config), DyLoRAConfig(max_rank=sizes.max_rank))
    set_rank(model, sizes.max_rank)
    return model


def step_of(sizes: Sizes) -> Callable[[], object]:
    """A training step, or the evaluation of a batch at some ranks."""
    model = model_of(sizes)
    ids = torch.randint(3, sizes.vocabulary or 1000, (sizes.rows, sizes.tokens))
    inputs = {"input_ids": ids, "attention_mask": torch.ones_like(ids)}
    if sizes.evaluated:
        return lambda: evaluate(model.eval(), inputs, sizes.evaluated)
    factors = [parameter for name, parameter in model.named_parameters() if "lora_" in name]
    for parameter in model.parameters():
        parameter.requires_grad_(False)
    for parameter in factors:
        parameter.requires_grad_(True)
    optimizer = torch.optim.AdamW(factors, 1e-3)
    loss = language_loss(model, inputs) if sizes.vocabulary else lambda: model(**inputs).logits.square().mean()
    return lambda: train(optimizer, loss)


def language_loss(model: PreTrainedModel, inputs: dict[str, Tensor]) -> Callable[[], Tensor]:
    """The loss of every token, as the package computes it."""
    labelled, counted = LabelledTokens(model), torch.ones_like(inputs["input_ids"], dtype=torch.bool)
    return lambda: labelled.losses(inputs, counted, inputs["input_ids"][counted], 0.0)[0].mean()


def train(optimizer: torch.optim.Optimizer, loss: Callable[[], Tensor]) -> None:
    """A step."""
    loss().backward()  # type: ignore[no-untyped-call]
    optimizer.step()
    optimizer.zero_grad()


@torch.inference_mode()
def evaluate(model: nn.Module, inputs: dict[str, Tensor], ranks: int) -> None:
    """A batch at ranks 1 to `ranks`, one after another."""
    for rank in range(1, ranks + 1):
        with use_rank(model, rank):
            model(**inputs)


def in_own_process(measure: Callable[[], float]) -> float:
    """What a function finds in a process of its own, forked from this one, which has loaded the libraries."""
    context = multiprocessing.get_context("fork")
    receiver, sender = context.Pipe(duplex=False)
    child = context.Process(target=lambda: sender.send(measure()))
    child.start()
    sender.close()
    found: float = receiver.recv()
    child.join()
    return found


def seconds_of_step(sizes: Sizes, repetitions: int) -> float:
    """Median seconds of a step."""
    run = step_of(sizes)
    run()
    return statistics.median(timing.seconds_of(run, time.process_time) for _ in range(repetitions))


def megabytes_of_steps(sizes: Sizes) -> float:
    """Largest resident memory of two steps, above that of a step of almost no size; weights and all."""
    with contextlib.suppress(AttributeError, OSError):  # glibc keeps freed blocks; not those that are mapped
        ctypes.CDLL(None).mallopt(_MMAP_THRESHOLD, 2**16)
    step_of(replace(sizes, rows=1, tokens=2, layers=1, width=64, vocabulary=min(10, sizes.vocabulary)))()
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    run = step_of(sizes)
    run()
    run()
    return (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024


BASE = Sizes()
LANGUAGE = Sizes(rows=4, layers=2)
TITLES = {
    "max_rank": "largest rank",
    "tokens": "tokens of a row",
    "layers": "layers",
    "width": "width",
    "evaluated": "evaluated ranks",
    "vocabulary": "vocabulary",
}
GROWTHS: dict[str, tuple[Sizes, tuple[int, ...]]] = {
    "max_rank": (BASE, (1, 2, 4, 8, 16, 32, 64, 128)),
    "tokens": (BASE, (16, 32, 64, 128, 256, 512)),
    "layers": (BASE, (1, 2, 4, 8, 12)),
    "width": (BASE, (64, 128, 256, 512, 768)),
    "evaluated": (replace(BASE, max_rank=32), (1, 2, 4, 8, 16, 32)),
    "vocabulary": (LANGUAGE, (1000, 8000, 32000, 64000, 128000)),
}
"""What is changed: the other sizes, and the values."""


def plot(name: str, points: Iterable[tuple[Sizes, float, float]], output: Path) -> None:
    """Measured points and the formula's line: milliseconds on the left, MB on the right."""
    sizes, seconds, megabytes = zip(*points, strict=True)
    values = [getattr(each, name) for each in sizes]
    speed = statistics.median(operations(each) / taken for each, taken in zip(sizes, seconds, strict=True))
    with mpl.rc_context({"font.size": 9, "axes.spines.top": False, "axes.spines.right": False}):
        figure, axes = plt.subplots(1, 2, figsize=(6.4, 2.5), layout="constrained")
        lines = ([1000 * operations(each) / speed for each in sizes], [bytes_held(each) / 2**20 for each in sizes])
        measures = ([1000 * taken for taken in seconds], megabytes)
        for axis, line, found, label in zip(axes, lines, measures, ("ms a step", "MB"), strict=True):
            axis.plot(values, line, color="0.6", label="formula")
            axis.plot(values, found, "o", color="C0", markersize=4, label="measured")
            limits = {"xlim": (0, 1.05 * max(values)), "ylim": (0, 1.08 * max(*line, *found))}
            axis.set(xlabel=TITLES[name], ylabel=label, **limits)
            axis.locator_params(axis="x", nbins=4, integer=True)
        axes[0].legend(frameon=False)
        figure.savefig(output / f"cost_{name}.png", dpi=100)
        plt.close(figure)


def main() -> None:
    """Parse the command line, measure, print, plot."""
    parser = timing.parser(__doc__, repetitions=7)
    parser.add_argument("--output", type=Path, help="folder for the plots; none without it")
    parser.add_argument("--only", choices=GROWTHS, nargs="+", default=list(GROWTHS), help="some of the plots")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    found: dict[str, float] = {}
    for name in options.only:
        base, values = GROWTHS[name]
        if options.quick:
            base, values = replace(base, rows=2, layers=1, width=64), (values[0], values[1])
        points = []
        for sizes in (replace(base, **{name: value}) for value in values):
            seconds = in_own_process(partial(seconds_of_step, sizes, 1 if options.quick else options.repetitions))
            megabytes = in_own_process(partial(megabytes_of_steps, sizes))
            points.append((sizes, seconds, megabytes))
            print(
                f"{TITLES[name]:16} {getattr(sizes, name):7}: {1000 * seconds:8.1f} ms, {megabytes:6.0f} MB;"
                f" {operations(sizes) / 1e9:6.2f} G operations, {bytes_held(sizes) / 2**20:6.0f} MB",
                flush=True,
            )
        for sizes, seconds, _ in (points[0], points[-1]):
            found[f"{TITLES[name]} {getattr(sizes, name)}"] = 1000 * seconds
        if options.output:
            plot(name, points, options.output)
    names = list(found)
    timing.show(found, "ms a step", (names[1], names[0]))


if __name__ == "__main__":
    main()
