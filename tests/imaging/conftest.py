"""How a picture gets into the sandbox here."""

import tempfile

import pytest

from dbqueue.imaging import sandbox
from dbqueue.imaging.policy import ImagePolicy


@pytest.fixture
def render(tmp_path_factory):
    """Return render(data, variants, **policy), each time into a new folder."""

    def render(data, variants=None, *, limits=None, **policy):
        folder = tmp_path_factory.mktemp("outputs")
        with tempfile.TemporaryFile() as source:
            source.write(data)
            source.flush()
            return sandbox.render(
                source.fileno(),
                ImagePolicy(**policy),
                variants or {},
                folder,
                limits=limits,
            )

    return render
