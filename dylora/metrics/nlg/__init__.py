"""Metrics of generated text, by the definitions of the official scripts of E2E, DART and WebNLG.

Each metric is a module with `score(hypotheses, references)`: the hypotheses are one text an item, the references a list
of texts an item, not necessarily as many for every item. BLEU, ROUGE-L and METEOR are fractions (0..1, not percent),
CIDEr is 0..10, NIST is in bits, TER is edits per word of reference, so 0 and up and less is better.

The official scripts of E2E tokenise with a Java program. `ptb_tokens` stands in for it and gave the same tokens on all
texts of E2E and WebNLG and of DART's dev and test sets, so ROUGE-L and CIDEr of the samples that were compared are the
official ones.
"""

from dylora.metrics.nlg import bleu, cider, meteor, nist, postprocess, rouge_l, ter_pyter, ter_tercom
from dylora.metrics.nlg.inputs import References, check_texts
from dylora.metrics.nlg.protocols import dart_scores, e2e_scores, own_scores, webnlg_scores
from dylora.metrics.nlg.ptb_tokenizer import ptb_text, ptb_tokens

__all__ = [
    "References",
    "bleu",
    "check_texts",
    "cider",
    "dart_scores",
    "e2e_scores",
    "meteor",
    "nist",
    "own_scores",
    "postprocess",
    "ptb_text",
    "ptb_tokens",
    "rouge_l",
    "ter_pyter",
    "ter_tercom",
    "webnlg_scores",
]
