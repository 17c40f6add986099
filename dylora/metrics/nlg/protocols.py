"""Which metrics a data set's scores are, and in which form each metric is given the texts."""

from collections.abc import Sequence
from typing import Literal

from dylora.metrics.nlg import bleu, cider, meteor, nist, rouge_l, ter_pyter, ter_tercom
from dylora.metrics.nlg.inputs import References, check_texts
from dylora.metrics.nlg.postprocess import evaluation_text, lower_and_space
from dylora.metrics.nlg.ptb_tokenizer import ptb_text

Counts = list[list[int]]

_LORA_REFERENCES = 6  # microsoft/LoRA's eval.py -nr 6
_UPSTREAM_REFERENCES = 3  # the reference files of DART and of WebNLG 2017


def _meteor(hypotheses: Sequence[str], references: References) -> float | None:
    return meteor.score(hypotheses, references) if meteor.is_available() else None


def e2e_scores(hypotheses: Sequence[str], references: References) -> dict[str, float | None]:
    """The five scores of the E2E NLG Challenge, in the definitions of `measure_scores.py -p`.

    METEOR, ROUGE-L and CIDEr are on the tokens of `ptb_tokens`, which are those of the official tokenizer on all texts
    of E2E; `ptb_tokenizer` says how far it agrees elsewhere.

    Args:
        hypotheses: One text an item, as generated.
        references: The references of each item, as written.

    Returns:
        `bleu` (0..1), `nist` (0 and up), `meteor` (0..1; None without the extra), `rouge_l` (0..1), `cider` (0..10).

    Raises:
        InputError: The two do not fit each other.
    """
    check_texts(hypotheses, references)
    tokenised = [ptb_text(text) for text in hypotheses], [[ptb_text(text) for text in texts] for texts in references]
    return {
        "bleu": bleu.e2e_score(hypotheses, references),
        "nist": nist.score(hypotheses, references),
        "meteor": _meteor(*tokenised),
        "rouge_l": rouge_l.score(hypotheses, references),
        "cider": cider.score(hypotheses, references),
    }


def _table_scores(hypotheses: Sequence[str], references: References) -> dict[str, float | None]:
    check_texts(hypotheses, references)
    spaced, spaced_references = _spaced(hypotheses, references)
    upstream_references = [texts[:_UPSTREAM_REFERENCES] for texts in spaced_references]
    words = [evaluation_text(text) for text in hypotheses]
    word_references = [[evaluation_text(text) for text in texts[:_LORA_REFERENCES]] for texts in references]
    return {
        "bleu": bleu.score(spaced, spaced_references),
        "bleu_multi": bleu.multi_bleu_score(spaced, upstream_references, _UPSTREAM_REFERENCES),
        "meteor": _meteor(words, word_references),
        "ter_pyter": ter_pyter.score(words, word_references),
        "ter_tercom": ter_tercom.score(spaced, upstream_references),
    }


def _spaced(hypotheses: Sequence[str], references: References) -> tuple[list[str], list[list[str]]]:
    """Lower-case texts with punctuation set off, and up to six references of each."""
    spaced = [[lower_and_space(text) for text in texts[:_LORA_REFERENCES]] for texts in references]
    return [lower_and_space(text) for text in hypotheses], spaced


def table_counts(score: Literal["bleu", "bleu_multi"], hypotheses: Sequence[str], references: References) -> Counts:
    """What each item adds to the counts of `bleu` or `bleu_multi` of DART and WebNLG; see `bleu.item_counts`."""
    spaced, spaced_references = _spaced(hypotheses, references)
    if score == "bleu":
        return bleu.item_counts(spaced, spaced_references)
    return bleu.multi_bleu_item_counts(spaced, spaced_references, _UPSTREAM_REFERENCES)


def dart_scores(hypotheses: Sequence[str], references: References) -> dict[str, float | None]:
    """The scores of DART, in the definitions of microsoft/LoRA and of DART's own scripts.

    All on lower-case texts with punctuation set off, which is what both are run on.

    Args:
        hypotheses: One text an item, as generated.
        references: The references of each item, as written.

    Returns:
        Of microsoft/LoRA (`eval.py` over up to 6 references): `bleu` (0..1), `meteor` (0..1; None without the extra)
        and `ter_pyter` (0 and up). Of DART (over up to 3 references): `bleu_multi` (0..1), `ter_tercom` (0 and up).

    Raises:
        InputError: The two do not fit each other.
    """
    return _table_scores(hypotheses, references)


def webnlg_scores(hypotheses: Sequence[str], references: References) -> dict[str, float | None]:
    """The scores of WebNLG 2017, in the definitions of microsoft/LoRA and of the challenge's own scripts.

    For seen, unseen and all categories, give the items of that part.

    Args:
        hypotheses: One text an item, as generated.
        references: The references of each item, as written.

    Returns:
        The same names as `dart_scores`.

    Raises:
        InputError: The two do not fit each other.
    """
    return _table_scores(hypotheses, references)


def own_scores(hypotheses: Sequence[str], references: References) -> dict[str, float]:
    """The scores of a user's own prompts.

    Args:
        hypotheses: One text an item, as generated.
        references: The references of each item, as written.

    Returns:
        `bleu` (0..1, corpus BLEU of mteval-v13a, lower case), `rouge_l` (0..1) and `exact_match` (0..1, the share of
        texts that are one of their references, but for white space around them).

    Raises:
        InputError: The two do not fit each other.

    >>> own_scores(["a b c d", "x"], [["a b c d"], ["y"]])["exact_match"]
    0.5
    """
    check_texts(hypotheses, references)
    exact = exact_matches(hypotheses, references)
    return {
        "bleu": bleu.score(hypotheses, references),
        "rouge_l": rouge_l.score(hypotheses, references),
        "exact_match": sum(exact) / len(exact),
    }


def exact_matches(hypotheses: Sequence[str], references: References) -> list[bool]:
    """Whether each text is one of its references, but for white space around them."""
    pairs = zip(hypotheses, references, strict=True)
    return [text.strip() in {reference.strip() for reference in texts} for text, texts in pairs]
