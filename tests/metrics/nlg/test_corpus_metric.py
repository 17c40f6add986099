import json
import pickle
import subprocess
import sys
from pathlib import Path

import pytest

from dylora.errors import InputError
from dylora.metrics import nlg
from dylora.metrics.nlg import CorpusTextMetric, e2e_scores, meteor

CLASSES = [
    (nlg.BLEU, nlg.bleu.score),
    (nlg.NIST, nlg.nist.score),
    (nlg.ROUGEL, nlg.rouge_l.score),
    (nlg.CIDEr, nlg.cider.score),
    (nlg.PyterTER, nlg.ter_pyter.score),
    (nlg.TercomTER, nlg.ter_tercom.score),
]


@pytest.mark.parametrize(("metric_class", "score"), CLASSES)
def test_batches_give_the_score_of_all_texts(pubs, metric_class, score):
    hypotheses, references = pubs
    metric = metric_class()
    metric.update(hypotheses[:2], references[:2])
    metric.update(hypotheses[2:], references[2:])
    assert metric.compute() == pytest.approx(score(hypotheses, references), abs=1e-12)


@pytest.mark.parametrize(("metric_class", "score"), CLASSES)
def test_the_order_of_items_does_not_change_a_digit(pubs, metric_class, score):
    hypotheses, references = pubs
    figures = set()
    for order in ([0, 1, 2, 3, 4], [4, 3, 2, 1, 0], [2, 0, 4, 1, 3]):
        metric = metric_class()
        metric.update([hypotheses[i] for i in order], [references[i] for i in order])
        figures.add(metric.compute())
    assert len(figures) == 1


def test_meteor_without_its_extra_is_refused_with_the_line_to_install_it(monkeypatch):
    meteor.stop()
    monkeypatch.setattr(meteor.importlib.util, "find_spec", lambda name: None)
    metric = nlg.METEOR()
    metric.update(["a pub"], [["a pub"]])
    with pytest.raises(InputError, match=r'pip install "dylora\[meteor\]"'):
        metric.compute()


def test_a_call_gives_the_score_of_the_batch_and_keeps_it_for_the_whole(pubs):
    hypotheses, references = pubs
    metric = nlg.ROUGEL()
    first = metric(hypotheses[:3], references[:3])
    second = metric(hypotheses[3:], references[3:])
    assert first == pytest.approx(nlg.rouge_l.score(hypotheses[:3], references[:3]), abs=1e-12)
    assert metric.compute() == pytest.approx((3 * first + 2 * second) / 5, abs=1e-12)


def test_reset_forgets_all_texts(pubs):
    metric = nlg.ROUGEL()
    metric.update(*pubs)
    metric.reset()
    metric.update(["a pub"], [["a pub"]])
    assert metric.compute() == 1.0


def test_texts_come_back_as_they_went_in():
    texts = ["line\nbreak\r\u2028 \x00 \udc80 café 😀 '\"\\", ""]
    metric = CorpusTextMetric(lambda hypotheses, references: float((hypotheses, references) == (texts, [["x"], texts])))
    metric.update(texts[:1], [["x"]])
    metric.update(texts[1:], [texts])
    assert sorted(texts, key=json.dumps) == [texts[1], texts[0]]
    metric.score = lambda hypotheses, references: dict(zip(hypotheses, references, strict=True))
    assert metric.compute() == {texts[0]: ["x"], texts[1]: texts}


def test_a_metric_can_be_pickled(pubs):
    metric = nlg.CIDEr()
    metric.update(*pubs)
    assert pickle.loads(pickle.dumps(metric)).compute() == metric.compute()


def test_texts_that_do_not_fit_are_refused_at_once():
    with pytest.raises(InputError, match="as many as the 1 hypotheses, got 0"):
        nlg.BLEU().update(["a"], [])


@pytest.mark.slow
def test_two_processes_give_the_figures_of_one(pubs, tmp_path, monkeypatch):
    monkeypatch.setattr(meteor, "is_available", lambda: False)
    hypotheses, references = pubs
    file = tmp_path / "texts.json"
    file.write_text(json.dumps([hypotheses, references, [5, 1]]), encoding="utf-8")
    script = Path(__file__).with_name("two_processes.py")
    result = subprocess.run([sys.executable, str(script), str(file)], capture_output=True, text=True, timeout=300)
    assert result.returncode == 0, result.stderr
    figures = [json.loads(line) for line in result.stdout.splitlines()]

    expected = []
    for size in (5, 1):  # with one item, the second process has none
        metrics = [nlg.CIDEr(), nlg.PyterTER(), CorpusTextMetric(e2e_scores)]
        for metric in metrics:
            metric.update(hypotheses[:size], references[:size])
        expected.append([metric.compute() for metric in metrics])
    assert figures == [expected, expected]
