"""What each text adds to a score gives the score of all of them again."""

import numpy as np
import pytest

from dylora.data.sources.text_items import Item
from dylora.metrics.nlg import meteor
from dylora.modules.text_outcomes import text_outcomes
from dylora.modules.text_scores import score_texts
from dylora.rank_curve.kept import metric_outcomes

ITEMS = [
    Item(
        "name : The Mill | priceRange : cheap", ("The Mill is a cheap pub near the river .", "A pub called The Mill .")
    ),
    Item("b", ()),
    Item("c", ("Aromi is a cheap place in the city centre .",)),
    Item("d", ("Zizzi has good and cheap food for all .",)),
]
WRITTEN = {
    1: ["The Mill is a cheap pub near the city .", "None", "Aromi is a cheap place", ""],
    3: ["A pub called The Mill .", "None", "Aromi is a cheap place in the city centre .", "Zizzi , food"],
}
RECORDS = {
    rank: [{"index": place, "text": text} for place, text in enumerate(texts)] for rank, texts in WRITTEN.items()
}


@pytest.mark.parametrize(
    ("task", "score"),
    [(task, "bleu") for task in ("e2e", "dart", "webnlg", "prompts", "restaurants")]
    + [
        ("dart", "bleu_multi"),
        ("e2e", "rouge_l"),
        ("prompts", "rouge_l"),
        ("prompts", "exact_match"),
        ("restaurants", "slot_accuracy"),
    ],
)
def test_the_outcomes_give_the_score_of_each_rank(task, score, monkeypatch):
    monkeypatch.setattr(meteor, "is_available", lambda: False)
    kept = text_outcomes(task, score, RECORDS, ITEMS)
    assert (kept.metric, kept.ranks, kept.index.tolist()) == (score, (1, 3), [0, 2, 3])
    found = metric_outcomes([kept]).values(np.ones((1, 3)))[0, 0]
    assert found == pytest.approx([score_texts(task, texts, ITEMS)[score] for texts in WRITTEN.values()], rel=1e-6)
    assert found[0] != found[1]


def test_the_e2e_script_counts_no_match_as_nearly_none_on_a_resample_too():
    kept = text_outcomes("e2e", "bleu", RECORDS, ITEMS)
    found = metric_outcomes([kept]).values(np.array([[0.0, 0, 2], [1, 0, 2]]))[:, 0]
    drawn = [[3, 3], [0, 3, 3]]
    expected = [
        [score_texts("e2e", [texts[i] for i in some], [ITEMS[i] for i in some])["bleu"] for texts in WRITTEN.values()]
        for some in drawn
    ]
    assert found == pytest.approx(np.array(expected), rel=1e-6)


def test_a_score_that_is_no_sum_over_texts_or_nothing_to_score_has_none():
    assert text_outcomes("e2e", "cider", RECORDS, ITEMS) is None
    assert text_outcomes("dart", "ter_pyter", RECORDS, ITEMS) is None
    assert text_outcomes("prompts", "bleu", RECORDS, [Item("a", ())] * 4) is None
    assert text_outcomes("prompts", "bleu", {}, ITEMS) is None
