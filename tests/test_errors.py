"""InputError: one line that names the argument, the value and the fix."""

import pickle

from dylora.errors import InputError


def test_message_names_argument_constraint_value_and_fix():
    error = InputError("--rank", "1 to 8", 9, "choose another")
    assert str(error) == "--rank: must be 1 to 8, got 9; choose another"
    assert error.argument == "--rank"


def test_message_is_one_line_whatever_the_value():
    error = InputError("weights", "numbers", "a\nb\r\n\tc", "write\nnumbers")
    assert str(error) == "weights: must be numbers, got a b c; write numbers"


def test_it_is_a_value_error():
    assert issubclass(InputError, ValueError)


def test_it_survives_the_way_back_from_a_worker_process():
    error = InputError("file", "readable", "a.tsv", "check the path")
    copy = pickle.loads(pickle.dumps(error))
    assert (str(copy), copy.argument) == (str(error), "file")
