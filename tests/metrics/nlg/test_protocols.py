import pytest

from dylora.errors import InputError
from dylora.metrics.nlg import dart_scores, e2e_scores, meteor, protocols, webnlg_scores

E2E_NAMES = {"bleu": "BLEU", "nist": "NIST", "rouge_l": "ROUGE_L", "cider": "CIDEr"}


@pytest.fixture
def no_meteor(monkeypatch):
    monkeypatch.setattr(meteor, "is_available", lambda: False)


def test_e2e_scores_are_the_five_of_the_challenge(no_meteor, pubs):
    scores = e2e_scores(*pubs)
    assert list(scores) == ["bleu", "nist", "meteor", "rouge_l", "cider"]
    assert scores["meteor"] is None
    assert all(scores[name] > 0 for name in E2E_NAMES)


@pytest.mark.parametrize("protocol", [dart_scores, webnlg_scores])
def test_table_scores_are_both_definitions_of_bleu_and_ter(no_meteor, pubs, protocol):
    scores = protocol(*pubs)
    assert list(scores) == ["bleu", "bleu_multi", "meteor", "ter_pyter", "ter_tercom"]
    assert scores["meteor"] is None
    assert scores["ter_pyter"] != scores["ter_tercom"]


@pytest.mark.parametrize("protocol", [dart_scores, webnlg_scores])
def test_table_scores_do_not_depend_on_case_and_spacing(no_meteor, protocol):
    written = protocol(["The Mill is cheap, it's a pub."], [["The Mill, a pub, is cheap.", "It's cheap."]])
    spaced = protocol(["the mill is cheap , it ' s a pub ."], [["THE MILL , A PUB , IS CHEAP .", "it ' s cheap ."]])
    assert written == spaced


def test_meteor_is_given_the_tokens_of_the_protocol(monkeypatch):
    given = []
    monkeypatch.setattr(meteor, "is_available", lambda: True)
    monkeypatch.setattr(protocols.meteor, "score", lambda *texts: given.append(texts) or 0.5)
    assert e2e_scores(["It's £20."], [["You cannot."]])["meteor"] == 0.5
    assert dart_scores(["It's £20."], [["You cannot."] + ["x"] * 8])["meteor"] == 0.5
    assert given == [
        (["it 's # 20"], [["you can not"]]),
        (["it ' s £ 20 ."], [["you can not .", "x", "x", "x", "x", "x"]]),
    ]


@pytest.mark.parametrize("protocol", [e2e_scores, dart_scores, webnlg_scores])
def test_a_set_of_empty_hypotheses_is_scored(no_meteor, protocol):
    scores = protocol(["", ""], [["a pub", "the pub"], ["a restaurant"]])
    assert scores["bleu"] == pytest.approx(0.0, abs=1e-6)
    assert scores.get("ter_tercom", 1.0) == scores.get("ter_pyter", 1.0) == 1.0


@pytest.mark.parametrize("protocol", [e2e_scores, dart_scores, webnlg_scores])
def test_texts_that_do_not_fit_are_refused(protocol):
    with pytest.raises(InputError, match="references"):
        protocol(["a", "b"], [["a"]])


def test_e2e_scores_equal_the_official_script(no_meteor, e2e_sample):
    scores = e2e_scores(e2e_sample["hypotheses"], e2e_sample["references"])
    for name, official in E2E_NAMES.items():
        assert scores[name] == pytest.approx(e2e_sample["scores"][official], abs=1e-9), name


def test_table_scores_equal_eval_py(no_meteor, table_sample):
    scores = webnlg_scores(table_sample["hypotheses"], table_sample["references"])
    assert scores["bleu"] == pytest.approx(table_sample["scores"]["BLEU_NLTK"], abs=1e-9)
    assert scores["ter_pyter"] == pytest.approx(table_sample["scores"]["TER"], abs=1e-9)


def test_table_scores_equal_the_scripts_of_the_data_sets(no_meteor, upstream_sample):
    scores = dart_scores(upstream_sample["hypotheses"], upstream_sample["references"])
    assert scores["bleu_multi"] == pytest.approx(upstream_sample["scores"]["BLEU_multi_bleu_perl"] / 100, abs=1e-8)
    assert scores["ter_tercom"] == pytest.approx(upstream_sample["scores"]["TER_tercom_7.25"], abs=1e-9)
