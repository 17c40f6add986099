"""`python -m dylora predict --text "…"`: a trained model asked about sentences of the command line."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from dylora.adapters.active_rank import rank_state
from dylora.adapters.rank_spec import parse_ranks
from dylora.cli.commands import typed
from dylora.cli.plain_parser import PlainParser
from dylora.deploy.load import load
from dylora.deploy.predictor import Predictor
from dylora.errors import InputError
from dylora.runs.folders import ROOT, newest_run


def ask(arguments: Sequence[str]) -> None:
    """Print what a trained model answers at the asked ranks.

    Args:
        arguments: What follows `predict` on the command line.

    Raises:
        InputError: If an option is wrong, or there is nothing trained.
    """
    options = build_parser().parse_args(list(arguments))
    texts, pairs = options.text, options.text_pair
    if pairs and len(pairs) != len(texts):
        given = f"{len(pairs)} for {len(texts)} --text"
        raise InputError("--text_pair", "given once for each --text, or never", given, "give as many of both")
    loaded = _loaded(_source(options))
    if loaded.kind == "images":
        fix = "give --data.predict_dir DIR"
        raise InputError("--text", "left out for a model of images", (texts or pairs)[0], fix)
    ranks = _ranks(options.rank, loaded)
    print("\n".join(lines_of(loaded, ranks, texts, pairs)))


def build_parser() -> PlainParser:
    """The options of `predict` with `--text`."""
    parser = PlainParser(prog=typed("predict"), description="Ask a trained model about sentences.")
    add = parser.add_argument
    add("--text", type=str, action="append", default=[], help="A sentence or a prompt; may be repeated.")
    add("--text_pair", type=str, action="append", default=[], help="The second sentence of a pair; one for each text.")
    add("--rank", type=str, default="max", help="Ranks: one (3), several (1,8), a range (2-5) or all; max by default.")
    text = "A checkpoint, a run's folder or a folder of dylora; the newest run by default."
    add("--ckpt_path", type=str | None, default=None, help=text)
    add("--config", "-c", type=str | None, default=None, help="config.yaml of the run, in the place of --ckpt_path.")
    return parser


def lines_of(loaded: Predictor, ranks: Sequence[int], texts: list[str], pairs: list[str]) -> list[str]:
    """The answers, a line for each text and rank."""
    answers = {rank: loaded.set_rank(rank)(texts, pairs or None) for rank in ranks}
    lines = []
    for place, text in enumerate(texts):
        lines.append(f"{text} | {pairs[place]}" if pairs else text)
        lines += [f"  rank {rank:<4}{_told(answers[rank][place])}" for rank in ranks]
    return lines


def _told(answer: dict[str, Any]) -> str:
    if "label" in answer:
        shares = ", ".join(f"{label} {share:.4f}" for label, share in answer["probabilities"].items())
        return f"{answer['label']} ({shares})"
    return f"{answer['score']:.4f}" if "score" in answer else str(answer["text"])


def _ranks(text: str, loaded: Predictor) -> tuple[int, ...]:
    ranks = rank_state(loaded.model).config.ranks
    return (ranks.max_rank,) if text == "max" else tuple(parse_ranks(text, ranks))


def _loaded(source: Path) -> Predictor:
    try:
        return load(source)
    except InputError as error:
        if error.argument != "path":
            raise
        raise InputError("--ckpt_path", *error.args[1:]) from error


def _source(options: Any) -> Path:  # noqa: ANN401
    if options.ckpt_path:
        return Path(options.ckpt_path)
    return Path(options.config).parent if options.config else newest_run(Path(ROOT))
