"""`python -m dylora convert`: a LoRA that PEFT trained, at every rank."""

from collections.abc import Sequence
from pathlib import Path

from dylora.adapters.active_rank import adapted_layers, rank_state
from dylora.cli.plain_parser import PlainParser
from dylora.deploy.convert import convert
from dylora.deploy.new_folder import check_new, new_folder


def build_parser() -> PlainParser:
    """The command's options."""
    text = (
        "Sort a LoRA of PEFT so that it works at every rank up to its own, without training; "
        "export and dylora.load take the folder."
    )
    parser = PlainParser(prog="dylora convert", description=text)
    add = parser.add_argument
    add("peft", type=Path, metavar="PEFT_DIR", help="Folder that PEFT's save_pretrained wrote.")
    add("--output", type=Path, required=True, metavar="DIR", help="Folder to write, which must not exist.")
    text = "Hub name or folder of the base model; what the PEFT folder says, if left out."
    add("--backbone", type=str | None, default=None, help=text)
    text = (
        "File with a training text in each line, or two divided by a tab: sort by what dropping a component costs the "
        "model on them (the two-sided cut) and not by singular value."
    )
    add("--calibrate", type=Path | None, default=None, metavar="FILE", help=text)
    return parser


def convert_peft(arguments: Sequence[str]) -> None:
    """Carry out the command.

    Args:
        arguments: The options of the command.

    Raises:
        InputError: If an option is wrong, the folder exists, or the LoRA cannot be converted.
    """
    options = build_parser().parse_args(list(arguments))
    check_new(options.output)
    with new_folder(options.output) as folder:
        model = convert(options.peft, folder, options.backbone, options.calibrate)
    ranks, layers = rank_state(model).config.ranks, len(adapted_layers(model))
    print(f"Written: {options.output} (ranks {ranks.min_rank} to {ranks.max_rank}, {layers} layers)")
