"""Real outputs with the scores of the official scripts, and a small set of our own."""

import csv
import json
import re
from pathlib import Path

import pytest

E2E_SAMPLES = [
    "e2e_example_10",
    "e2e_tgen_std_run0_first150",
    "e2e_tgen_minus_run3_last150",
    "e2e_edge_cases_a",
]
TABLE_SAMPLES = [
    "dart_bart_large_3300_3450",
    "dart_bart_large_first150",
    "webnlg_bart_large_first150",
    "webnlg_generationeval_cased_first150",
]


def _golden_folder():
    for parent in Path(__file__).resolve().parents:
        folder = parent / "shared" / "reference" / "nlg_metrics"
        if folder.is_dir():
            return folder
    return pytest.skip("no official scores in ../shared/reference/nlg_metrics")


def _load(name):
    return json.loads((_golden_folder() / f"{name}.json").read_text(encoding="utf-8"))


@pytest.fixture(params=E2E_SAMPLES)
def e2e_sample(request):
    """A sample of E2E: hypotheses, references, their official tokens, scores of items, and `scores` of the whole."""
    return {**_load(request.param), "scores": _load("scores")["e2e"][request.param]}


@pytest.fixture(params=TABLE_SAMPLES)
def table_sample(request):
    """A sample of DART or WebNLG with the scores of microsoft/LoRA's script."""
    return {**_load(request.param), "scores": _load("scores")["dart_webnlg"][request.param]["lora_eval_py"]}


@pytest.fixture(params=TABLE_SAMPLES[:3])
def upstream_sample(request):
    """A sample of DART or WebNLG with the scores of the data set's own scripts."""
    scores = _load("scores")["dart_webnlg"][request.param]
    name = "upstream_dart_script" if request.param.startswith("dart") else "upstream_webnlg2017_script"
    return {**_load(request.param), "scores": scores[name]}


@pytest.fixture
def ptb_sentences():
    """Pairs of a text and its tokens, made with the official tokenizer; every rule of ours decides somewhere."""
    lines = Path(__file__).with_name("ptb_sentences.jsonl").read_text(encoding="utf-8").rstrip("\n").split("\n")
    return [json.loads(line) for line in lines]


@pytest.fixture
def real_texts():
    """Every 40th of the distinct texts of the real E2E, WebNLG and DART files."""
    for parent in Path(__file__).resolve().parents:
        folder = parent / "shared" / "data" / "nlg"
        if folder.is_dir():
            break
    else:
        return pytest.skip("no real data in ../shared/data/nlg")
    texts = set()
    for file in sorted(folder.rglob("*.csv")):
        with file.open(encoding="utf-8", newline="") as lines:
            texts.update(cell for row in csv.reader(lines) for cell in row)
    for file in sorted(folder.rglob("*.json")):
        texts.update(re.findall(r'"(?:lex|text)": "((?:[^"\\]|\\.)*)"', file.read_text(encoding="utf-8")))
    return sorted(texts)[::40]


@pytest.fixture
def linearisation():
    """Texts and what microsoft/LoRA's scripts make of them."""
    return _load("linearisation")


@pytest.fixture
def pubs():
    """Five hypotheses, one of them empty and one a single word, with one to three references each."""
    hypotheses = [
        "The Mill is a cheap pub near the river.",
        "",
        "Aromi is a coffee shop that serves French food. It is not family-friendly.",
        "Pub",
        "Near the river you can find The Mill, a pub with a price range of £20-25.",
    ]
    references = [
        ["The Mill is a pub near the river. It is cheap.", "A cheap pub near the river is The Mill."],
        ["There is a pub called Zizzi near The Sorrento."],
        [
            "Aromi is a French coffee shop. It isn't family-friendly.",
            "Aromi serves French food.",
            "Not family friendly, the coffee shop Aromi serves French food.",
        ],
        ["A pub called Zizzi.", "Zizzi is a pub."],
        ["The Mill is a pub near the river with a price range of £20-25."],
    ]
    return hypotheses, references
