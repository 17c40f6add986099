"""The scores of a data set's texts, all together and in parts."""

import pytest

from dylora.data.sources.text_items import Item
from dylora.metrics.nlg import dart_scores, e2e_scores, meteor, webnlg_scores
from dylora.modules.text_scores import item_score, score_names, score_texts

TEXTS = ["A pub called The Mill .", "Aromi is not cheap .", "Cheap food"]
REFERENCES = [("The Mill is a pub .", "A pub called The Mill ."), ("Aromi is cheap .",), ("Zizzi has cheap food .",)]
PROTOCOLS = {"e2e": e2e_scores, "webnlg": webnlg_scores, "dart": dart_scores}


@pytest.fixture(autouse=True)
def _no_meteor(monkeypatch):
    monkeypatch.setattr(meteor, "is_available", lambda: False)


def test_the_embedded_set_has_the_protocol_of_e2e_and_the_share_of_the_stated_values():
    items = [Item("name : The Mill | food : Greek", REFERENCES[0]), Item("", ()), Item("", REFERENCES[2])]
    scores = score_texts("restaurants", ["The Mill is an inn.", "", TEXTS[2]], items)
    assert tuple(scores) == score_names("restaurants")
    assert scores.pop("slot_accuracy") == 0.75  # one of two values, and nothing to state
    assert scores == e2e_scores(["The Mill is an inn.", TEXTS[2]], REFERENCES[::2])


@pytest.mark.parametrize("task", PROTOCOLS)
def test_a_data_set_is_scored_by_its_protocol(task):
    items = [Item("", references) for references in REFERENCES]
    scores = score_texts(task, TEXTS, items)
    assert scores == PROTOCOLS[task](TEXTS, REFERENCES)
    assert tuple(scores) == score_names(task)


def test_items_without_references_are_left_out():
    items = [Item("", REFERENCES[0]), Item("", ()), Item("", REFERENCES[2])]
    assert score_texts("e2e", TEXTS, items) == e2e_scores(TEXTS[::2], REFERENCES[::2])
    assert score_texts("e2e", TEXTS, [Item("", ())] * 3) == {}


def test_each_tag_value_is_a_part():
    tags = [{"seen": "S"}, {"seen": "U"}, {"seen": "S"}]
    scores = score_texts("webnlg", TEXTS, [Item("", *pair) for pair in zip(REFERENCES, tags, strict=True)])
    assert len(scores) == 15
    assert scores["ter_pyter_S"] == webnlg_scores(TEXTS[::2], REFERENCES[::2])["ter_pyter"]
    assert scores["ter_pyter_U"] == webnlg_scores(TEXTS[1:2], REFERENCES[1:2])["ter_pyter"]
    assert scores["meteor_U"] is None


def test_the_score_of_a_record_is_that_of_its_best_reference():
    assert item_score("A pub called The Mill!", ["It is cheap.", "a pub called The Mill."]) == 1.0
    assert item_score("", ["It is cheap."]) == 0.0
