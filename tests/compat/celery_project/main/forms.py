from django import forms


class AboutMe(forms.Form):
    name = forms.CharField(max_length=50)
    email = forms.EmailField()
    about_me = forms.CharField(max_length=500, widget=forms.Textarea)
