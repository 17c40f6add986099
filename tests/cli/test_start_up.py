"""What a command does before its work begins."""

import gc
import sys

import pytest

from dylora.cli.main import _without_collecting_garbage


def enabled_inside():
    with _without_collecting_garbage():
        return gc.isenabled()


def fail_inside():
    with _without_collecting_garbage():
        raise KeyboardInterrupt


@pytest.fixture
def nothing_loaded(monkeypatch):
    monkeypatch.delitem(sys.modules, "torch")
    yield
    gc.unfreeze()


@pytest.mark.usefixtures("nothing_loaded")
def test_garbage_is_collected_again_once_the_libraries_are_loaded():
    assert not enabled_inside()
    assert gc.isenabled()
    assert gc.get_freeze_count() > 0


@pytest.mark.usefixtures("nothing_loaded")
def test_and_after_an_interrupted_loading():
    with pytest.raises(KeyboardInterrupt):
        fail_inside()
    assert gc.isenabled()


@pytest.mark.usefixtures("nothing_loaded")
def test_who_has_switched_it_off_keeps_it_off():
    gc.disable()
    try:
        assert not enabled_inside()
        assert not gc.isenabled()
    finally:
        gc.enable()


def test_nothing_changes_where_they_are_loaded():
    assert enabled_inside()
    assert gc.get_freeze_count() == 0
