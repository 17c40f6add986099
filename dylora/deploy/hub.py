"""A folder on the Hugging Face hub."""

from pathlib import Path
from typing import cast

from huggingface_hub import HfApi
from huggingface_hub.errors import HfHubHTTPError, HFValidationError, LocalTokenNotFoundError, OfflineModeIsEnabled
from huggingface_hub.utils import validate_repo_id  # type: ignore[attr-defined]

from dylora.errors import InputError

_OPTION = "--push_to_hub"
_TRANSPORT = cast(type[Exception], HfHubHTTPError.__bases__[0])  # of the HTTP library, whichever it is


def check_name(name: str) -> None:
    """Refuse what is no name of a repository.

    Raises:
        InputError: If it is none.
    """
    try:
        validate_repo_id(name)
    except HFValidationError as error:
        raise InputError(_OPTION, "USER/NAME", repr(name), str(error)) from error


def push(folder: Path, name: str) -> str:
    """Upload a folder to a repository, which is made if it is not there.

    Args:
        folder: What to upload.
        name: Name of the repository, `USER/NAME`.

    Returns:
        Its address.

    Raises:
        InputError: If there is no token or no network, or the hub refuses.
    """
    api = HfApi()
    kept = f"the export is whole in {str(folder)!r}"
    try:
        address = api.create_repo(name, exist_ok=True)
        api.upload_folder(repo_id=address.repo_id, folder_path=folder, commit_message="Upload of dylora export")
    except (LocalTokenNotFoundError, HfHubHTTPError) as error:
        status = getattr(getattr(error, "response", None), "status_code", None)
        reason = str(error).strip().partition("\n")[0]
        if status in (401, 403) or isinstance(error, LocalTokenNotFoundError):
            fix = f"log in with a token that may write (hf auth login, or HF_TOKEN); {kept}"
            raise InputError(_OPTION, "a name that your token may write to", f"{name!r} ({reason})", fix) from error
        raise InputError(_OPTION, "a name that the hub takes", f"{name!r} ({reason})", kept) from error
    except (OfflineModeIsEnabled, _TRANSPORT, OSError) as error:
        given = f"no connection ({str(error).strip().partition(chr(10))[0] or type(error).__name__})"
        raise InputError(_OPTION, "given where the hub can be reached", given, kept) from error
    return str(address)
