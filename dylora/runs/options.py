"""The options that an object was made with, in plain types, and the object made anew from them."""

import inspect
from collections.abc import Mapping, Sequence
from dataclasses import fields, is_dataclass
from importlib import import_module
from pathlib import Path
from typing import Any, Self

from dylora.errors import InputError

CLASS, OPTIONS = "class_path", "init_args"
_NOT_KEPT = "not_kept"


class RecordsOptions:
    """Base of classes whose objects know the options that they were made with.

    The options are taken before the constructor runs, so that it cannot change them.
    """

    made_with: dict[str, Any]
    """The constructor's arguments by name, defaults included, in plain types."""

    def __new__(cls, *args: Any, **kwargs: Any) -> Self:  # noqa: ANN401 (those of the constructor)
        """Keep the arguments; the constructor checks them."""
        made = super().__new__(cls)
        object.__setattr__(made, "made_with", _arguments(cls, args, kwargs))
        return made

    @property
    def recipe(self) -> dict[str, Any]:
        """Class path and options, from which `rebuilt` makes the object anew."""
        return {CLASS: class_path(type(self)), OPTIONS: self.made_with}


def class_path(kind: type) -> str:
    """Module and name of a class, with a dot between them."""
    return f"{kind.__module__}.{kind.__qualname__}"


def plain(value: Any) -> Any:  # noqa: ANN401
    """A value in plain types: dataclasses and objects that record their options as class path and options.

    What has no such form is named by its type, so that `rebuilt` can say which option is to be given again.
    """
    if isinstance(value, RecordsOptions):
        return value.recipe
    if is_dataclass(value) and not isinstance(value, type):
        options = {field.name: plain(getattr(value, field.name)) for field in fields(value) if field.init}
        return {CLASS: class_path(type(value)), OPTIONS: options}
    if value is None or type(value) in (bool, int, float, str):
        return value
    if isinstance(value, Path):
        return str(value)
    if isinstance(value, Mapping) and all(isinstance(key, str) for key in value):
        return {key: plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    return {_NOT_KEPT: class_path(type(value))}


def rebuilt(options: Mapping[str, Any], where: str) -> dict[str, Any]:
    """Options as they were given, from their plain types.

    Args:
        options: The plain options by name.
        where: The file that they come from, for messages.

    Raises:
        InputError: If an option could not be kept in plain types, or names a class that cannot be made.
    """
    for name, value in options.items():
        if isinstance(value, Mapping) and _NOT_KEPT in value:
            given = f"option {name} of type {value[_NOT_KEPT]}, which is not kept in a checkpoint"
            raise InputError(where, "made of plain options", given, f"give it again: load_from_checkpoint(…, {name}=…)")
    return {name: _rebuilt(value, where) for name, value in options.items()}


def class_at(path: str, where: str) -> type:
    """The class of a class path.

    Raises:
        InputError: If there is none.
    """
    module, _, name = path.rpartition(".")
    try:
        found = getattr(import_module(module), name)
    except (ImportError, AttributeError, ValueError) as error:
        fix = f"make {module or path} importable ({error}), or use the version of dylora that wrote it"
        raise InputError(where, "of a class that is installed", path, fix) from error
    if not isinstance(found, type):
        raise InputError(where, "of a class", path, "use a file that dylora wrote")
    return found


def _rebuilt(value: Any, where: str) -> Any:  # noqa: ANN401
    if isinstance(value, Mapping):
        if CLASS not in value:
            return {key: _rebuilt(item, where) for key, item in value.items()}
        kind = class_at(value[CLASS], where)
        if not (is_dataclass(kind) or issubclass(kind, RecordsOptions)):  # nothing else is ever called
            raise InputError(where, "of options that dylora wrote", value[CLASS], "use a file that dylora wrote")
        return kind(**rebuilt(value.get(OPTIONS) or {}, where))
    if isinstance(value, Sequence) and not isinstance(value, str):
        return [_rebuilt(item, where) for item in value]
    return value


def _arguments(cls: type, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> dict[str, Any]:
    signature = inspect.signature(cls.__init__)  # type: ignore[misc]
    try:
        bound = signature.bind(None, *args, **kwargs)
    except TypeError:
        return {}  # the constructor says what is wrong; copies and unpickled objects bring their own
    bound.apply_defaults()
    found: dict[str, Any] = {}
    for name, value in list(bound.arguments.items())[1:]:
        kind = signature.parameters[name].kind
        if kind is inspect.Parameter.VAR_KEYWORD:
            found |= value
        elif kind is not inspect.Parameter.VAR_POSITIONAL:
            found[name] = value
    return {name: plain(value) for name, value in found.items()}
