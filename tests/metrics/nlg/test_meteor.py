import sys

import pytest

from dylora.errors import InputError
from dylora.metrics.nlg import meteor, ptb_text
from dylora.metrics.nlg.postprocess import evaluation_text

# Speaks METEOR's protocol: a count of words for each SCORE, their mean for EVAL; keeps what it was told.
STAND_IN = """
import sys
for line in sys.stdin.buffer:
    with open(sys.argv[1], "ab") as told:
        told.write(line)
    kind, *fields = line.decode("utf-8").rstrip("\\n").split(" ||| ")
    if kind == "SCORE":
        print(len(fields[-1].split()), flush=True)
    else:
        counts = [float(field) for field in fields]
        print(*counts, sum(counts) / len(counts), sep="\\n", flush=True)
"""


@pytest.fixture
def use_program(monkeypatch):
    """Use another program in METEOR's place, from its arguments to Python."""
    meteor.stop()
    yield lambda *arguments: monkeypatch.setattr(meteor, "_command", lambda: [sys.executable, *map(str, arguments)])
    meteor.stop()


@pytest.fixture
def stand_in(use_program, tmp_path):
    use_program("-c", STAND_IN, tmp_path / "told")
    return tmp_path / "told"


def test_the_score_of_the_whole_is_read_after_those_of_the_items(stand_in):
    assert meteor.score(["a b c", "", "d"], [["a"], ["b", "c"], ["d"]]) == 4 / 3


def test_texts_reach_the_program_as_single_fields_in_utf8(stand_in):
    meteor.score(["a ||| b\nc\u2028café"], [["x\ty", "é"]])
    assert stand_in.read_text(encoding="utf-8").split("\n")[0] == "SCORE ||| x y ||| é ||| a b c café"


def test_sets_are_scored_by_one_program_until_it_is_stopped(stand_in, monkeypatch):
    assert meteor.score(["a b"], [["a"]]) == 2.0
    monkeypatch.setattr(meteor, "_command", None)  # nothing more is started
    assert meteor.score(["a", "a b c d"], [["a"], ["a"]]) == 2.5
    meteor.stop()
    with pytest.raises(TypeError):
        meteor.score(["a b"], [["a"]])


def test_a_talk_that_broke_off_is_not_taken_up_again(stand_in, monkeypatch):
    with monkeypatch.context() as patch:
        patch.setattr(meteor._Program, "read", lambda program: next(iter([])))  # breaks off with an answer on its way
        with pytest.raises(StopIteration):
            meteor.score(["a b c"], [["a"]])
    assert meteor.score(["a", "a b c d"], [["a"], ["a"]]) == 2.5


def test_a_program_that_stops_is_an_error_with_its_last_words(use_program):
    use_program("-c", "import sys; sys.exit('no table of paraphrases')")
    # So much that the program is gone before all is written.
    with pytest.raises(RuntimeError, match="no table of paraphrases"):
        meteor.score(["a" * 10**6], [["a"]])


def test_without_the_extra_the_error_is_the_line_to_install_it(monkeypatch):
    meteor.stop()
    monkeypatch.setattr(meteor.importlib.util, "find_spec", lambda name: None)
    assert not meteor.is_available()
    with pytest.raises(InputError, match=r'pip install "dylora\[meteor\]"'):
        meteor.score(["a"], [["a"]])


needs_meteor = pytest.mark.skipif(not meteor.is_available(), reason=meteor.HOW_TO_INSTALL)


@needs_meteor
@pytest.mark.slow
def test_meteor_equals_the_official_script(e2e_sample):
    hypotheses = [ptb_text(text) for text in e2e_sample["hypotheses"]]
    references = [[ptb_text(text) for text in texts] for texts in e2e_sample["references"]]
    assert meteor.score(hypotheses, references) == pytest.approx(e2e_sample["scores"]["METEOR"], abs=1e-9)


@needs_meteor
@pytest.mark.slow
def test_meteor_equals_eval_py(table_sample):
    hypotheses = [evaluation_text(text) for text in table_sample["hypotheses"]]
    references = [[evaluation_text(text) for text in texts[:6]] for texts in table_sample["references"]]
    assert meteor.score(hypotheses, references) == pytest.approx(table_sample["scores"]["METEOR"], abs=1e-9)
