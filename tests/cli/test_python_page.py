"""The snippets of docs/python.md, run one after the other."""

import re
import shutil
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow
PAGE = Path(__file__).parents[2] / "docs/python.md"


def test_the_snippets_run_as_written(trained, tmp_path, monkeypatch):
    shutil.copytree(trained / "logs", tmp_path / "logs")
    monkeypatch.chdir(tmp_path)
    snippets = re.findall(r"<!-- run -->\n```python\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)
    assert len(snippets) == 5
    names = {}
    for snippet in snippets:
        exec(compile(snippet, str(PAGE), "exec"), names)
    assert names["again"].labels == ("no", "yes")
    assert names["module"].eval_rows == 64
    assert (tmp_path / "my-adapter/tokenizer.json").is_file()
