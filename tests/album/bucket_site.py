"""The page of a song whose film goes to the bucket that FILMS names."""

import json
import os

from dbqueue.fields import S3UploadStorage
from tests.album import site
from tests.album.models import Song

Song._meta.get_field("film").storage = S3UploadStorage(
    **json.loads(os.environ["FILMS"])
)
urlpatterns = site.urlpatterns
