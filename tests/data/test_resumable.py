"""A loader that starts behind what is done."""

from torch.utils.data import SequentialSampler

from dylora.data.resumable import ResumableLoader

ROWS = list(range(10))


def _loader(position, **options):
    return ResumableLoader(
        ROWS, batch_size=3, sampler=SequentialSampler(ROWS), collate_fn=list, position=position, **options
    )


def test_an_epoch_from_its_start_has_all_batches():
    assert list(_loader(lambda: 0)) == [[0, 1, 2], [3, 4, 5], [6, 7, 8], [9]]


def test_it_goes_on_behind_the_done_batches_and_keeps_its_length():
    loader = _loader(lambda: 2)
    assert list(loader) == [[6, 7, 8], [9]]
    assert len(loader) == 4


def test_worker_processes_give_the_same_batches():
    assert list(_loader(lambda: 2, num_workers=1)) == [[6, 7, 8], [9]]


def test_the_position_is_asked_for_when_the_first_batch_is():
    done = [0]
    iterator = iter(_loader(lambda: done[0]))
    done[0] = 3
    assert list(iterator) == [[9]]
