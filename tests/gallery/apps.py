from django.apps import AppConfig


class GalleryConfig(AppConfig):
    name = "tests.gallery"

    def ready(self):
        from tests.gallery import deaths  # noqa: F401  arms them, if the environment says so
