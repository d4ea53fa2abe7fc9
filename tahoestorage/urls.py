"""
Files by name: `path("media/", include("tahoestorage.urls"))`.

It takes the alias of another storage, and a permission hook:
`path("private/", include("tahoestorage.urls", namespace="private"), {"storage": "private",
"permission": may_read})`.
"""

from django.urls import path

from tahoestorage.contract.fileurls import NAMESPACE
from tahoestorage.serving.views import serve

app_name = NAMESPACE
urlpatterns = [path("<path:name>", serve, name="file")]
