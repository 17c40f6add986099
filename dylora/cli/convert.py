"""`python -m dylora convert`: a LoRA that PEFT trained, at every rank."""

import re
import shlex
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from lightning.pytorch import LightningDataModule
from transformers import PreTrainedModel

from dylora.adapters.active_rank import adapted_layers, rank_state
from dylora.adapters.learned_order import STEPS
from dylora.adapters.sensitivity import Batch
from dylora.cli.class_messages import readable_of_classes
from dylora.cli.classes import DATA, load_named
from dylora.cli.commands import typed
from dylora.cli.plain_parser import PlainParser, fail
from dylora.deploy.card import CardFacts, card
from dylora.deploy.convert import base_model_name, convert
from dylora.deploy.loading import dylora_lines
from dylora.deploy.new_folder import check_new, new_folder
from dylora.deploy.peft_folder import read_peft
from dylora.errors import InputError

_EXAMPLES = 1000
_NO_CLASS = "Expected a dot import path string"
_NO_OPTION = re.compile(r"Option '([\w.]+)' is not accepted")


class _Parser(PlainParser):
    """With the errors of options of a data module in words."""

    def error(self, message: str, ex: Exception | None = None) -> Any:  # noqa: ANN401
        if found := _NO_OPTION.match(message):  # jsonargparse leaves out whose option it is
            fail(f"--data.{found[1]}: the chosen data has no such option; --data.help CLASS lists them")
        if _NO_CLASS in message and ": must be " not in message:  # not what the class itself refuses
            fail(readable_of_classes(message, self))
        super().error(message, ex)


def build_parser() -> PlainParser:
    """The command's options."""
    text = (
        "Sort a LoRA of PEFT so that it works at every rank up to its own, without training; "
        "export and dylora.load take the folder."
    )
    parser = _Parser(prog=typed("convert"), description=text)
    add = parser.add_argument
    add("peft", type=Path, metavar="PEFT_DIR", help="Folder that PEFT's save_pretrained wrote.")
    add("--output", type=Path, required=True, metavar="DIR", help="Folder to write, which must not exist.")
    text = "Hub name or folder of the base model; what the PEFT folder says, if left out."
    add("--backbone", type=str | None, default=None, help=text)
    text = (
        "File with a training text in each line, or two divided by a tab: sort by what dropping a component costs the "
        "model on them, and learn the order from there, instead of sorting by singular value."
    )
    add("--calibrate", type=Path | None, default=None, metavar="FILE", help=text)
    names = ", ".join(DATA)
    text = f"In place of a file, data whose training examples weigh the cut: {names}, or the class path of another."
    add("--data", type=LightningDataModule | None, default=None, help=text)
    text = "Batches that the order is learned on, each two forwards and a backward; 0 leaves it at the two-sided cut."
    add("--order_steps", type=int, default=STEPS, help=text)
    return parser


def convert_peft(arguments: Sequence[str]) -> None:
    """Carry out the command.

    Args:
        arguments: The options of the command.

    Raises:
        InputError: If an option is wrong, the folder exists, or the LoRA cannot be converted.
    """
    load_named(" ".join(arguments))
    parser = build_parser()
    options = parser.parse_args(list(arguments))
    check_new(options.output)
    if options.calibrate and options.data:
        raise InputError("--calibrate", "left out with --data", options.calibrate, "give one of the two")
    if options.order_steps < 0:
        raise InputError("--order_steps", "0 or more", options.order_steps, f"{STEPS} are enough")
    name = options.backbone or base_model_name(read_peft(options.peft))
    batches = _batches(parser, options, name) if options.data else None
    command = shlex.join(["python", "-m", "dylora", "convert", *arguments])
    with new_folder(options.output) as folder:
        model = convert(options.peft, folder, options.backbone, options.calibrate, batches, options.order_steps)
        (folder / "README.md").write_text(_card(model, name, options, command), encoding="utf-8")
    ranks, layers = rank_state(model).config.ranks, len(adapted_layers(model))
    print(f"Written: {options.output} (ranks {ranks.min_rank} to {ranks.max_rank}, {layers} layers)")


def _batches(parser: PlainParser, options: Any, backbone: str) -> Iterable[Batch]:  # noqa: ANN401
    """Training batches of the data, made for the base model."""
    if "backbone" in (options.data.get("init_args") or {}):
        options.data.init_args.backbone = backbone
    data: Any = parser.instantiate_classes(options).data
    data.prepare_data()
    if hasattr(data, "calibration_dataloader"):
        found: Iterable[Batch] = data.calibration_dataloader(_EXAMPLES)
        return found
    data.setup("fit")
    loader: Iterable[Batch] = data.train_dataloader()
    return loader


def _card(model: PreTrainedModel, name: str, options: Any, command: str) -> str:  # noqa: ANN401
    config = rank_state(model).config
    ranks = f"every rank from {config.min_rank} to {config.max_rank}"
    weighed = options.data.class_path.rpartition(".")[2] if options.data else options.calibrate
    kind = "learned" if options.order_steps else "two-sided"
    settings = {
        "backbone": name,
        "LoRA": options.peft,
        "sorted by": f"the {kind} cut, on {weighed}" if weighed else "singular value",
        "alpha": f"{config.alpha:g}",
        "scaling": config.scaling,
        "layers": len(adapted_layers(model)),
    }
    title, lines = f"{options.peft.name} on {Path(name).name}, {ranks}", dylora_lines(str(options.output), 1)
    return card(
        CardFacts(title, "An adapter with all its ranks", "dylora", name, None, ranks, settings, lines, command)
    )
