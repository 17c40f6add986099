"""Scores of generated texts in the protocol of their data set, over all items and over parts of them."""

from collections.abc import Sequence
from statistics import fmean

from dylora.data.sources.prompt_source import TASK as OWN_DATA
from dylora.data.sources.stated import slot_accuracy
from dylora.data.sources.text_items import Item
from dylora.metrics.nlg import dart_scores, e2e_scores, own_scores, ptb_text, rouge_l, webnlg_scores

_TABLE_SCORES = ("bleu", "bleu_multi", "meteor", "ter_pyter", "ter_tercom")
_E2E_SCORES = ("bleu", "nist", "meteor", "rouge_l", "cider")
_OWN_SCORES = ("bleu", "rouge_l", "exact_match")
EMBEDDED = "restaurants"
_EMBEDDED_SCORES = ("slot_accuracy", *_E2E_SCORES)


def score_names(task: str) -> tuple[str, ...]:
    """The scores that a data set is reported in.

    >>> score_names("dart")
    ('bleu', 'bleu_multi', 'meteor', 'ter_pyter', 'ter_tercom')
    """
    if task == OWN_DATA:
        return _OWN_SCORES
    if task == EMBEDDED:
        return _EMBEDDED_SCORES
    return _TABLE_SCORES if task.startswith(("webnlg", "dart")) else _E2E_SCORES


def score_texts(task: str, texts: Sequence[str], items: Sequence[Item]) -> dict[str, float | None]:
    """Score texts; items without references are left out.

    Args:
        task: Name of the data set: that of E2E, WebNLG or DART decides the protocol, `prompts` is a user's own data,
            any other has E2E's; the embedded `restaurants` the share of the stated values, too.
        texts: One generated text an item.
        items: What they were generated from.

    Returns:
        The scores of `score_names`, and those of each part that the items' tags name, `bleu_S` for the tag value `S`.
        None where the package that a score needs is not installed; no scores at all without references.
    """
    pairs = [(text, item) for text, item in zip(texts, items, strict=True) if item.references]
    if not pairs:
        return {}
    scores = _scores(task, pairs)
    for part in sorted({value for _, item in pairs for value in item.tags.values()}):
        chosen = [(text, item) for text, item in pairs if part in item.tags.values()]
        scores |= {f"{name}_{part}": value for name, value in _scores(task, chosen).items()}
    return scores


def item_score(text: str, references: Sequence[str]) -> float:
    """ROUGE-L of one text, 0..1; the only score of all protocols that says something about a single text."""
    return rouge_l.item_score(ptb_text(text), [ptb_text(reference) for reference in references])


def _scores(task: str, pairs: Sequence[tuple[str, Item]]) -> dict[str, float | None]:
    texts, references = [text for text, _ in pairs], [item.references for _, item in pairs]
    if task == OWN_DATA:
        return dict(own_scores(texts, references))
    if task.startswith("webnlg"):
        return webnlg_scores(texts, references)
    if task == EMBEDDED:
        return {"slot_accuracy": fmean(slot_accuracies(pairs)), **e2e_scores(texts, references)}
    return dart_scores(texts, references) if task.startswith("dart") else e2e_scores(texts, references)


def slot_accuracies(pairs: Sequence[tuple[str, Item]]) -> list[float]:
    """For each text about a restaurant, the share of its item's values that it states, 0..1."""
    return [slot_accuracy(item.source, text) for text, item in pairs]
