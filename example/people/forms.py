"""The "About me" form."""

from django import forms

from people.models import Profile


class ProfileForm(forms.ModelForm):
    """Asks for a profile; the limits are those of the model."""

    # A file, not Django's ImageField, which decodes the picture here and now: that is
    # left to a worker. save_image() refuses what is not a picture by its first bytes.
    photo = forms.FileField(
        required=False,
        widget=forms.FileInput(attrs={"accept": "image/*"}),
        help_text="JPEG, PNG, GIF, WebP or AVIF, up to 20 MB.",
        error_messages={"empty": "This file is empty. Please choose another one."},
    )

    class Meta:
        model = Profile
        fields = [
            "name",
            "email",
            "about_me",
            "hobby",
            "dream_job",
            "saying",
            "colour",
        ]
        widgets = {
            "name": forms.TextInput(attrs={"autocomplete": "name", "dir": "auto"}),
            "email": forms.EmailInput(attrs={"autocomplete": "email"}),
            "about_me": forms.Textarea(attrs={"rows": 5, "dir": "auto"}),
            "hobby": forms.TextInput(attrs={"dir": "auto"}),
            "dream_job": forms.TextInput(attrs={"dir": "auto"}),
            "saying": forms.TextInput(attrs={"dir": "auto"}),
            "colour": forms.TextInput(attrs={"type": "color"}),
        }
        help_texts = {
            "email": "Your summary goes to this address.",
            "about_me": "Up to 1000 characters, in any language.",
            "colour": "Your summary is dressed in it.",
        }
        error_messages = {
            "name": {"required": "Please tell us your name."},
            "email": {"required": "Please tell us where to send your summary."},
            "about_me": {"required": "Please tell us something about yourself."},
        }
