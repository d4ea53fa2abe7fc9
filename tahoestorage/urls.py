"""
Files by name: `path("media/", include("tahoestorage.urls"))`.

It takes the alias of another storage, a permission hook, and the headers of files:
`path("private/", include("tahoestorage.urls", namespace="private"), {"storage": "private",
"permission": may_read, "cache_control": "private, max-age=60", "content_disposition":
"attachment"})`.
"""

from django.urls import path

from tahoestorage.contract.fileurls import NAMESPACE
from tahoestorage.serving.views import serve

app_name = NAMESPACE
urlpatterns = [path("<path:name>", serve, name="file")]
