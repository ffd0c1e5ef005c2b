"""A visit is sent by a form, or as JSON."""

import json

from django.http import HttpResponse, JsonResponse
from django.shortcuts import get_object_or_404
from django.views.decorators.csrf import csrf_exempt

from clinic.forms import VisitForm
from clinic.models import Visit
from clinic.serializers import VisitSerializer


@csrf_exempt
def visit(request, pk=None):
    found = get_object_or_404(Visit, pk=pk) if pk else None
    if request.method == "GET":
        return HttpResponse(VisitForm(instance=found).as_p())
    if request.content_type == "application/json":
        data = json.loads(request.body)
        serializer = VisitSerializer(found, data=data, partial=True)
        if not serializer.is_valid():
            return JsonResponse(serializer.errors, status=400)
        serializer.save()
        return JsonResponse(serializer.data)
    form = VisitForm(request.POST, request.FILES, instance=found)
    if not form.is_valid():
        return JsonResponse(form.errors, status=400)
    return JsonResponse({"id": form.save().pk})
