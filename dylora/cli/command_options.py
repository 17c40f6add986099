"""The options that the commands `fit`, `validate`, `test` and `predict` have besides those of the trainer."""

from lightning.pytorch import LightningDataModule, LightningModule
from lightning.pytorch.cli import LightningArgumentParser

from dylora.adapters.cuts import CUTS
from dylora.callbacks.rank_sampling import RankSamplingCallback
from dylora.cli.classes import DATA, MODELS
from dylora.cli.run_arguments import EVALUATIONS

_NEVER = {"model", "datamodule", "ckpt_path", "weights_only"}  # ckpt_path is added below, with help of its own

NOT_OPTIONS = {
    "fit": _NEVER | {"train_dataloaders", "val_dataloaders"},
    "validate": _NEVER | {"dataloaders", "verbose"},
    "test": _NEVER | {"dataloaders", "verbose"},
    "predict": _NEVER | {"dataloaders", "return_predictions"},
}
"""The commands, and which arguments of the trainer's methods are no options."""

_OUTPUT = {
    "validate": "Folder for the figures and each example's outcome, which choose takes; null keeps a cut's in the run.",
    "test": "Folder for generated texts, a JSON Lines file a rank; null means predictions/ in the run.",
    "predict": "Folder for the predictions, a JSON Lines file a split; null means predictions/ in the run.",
}


def add_model_and_data(parser: LightningArgumentParser) -> None:
    """Add `--model` and `--data`, by class."""
    text = "What is trained: {}, or the class path of another {}; its options stand below."
    parser.add_argument("--model", type=LightningModule, help=text.format(", ".join(MODELS), "LightningModule"))
    text = text.replace("trained", "trained on").format(", ".join(DATA), "LightningDataModule")
    parser.add_argument("--data", type=LightningDataModule | None, help=text)


def add_links(parser: LightningArgumentParser) -> None:
    """Add the rank sampling, and links between options that must agree."""
    parser.add_class_arguments(RankSamplingCallback, "rank_sampling")
    parser.link_arguments("seed_everything", "rank_sampling.seed", compute_fn=int)
    parser.link_arguments("data.task_name", "model.init_args.task", apply_on="instantiate")
    parser.link_arguments("data.labels", "model.init_args.labels", apply_on="instantiate")


def add_options_of(command: str, parser: LightningArgumentParser) -> None:
    """Add what a command has of its own: the checkpoint, the ranks, the cut, where predictions go."""
    text = "Checkpoint to resume from."
    if command != "fit":
        text = "Checkpoint, folder of a run, or folder of dylora to evaluate; the best of the newest run by default."
    parser.add_argument("--ckpt_path", type=str | None, default=None, help=text)
    if command == "fit":
        text = "Run or checkpoint whose adapter, of the same or a smaller range, training starts from."
        parser.add_argument("--init_from", type=str | None, default=None, help=text)
    if command in EVALUATIONS:
        text = "Ranks to evaluate: one (3), several (1,4,8), a range (2-5) or all."
        parser.add_argument("--rank", type=str, default="all", help=text)
        parser.add_argument("--output", type=str | None, default=None, help=_OUTPUT[command])
    if command in ("validate", "test"):
        text = "Cut the adapter to each rank in this way, whatever its scaling: " + ", ".join(CUTS) + "; null does not."
        parser.add_argument("--cut", type=str | None, default=None, help=text)
        text = "Number of training examples that weigh the two-sided cut."
        parser.add_argument("--cut_examples", type=int, default=1000, help=text)
    if command == "predict":
        text = "Folder for the GLUE leaderboard's files; with a folder for each rank if there are several."
        parser.add_argument("--submission", type=str | None, default=None, help=text)
