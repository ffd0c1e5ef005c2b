"""The photo of a profile: kept until a worker has saved it, and where it stands."""

from base64 import b64encode

from dbqueue.models import UploadState
from dbqueue.uploads import Variant, save_image, uploads_for

VARIANTS = {
    "portrait": Variant(
        640, 640, fit="cover", format="JPEG"
    ),  # on the page, in the PDF
    "thumb": Variant(96, 96, fit="cover"),  # in the admin's list
}


def keep(file, profile):
    """Leave the photo to a worker. Raises UploadError for what cannot be one."""
    save_image(file, profile, variants=VARIANTS)


def upload_of(profile):
    """Return the last upload of a photo, or None if there was none."""
    return next(iter(uploads_for(profile, "photo")), None)


def is_awaited(profile):
    """Tell whether a photo is on its way."""
    upload = upload_of(profile)
    return upload is not None and upload.is_pending


def percent(profile):
    """Return how far the photo is, from 0 to 100."""
    upload = upload_of(profile)
    upload.refresh()
    return upload.progress


def portrait(profile):
    """Return the photo as a data URL, or "" if there is none."""
    upload = upload_of(profile)
    if upload is None or upload.state != UploadState.DONE:
        return ""
    name = upload.variants["portrait"]["name"]
    with profile.photo.storage.open(name) as file:
        return "data:image/jpeg;base64," + b64encode(file.read()).decode()
