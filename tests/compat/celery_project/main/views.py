from django.http import HttpResponse
from django.shortcuts import render
from django.views.decorators.csrf import csrf_exempt
from main.forms import AboutMe
from main.tasks import send_summary


@csrf_exempt
def about_me(request):
    form = AboutMe(request.POST or None)
    if form.is_valid():
        return HttpResponse(send_summary.delay(form.cleaned_data).id)
    return render(request, "form.html", {"form": form})
