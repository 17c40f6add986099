"""A training loader that goes on in the middle of an epoch."""

from collections.abc import Callable, Iterable, Iterator
from itertools import islice
from typing import Any, cast

from torch.utils.data import DataLoader


class ResumableLoader(DataLoader[Any]):
    """A loader whose epoch starts behind the batches that were trained already.

    The order of an epoch is a function of its number, so the position is all there is to know; Lightning's own count
    of batches, which its checkpoints hold, gives it. Nothing is read before the first batch is asked for, when the
    number of the epoch is settled.

    Args:
        position: Gives the number of this epoch's batches that are done.
        **options: As for `DataLoader`.
    """

    def __init__(self, *args: Any, position: Callable[[], int], **options: Any) -> None:  # noqa: ANN401
        super().__init__(*args, **options)
        self._position = position

    def __iter__(self) -> Iterator[Any]:  # type: ignore[override]
        """The batches that are left."""
        done = self._position()
        if done == 0:
            yield from super().__iter__()
            return
        left = list(islice(cast(Iterable[Any], self.batch_sampler), done, None))
        yield from DataLoader(
            self.dataset,
            batch_sampler=left,
            num_workers=self.num_workers,
            collate_fn=self.collate_fn,
            pin_memory=self.pin_memory,
            generator=self.generator,
        )

    def state_dict(self) -> dict[str, Any]:
        """Empty: Lightning's count is the state. That the method exists says that this loader can go on."""
        return {}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Nothing to do; see `state_dict`."""
