"""What libraries say on stderr that is of no use to a user of the command line."""

import logging
import warnings

_NOT_FOR_USERS = (
    r".*does not have many workers which may be a bottleneck.*",
    r".*It is recommended to use `self.log\(.*sync_dist=True\)`.*",  # metrics are the same in every process already
    r".*The number of training batches .* is smaller than the logging interval.*",
    r".*Checkpoint directory .* exists and is not empty.*",
    r".*isinstance\(treespec, LeafSpec\).*",  # torch's word to Lightning
    r".*[Dd]eprecat.*jsonargparse.*",
    r".*The `srun` command is available on your system but is not used.*",
)


def quiet() -> None:
    """Drop hints and warnings that do not concern this project's users."""
    logging.getLogger("lightning.pytorch").setLevel(logging.WARNING)
    logging.getLogger("lightning.fabric").setLevel(logging.WARNING)
    logging.basicConfig(format="%(message)s")
    logging.getLogger("dylora").setLevel(logging.INFO)
    for message in _NOT_FOR_USERS:
        warnings.filterwarnings("ignore", message)
