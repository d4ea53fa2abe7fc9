"""The addresses: `do` for threads, `ado` for asyncio."""

from django.urls import include, path
from served import views

urlpatterns = [
    path("served/do/<operation>/", views.do),
    path("served/ado/<operation>/", views.ado),
    # With a spool, a file has its address here before it is on the grid.
    path("files/", include("tahoestorage.urls")),
]
