"""Data modules and the sets that the package ships.

The names below are loaded when they are first used, for the training libraries take seconds to load.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from dylora.data.base import CachedDataModule as CachedDataModule
    from dylora.data.glue import GLUEDataModule as GLUEDataModule
    from dylora.data.image_classification import ImageClassificationDataModule as ImageClassificationDataModule
    from dylora.data.prompt import PromptDataModule as PromptDataModule
    from dylora.data.table_to_text import DARTDataModule as DARTDataModule
    from dylora.data.table_to_text import E2EDataModule as E2EDataModule
    from dylora.data.table_to_text import RestaurantTextDataModule as RestaurantTextDataModule
    from dylora.data.table_to_text import WebNLGDataModule as WebNLGDataModule
    from dylora.data.text_classification import TextClassificationDataModule as TextClassificationDataModule

_HOMES = {
    "CachedDataModule": "dylora.data.base",
    "DARTDataModule": "dylora.data.table_to_text",
    "E2EDataModule": "dylora.data.table_to_text",
    "GLUEDataModule": "dylora.data.glue",
    "PromptDataModule": "dylora.data.prompt",
    "ImageClassificationDataModule": "dylora.data.image_classification",
    "RestaurantTextDataModule": "dylora.data.table_to_text",
    "TextClassificationDataModule": "dylora.data.text_classification",
    "WebNLGDataModule": "dylora.data.table_to_text",
}
__all__ = sorted(_HOMES)


def __getattr__(name: str) -> Any:  # noqa: ANN401 (as many types as names)
    """Load a data module from where it is defined."""
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_HOMES[name]), name)
