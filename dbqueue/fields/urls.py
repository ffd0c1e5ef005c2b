"""The addresses of upload fields, for include("dbqueue.fields.urls")."""

from django.urls import path

from dbqueue.fields.links import NAMESPACE
from dbqueue.fields.tus import views as tus
from dbqueue.fields.views import download, issue, receive, status

app_name = NAMESPACE
urlpatterns = [
    path("generate-upload-url/", issue.issue, name="issue"),
    path("upload/<str:token>/", receive.upload, name="upload"),
    path("complete/<str:token>/", receive.complete, name="complete"),
    path("status/<str:token>/", status.status, name="status"),
    path("cancel/<str:token>/", status.cancel, name="cancel"),
    path("preview/<str:token>/", status.preview, name="preview"),
    path("tus/", tus.create, name="tus_create"),
    path("tus/<str:token>/", tus.upload, name="tus"),
    path("download-file/", download.download, name="download"),
    path("file/<str:token>/", download.file, name="file"),
]
