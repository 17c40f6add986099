"""How Lightning's trainer writes and reads checkpoints here: whole or not at all, with digests, nothing unseen."""

from collections.abc import Mapping
from io import BytesIO
from pathlib import Path
from typing import Any

import torch
from lightning.fabric.plugins.io.torch_io import TorchCheckpointIO
from typing_extensions import override

from dylora.errors import InputError
from dylora.runs.checkpoint_content import non_finite
from dylora.runs.checkpoints import KEY, read_checkpoint
from dylora.runs.digests import DIGESTS, digests_of
from dylora.whole_files import whole_file


class WholeCheckpoints(TorchCheckpointIO):
    """A plugin for the trainer.

    A checkpoint is written beside the one that it takes the place of, brought to the disk and renamed, with a digest of
    each tensor and of all else inside. What is read has been compared with them. Weights that are NaN or infinite are
    not written: the last good checkpoint stays. Places that are no local files (`s3://…`) are left to Lightning.
    """

    @override
    def save_checkpoint(self, checkpoint: dict[str, Any], path: Any, storage_options: Any = None) -> None:
        """Write a checkpoint.

        Raises:
            UnwritableError: If it cannot be written; the checkpoint before is as it was.
            InputError: If it is one of dylora's with weights or moments that are NaN or infinite.
        """
        if KEY in checkpoint:
            _refuse_non_finite(checkpoint, str(path))
        content = {**checkpoint, DIGESTS: digests_of(checkpoint)}
        if "://" in str(path) or storage_options is not None:
            super().save_checkpoint(content, path, storage_options)
            return
        buffer = BytesIO()  # torch's writer ends the process in some errors of a file
        torch.save(content, buffer)
        with whole_file(Path(path)) as file:
            file.write(buffer.getbuffer())

    @override
    def load_checkpoint(self, path: Any, map_location: Any = None, weights_only: bool | None = None) -> dict[str, Any]:
        """Read a checkpoint of plain types, on the CPU; one of other types as Lightning does.

        Raises:
            InputError: As `read_checkpoint`.
        """
        if "://" in str(path) or not weights_only:
            return super().load_checkpoint(path, weights_only=weights_only)
        return read_checkpoint(path)


def _refuse_non_finite(checkpoint: Mapping[str, Any], path: str) -> None:
    if (place := non_finite(checkpoint)) is None:
        return
    given = f"{place} with NaN or infinite values at step {checkpoint.get('global_step')}"
    fix = f"nothing was written over {path}; go on from the last good checkpoint with a lower learning rate"
    raise InputError("weights", "finite to be saved", given, fix)
