"""What each generated text adds to a score of all, for the scores that are sums over the texts."""

from collections.abc import Mapping, Sequence
from typing import Any, Literal

import numpy as np

from dylora.data.sources.prompt_source import TASK as OWN_DATA
from dylora.data.sources.text_items import Item
from dylora.metrics.nlg import bleu
from dylora.metrics.nlg.protocols import exact_matches, table_counts
from dylora.modules.text_scores import item_score, score_names, slot_accuracies
from dylora.rank_curve.kept import KeptOutcomes

TextKind = Literal["ngrams", "e2e_ngrams", "means"]


def text_outcomes(
    task: str, score: str, written: Mapping[int, Sequence[Mapping[str, Any]]], items: Sequence[Item]
) -> KeptOutcomes | None:
    """The outcomes of the texts that were written at each rank; items without references are left out.

    Args:
        task: Name of the data set, which decides how a score is defined.
        score: One of its scores.
        written: For each rank, records of `index` (place in `items`) and `text`, the same items at each rank.
        items: What was written for.

    Returns:
        None where the score is no sum over the texts (METEOR, TER, NIST, CIDEr), or nothing can be scored.
    """
    ranks = sorted(written)
    kind = _kind(task, score)
    places = [record["index"] for record in written[ranks[0]] if items[record["index"]].references] if ranks else []
    if kind is None or not places:
        return None
    chosen = [items[place] for place in places]
    texts = [{record["index"]: record["text"] for record in written[rank]} for rank in ranks]
    rows = [_rows(task, score, [of_rank[place] for place in places], chosen) for of_rank in texts]
    index = np.array(places, dtype=np.int32)
    values = np.array(rows, dtype=np.float32)
    return KeptOutcomes(kind, score, tuple(ranks), values, np.zeros(0, np.float32), np.zeros_like(index), index)


def _kind(task: str, score: str) -> TextKind | None:
    if score not in score_names(task):
        return None
    if score == "bleu":
        return "ngrams" if task == OWN_DATA or _is_table(task) else "e2e_ngrams"
    return {"bleu_multi": "ngrams", "rouge_l": "means", "exact_match": "means", "slot_accuracy": "means"}.get(score)  # type: ignore[return-value]


def _rows(task: str, score: str, texts: list[str], items: Sequence[Item]) -> Sequence[Any]:
    """One row, or one number, of each text."""
    references = [item.references for item in items]
    if score == "slot_accuracy":
        return slot_accuracies(list(zip(texts, items, strict=True)))
    if score == "rouge_l":
        return [item_score(text, own) for text, own in zip(texts, references, strict=True)]
    if score == "exact_match":
        return exact_matches(texts, references)
    if _is_table(task):
        return table_counts("bleu" if score == "bleu" else "bleu_multi", texts, references)
    return bleu.item_counts(texts, references) if task == OWN_DATA else bleu.e2e_item_counts(texts, references)


def _is_table(task: str) -> bool:
    return task.startswith(("webnlg", "dart"))
