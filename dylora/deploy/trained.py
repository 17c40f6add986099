"""What is to be exported: a trained model, and the run that it comes from if there is one."""

from dataclasses import dataclass
from pathlib import Path

from dylora.deploy.adapter_folder import CONFIG
from dylora.deploy.load import load
from dylora.deploy.predictor import Predictor
from dylora.errors import InputError
from dylora.runs.checkpoints import read_checkpoint
from dylora.runs.folders import ROOT, checkpoint_of, newest_run


@dataclass(frozen=True)
class Trained:
    """A trained model with its origin.

    Attributes:
        predictor: The model with its tokenizer or image processor and what is known of it.
        place: The run's folder, or that of a folder of dylora.
        checkpoint: The run's checkpoint; None for a folder of dylora.
        step: The optimizer step that the checkpoint was written at.
    """

    predictor: Predictor
    place: Path
    checkpoint: Path | None = None
    step: int = 0

    def __str__(self) -> str:
        return f"Run {self.place}, checkpoint {self.checkpoint.name}" if self.checkpoint else f"Folder {self.place}"


def load_trained(source: Path | None) -> Trained:
    """Load what is to be exported.

    Args:
        source: A run's folder, a checkpoint, or a folder of dylora; None for the newest run under `logs/`.

    Raises:
        InputError: If there is none, it cannot be read, or it has no adapters.
    """
    source = newest_run(Path(ROOT)) if source is None else source
    predictor = load(source)
    if not predictor.record.layers:
        raise InputError("RUN", "one with adapters", f"{str(source)!r}, which was trained whole", "choose another run")
    if (source / CONFIG).is_file():
        return Trained(predictor, source)
    checkpoint = checkpoint_of(source) if source.is_dir() else source
    step = int(read_checkpoint(checkpoint)["global_step"])
    return Trained(predictor, checkpoint.parent.parent, checkpoint, step)
