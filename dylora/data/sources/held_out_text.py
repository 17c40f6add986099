"""A table-to-text set that is validated on a part of its training inputs, so that its validation inputs stay unseen."""

from functools import cached_property

from dylora.data.sources.holdout import Holdout, held_out_rows
from dylora.data.sources.text import TextSource
from dylora.data.sources.text_items import Entry
from dylora.errors import InputError

_TRAIN, _VALIDATION = "train", "validation"


class HeldOutText:
    """Another source's entries, with a share of the training inputs, each with all its texts, as validation entries.

    Args:
        source: Where the entries come from.
        holdout: Share and seed.
    """

    def __init__(self, source: TextSource, holdout: Holdout) -> None:
        self.name = source.name
        self.full_name = source.full_name
        self.most_references = source.most_references
        self._source = source
        self._holdout = holdout

    def key(self, split: str) -> str:
        """A hash that changes when the entries do."""
        if split not in (_TRAIN, _VALIDATION):
            return self._source.key(split)
        return f"{self._source.key(_TRAIN)}/{split}/{self._holdout}"

    def entries(self, split: str) -> list[Entry]:
        """The entries of a split.

        Raises:
            InputError: If no input is held out.
        """
        if split not in (_TRAIN, _VALIDATION):
            return self._source.entries(split)
        return [entry for entry in self._training if (entry.source in self._held) == (split == _VALIDATION)]

    @cached_property
    def _training(self) -> list[Entry]:
        return self._source.entries(_TRAIN)

    @cached_property
    def _held(self) -> set[str]:
        inputs = list(dict.fromkeys(entry.source for entry in self._training))
        held = held_out_rows([0] * len(inputs), self._holdout)
        if not held:
            allowed = f"a share that is an input or more of the {len(inputs)} training inputs"
            raise InputError("data.validation_share", allowed, self._holdout.share, "give a larger one")
        return {inputs[place] for place in held}
