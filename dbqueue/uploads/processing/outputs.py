"""From the bytes of an upload to the files that are to be stored."""

from collections.abc import Callable
from pathlib import Path

from dbqueue.imaging import sandbox
from dbqueue.imaging.policy import FilePolicy, ImagePolicy, Variant
from dbqueue.imaging.signatures import HEAD, check_file, extension_of
from dbqueue.uploads.chunks import copy_out
from dbqueue.uploads.exceptions import as_upload_errors
from dbqueue.uploads.models import Upload
from dbqueue.uploads.processing.storing import Output


def outputs_of(
    upload: Upload, folder: Path, tell: Callable[[int, str], None]
) -> list[Output]:
    """Return what is to be stored, the original first; the files are in the folder.

    Raises ContentRejected, and UploadDamaged if the bytes are not what they were.
    """
    source = folder / "source"
    with as_upload_errors(), source.open("w+b") as file:
        copy_out(upload, file)
        if upload.is_image:
            tell(30, "decoding")
            return _pictures(upload, file.fileno(), folder)
        return [_file(upload, source)]


def _pictures(upload: Upload, source: int, folder: Path) -> list[Output]:
    made = folder / "pictures"
    made.mkdir()
    rendered = sandbox.render(
        source,
        ImagePolicy.from_json(upload.policy),
        {name: Variant.from_json(given) for name, given in upload.variants.items()},
        made,
    )
    pictures = {"": rendered.original, **rendered.variants}
    return [
        Output(name, p.path, p.extension, p.content_type, p.width, p.height)
        for name, p in pictures.items()
    ]


def _file(upload: Upload, source: Path) -> Output:
    with source.open("rb") as file:
        policy = FilePolicy.from_json(upload.policy)
        kind = check_file(file.read(HEAD), filename=upload.filename, policy=policy)
    content_type = kind.content_type if kind else "application/octet-stream"
    extension = extension_of(upload.filename, kind, policy)
    return Output("", source, extension, content_type)
