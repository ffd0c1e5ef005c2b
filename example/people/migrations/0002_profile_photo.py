"""The photo of a profile, with its size."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("people", "0001_initial")]

    operations = [
        migrations.AddField(
            "profile",
            "photo_width",
            models.IntegerField("photo width", null=True, editable=False),
        ),
        migrations.AddField(
            "profile",
            "photo_height",
            models.IntegerField("photo height", null=True, editable=False),
        ),
        migrations.AddField(
            "profile",
            "photo",
            models.ImageField(
                upload_to="photos",
                blank=True,
                default="",
                width_field="photo_width",
                height_field="photo_height",
            ),
            preserve_default=False,
        ),
    ]
