"""The table of profiles."""

import django.core.validators
from django.db import migrations, models

import people.validators


class Migration(migrations.Migration):
    initial = True

    dependencies = []

    operations = [
        migrations.CreateModel(
            name="Profile",
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
                ("email", models.EmailField(max_length=254, verbose_name="e-mail")),
                (
                    "name",
                    models.CharField(
                        max_length=80,
                        validators=[
                            people.validators.validate_line,
                            people.validators.validate_name,
                        ],
                    ),
                ),
                (
                    "about_me",
                    models.TextField(max_length=1000, verbose_name="about me"),
                ),
                (
                    "hobby",
                    models.CharField(
                        blank=True,
                        max_length=100,
                        validators=[people.validators.validate_line],
                    ),
                ),
                (
                    "colour",
                    models.CharField(
                        default="#1f7a6d",
                        max_length=7,
                        validators=[
                            django.core.validators.RegexValidator(
                                "^#[0-9a-fA-F]{6}\\Z",
                                "Please give a colour such as #1f7a6d.",
                            )
                        ],
                        verbose_name="favourite colour",
                    ),
                ),
                (
                    "saying",
                    models.CharField(
                        blank=True,
                        max_length=200,
                        validators=[people.validators.validate_line],
                    ),
                ),
                (
                    "dream_job",
                    models.CharField(
                        blank=True,
                        max_length=100,
                        validators=[people.validators.validate_line],
                        verbose_name="dream job",
                    ),
                ),
                (
                    "created_at",
                    models.DateTimeField(auto_now_add=True, verbose_name="created at"),
                ),
            ],
        ),
    ]
