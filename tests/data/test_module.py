"""What data modules ask of the trainer."""

from types import SimpleNamespace

from dylora.data.module import TrainerAwareDataModule


def test_without_a_trainer_there_is_one_process_at_the_start():
    module = TrainerAwareDataModule()
    assert (module.processes(), module.batches_done()) == ((1, 0), 0)


def test_with_a_trainer_its_processes_and_its_count_are_taken():
    module = TrainerAwareDataModule()
    progress = SimpleNamespace(current=SimpleNamespace(ready=7))
    loop = SimpleNamespace(epoch_loop=SimpleNamespace(batch_progress=progress))
    module.trainer = SimpleNamespace(world_size=4, global_rank=3, fit_loop=loop)
    assert (module.processes(), module.batches_done()) == ((4, 3), 7)
