"""The table of films."""

from django.db import migrations, models

from dbqueue.fields import AsyncFileField, AsyncImageField, FileSystemUploadStorage


class Migration(migrations.Migration):
    initial = True

    dependencies = []

    operations = [
        migrations.CreateModel(
            name="Film",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True,
                        primary_key=True,
                        serialize=False,
                        verbose_name="ID",
                    ),
                ),
                ("title", models.CharField(max_length=100)),
                (
                    "poster",
                    AsyncImageField(
                        blank=True,
                        help_text="JPEG, PNG, GIF, WebP or AVIF, up to 20 MB.",
                        upload_to="posters",
                    ),
                ),
                (
                    "film",
                    AsyncFileField(
                        help_text="Up to 500 MB. If it breaks off, it can go on.",
                        storage=FileSystemUploadStorage(),
                        upload_to="films",
                    ),
                ),
            ],
        ),
    ]
