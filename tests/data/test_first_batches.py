"""The embedded sets give the batches that they always gave: figures of runs stay comparable.

The hashes were made by the data modules of the first release, from names, types and values of the first batches.
"""

import hashlib
from itertools import islice

import pytest

from dylora.data import GLUEDataModule, RestaurantTextDataModule


def digest(loader, batches):
    found = hashlib.sha256()
    for batch in islice(loader, batches):
        for name in sorted(batch):
            found.update(f"{name} {batch[name].dtype} {batch[name].tolist()}".encode())
    return found.hexdigest()[:16]


@pytest.mark.parametrize(
    ("module_class", "training", "evaluation"),
    [
        (GLUEDataModule, ["b381cb2db1441aac", "b031f4ae4267b349"], ["fc0d433a6eae4962", "21c40a374cea6faa"]),
        (
            RestaurantTextDataModule,
            ["7b24f6e4c595ba6b", "4773fb655a4d2661"],
            ["177807c9496530d5", "9642d49c999b61cd", "92572ea0c3dd2c27"],
        ),
    ],
)
def test_the_first_batches_of_two_epochs_and_of_every_evaluation_are_those_of_the_first_release(
    module_class, training, evaluation, tmp_path
):
    module = module_class(cache_dir=str(tmp_path))
    module.setup("fit")
    module.setup("test")
    loader = module.train_dataloader()
    for epoch, expected in enumerate(training):
        loader.sampler.set_epoch(epoch)
        assert digest(loader, 4) == expected
    loaders = [*module.val_dataloader(), *module.test_dataloader()]
    assert [digest(loader, 2) for loader in loaders] == evaluation
