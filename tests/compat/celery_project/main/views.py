from django.http import HttpResponse
from django.views.decorators.csrf import csrf_exempt
from main.tasks import send_summary


@csrf_exempt
def about_me(request):
    data = request.POST.dict()
    return HttpResponse(send_summary.delay(data).id)
