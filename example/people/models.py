"""Profile, what a visitor told about himself or herself."""

from django.db import models

from people.validators import validate_colour, validate_line, validate_name


class Profile(models.Model):
    """One filled-in form."""

    email = models.EmailField("e-mail")
    name = models.CharField(max_length=80, validators=[validate_line, validate_name])
    about_me = models.TextField("about me", max_length=1000)
    hobby = models.CharField(max_length=100, blank=True, validators=[validate_line])
    colour = models.CharField(
        "favourite colour",
        max_length=7,
        default="#1f7a6d",
        validators=[validate_colour],
    )
    saying = models.CharField(max_length=200, blank=True, validators=[validate_line])
    dream_job = models.CharField(
        "dream job", max_length=100, blank=True, validators=[validate_line]
    )
    # Empty until a worker has saved what was uploaded.
    photo = models.ImageField(
        upload_to="photos",
        blank=True,
        width_field="photo_width",
        height_field="photo_height",
    )
    photo_width = models.IntegerField("photo width", null=True, editable=False)
    photo_height = models.IntegerField("photo height", null=True, editable=False)
    created_at = models.DateTimeField("created at", auto_now_add=True)

    def __str__(self):
        return f"{self.name} <{self.email}>"

    @property
    def reference(self):
        """The name of this profile's PDF and mail, the same at every attempt."""
        return f"{self.created_at:%Y%m%d-%H%M%S}-{self.pk}"
